"""Requests as bytes, to a server as anybody starts it: what a library of HTTP would not send can be sent too."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from engine.server import Server, ServerOptions, serve
from engine.server.responders import Say
from engine.server.voices import ToneVoice
from tests.server.harness import Says

BOTH = pytest.mark.parametrize("front", ["asgi", "bare"])
FAST = ServerOptions(burst=1000)
HANDSHAKE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


@dataclass
class Reply:
    """An answer, or what there was of one."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """The error in the reference's shape."""
        assert self.headers["content-type"] == "application/json", self
        error: dict[str, Any] = json.loads(self.body)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return error


def parsed(data: bytes) -> Reply:
    """Status 0: nothing was answered."""
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 "):
        assert not data, data[:200]
        return Reply(0, {}, b"")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    return Reply(int(first.split(" ")[1]), {name.lower(): value for name, value in pairs}, body)


async def raw(server: Server, data: bytes, *, tls: Any = None) -> Reply:
    """What comes back for these bytes, until the server hangs up."""
    parts = urlsplit(server.url)
    more = {"ssl": tls, "server_hostname": "localhost"} if tls is not None else {}
    reader, writer = await asyncio.open_connection("127.0.0.1", parts.port, **more)
    try:
        writer.write(data)
        async with asyncio.timeout(30):
            return parsed(await reader.read(-1))
    except ConnectionError:
        return Reply(0, {}, b"")
    finally:
        writer.transport.abort()


async def ask(
    server: Server, method: str, path: str, *lines: str, body: bytes = b"", host: str | None = None, tls: Any = None
) -> Reply:
    """What a request is answered with."""
    host = host if host is not None else f"127.0.0.1:{urlsplit(server.url).port}"
    told = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *lines]
    told += [f"Content-Length: {len(body)}"] if body else []
    return await raw(server, "\r\n".join([*told, "", ""]).encode("latin-1") + body, tls=tls)


async def shake(server: Server, *lines: str, path: str = "/v1/realtime", host: str | None = None) -> Reply:
    """What a request for a WebSocket is answered with; an opened one (101) is cut off."""
    parts = urlsplit(server.url)
    told = [f"GET {path} HTTP/1.1", f"Host: {host if host is not None else parts.netloc}", *HANDSHAKE, *lines]
    reader, writer = await asyncio.open_connection("127.0.0.1", parts.port)
    writer.write("\r\n".join([*told, "", ""]).encode())
    try:
        async with asyncio.timeout(30):
            head = await reader.readuntil(b"\r\n\r\n")
            opened = head.startswith(b"HTTP/1.1 101 ")
            return parsed(head + (b"" if opened else await reader.read(-1)))
    finally:
        writer.transport.abort()


def with_server(
    test: Callable[[Server], Awaitable[None]], options: ServerOptions = FAST, responder: Any = None, **settings: Any
) -> None:
    """Run a test against a server; afterwards no task, socket and session is left."""

    async def main() -> None:
        brain = responder or Says([Say("Good day. " * 20)])
        async with asyncio.timeout(100):
            async with serve(responder=brain, options=options, voice=ToneVoice(), **settings) as server:
                await test(server)
        assert server.sessions == 0
        assert not server.sockets.open
        assert not len(server.sockets.lobby)
        assert not server.sockets._deadlines
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


async def until(true: Callable[[], bool]) -> None:
    """Wait for what a server does without telling anybody."""
    async with asyncio.timeout(50):
        while not true():  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.001)
