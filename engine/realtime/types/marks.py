"""What an annotation says beyond a type: ranges, lengths, names a server owns, secrets. engine.realtime.rules reads
them before anything is sent; a shape that came from a server is never held to them.

    threshold: Annotated[float, Between(0.0, 1.0)] | UnsetType = UNSET
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Between(NamedTuple):
    """A number from `least` to `most`, both allowed."""

    least: float
    most: float


class Length(NamedTuple):
    """How many characters, elements or members there may be."""

    least: int = 0
    most: int = 2**31


class Matches(NamedTuple):
    """A text that this regular expression matches whole; `words` says it for people."""

    pattern: str
    words: str


@dataclass(frozen=True)
class Secret:
    """A value that is never shown."""


class Vocabulary:
    """The names that are known for something whose names the server owns. Others are sent too, with a warning, unless
    the list is `closed`.

    name in VOICES; list(VOICES); VOICES.what == "voice"
    """

    def __init__(self, what: str, *names: str, closed: bool = False) -> None:
        self.what = what
        self.names = names
        self.closed = closed
        self._known = frozenset(names)

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"Vocabulary({self.what!r}, {', '.join(map(repr, self.names))})"
