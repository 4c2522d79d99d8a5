"""Both fronts against real sockets on loopback."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from engine.errors import ConfigError
from engine.server import Faults, Server, ServerOptions, serve
from engine.server.responders import Say
from engine.server.voices import ToneVoice
from engine.server.web.access import Access, check_bind
from engine.server.web.asked import model_of
from engine.server.web.messages import Answer, Request
from engine.server.web.site import Site
from tests.server.harness import Says, question

FAST = ServerOptions(burst=1000)
BOTH = pytest.mark.parametrize("front", ["asgi", "bare"])


def with_server(
    test: Callable[[Server], Awaitable[None]],
    options: ServerOptions = FAST,
    responder: Any = None,
    **settings: Any,
) -> None:
    """Run a test against a server; afterwards no task and no session is left."""

    async def main() -> None:
        brain = responder or Says([Say("Good day. " * 20)])
        async with asyncio.timeout(60):
            async with serve(responder=brain, options=options, voice=ToneVoice(), **settings) as server:
                await test(server)
        assert server.sessions == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


async def drained(server: Server) -> None:
    """Wait until every session is over."""
    async with asyncio.timeout(20):
        while server.sessions:  # noqa: ASYNC110 - the server tells nobody; a test may ask
            await asyncio.sleep(0.001)


async def expect(client: ClientConnection, kind: str) -> dict[str, Any]:
    """Read up to the first event of a type."""
    async with asyncio.timeout(20):
        while True:
            event: dict[str, Any] = json.loads(await client.recv())
            if event["type"] == kind:
                return event


async def request(url: str, *lines: str) -> str:
    """What the server answers to a raw HTTP request."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write("".join(f"{line}\r\n" for line in (*lines, "")).encode())
    answer = await asyncio.wait_for(reader.read(4096), 10)
    writer.close()
    return answer.decode()


@BOTH
def test_a_whole_turn_over_a_socket(front: str) -> None:
    async def test(server: Server) -> None:
        async with connect(server.url + "?model=gpt-realtime-mini", max_size=None) as client:
            created = await expect(client, "session.created")
            assert created["session"]["model"] == "gpt-realtime-mini"
            audio = b64encode(question()).decode()
            await client.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
            done = await expect(client, "response.done")
            assert done["response"]["status"] == "completed"
            assert client.protocol.extensions == []  # compression was offered and not taken

    with_server(test, front=front)


@BOTH
def test_the_largest_append_passes_and_one_byte_more_is_refused(front: str) -> None:
    async def test(server: Server) -> None:
        async with connect(server.url, max_size=None) as client:
            await expect(client, "session.created")
            update = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
            await client.send(json.dumps({"type": "session.update", "session": update}))
            for size, kind in ((15 * 2**20, "input_audio_buffer.committed"), (15 * 2**20 + 1, "error")):
                audio = b64encode(bytes(size)).decode()
                await client.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
                await client.send(json.dumps({"type": "input_audio_buffer.commit"}))
                assert await expect(client, kind)

    with_server(test, front=front)


@BOTH
def test_a_message_beyond_every_limit_is_1009(front: str) -> None:
    async def test(server: Server) -> None:
        # A client that announces such a frame and sends only its header: the answer does not wait for the rest.
        parts = urlsplit(server.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        lines = ("GET /v1/realtime HTTP/1.1", f"Host: {parts.netloc}", "Connection: Upgrade", "Upgrade: websocket")
        keys = ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
        writer.write("".join(f"{line}\r\n" for line in (*lines, *keys, "")).encode())
        async with asyncio.timeout(20):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"\x81\xff" + (22 * 2**20).to_bytes(8, "big") + bytes(4))
            answer = await reader.read(-1)
        assert b"\x88" in answer
        assert (1009).to_bytes(2, "big") in answer.rpartition(b"\x88")[2]
        writer.close()

    with_server(test, front=front)


