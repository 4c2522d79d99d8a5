"""TLS handshakes that do not come to an end are strangers in the lobby, like all others."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from engine.server import Server
from engine.server.web.certificates import self_signed
from tests.server.test_websocket import expect
from tests.server.web.http import BOTH, ask, until, with_server
from tests.server.web.test_faults import joined, trusting

HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"  # the beginning of one


@BOTH
def test_unfinished_handshakes_are_bounded(front: str, tmp_path: Path) -> None:
    tls, _ = self_signed([], tmp_path)

    async def test(server: Server) -> None:
        lobby = server.sockets.lobby
        lobby._most = 20
        waiting = [await joined(server, HELLO) for _ in range(30)]
        for reader, _ in waiting[:10]:
            assert await reader.read() == b""
        assert len(lobby) == 20
        assert (await ask(server, "GET", "/healthz", tls=trusting(tmp_path))).status == 200
        for _, writer in waiting:
            writer.transport.abort()
        await until(lambda: not len(lobby))

    with_server(test, front=front, tls=tls)


@BOTH
def test_a_request_that_comes_with_the_end_of_the_handshake(front: str, tmp_path: Path) -> None:
    """Both in one write: neither is lost."""
    tls, _ = self_signed([], tmp_path)
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    async def test(server: Server) -> None:
        reader, writer = await joined(server, b"")
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        peer = trusting(tmp_path).wrap_bio(incoming, outgoing, server_hostname="localhost")
        while True:
            try:
                peer.do_handshake()
                break
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                incoming.write(await reader.read(65536))
        peer.write(request)
        writer.write(outgoing.read())  # what ends the handshake, and the request
        answer = b""
        while not answer:
            if not (more := await reader.read(65536)):
                break
            incoming.write(more)
            try:
                answer = peer.read(65536)
            except ssl.SSLWantReadError:
                continue
        assert answer.startswith(b"HTTP/1.1 200 ")
        writer.transport.abort()

    with_server(test, front=front, tls=tls)


@BOTH
def test_a_session_over_tls(front: str, tmp_path: Path) -> None:
    from websockets.asyncio.client import connect

    tls, _ = self_signed([], tmp_path)

    async def test(server: Server) -> None:
        async with asyncio.timeout(50), connect(server.url, ssl=trusting(tmp_path), max_size=None) as client:
            await expect(client, "session.created")
            assert not len(server.sockets.lobby)
            await client.send('{"type": "response.create"}')
            assert (await expect(client, "response.done"))["response"]["status"] == "completed"

    with_server(test, front=front, tls=tls)
