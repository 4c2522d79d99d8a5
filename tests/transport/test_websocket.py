"""The client's WebSocket against servers that are good, bad and absent."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from engine.clock import run_virtual
from engine.conversation import Settings, converse
from engine.endpoints import Memory
from engine.errors import ConfigError, ConnectionLost, TransportError
from engine.front import remote
from engine.server import responder
from engine.server import serve as serve_embedded
from engine.server.voices import ToneVoice
from engine.transport import websocket
from tests.conversation.harness import RATE, SCRIPT, Recorder, caller, held

KEY = "sk-very-secret-0123456789"
HEADERS = {"Authorization": f"Bearer {KEY}"}
Handler = Callable[[ServerConnection], Awaitable[None]]


def run(test: Awaitable[Any]) -> Any:
    """Run in real time, at most 30 s."""

    async def main() -> Any:
        async with asyncio.timeout(30):
            return await test

    return asyncio.run(main())


@asynccontextmanager
async def server(handler: Handler, **options: Any) -> AsyncIterator[str]:
    """A WebSocket server on loopback; its URL with a secret in it that must never be shown."""
    async with serve(handler, "127.0.0.1", 0, **options) as running:
        port = next(iter(running.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/v1/realtime?model=m&token={KEY}"


@asynccontextmanager
async def raw(answer: bytes | None) -> AsyncIterator[str]:
    """A TCP server that says one thing to whoever comes, or nothing at all."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        if answer is None:
            await asyncio.sleep(20)
        else:
            writer.write(answer)
        writer.close()

    running = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{running.sockets[0].getsockname()[1]}/v1?token={KEY}"
    finally:
        running.close()


async def refused(url: str, **options: Any) -> str:
    """The message with which this URL is refused; without any secret."""
    with pytest.raises(TransportError) as raised:
        async with websocket.connect(url, headers=HEADERS, **options):
            pytest.fail("it was opened")
    text = f"{raised.value!s} {raised.value!r} {raised.value.__cause__!r}"
    assert KEY not in text
    assert "\n" not in str(raised.value)
    assert "127.0.0.1" in str(raised.value)
    return str(raised.value)


def test_messages_go_both_ways_as_text() -> None:
    seen: list[Any] = []

    async def echo(peer: ServerConnection) -> None:
        async for message in peer:
            seen.append(message)
            await peer.send(message)

    async def talk() -> None:
        async with server(echo) as url, websocket.connect(url) as connection:
            await connection.send(b'{"a": 1}')
            await connection.send('{"b": "\u00e9"}')
            assert json.loads(await connection.receive()) == {"a": 1}
            assert json.loads(await connection.receive()) == {"b": "é"}

    run(talk())
    assert seen == ['{"a": 1}', '{"b": "é"}'], "events are text frames"


def test_the_key_travels_in_its_header_and_compression_is_off() -> None:
    requests: list[Request | None] = []

    async def look(peer: ServerConnection) -> None:
        requests.append(peer.request)
        assert peer.protocol.extensions == []

    async def talk() -> None:
        async with server(look) as url, websocket.connect(url, headers=HEADERS) as connection:
            with pytest.raises(ConnectionLost):
                await connection.receive()

    run(talk())
    assert requests[0] is not None
    assert requests[0].headers["Authorization"] == f"Bearer {KEY}"
    assert "Sec-WebSocket-Extensions" not in requests[0].headers


