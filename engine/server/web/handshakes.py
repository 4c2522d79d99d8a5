"""TLS on sockets that have just come: in its handshake a socket waits in the lobby, as every stranger does.

asyncio's own servers bound the time of a handshake, not how many there are, and each holds some 300 KB. Here they count
with all who have no session (`Lobby`): one too many, and the one that has waited longest goes.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.server.web.sockets import Lobby

HANDSHAKE_S = 10.0
"""Seconds for the handshake of TLS."""


class Handshakes:
    """Makes the protocols of sockets that are to speak TLS, and those that `inner` makes once they do."""

    def __init__(self, tls: ssl.SSLContext, lobby: Lobby, inner: Callable[[], asyncio.BaseProtocol]) -> None:
        self._tls = tls
        self._lobby = lobby
        self._inner = inner
        self._tasks: set[asyncio.Task[None]] = set()  # as many as are in the lobby

    def protocol(self) -> asyncio.Protocol:
        """A protocol for one socket."""
        return _Outside(self)

    async def close(self) -> None:
        """Wait for handshakes whose sockets are gone."""
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def begin(self, transport: asyncio.Transport) -> None:
        """A socket is there."""
        transport.pause_reading()  # its first bytes are the handshake's
        self._lobby.enter(transport)
        task = asyncio.get_running_loop().create_task(self._shake(transport))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _shake(self, transport: asyncio.Transport) -> None:
        if transport.is_closing():
            return
        early = _Early()
        try:
            secured = await asyncio.get_running_loop().start_tls(
                transport, early, self._tls, server_side=True, ssl_handshake_timeout=HANDSHAKE_S
            )
        except OSError:  # no TLS, not in time, or gone: a stranger's affair
            return
        finally:
            self._lobby.leave(transport)
        if secured is not None and not secured.is_closing():
            early.follow(secured, self._inner())


class _Outside(asyncio.Protocol):
    """Of a socket before its handshake has begun."""

    def __init__(self, handshakes: Handshakes) -> None:
        self._handshakes = handshakes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._handshakes.begin(transport)


class _Early(asyncio.Protocol):
    """Keeps what is said between the end of the handshake and the moment we hear of that."""

    def __init__(self) -> None:
        self._data = bytearray()  # at most what is read of the socket in one turn of the loop
        self._over = False

    def data_received(self, data: bytes) -> None:
        self._data += data

    def eof_received(self) -> None:
        self._over = True

    def follow(self, transport: asyncio.Transport, inner: asyncio.BaseProtocol) -> None:
        """From now on it is the inner protocol's."""
        assert isinstance(inner, asyncio.Protocol)
        transport.set_protocol(inner)
        inner.connection_made(transport)
        if self._data:
            inner.data_received(bytes(self._data))
        if self._over:
            inner.eof_received()


__all__ = ["HANDSHAKE_S", "Handshakes"]
