"""A client's mistake, as the `error` event it is answered with. The session lives on.

The texts that the service is known to use come from `engine.realtime.problems`; here is what only this server says.
"""

from __future__ import annotations

from engine.errors import ProtocolError
from engine.realtime import problems
from engine.realtime.problems import invalid_type, missing, unknown_parameter

__all__ = ["Refusal", "invalid_type", "invalid_value", "missing", "unknown_parameter"]


class Refusal(ProtocolError):
    """Raised while an event is handled; becomes `error` with this code and param, and the event's id."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message, code=code, param=param)


def invalid_value(param: str, problem: str) -> ProtocolError:
    """A field has the right type and a value that cannot be used; `problem` ends the sentence."""
    return problems.invalid_value(param, f"Invalid value for '{param}': {problem}")