def test_a_server_that_is_absent() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "cannot reach ws://127.0.0.1" in run(refused(f"ws://127.0.0.1:{port}/v1?token={KEY}"))


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (401, "the key is missing or wrong"),
        (403, "Origin is not allowed"),
        (404, "no Realtime endpoint at this path"),
        (429, "too many requests"),
        (500, "the server refused"),
        (503, "the server is full"),
    ],
)
def test_a_server_that_refuses(status: int, hint: str) -> None:
    def refuse(peer: ServerConnection, _request: Request) -> Response:
        return peer.respond(HTTPStatus(status), f"your key {KEY} is not welcome")

    async def nothing(_peer: ServerConnection) -> None:
        pytest.fail("it was opened")

    async def talk() -> str:
        async with server(nothing, process_request=refuse) as url:
            return await refused(url)

    text = run(talk())
    assert f"answered {status}" in text
    assert hint in text


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"SSH-2.0-OpenSSH_9.0\r\n",
        b"",
        b"\x00\x01\x02\x03" * 100,
        b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ],
    ids=["plain http", "ssh", "closes", "binary", "redirect", "wrong accept"],
)
def test_a_server_of_another_kind(answer: bytes) -> None:
    async def talk() -> str:
        async with raw(answer) as url:
            return await refused(url)

    assert run(talk())


def test_a_server_that_never_answers() -> None:
    async def talk() -> str:
        async with raw(None) as url:
            return await refused(url, open_timeout=0.2)

    assert "did not answer within 0.2 s" in run(talk())


@pytest.mark.parametrize(
    "url", ["http://host/v1", "ws://", "nonsense", f"ws://user:{KEY}@[::1/x", "ws:///path", "ws://h:99999/x"]
)
def test_what_is_no_websocket_url_is_a_config_error(url: str) -> None:
    async def talk() -> None:
        async with websocket.connect(url, headers=HEADERS):
            pytest.fail("it was opened")

    with pytest.raises(ConfigError) as raised:
        run(talk())
    assert KEY not in str(raised.value)


@pytest.mark.parametrize("value", [f"Bearer {KEY}\r\nX-Evil: 1", f"Bearer {KEY}\x00"])
def test_a_key_that_is_no_header_value_is_refused_without_showing_it(value: str) -> None:
    received: list[Any] = []

    async def look(peer: ServerConnection) -> None:
        received.append(peer.request.headers if peer.request else None)

    async def talk() -> None:
        async with server(look) as url, websocket.connect(url, headers={"Authorization": value}):
            pass

    with pytest.raises((ConfigError, TransportError)) as raised:
        run(talk())
    assert KEY not in str(raised.value)
    assert received == []


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "going away"), (1011, "broken"), (4001, "ours")])
def test_the_close_code_of_the_server_is_told(code: int, reason: str) -> None:
    async def close(peer: ServerConnection) -> None:
        await peer.send("last words")
        await peer.close(code, reason)

    async def talk() -> ConnectionLost:
        async with server(close) as url, websocket.connect(url) as connection:
            assert await connection.receive() in (b"last words", "last words")
            for use in (connection.receive(), connection.send("x")):
                with pytest.raises(ConnectionLost) as lost:
                    await use
            return lost.value

    lost = run(talk())
    assert (lost.code, lost.reason) == (code, reason)


def test_a_connection_that_breaks_is_1006() -> None:
    async def break_off(peer: ServerConnection) -> None:
        await peer.send("half")
        peer.transport.abort()

    async def talk() -> ConnectionLost:
        async with server(break_off) as url, websocket.connect(url) as connection:
            with pytest.raises(ConnectionLost) as lost:
                await connection.receive()
                await connection.receive()
            return lost.value

    assert run(talk()).code == 1006


@pytest.mark.parametrize("size", [1_000_000, 20_000_000])
def test_a_message_that_is_too_large_closes_with_1009(size: int) -> None:
    closed: list[int | None] = []

    async def flood(peer: ServerConnection) -> None:
        await peer.send("x" * size)
        await peer.wait_closed()
        closed.append(peer.close_code)

    async def talk() -> ConnectionLost:
        limit: dict[str, Any] = {"max_size": 999_999} if size < 2_000_000 else {}
        async with server(flood) as url, websocket.connect(url, **limit) as connection:
            with pytest.raises(ConnectionLost) as lost:
                await connection.receive()
            return lost.value

    lost = run(talk())
    assert lost.code == 1009
    assert "larger than" in lost.reason
    assert closed == [1009]


