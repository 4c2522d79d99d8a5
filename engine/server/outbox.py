"""What waits to be written to one client: bounded, in order, and able to say when there is room."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stall:
    """Write nothing for a while (a fault)."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Close:
    """Everything before this is written; then the session ends."""

    code: int
    reason: str


Entry = bytes | Stall | Close


AUDIO_WAITS = 32 * 2**10
"""Bytes that wait before audio does: five deltas of 100 ms in PCM; or a quarter of the limit, when that is less."""


class Outbox:
    """Encoded events for one reader.

    At most `limit` bytes wait, whatever they are: then `put` says False and the session ends with 1013, since no
    control event may be lost. Reply audio is held back by `room()` from `AUDIO_WAITS` on, so only a client that
    stopped reading gets there, and one that reads slowly gets little of a response after it was cancelled.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.waiting = 0
        self._audio_waits = min(AUDIO_WAITS, limit // 4)
        self._entries: deque[Entry] = deque()  # at most `limit` bytes; when full, put() refuses
        self._filled = asyncio.Event()
        self.idle = False
        """Whether nothing waits, and the writer for nothing but the next entry."""
        self._room = asyncio.Event()
        self._room.set()

    def put(self, entry: Entry) -> bool:
        """Add an entry. False when it does not fit: the session must end."""
        size = self._size(entry)
        if self.waiting + size > self.limit:
            return False
        self._entries.append(entry)
        self.idle = False
        self.waiting += size
        self._filled.set()
        if self.waiting > self._audio_waits:
            self._room.clear()
        return True

    async def get(self) -> Entry:
        """The next entry. Its bytes count as waiting until `written`."""
        while not self._entries:
            self._filled.clear()
            self.idle = True
            try:
                await self._filled.wait()
            finally:
                self.idle = False
        return self._entries.popleft()

    def written(self, entry: bytes) -> None:
        """The carrier has taken an entry."""
        self.waiting -= self._size(entry)
        if self.waiting <= self._audio_waits:
            self._room.set()

    def _size(self, entry: Entry) -> int:
        # A single event may be larger than the limit (a retrieved item). It counts as a quarter, so that three can
        # wait and the small events behind them do not end the session.
        return min(len(entry), self.limit // 4) if isinstance(entry, bytes) else 0

    async def room(self) -> None:
        """Wait until there is room for audio."""
        await self._room.wait()
