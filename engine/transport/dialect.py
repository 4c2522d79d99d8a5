"""A connection to a server of the older dialect, seen from here as one that speaks today's."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from engine.realtime.beta import Beta
from engine.transport.connection import Connection


class BetaConnection:
    """`Connection` that translates every message of another one."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._beta = Beta()
        self._waiting: deque[bytes | str] = deque()  # at most one: a message becomes two at the most

    async def send(self, data: bytes | str) -> None:
        """See `Connection.send`."""
        await self._connection.send(self._beta.outgoing(data))

    async def receive(self) -> bytes | str:
        """See `Connection.receive`."""
        if not self._waiting:
            self._waiting.extend(self._beta.incoming(await self._connection.receive()))
        return self._waiting.popleft()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """See `Connection.close`."""
        await self._connection.close(code, reason)


def in_beta(
    open_connection: Callable[[], AbstractAsyncContextManager[Connection]],
) -> Callable[[], AbstractAsyncContextManager[Connection]]:
    """The same way to a server, with the translation in it."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Connection]:
        async with open_connection() as connection:
            yield BetaConnection(connection)

    return opened
