"""What the tests of MCP share: real servers as programs, hostile ones by hand, and a session that asks them."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from engine.server import ServerOptions
from engine.server.mcp.options import McpOptions
from engine.server.responders import McpCall

from .harness import Client, Says, session

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 60.0  # against a hang
LABEL = "shop"


def need_mcp() -> None:
    """Skip the module where the extra is missing, or fail it if BARGEIN_REQUIRE has `mcp`."""
    if find_spec("mcp") is not None:
        return
    reason = "the extra mcp is not installed: pip install 'bargein[mcp]'"
    if "mcp" in os.environ.get("BARGEIN_REQUIRE", "").split(","):
        raise AssertionError(f"BARGEIN_REQUIRE has mcp, but {reason}")
    pytest.skip(reason, allow_module_level=True)


def run(test: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run in real time: sockets and processes know no other."""

    async def main() -> Any:
        async with asyncio.timeout(DEADLINE_S):
            return await test()

    return asyncio.run(main())


@contextmanager
def peer(way: str) -> Iterator[str]:
    """A real server as a program; gives its URL."""
    command = [sys.executable, "-m", "tests.server.mcp_peer", way]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            assert url.startswith("http://127.0.0.1:"), f"the MCP server ended before it listened: {url!r}"
            yield url
        finally:
            process.kill()


def options(url: str, *more: str, **bounds: Any) -> ServerOptions:
    """A server that may reach the host of this URL."""
    return ServerOptions(mcp=McpOptions(allow=[urlsplit(url).netloc, *more], **bounds))


def tool(url: str, **more: Any) -> dict[str, Any]:
    """The session's tool for a server."""
    return {"type": "mcp", "server_label": LABEL, "server_url": url, "require_approval": "never", **more}


def call(name: str, **arguments: Any) -> McpCall:
    """A brain's call."""
    return McpCall(LABEL, name, json.dumps(arguments))


class Shopper:
    """A client whose session has one MCP server."""

    def __init__(self, client: Client, brain: Says) -> None:
        self.client = client
        self.brain = brain

    async def listed(self, server: dict[str, Any]) -> list[str]:
        """Name a server that is new; the names of its tools, or [] when it could not be asked."""
        client = self.client
        updated = await client.update(output_modalities=["text"], tools=[server])
        assert updated["type"] == "session.updated", updated
        begun = await client.next("mcp_list_tools.in_progress", after=client.position(updated))
        place = client.position(begun)
        while True:
            end = await client.next("mcp_list_tools.completed", "mcp_list_tools.failed", after=place)
            place = client.position(end) + 1
            if end["item_id"] == begun["item_id"]:
                break
        if end["type"].endswith("failed"):
            return []
        done = await client.next("conversation.item.done", after=place)
        return [each["name"] for each in done["item"]["tools"]]

    async def answered(self, **response: Any) -> dict[str, Any]:
        """Ask for a response with one call; the mcp_call item as it ended."""
        seen = len(self.client.events)
        await self.client.send("response.create", response=response)
        return await self.ended(seen)

    async def ended(self, after: int = 0) -> dict[str, Any]:
        """The next mcp_call item that ended."""
        end = await self.client.next("response.mcp_call.completed", "response.mcp_call.failed", after=after)
        place = self.client.position(end)
        while True:
            done = await self.client.next("conversation.item.done", after=place)
            if done["item"]["id"] == end["item_id"]:
                assert (done["item"]["error"] is None) == end["type"].endswith("completed")
                return dict(done["item"])
            place = self.client.position(done) + 1


@asynccontextmanager
async def shopping(settings: ServerOptions, *calls: McpCall) -> AsyncIterator[Shopper]:
    """A session whose brain makes one call after the other, one in each response. Checks that no task is left."""
    brain = Says(*([each] for each in calls)) if calls else Says([])
    async with session(brain, settings) as client:
        yield Shopper(client, brain)


# ---- hostile servers

