"""A bounded stream to a reader who may come late or never."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Feed(Generic[T]):
    """`put` never waits: when `limit` entries are unread the oldest is dropped and counted. One reader, one loop."""

    def __init__(self, limit: int) -> None:
        self.dropped = 0
        self._entries: deque[T] = deque(maxlen=limit)  # full: the oldest goes, `dropped` counts it
        self._closed = False
        self._failure: Exception | None = None
        self._changed = asyncio.Event()

    def put(self, entry: T) -> None:
        """Add an entry."""
        self.dropped += len(self._entries) == self._entries.maxlen
        self._entries.append(entry)
        self._changed.set()

    def close(self, failure: Exception | None = None) -> None:
        """No more comes: the reader ends, or gets `failure`, once it has read what is there."""
        self._closed = True
        self._failure = self._failure or failure
        self._changed.set()

    async def read(self) -> AsyncIterator[T]:
        """The entries in order, until the feed is closed."""
        while True:
            while self._entries:
                yield self._entries.popleft()
            if self._closed:
                break
            self._changed.clear()
            await self._changed.wait()
        if self._failure is not None:
            raise self._failure
