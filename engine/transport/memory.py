"""A connection inside one process: for tests, and for a server and client that share a loop without a socket."""

from __future__ import annotations

import asyncio
from collections import deque

from engine.errors import ConnectionLost
from engine.transport.connection import Connection


class _Channel:
    """One direction: a bounded queue that can end."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._messages: deque[bytes | str] = deque()  # at most `limit`; a full channel makes the sender wait
        self._ended: ConnectionLost | None = None
        self._changed = asyncio.Condition()

    async def put(self, message: bytes | str) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._ended is not None or len(self._messages) < self._limit)
            if self._ended is not None:
                raise ConnectionLost(self._ended.code, self._ended.reason)
            self._messages.append(message)
            self._changed.notify_all()

    async def get(self) -> bytes | str:
        async with self._changed:
            await self._changed.wait_for(lambda: bool(self._messages) or self._ended is not None)
            if self._messages:
                message = self._messages.popleft()
                self._changed.notify_all()
                return message
            assert self._ended is not None
            raise ConnectionLost(self._ended.code, self._ended.reason)

    async def end(self, code: int, reason: str) -> None:
        async with self._changed:
            if self._ended is None:
                self._ended = ConnectionLost(code, reason)
            self._changed.notify_all()


class MemoryConnection:
    """One end of a `pair`. Messages sent before a close are still received; what comes after raises
    `ConnectionLost`.
    """

    def __init__(self, incoming: _Channel, outgoing: _Channel) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    async def send(self, data: bytes | str) -> None:
        await self._outgoing.put(data)

    async def receive(self) -> bytes | str:
        return await self._incoming.get()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._outgoing.end(code, reason)
        await self._incoming.end(code, reason)


def pair(limit: int = 256) -> tuple[Connection, Connection]:
    """Two connected ends. Each direction holds at most `limit` messages; then `send` waits for the other side."""
    one, other = _Channel(limit), _Channel(limit)
    return MemoryConnection(one, other), MemoryConnection(other, one)