def test_the_limit_that_a_message_broke_is_the_one_that_was_set() -> None:
    async def flood(peer: ServerConnection) -> None:
        await peer.send("x" * 5000)
        await peer.wait_closed()

    async def talk() -> ConnectionLost:
        async with server(flood) as url, websocket.connect(url, max_size=1000) as connection:
            with pytest.raises(ConnectionLost) as lost:
                await connection.receive()
            return lost.value

    assert " 1000 " in run(talk()).reason


def test_a_message_of_the_largest_size_passes() -> None:
    async def send(peer: ServerConnection) -> None:
        await peer.send("x" * 1000)
        await peer.wait_closed()

    async def talk() -> int:
        async with server(send) as url, websocket.connect(url, max_size=1000) as connection:
            return len(await connection.receive())

    assert run(talk()) == 1000


def test_leaving_the_block_closes() -> None:
    closed: list[int | None] = []

    async def wait(peer: ServerConnection) -> None:
        await peer.wait_closed()
        closed.append(peer.close_code)

    async def talk() -> None:
        async with server(wait) as url:
            async with websocket.connect(url) as connection:
                pass
            with pytest.raises(ConnectionLost):
                await connection.send("x")
            await connection.close()

    run(talk())
    assert closed == [1000]


def test_a_peer_that_does_not_read_makes_send_wait_and_leaving_is_bounded() -> None:
    gone = asyncio.Event()

    async def sleep(_peer: ServerConnection) -> None:
        await gone.wait()

    async def fill(connection: websocket.WebSocketConnection) -> int:
        sent = 0
        try:
            async with asyncio.timeout(0.5):
                while sent < 10_000:
                    await connection.send(b"x" * 65536)
                    sent += 1
        except TimeoutError:
            pass
        return sent

    async def talk() -> tuple[int, bool]:
        async with server(sleep, max_queue=1, ping_interval=None, close_timeout=0.1) as url:
            left = False
            try:
                async with asyncio.timeout(8):  # a guard: two seconds are the promise
                    async with websocket.connect(url) as connection:
                        sent = await fill(connection)
                    left = True
            except TimeoutError:
                pass
            gone.set()
            return sent, left

    sent, left = run(talk())
    assert 0 < sent < 10_000
    assert left, "a network that stalls keeps the program from leaving"


def test_a_redirect_does_not_carry_the_key_to_another_server() -> None:
    requests: list[Request | None] = []

    async def look(peer: ServerConnection) -> None:
        requests.append(peer.request)

    async def talk() -> None:
        async with server(look) as elsewhere:

            def redirect(peer: ServerConnection, _request: Request) -> Response:
                answer = peer.respond(HTTPStatus.FOUND, "")
                answer.headers["Location"] = elsewhere
                return answer

            async with server(look, process_request=redirect) as url:
                try:
                    async with websocket.connect(url, headers=HEADERS):
                        pass
                except TransportError:
                    pass

    run(talk())
    assert all(request is None or "Authorization" not in request.headers for request in requests)


def test_the_conversation_is_the_same_over_a_socket() -> None:
    """Virtual time over loopback: the demo through real frames hears what it hears in memory."""
    log, memory = Recorder(), Memory(caller(), RATE)

    async def main() -> list[str]:
        async with (
            serve_embedded(port=0, responder=responder(SCRIPT), voice=ToneVoice()) as running,
            converse(memory, remote(running.url), Settings(), log) as conversation,
        ):
            return [turn.role async for turn in conversation.turns()]

    assert run_virtual(main()) == ["user", "assistant", "user", "assistant"]
    in_memory = held()
    ends = [entry.type for entry in log.entries if entry.kind == "sound"]
    assert ends == [entry.type for entry in in_memory.log.entries if entry.kind == "sound"]
    (truncate,) = log.of("sent", "conversation.item.truncate")
    (expected,) = in_memory.log.of("sent", "conversation.item.truncate")
    assert abs(truncate["audio_end_ms"] - expected["audio_end_ms"]) <= 20
