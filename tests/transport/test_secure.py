"""TLS with an authority of one's own, proxies, pings, close reasons and the library's log, over real sockets."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

import engine
from engine.errors import Closing, ConfigError, ConnectionLost, TransportError
from engine.transport import websocket
from tests.cli.servers import listen_on, welcome
from tests.transport.test_websocket import HEADERS, KEY, Handler, run, server


@pytest.fixture
def certificates(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate for 127.0.0.1, and the file of the authority that signed it."""
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return context, tmp_path / "ca.pem"


@asynccontextmanager
async def secure(handler: Handler, context: ssl.SSLContext, **options: Any) -> AsyncIterator[str]:
    async with server(handler, ssl=context, **options) as url:
        yield url.replace("ws:", "wss:")


async def echo(peer: ServerConnection) -> None:
    async for message in peer:
        await peer.send(message)


def test_a_server_whose_authority_is_named(certificates: tuple[ssl.SSLContext, Path]) -> None:
    context, ca = certificates

    async def talk() -> list[Any]:
        heard = []
        async with secure(echo, context) as url:
            for trusted in (ca, str(ca), ssl.create_default_context(cafile=str(ca))):
                async with websocket.connect(url, headers=HEADERS, ca=trusted) as connection:
                    await connection.send("x")
                    heard.append(await connection.receive())
        return heard

    assert run(talk()) == [b"x"] * 3


def test_a_server_whose_authority_is_not_trusted_gets_no_key(certificates: tuple[ssl.SSLContext, Path]) -> None:
    context, _ = certificates
    requests: list[Any] = []

    async def look(peer: ServerConnection) -> None:
        requests.append(peer.request)

    async def talk() -> str:
        async with secure(look, context) as url:
            with pytest.raises(TransportError) as raised:
                async with websocket.connect(url, headers=HEADERS):
                    pass
            return str(raised.value)

    told = run(talk())
    assert "certificate is not trusted" in told
    assert "with ca" in told
    assert KEY not in told
    assert requests == []


def test_an_authority_for_what_is_not_encrypted(certificates: tuple[ssl.SSLContext, Path]) -> None:
    async def talk() -> None:
        async with websocket.connect("ws://127.0.0.1:1/", ca=certificates[1]):
            pass

    with pytest.raises(ConfigError, match="use wss://"):
        run(talk())


def test_a_conversation_over_tls_with_everything_from_connect(certificates: tuple[ssl.SSLContext, Path]) -> None:
    context, ca = certificates
    requests: list[Request] = []

    async def session(peer: ServerConnection) -> None:
        assert peer.request is not None
        requests.append(peer.request)
        await welcome(peer)
        await listen_on(peer)

    async def talk() -> object:
        async with secure(session, context) as url:
            base = url.partition("?")[0] + "?api-version=2025-04-01-preview"
            options: dict[str, Any] = {"url": base, "key": KEY, "ca": ca, "headers": {"X-Mine": "1"}, "model": "d"}
            async with engine.connect(call_id="rtc_1", **options) as conversation:
                return conversation.session["id"]

    assert run(talk()) == "sess_1"
    (request,) = requests
    assert request.path == "/v1/realtime?api-version=2025-04-01-preview&call_id=rtc_1"
    assert request.headers["api-key"] == KEY
    assert request.headers["X-Mine"] == "1"
    assert "Authorization" not in request.headers


# ---- proxies


@asynccontextmanager
async def proxy(target: str, seen: list[str]) -> AsyncIterator[str]:
    """A CONNECT proxy that leads to `target`, whatever it is asked for."""
    parts = urlsplit(target)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await reader.readuntil(b"\r\n\r\n")).decode())
        there, back = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.wait([asyncio.create_task(pump(reader, back)), asyncio.create_task(pump(there, writer))])

    running = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    try:
        yield f"http://user:proxypassword@127.0.0.1:{running.sockets[0].getsockname()[1]}"
    finally:
        running.close()


