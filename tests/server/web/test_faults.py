"""Clients that break, stall, flood or say nothing, through both fronts: bounds hold, and others do not notice."""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import socket
import struct
import threading
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.frames import Frame, Opcode

from engine.server import Server, ServerOptions, serve
from engine.server.carrier import READ_AHEAD_BYTES, TOGETHER_BYTES, WRITE_LIMIT, Carrier
from engine.server.responders import Part, Say, Turn
from engine.server.voices import ToneVoice
from engine.server.web import app, asgi_front, sockets
from engine.server.web.certificates import self_signed
from engine.server.web.routes import OPEN, Route
from tests.server.harness import question
from tests.server.test_websocket import expect
from tests.server.web.http import BOTH, HANDSHAKE, ask, raw, until, with_server
from tests.server.web.test_http import parrot

UPGRADE = "\r\n".join(("GET /v1/realtime HTTP/1.1", "Host: localhost", *HANDSHAKE, "", "")).encode()


def text(event: dict[str, Any] | str) -> bytes:
    """A client's frame with an event."""
    data = event if isinstance(event, str) else json.dumps(event)
    return Frame(Opcode.TEXT, data.encode()).serialize(mask=True)


def append(audio: bytes) -> dict[str, Any]:
    return {"type": "input_audio_buffer.append", "audio": b64encode(audio).decode()}


async def joined(server: Server, data: bytes = UPGRADE) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A socket that has said this."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(server.url).port)
    writer.write(data)
    return reader, writer