LOOPBACK = ["localhost", "127.0.0.1", "[::1]", "localhost:80", "127.0.0.1:8080", "[::1]:9000", "LOCALHOST:1"]
LOOPBACK += ["127.0.0.2", "127.9.8.7:80"]
STRANGERS = ["", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1", "0.0.0.0", "[::]"]
STRANGERS += ["128.0.0.1", "127.0.0.1.", "[127.0.0.1]", "[localhost]", "::1:80", "[::1", "::1]", "127.1", "2130706433"]
STRANGERS += ["127.0.0.1:port", "localhost:", "user@localhost", "::1", "localhost:99999", "localhost:" + "1" * 5000]


def refused(hosts: list[str], origins: list[str] | None = None) -> int | None:
    """The status of the answer that a request for a WebSocket gets, or None."""
    headers = [*(("host", host) for host in hosts), *(("origin", origin) for origin in origins or [])]
    answer = Access().refused(Request("GET", "/v1/realtime", headers=tuple(headers)), keys=False)
    return answer.status if answer is not None else None


@pytest.mark.parametrize("host", LOOPBACK)
def test_host_that_may_come_in(host: str) -> None:
    assert refused([host]) is None
    assert refused([host], [f"http://{host}"]) is None


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.2", "127.255.255.254", "::1"])
def test_a_server_answers_wherever_it_may_listen(host: str) -> None:
    check_bind(host, keys=False, access=Access())
    assert refused([f"[{host}]:8000" if ":" in host else f"{host}:8000"]) is None


@pytest.mark.parametrize("host", STRANGERS)
def test_host_that_may_not(host: str) -> None:
    assert refused([host]) == (None if host == "localhost:" else 403)  # an empty port is the default one


@pytest.mark.parametrize(
    ("hosts", "origins"),
    [
        ([], []),
        (["localhost", "localhost"], []),
        (["localhost:8000"], ["null"]),
        (["localhost:8000"], ["http://evil.example"]),
        (["localhost:8000"], ["http://localhost:9000"]),
        (["localhost:8000"], ["http://127.0.0.1:8000"]),
        (["localhost:8000"], ["http://localhost:8000", "http://localhost:8000"]),
        (["localhost:8000"], ["localhost:8000"]),
        (["localhost:8000"], ["file://localhost:8000"]),
        (["localhost:8000"], ["http://localhost:8000.evil.example"]),
        (["localhost:8000"], [""]),
    ],
)
def test_host_and_origin_that_may_not(hosts: list[str], origins: list[str]) -> None:
    assert refused(hosts, origins) == 403


@BOTH
def test_doors_over_a_real_socket(front: str) -> None:
    async def test(server: Server) -> None:
        port = urlsplit(server.url).port
        handshake = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        path = "GET /v1/realtime HTTP/1.1"
        own, other = f"Host: 127.0.0.1:{port}", "Host: evil.example"
        for expected, lines in (
            (101, (path, own, *handshake, key)),
            (101, (path, own, f"Origin: http://127.0.0.1:{port}", *handshake, key)),
            (403, (path, other, *handshake, key)),
            (403, (path, own, "Origin: https://evil.example", *handshake, key)),
            (403, (path, own, "Origin: null", *handshake, key)),
            (404, ("GET /v1/other HTTP/1.1", own, *handshake, key)),
            (426, (path, own)),
        ):
            answer = (await request(server.url, *lines)) if expected != 101 else await upgraded(server.url, lines)
            assert answer.startswith(f"HTTP/1.1 {expected} "), (lines, answer)
        assert f"ws://127.0.0.1:{port}/v1/realtime" in await request(server.url, path, own)

    with_server(test, front=front)


async def upgraded(url: str, lines: tuple[str, ...]) -> str:
    """The first line of an answer that keeps the connection open."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write("".join(f"{line}\r\n" for line in (*lines, "")).encode())
    answer = await asyncio.wait_for(reader.readline(), 10)
    writer.transport.abort()
    return answer.decode()


@BOTH
def test_subprotocols(front: str) -> None:
    async def test(server: Server) -> None:
        offers: list[tuple[list[Any] | None, str | None]] = [
            (None, None),
            (["realtime"], "realtime"),
            (["realtime", "openai-insecure-api-key.sk-none", "openai-beta.realtime-v1"], "realtime"),
        ]
        for offered, chosen in offers:
            async with connect(server.url, subprotocols=offered) as client:
                await expect(client, "session.created")
                assert client.subprotocol == chosen

    with_server(test, front=front)


@BOTH
def test_one_connection_too_many_is_503(front: str) -> None:
    async def test(server: Server) -> None:
        async with connect(server.url) as first:
            await expect(first, "session.created")
            with pytest.raises(InvalidStatus) as refused:
                await connect(server.url)
            assert refused.value.response.status_code == 503
            assert "Retry-After" in refused.value.response.headers
        await drained(server)
        async with connect(server.url) as second:
            await expect(second, "session.created")

    with_server(test, ServerOptions(max_sessions=1), front=front)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.10", "example.org", ""])
def test_only_loopback_is_listened_on(host: str) -> None:
    async def main() -> None:
        async with serve(host, voice=ToneVoice()):
            pass

    with pytest.raises(ConfigError, match="loopback"):
        asyncio.run(main())


def test_a_taken_port_is_a_clear_error() -> None:
    async def main() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            async with serve(port=taken.getsockname()[1], voice=ToneVoice()):
                pass

    with pytest.raises(ConfigError, match=r"cannot listen on 127\.0\.0\.1 port"):
        asyncio.run(main())


STAGES: list[tuple[list[dict[str, Any]], str]] = [
    ([], "session.created"),
    (
        [{"type": "input_audio_buffer.append", "audio": b64encode(question()[:96_000]).decode()}],
        "input_audio_buffer.speech_started",
    ),
    ([{"type": "input_audio_buffer.append", "audio": b64encode(question()).decode()}], "input_audio_buffer.committed"),
    ([{"type": "response.create"}], "response.created"),
    ([{"type": "response.create"}], "response.output_audio.delta"),
    ([{"type": "response.create"}, {"type": "response.cancel"}], "response.done"),
    ([{"type": "response.create", "response": {"conversation": "none"}}], "response.content_part.added"),
]


@BOTH
def test_a_socket_killed_at_any_stage_leaves_nothing_behind(front: str) -> None:
    async def test(server: Server) -> None:
        for events, until in STAGES:
            client = await connect(server.url)
            for event in events:
                await client.send(json.dumps(event))
            await expect(client, until)
            client.transport.abort()
            await client.wait_closed()
        await drained(server)
        async with connect(server.url) as client:
            await expect(client, "session.created")

    with_server(test, ServerOptions(burst=2), front=front)


@BOTH
def test_threads_and_tasks_do_not_grow_with_connections(front: str) -> None:
    async def test(server: Server) -> None:
        threads = threading.active_count()
        for _ in range(3):
            clients = [await connect(server.url) for _ in range(20)]
            for client in clients:
                await client.send(json.dumps({"type": "response.create"}))
            for client in clients:
                await expect(client, "response.done")
            assert threading.active_count() == threads
            for client in clients:
                await client.close()
            await drained(server)

    with_server(test, front=front)


def test_closing_the_server_tells_clients_1001() -> None:
    async def main() -> None:
        async with serve(voice=ToneVoice()) as server:
            client = await connect(server.url)
            await client.recv()
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        await server.close()

    asyncio.run(main())


@BOTH
def test_a_client_that_never_reads_is_closed_and_others_go_on(front: str) -> None:
    options = ServerOptions(burst=1000, send_queue_bytes=2**16, max_responses=16)

    async def test(server: Server) -> None:
        stalled = await connect(server.url, max_queue=1)
        await expect(stalled, "session.created")
        large = {"type": "realtime", "instructions": "x" * 8000}  # in every answer: more than the kernel holds for it
        await stalled.send(json.dumps({"type": "session.update", "session": large}))
        stalled.transport.pause_reading()
        # Every out-of-band response makes control events, which may not be lost; the queue fills and the session ends.
        for _ in range(4000):
            try:
                await stalled.send(json.dumps({"type": "session.update", "session": {"type": "realtime"}}))
            except ConnectionClosed:
                break
            if server.sessions == 0:
                break
        async with connect(server.url) as other:
            await expect(other, "session.created")
        await drained(server)
        stalled.transport.abort()

    with_server(test, options, front=front)


@pytest.mark.parametrize("what", ["close", "abort", "garbage", "huge", "stall"])
def test_faults(what: str) -> None:
    faults = {
        "close": Faults(close_after_deltas=2),
        "abort": Faults(close_after_deltas=2, close_code=1006),
        "garbage": Faults(garbage_after_deltas=2),
        "huge": Faults(huge_after_deltas=2),
        "stall": Faults(stall_after_deltas=2, stall_s=0.2),
    }[what]

    async def test(server: Server) -> None:
        client = await connect(server.url, max_size=2**20)
        await client.send(json.dumps({"type": "response.create"}))
        deltas, ended = 0, ""
        try:
            while ended != "response.done":
                ended = json.loads(await client.recv())["type"]
                deltas += ended == "response.output_audio.delta"
        except ValueError:
            ended = "garbage"
        except ConnectionClosed as closed:
            frame = closed.rcvd or closed.sent
            ended = str(frame.code) if frame else "abort"
        expected = {"close": "1011", "abort": "abort", "garbage": "garbage", "huge": "1009", "stall": "response.done"}
        assert ended == expected[what]
        assert (deltas == 2) == (what != "stall")
        await client.close()

    with_server(test, ServerOptions(burst=100, faults=faults))


def test_model_of_a_url() -> None:
    assert model_of("model=gpt-realtime&x=1") == "gpt-realtime"
    assert model_of("") is None
    assert model_of("a=1&" * 40 + "model=x") is None


@pytest.mark.parametrize(
    "path", ["//[", "", "*", "/v1/realtime/", "/v1/realtime?model=x", "http://localhost/v1/realtime"]
)
def test_strange_paths_are_404(path: str) -> None:
    site = Site(responder=Says([]), voice=ToneVoice(), options=FAST)
    answer = site.admit(Request("GET", path, headers=(("host", "localhost"),)))
    assert isinstance(answer, Answer)
    assert answer.status == 404
