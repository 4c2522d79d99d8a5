"""The embedded Realtime server: the GA protocol over WebSocket, its HTTP beside it, or over any `Connection`.

    async with serve(port=0, responder=responder("echo")) as server:
        print(server.url)                       # ws://127.0.0.1:PORT/v1/realtime

- `serve`, `Server`: listen, on loopback or with keys elsewhere
- `app`: the same as an ASGI application, to be mounted anywhere
- `Access`: who may come in; `Credentials`, `key_ring`: with which keys
- `SessionLog`: a line in the log for every turn and session
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
from engine.server.sessionlog import SessionLog
from engine.server.web.access import Access
from engine.server.web.app import app
from engine.server.web.credentials import Credentials
from engine.server.web.keys import key_ring
from engine.server.websocket import Server, serve

__all__ = [
    "Access",
    "Credentials",
    "Faults",
    "McpOptions",
    "Responder",
    "Server",
    "ServerOptions",
    "SessionLog",
    "app",
    "key_ring",
    "responder",
    "serve",
    "serve_connection",
]
