"""A request and its answer, as every front gives and takes them. No sockets here, and nothing that reads a clock."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from engine.realtime import problems

Headers = tuple[tuple[str, str], ...]
"""Names in lower case, in the order they came; a name may come twice."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, whole."""

    method: str
    """In upper case."""
    path: str
    """Without its query, percent-escapes decoded."""
    query: str = ""
    headers: Headers = ()
    body: bytes = b""
    peer: str = ""
    """The address it came from; empty when the front does not know."""
    secure: bool = False
    """Whether it came over TLS."""

    def all(self, name: str) -> list[str]:
        """All values of a header; `name` in lower case."""
        return [value for known, value in self.headers if known == name]

    def only(self, name: str) -> str | None:
        """The value of a header that came once; None when it did not come, or more than once."""
        values = self.all(name)
        return values[0] if len(values) == 1 else None

    def with_body(self, body: bytes) -> Request:
        """The same request, once its body has been read."""
        return replace(self, body=body) if body else self


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: a status, a body and the headers beside its type and length."""

    status: int
    body: bytes = b""
    type: str = "text/plain; charset=utf-8"
    headers: Headers = field(default=())


def json_answer(status: int, value: Any, headers: Headers = ()) -> Answer:
    """`value` as JSON."""
    return Answer(status, msgspec.json.encode(value), "application/json", headers)


def refusal(
    status: int, message: str, *, code: str | None = None, param: str | None = None, headers: Headers = ()
) -> Answer:
    """An error in the shape of the reference: `{"error": {"message", "type", "param", "code"}}`."""
    kind = "server_error" if status >= 500 else problems.KIND
    error = {"message": message, "type": kind, "param": param, "code": code}
    return json_answer(status, {"error": error}, headers)