async def upgraded(server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await joined(server)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    return reader, writer


def cut(writer: asyncio.StreamWriter) -> None:
    """Gone with a reset, as by a machine that crashes and comes back."""
    there: socket.socket = writer.get_extra_info("socket")
    with suppress(OSError):  # it is closed already
        there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def serves(server: Server) -> None:
    """Somebody else's turn."""
    async with connect(server.url, max_size=None) as client:
        await expect(client, "session.created")
        await client.send(json.dumps({"type": "response.create"}))
        assert (await expect(client, "response.done"))["response"]["status"] == "completed"


# ---- sockets that die


CUTS = {
    "nothing": b"",
    "half a line": UPGRADE[:9],
    "half a head": UPGRADE[:60],
    "a head": UPGRADE,
    "a head and half a frame": UPGRADE + text(append(bytes(960)))[:100],
    "half a large frame": UPGRADE + text(append(bytes(100_000)))[:90_000],
    "half a message": UPGRADE + Frame(Opcode.TEXT, b"{", fin=False).serialize(mask=True),
    "a close": UPGRADE + Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True),
    "a post without its body": b"POST /v1/parrot HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 10\r\n\r\n{",
    "a get": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@BOTH
@pytest.mark.parametrize("end", ["reset", "half-closed"])
def test_a_socket_dies_anywhere(front: str, end: str) -> None:
    async def test(server: Server) -> None:
        server.site.routes.add(Route("POST", "/v1/parrot", parrot, types=("application/json",), who=OPEN))
        for data in CUTS.values():
            reader, writer = await joined(server, data)
            if data.startswith(UPGRADE):
                await reader.readuntil(b"\r\n\r\n")
            else:
                await asyncio.sleep(0)
            if end == "reset":
                cut(writer)
            else:
                writer.write_eof()
                await reader.read(-1)  # the server ends it, too
                writer.close()
        await until(lambda: not server.sessions and not len(server.sockets.lobby))
        await serves(server)

    with_server(test, front=front)


@BOTH
def test_a_tls_handshake_dies(front: str, tmp_path: Any) -> None:
    tls, _ = self_signed([], tmp_path)

    async def test(server: Server) -> None:
        for data in (b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n", bytes(3000)):
            _, writer = await joined(server, data)
            cut(writer)
        assert (await ask(server, "GET", "/healthz", tls=trusting(tmp_path))).status == 200

    with_server(test, front=front, tls=tls)


def test_the_end_does_not_wait_for_a_tls_handshake(tmp_path: Any) -> None:
    async def main() -> None:
        async with serve(voice=ToneVoice(), tls=self_signed([], tmp_path)[0]) as server:
            _, writer = await joined(server, b"\x16\x03\x01")
            assert (await ask(server, "GET", "/healthz", tls=trusting(tmp_path))).status == 200
        writer.transport.abort()

    asyncio.run(main())


def trusting(folder: Any) -> Any:
    import ssl

    return ssl.create_default_context(cafile=folder / "self-signed.pem")


@BOTH
def test_connect_and_close_in_a_loop(front: str) -> None:
    async def test(server: Server) -> None:
        threads = threading.active_count()
        for turn in range(60):
            _, writer = await (upgraded if turn % 2 else joined)(server)
            if turn % 3:
                cut(writer)
            else:
                writer.close()
        await until(lambda: not server.sessions and not len(server.sockets.lobby))
        assert threading.active_count() <= threads + 1
        assert not server.sockets._deadlines
        await serves(server)

    with_server(test, front=front)


@BOTH
def test_a_handshake_that_fails_in_our_hands_leaves_its_place(front: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("a mistake")

    async def test(server: Server) -> None:
        monkeypatch.setattr(Carrier, "open", fails)
        for _ in range(3):
            reader, _ = await joined(server)
            assert await reader.read() == b""
        assert server.sessions == 0
        monkeypatch.undo()
        await serves(server)

    with_server(test, front=front)


# ---- slow and silent ones


@BOTH
def test_slow_loris(front: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte of the head in its time, and the whole never."""
    patience = sockets.HEAD_S

    def wait(seconds: float) -> None:
        for module in (sockets, asgi_front):
            monkeypatch.setattr(module, "HEAD_S", seconds)

    async def test(server: Server) -> None:
        wait(0.2)
        for begun in (b"", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n", UPGRADE[:-2]):
            reader, writer = await joined(server, begun)
            answer = asyncio.create_task(reader.read(-1))
            try:
                while not answer.done():
                    writer.write(b"X: y\r\n" if begun else b"")
                    await asyncio.sleep(0.01)
            except ConnectionError:
                pass
            assert (await answer).startswith(b"HTTP/1.1 408 ")
            writer.close()
        wait(patience)  # a busy machine may make anybody late
        await serves(server)

    with_server(test, front=front)


@pytest.mark.parametrize("more", [b"\r\n", b"1\r\nx\r\n"], ids=["blank lines", "the rest of a body"])
def test_who_goes_on_without_asking_anything(more: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is there, and what follows is no request: that has an end, too."""
    large = b"1" + b"0" * 6 + b"\r\n" + bytes(2**24) + b"\r\n"  # more than is read before the answer
    chunked = b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + large
    request = CUTS["a get"] if more == b"\r\n" else chunked

    async def test(server: Server) -> None:
        monkeypatch.setattr(asgi_front, "HEAD_S", 0.2)
        reader, writer = await joined(server, request)
        await reader.readuntil(b"\r\n\r\n")
        answer = asyncio.create_task(reader.read(-1))
        with suppress(ConnectionError):
            async with asyncio.timeout(50):
                while not answer.done():
                    writer.write(more)
                    await asyncio.sleep(0.01)
                await answer
        writer.transport.abort()

    with_server(test, front="asgi")


def test_slow_post(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "BODY_S", 0.2)

    async def test(server: Server) -> None:
        server.site.routes.add(Route("POST", "/v1/parrot", parrot, types=("application/json",), who=OPEN))
        told = await raw(server, CUTS["a post without its body"])
        assert (told.status, told.error["code"]) == (408, "timeout")
        await serves(server)

    with_server(test, front="asgi")


def test_bodies_that_are_read_at_a_time_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "BODIES_BYTES", 2000)

    def begun(size: int) -> bytes:
        lines = ("POST /v1/parrot HTTP/1.1", "Host: localhost", "Connection: close", "Content-Type: application/json")
        return "\r\n".join((*lines, f"Content-Length: {size}", "", '"' + "x" * 1000)).encode()

    async def test(server: Server) -> None:
        server.site.routes.add(Route("POST", "/v1/parrot", parrot, types=("application/json",), who=OPEN))
        _, slow = await joined(server, begun(1500))
        front: Any = server._asgi
        bodies = front.config.app._bodies
        await until(lambda: bodies._held == 1001)
        told = await raw(server, begun(1500))
        assert (told.status, told.error["code"], told.headers["connection"]) == (503, "server_busy", "close")
        assert told.headers["retry-after"] == "1"
        slow.transport.abort()
        await until(lambda: not bodies._held)
        assert (await raw(server, begun(1002) + b'"')).status == 200

    with_server(test, front="asgi")


@BOTH
def test_who_waits_longest_goes_when_too_many_wait(front: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(server: Server) -> None:
        server.sockets.lobby._most = 20
        waiting = [await joined(server, b"GET /") for _ in range(30)]
        await until(lambda: len(server.sockets.lobby) == 20)
        for reader, _ in waiting[:10]:
            with suppress(ConnectionError):
                assert await reader.read(-1) == b""
        assert not any(reader.at_eof() for reader, _ in waiting[10:])
        await serves(server)
        assert (await ask(server, "GET", "/healthz")).status == 200
        assert len(server.sockets.lobby) <= 20
        for _, writer in waiting:
            writer.transport.abort()

    with_server(test, front=front)


@BOTH
def test_a_thousand_idle_sessions(front: str) -> None:
    count = 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * count + 200:
        pytest.skip(f"a process may open {hard} files here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * count + 200), hard))

    async def test(server: Server) -> None:
        threads, tasks = threading.active_count(), len(asyncio.all_tasks())
        idle = [await upgraded(server) for _ in range(count)]
        await until(lambda: server.sessions == count)
        assert threading.active_count() == threads
        assert len(asyncio.all_tasks()) - tasks <= 3 * count  # session, reader, writer
        await serves(server)
        with pytest.raises(InvalidStatus) as refused:
            async with AsyncExitStack() as stack:
                for _ in range(2):
                    await stack.enter_async_context(connect(server.url))
        assert refused.value.response.status_code == 503
        for _, writer in idle:
            writer.close()
        await until(lambda: server.sessions == 0)

    try:
        with_server(test, ServerOptions(max_sessions=count + 1, burst=1000), front=front)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# ---- floods


@BOTH
def test_a_flood_of_tiny_appends(front: str) -> None:
    """Twenty thousand of one sample each, as fast as the socket takes them, while somebody else has a turn."""

    async def test(server: Server) -> None:
        reader, writer = await upgraded(server)
        await until(lambda: bool(server.sockets.open))
        carrier = next(iter(server.sockets.open))
        most, flood = 0, text(append(b"\0\0")) * 500

        async def flooding() -> None:
            nonlocal most
            for _ in range(40):
                writer.write(flood)
                await writer.drain()
                most = max(most, carrier._inbox_bytes)
            writer.write(text({"type": "input_audio_buffer.commit", "event_id": "event_last"}))

        async with asyncio.TaskGroup() as group:
            group.create_task(flooding())
            group.create_task(serves(server))
        assert most <= READ_AHEAD_BYTES + 2**18 + 100_000  # beside one read of the socket
        async with asyncio.timeout(60):
            answer = b""
            while b"input_audio_buffer.committed" not in answer and b"event_last" not in answer:
                answer += await reader.read(65536)
        cut(writer)

    with_server(test, ServerOptions(burst=1000, send_queue_bytes=2**24), front=front)


@BOTH
def test_a_flood_of_huge_appends(front: str) -> None:
    """Each as large as may be; the buffer holds what it may, and the next turn is as ever."""
    bound = 2**22

    async def test(server: Server) -> None:
        async with connect(server.url, max_size=None) as client:
            await expect(client, "session.created")
            update = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
            await client.send(json.dumps({"type": "session.update", "session": update}))
            huge = json.dumps(append(bytes(15 * 2**20)))
            for _ in range(3):
                await client.send(huge)
            await client.send(json.dumps({"type": "input_audio_buffer.clear"}))
            await expect(client, "input_audio_buffer.cleared")
            await client.send(json.dumps(append(question())))
            await client.send(json.dumps({"type": "input_audio_buffer.commit"}))
            await expect(client, "input_audio_buffer.committed")
        await serves(server)

    with_server(test, ServerOptions(burst=1000, retained_bytes=bound), front=front)


@BOTH
def test_a_flood_of_pings_from_somebody_who_reads_nothing(front: str) -> None:
    async def test(server: Server) -> None:
        _, writer = await upgraded(server)
        await until(lambda: bool(server.sockets.open))
        carrier = next(iter(server.sockets.open))
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        flood, most = Frame(Opcode.PING, b"p" * 125).serialize(mask=True) * 1000, 0
        for _ in range(200):
            writer.write(flood)
            await writer.drain()
            most = max(most, carrier.transport.get_write_buffer_size())
            await asyncio.sleep(0)
        assert most <= WRITE_LIMIT + TOGETHER_BYTES + 2**18
        await serves(server)
        cut(writer)

    with_server(test, front=front)


@BOTH
def test_who_does_not_read_is_closed_with_1013(front: str, caplog: pytest.LogCaptureFixture) -> None:
    async def test(server: Server) -> None:
        _, writer = await upgraded(server)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        large = {"type": "realtime", "instructions": "x" * 8000}
        writer.write(text({"type": "session.update", "session": large}))
        more = text({"type": "session.update", "session": {"type": "realtime"}}) * 50
        try:
            while server.sessions or not caplog.records:
                writer.write(more)
                await writer.drain()
        except ConnectionError:
            pass
        await until(lambda: not server.sessions)
        assert any("ended with 1013" in record.getMessage() for record in caplog.records)
        await serves(server)
        cut(writer)

    with caplog.at_level(logging.INFO, "bargein.server"):
        with_server(test, ServerOptions(burst=1000, send_queue_bytes=2**16), front=front)


# ---- brains that do not come back


class Stuck:
    """Blocks the whole loop first, then waits for ever."""

    name = "stuck"

    async def respond(self, turn: Turn) -> AsyncIterator[Part]:
        """See Responder."""
        time.sleep(0.3)  # noqa: ASYNC251 - this is the fault
        yield Say("One moment.")
        await asyncio.Event().wait()


@BOTH
def test_a_blocked_brain_closes_nobody(front: str) -> None:
    async def test(server: Server) -> None:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(connect(server.url, max_size=None)) for _ in range(5)]
            for client in clients:
                await expect(client, "session.created")
                await client.send(json.dumps({"type": "response.create"}))
            for client in clients:
                await expect(client, "response.output_audio.delta")
                await (await client.ping())
            await clients[0].send(json.dumps({"type": "response.cancel"}))
            assert (await expect(clients[0], "response.done"))["response"]["status"] == "cancelled"
            assert server.sessions == 5
        await until(lambda: not server.sessions)

    with_server(test, responder=Stuck(), front=front)


# ---- oversized heads


@BOTH
@pytest.mark.parametrize(
    "lines",
    [
        ["X: " + "x" * 20_000],
        [f"X-{n}: y" for n in range(101)],
        [f"X-{n}: {'y' * 1000}" for n in range(20)],
    ],
)
def test_oversized_heads(front: str, lines: list[str]) -> None:
    async def test(server: Server) -> None:
        head = "\r\n".join(("GET /healthz HTTP/1.1", "Host: localhost", *lines, "", ""))
        for data in (head, head[:-2])[: 1 + (len(head) > 17_000)]:
            told = await raw(server, data.encode())
            assert (told.status, told.error["code"]) == (431, "head_too_large")
        long = await ask(server, "GET", "/" + "x" * 20_000)
        assert long.status == 431
        endless = await raw(server, b"GET /" + b"x" * 100_000)
        assert endless.status == 431
        with pytest.raises((InvalidStatus, InvalidMessage, ConnectionClosed)):
            await connect(server.url, additional_headers={"X": "x" * 20_000})
        await serves(server)

    with_server(test, front=front)