Handler = Callable[["Request", asyncio.StreamWriter], Coroutine[Any, Any, None]]


class Request:
    """One HTTP request as it came."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body

    @property
    def rpc(self) -> dict[str, Any]:
        """The JSON-RPC message; {} without one."""
        return dict(json.loads(self.body)) if self.body else {}


class Hostile:
    """A server of ours that does what `handler` does, on a loop of its own; it keeps what it was asked."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[Request] = []
        self.open = 0
        """Connections open now."""
        self.port = 0
        self._changed = threading.Condition()

    def url(self, path: str = "/mcp") -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}{path}"

    def asked(self, method: str) -> list[Request]:
        """The requests with this method of JSON-RPC or HTTP."""
        return [each for each in list(self.requests) if method in (each.method, each.rpc.get("method"))]

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait for something to become true of it."""

        def wait() -> None:
            with self._changed:
                assert self._changed.wait_for(true, DEADLINE_S)

        await asyncio.to_thread(wait)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self._count(1)
        try:
            while line := await reader.readline():
                method, path, _ = line.decode().split(" ", 2)
                headers = {}
                while (field := (await reader.readline()).decode().strip()) != "":
                    name, _, value = field.partition(":")
                    headers[name.lower()] = value.strip()
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                with self._changed:
                    self.requests.append(Request(method, path, headers, body))
                    self._changed.notify_all()
                await self._unless_gone(self.requests[-1], reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._count(-1)
            writer.close()

    async def _unless_gone(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer, as long as somebody is there to read it."""
        answering = asyncio.ensure_future(self.handler(request, writer))
        gone = asyncio.ensure_future(reader.read(1))  # nobody sends the next request before the answer
        await asyncio.wait([answering, gone], return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            answering.cancel()
            raise ConnectionError
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        answering.result()
        await writer.drain()

    def _count(self, by: int) -> None:
        with self._changed:
            self.open += by
            self._changed.notify_all()


@asynccontextmanager
async def hostile(
    handler: Handler, context: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Hostile]:
    """Serve it on loopback, in a thread: its tasks are not the session's."""
    peer = Hostile(handler)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(peer.serve, host, 0, ssl=context)

    async def stop() -> None:
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    server = asyncio.run_coroutine_threadsafe(start(), loop).result()
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(stop(), loop))
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join)
        loop.close()


def head(status: int, kind: str = "application/json", length: int | None = None, **headers: str) -> bytes:
    """The head of an answer; without a length it goes on until the connection ends."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += ["Connection: close"] if length is None else [f"Content-Length: {length}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer(writer: asyncio.StreamWriter, body: Any, status: int = 200, **headers: str) -> None:
    """A whole answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    writer.write(head(status, length=len(data), **headers) + data)


def honest(request: Request, writer: asyncio.StreamWriter, tools: list[Any] | None = None, **result: Any) -> None:
    """As an old server would: the handshake, a listing of one tool `ask`, and results."""
    rpc = request.rpc
    if request.method != "POST":
        answer(writer, b"", 405)
    elif rpc["method"] == "initialize":
        info = {"name": "peer", "version": "1"}
        hello = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
        answer(writer, {"jsonrpc": "2.0", "id": rpc["id"], "result": hello}, mcp_session_id="s1")
    elif "id" not in rpc:
        answer(writer, b"", 202)
    elif rpc["method"] == "tools/list":
        listed = {"tools": [{"name": "ask", "inputSchema": {"type": "object"}}] if tools is None else tools}
        answer(writer, {"jsonrpc": "2.0", "id": rpc["id"], "result": {**listed, **result}})
    elif rpc["method"] == "tools/call":
        said = {"content": [{"type": "text", "text": "said"}]}
        answer(writer, {"jsonrpc": "2.0", "id": rpc["id"], "result": {**said, **result}})
    else:
        error = {"code": -32601, "message": "?"}
        answer(writer, {"jsonrpc": "2.0", "id": rpc["id"], "error": error}, 400)
