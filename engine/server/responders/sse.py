"""Server-sent events as a language model streams them: bytes in, the data of each event out, with a bound.

Source: the HTML standard, "Server-sent events", 9.2.6 (lines may end with CR, LF or CRLF; `data` lines of one event are
joined with LF; a field may have one space after its colon; lines that begin with a colon are comments).
"""

from __future__ import annotations

from engine.errors import TransportError

MAX_EVENT_BYTES = 2**20
"""A longer event is none of a language model's."""


class EventStream:
    """Feed bytes cut anywhere; every whole event's data comes out once."""

    def __init__(self, limit: int = MAX_EVENT_BYTES) -> None:
        self._limit = limit
        self._line = bytearray()  # with the data at most `limit`
        self._data: list[bytes] = []
        self._size = 0
        self._after_cr = False

    def process(self, piece: bytes) -> list[str]:
        """The events that are complete now. Raises TransportError for one that is too long."""
        events = []
        for line in self._lines(piece):
            if not line:
                if self._data:
                    events.append(b"\n".join(self._data).decode(errors="replace"))
                self._data, self._size = [], 0
            elif line.startswith(b"data"):
                name, _, value = line.partition(b":")
                if name == b"data":
                    self._data.append(value[1:] if value.startswith(b" ") else value)
                    self._size += len(value)
            self._check()
        self._check()
        return events

    def flush(self) -> list[str]:
        """The stream has ended: an event that only lacks its empty line counts, since some servers leave it out."""
        return self.process(b"\n\n")

    def _lines(self, piece: bytes) -> list[bytes]:
        if self._after_cr and piece.startswith(b"\n"):
            piece = piece[1:]
        if not piece:
            return []
        self._after_cr = piece.endswith(b"\r")
        whole = bytes(self._line) + piece
        lines = whole.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._line = bytearray(lines.pop())
        return lines

    def _check(self) -> None:
        if len(self._line) + self._size > self._limit:
            raise TransportError(f"the model sent an event of over {self._limit} bytes")


__all__ = ["MAX_EVENT_BYTES", "EventStream"]
