"""Captured sound cut into append events: all that waits, or frames of a length of your choice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from engine.errors import ConfigError

SHORTEST_MS = 10
LONGEST_MS = 200
MOST_RECORDS = LONGEST_MS // 10  # of 10 ms in one append at most


def checked_frame_ms(frame_ms: int | None) -> int | None:
    """The value, or ConfigError when it is neither None nor a whole number from 10 to 200."""
    whole = isinstance(frame_ms, int) and not isinstance(frame_ms, bool)
    if frame_ms is not None and not (whole and SHORTEST_MS <= frame_ms <= LONGEST_MS):
        raise ConfigError(
            f"frame_ms is {frame_ms!r}; use a whole number of milliseconds from {SHORTEST_MS} to {LONGEST_MS}, "
            "or None to send all that waits"
        )
    return frame_ms


class Framer:
    """Cuts the records of the capture half into the sound of one append event each, in wire form.

    Without `frame_ms` a frame is all that waits, 200 ms at most: the least delay, and the fewest events after a stall.
    With it every frame has exactly that length, and what is left waits for the next records. Between the ring and the
    encoder every byte is copied once, to bring it out from between the records; a frame that two calls make up is
    joined, once more. Belongs to the loop thread.
    """

    def __init__(self, bytes_per_ms: int, frame_ms: int | None = None) -> None:
        frame_ms = checked_frame_ms(frame_ms)
        self._size = frame_ms * bytes_per_ms if frame_ms is not None else None
        self._rest = b""  # shorter than a frame

    @property
    def waiting_bytes(self) -> int:
        """What waits for a whole frame."""
        return len(self._rest)

    def drop(self) -> None:
        """Forget what waits."""
        self._rest = b""

    def cut(self, records: NDArray[Any], flush: bool = False) -> Iterator[bytes]:
        """The frames that these records complete; with `flush` what is left after them too."""
        if len(records):
            length = int(records["bytes"][0])  # the same in all records of one format
            sound = records["payload"][:, :length]
            if self._size is None:
                yield from (sound[i : i + MOST_RECORDS].tobytes() for i in range(0, len(sound), MOST_RECORDS))
            elif self._rest or self._size % length:
                yield from self._recut(sound.tobytes())
            else:
                each = self._size // length
                whole = len(sound) // each * each
                yield from (sound[i : i + each].tobytes() for i in range(0, whole, each))
                self._rest = sound[whole:].tobytes()
        if flush and self._rest:
            rest, self._rest = self._rest, b""
            yield rest

    def _recut(self, sound: bytes) -> Iterator[bytes]:
        assert self._size is not None
        missing = self._size - len(self._rest)
        if len(sound) < missing:
            self._rest += sound
            return
        frames = [self._rest + sound[:missing]]
        last = missing + (len(sound) - missing) // self._size * self._size
        frames += [sound[i : i + self._size] for i in range(missing, last, self._size)]
        self._rest = sound[last:]
        yield from frames
