"""What a place for traces is: it begins spans, which are told what happens and when they end.

All methods are called on the loop and must not block it. What they raise ends the tracing of that session, not the
session. Times are Unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

Value = str | int | float | bool
S = TypeVar("S", bound="Span")


class Span(Protocol):
    """Something that takes time: a session, a turn, a tool's call."""

    def set(self, name: str, value: Value) -> None:
        """An attribute; the last one of a name counts."""

    def note(self, name: str, at: float, attributes: Mapping[str, Value]) -> None:
        """Something that happens within it."""

    def end(self, at: float, failure: str = "") -> None:
        """It is over: well, or with what went wrong. Called once."""


class Trace(Protocol[S]):
    """A place for spans. One object serves every session."""

    def begin(self, name: str, at: float, parent: S | None, attributes: Mapping[str, Value]) -> S:
        """A span; without a parent it is the first of a new trace."""
