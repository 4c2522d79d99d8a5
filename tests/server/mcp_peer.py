"""A real MCP server, of the `mcp` package, as a program: `python -m tests.server.mcp_peer WAY`; it prints its URL.

WAY: `new` (streamable HTTP, newest protocol), `old` (the one with a handshake and sessions), `forgetful` (as `old`, and
every MCP session is over once its tools were listed), `sse`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from typing import Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ImageContent, TextContent, ToolAnnotations


def made() -> MCPServer:
    """Its tools."""
    server = MCPServer("peer")

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def add(a: int, b: int) -> str:
        """Adds two numbers."""
        return str(a + b)

    @server.tool()
    def write(text: str) -> str:
        """Writes something down."""
        return f"written: {text}"

    @server.tool()
    def fails() -> str:
        """Fails."""
        raise ToolError("no such page")

    @server.tool()
    def quotes(context: Context) -> str:
        """Says which headers it was sent."""
        headers = dict(context.headers or {})
        raise ToolError(f"{headers.get('authorization')} {headers.get('x-shop')} {headers.get('host')}")

    @server.tool()
    def shows(context: Context) -> str:
        """Says it as its result."""
        return str(dict(context.headers or {}).get("authorization"))

    @server.tool()
    async def slow(seconds: float) -> str:
        """Takes its time."""
        await asyncio.sleep(seconds)
        return "at last"

    @server.tool()
    def big(size: int) -> str:
        """Says much."""
        return "x" * size

    @server.tool()
    def picture() -> list[TextContent | ImageContent]:
        """Shows something."""
        return [
            TextContent(type="text", text="Look:"),
            ImageContent(type="image", data="AAAA", mime_type="image/png"),
        ]

    @server.tool()
    def table() -> dict[str, int]:
        """Gives data."""
        return {"apples": 3}

    return server


class Older:
    """In front of it: the server of some years ago, and one that forgets."""

    def __init__(self, app: Any, forgets: bool) -> None:
        self.app = app
        self.forgets = forgets
        self.listed: set[bytes] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        message = await receive()
        asked = json.loads(message["body"])
        if asked["method"] == "server/discover":
            body = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -32601, "message": "?"}}).encode()
            head = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 400, "headers": head})
            await send({"type": "http.response.body", "body": body})
            return
        session = dict(scope["headers"]).get(b"mcp-session-id", b"")
        if asked["method"] == "tools/list":
            self.listed.add(session)
        elif self.forgets and session in self.listed:
            others = [each for each in scope["headers"] if each[0] != b"mcp-session-id"]
            scope = {**scope, "headers": [*others, (b"mcp-session-id", b"0" * 32)]}
        waiting = [message]

        async def again() -> Any:
            return waiting.pop() if waiting else await receive()

        await self.app(scope, again, send)


def main(way: str) -> None:
    """Serve until it is killed."""
    app: Any = made().sse_app() if way == "sse" else made().streamable_http_app()
    if way in ("old", "forgetful"):
        app = Older(app, way == "forgetful")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        path = "/sse" if way == "sse" else "/mcp"
        print(f"http://127.0.0.1:{listening.getsockname()[1]}{path}", flush=True)
        config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main(sys.argv[1])
