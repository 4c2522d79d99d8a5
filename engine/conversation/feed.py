"""A bounded stream to a reader who may come late or never."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Feed(Generic[T]):
    """`put` never waits: beyond `limit` unread entries, or `weight_limit` of what they weigh together, the oldest are
    dropped and counted. The newest is always kept. One reader, one loop.
    """

    def __init__(self, limit: int, weight_limit: int = 2**62) -> None:
        self.dropped = 0
        self._limit = limit
        self._weight_limit = weight_limit
        self._weight = 0
        self._entries: deque[tuple[T, int]] = deque()  # bounded by `put`: the oldest goes, `dropped` counts it
        self._closed = False
        self._failure: Exception | None = None
        self._changed = asyncio.Event()

    def put(self, entry: T, weight: int = 0) -> None:
        """Add an entry."""
        self._entries.append((entry, weight))
        self._weight += weight
        while len(self._entries) > 1 and (len(self._entries) > self._limit or self._weight > self._weight_limit):
            self._weight -= self._entries.popleft()[1]
            self.dropped += 1
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
                entry, weight = self._entries.popleft()
                self._weight -= weight
                yield entry
            if self._closed:
                break
            self._changed.clear()
            await self._changed.wait()
        if self._failure is not None:
            raise self._failure
