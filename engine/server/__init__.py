"""The embedded Realtime server: GA protocol over WebSocket on loopback, or over any `Connection`.

    async with serve(port=0, responder=responder("echo")) as server:
        print(server.url)                       # ws://127.0.0.1:PORT/v1/realtime

- `serve`, `Server`: the WebSocket front
- `serve_connection`: one session over a connection that is already open
- `responder`: a brain by name; `Responder`, `Turn` and the parts are in `engine.server.responders`
- `ServerOptions`, `McpOptions`, `Faults`: everything that can be chosen, and misbehaviour on purpose
"""

from __future__ import annotations

from engine.server.faults import Faults
from engine.server.mcp.options import McpOptions
from engine.server.options import ServerOptions
from engine.server.responders import Responder, responder
from engine.server.session import serve_connection
from engine.server.websocket import Server, serve

__all__ = ["Faults", "McpOptions", "Responder", "Server", "ServerOptions", "responder", "serve", "serve_connection"]