@pytest.mark.parametrize("how", ["given", "environment"])
def test_a_proxy(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "socks_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    seen: list[str] = []

    async def talk() -> Any:
        async with server(echo) as url, proxy(url, seen) as through:
            if how == "environment":
                monkeypatch.setenv("https_proxy", through)
            given = through if how == "given" else None
            async with websocket.connect(
                "ws://service.invalid/v1/realtime", headers=HEADERS, proxy=given
            ) as connection:
                await connection.send("through")
                return await connection.receive()

    assert run(talk()) == b"through"
    assert seen[0].startswith("CONNECT service.invalid:80 ")
    assert KEY not in seen[0]


@pytest.mark.parametrize(
    "through", ["nonsense://user:proxypassword@127.0.0.1:1", "http://user:proxypassword@127.0.0.1:1"]
)
def test_a_proxy_that_does_not_work_does_not_show_its_password(through: str) -> None:
    async def talk() -> None:
        async with websocket.connect("ws://service.invalid/", headers=HEADERS, proxy=through):
            pass

    with pytest.raises(TransportError) as raised:
        run(talk())
    assert "proxypassword" not in f"{raised.value!s} {raised.value.__cause__!r}"


# ---- pings, closing


def test_pings_are_answered_while_nobody_reads_and_the_tasks_are_busy() -> None:
    """The pong comes from the protocol object: no task of ours runs `receive` or `send` at all."""
    answered: list[float] = []

    async def ping(peer: ServerConnection) -> None:
        for _ in range(8):
            await peer.send("x" * 1000)
        answered.append(await (await peer.ping()))

    async def talk() -> None:
        done = asyncio.Event()

        async def handler(peer: ServerConnection) -> None:
            await ping(peer)
            done.set()

        async with server(handler, ping_interval=None) as url, websocket.connect(url):
            await done.wait()

    run(talk())
    assert len(answered) == 1


def test_the_kernel_watches_the_network() -> None:
    async def talk() -> dict[str, int]:
        async with server(echo) as url, websocket.connect(url) as connection:
            plain = connection._socket.transport.get_extra_info("socket")
            names = ("TCP_USER_TIMEOUT", "TCP_NOTSENT_LOWAT", "TCP_KEEPIDLE")
            return {
                name: plain.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
                for name in names
                if hasattr(socket, name)
            }

    found = run(talk())
    assert found.get("TCP_USER_TIMEOUT", 30_000) == 30_000
    assert found.get("TCP_NOTSENT_LOWAT", 65_536) == 65_536
    assert found.get("TCP_KEEPIDLE", 15) == 15


@pytest.mark.parametrize(
    ("code", "reason", "closing"),
    [
        (1001, "Your session hit the maximum duration of 60 minutes.", Closing.EXPIRED),
        (1012, "restarting", Closing.RETRY),
        (4000, "The Realtime Beta API is no longer supported.", Closing.FATAL),
        (1000, "", Closing.NORMAL),
    ],
)
def test_close_codes_are_told_apart(code: int, reason: str, closing: Closing) -> None:
    async def close(peer: ServerConnection) -> None:
        await peer.close(code, reason)

    async def talk() -> ConnectionLost:
        async with server(close) as url, websocket.connect(url) as connection:
            with pytest.raises(ConnectionLost) as lost:
                await connection.receive()
            return lost.value

    assert run(talk()).closing is closing


def test_a_close_reason_that_quotes_the_key_is_not_passed_on() -> None:
    async def close(peer: ServerConnection) -> None:
        assert peer.request is not None
        await peer.close(1008, "bad key " + peer.request.headers["X-Other"])

    async def talk() -> ConnectionLost:
        headers = {"X-Other": "an-opaque-secret"}
        async with server(close) as url, websocket.connect(url, headers=headers) as connection:
            with pytest.raises(ConnectionLost) as lost:
                await connection.receive()
            return lost.value

    lost = run(talk())
    assert "opaque" not in f"{lost} {lost.reason}"
    assert "bad key" in lost.reason


def test_an_expired_client_secret_is_told_as_one() -> None:
    def refuse(peer: ServerConnection, _request: Request) -> Response:
        return peer.respond(HTTPStatus(401), "no")

    async def talk() -> None:
        headers = {"Authorization": "Bearer ek_0123456789"}
        async with server(echo, process_request=refuse) as url, websocket.connect(url, headers=headers):
            pass

    with pytest.raises(TransportError, match="client secret has expired") as raised:
        run(talk())
    assert "ek_0" not in str(raised.value)


def test_the_librarys_log_shows_no_header_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    async def talk() -> None:
        async with (
            server(echo, logger=logging.getLogger("the peer's own")) as url,
            websocket.connect(url, headers=HEADERS) as connection,
        ):
            await connection.send('{"authorization": "Bearer mcpsecret"}')
            await connection.receive()

    logging.getLogger("the peer's own").setLevel(logging.CRITICAL)
    with caplog.at_level(logging.DEBUG):
        run(talk())
    assert KEY not in caplog.text
    assert "mcpsecret" not in caplog.text
