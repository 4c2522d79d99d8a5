"""The front that answers all of HTTP: uvicorn's protocol class on sockets of ours, with bounds that it has not.

A head may be so long and take so long as on the bare front, and a socket without a session waits in the same lobby. A
request for a WebSocket is handed, with its socket, to a `Carrier`: sound takes the same short way as on the bare front,
and passes neither uvicorn nor ASGI.
"""

from __future__ import annotations

import asyncio
import logging

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from engine.server.carrier import CLOSE_S, last_words
from engine.server.web import head
from engine.server.web.app import App
from engine.server.web.messages import Answer, refusal
from engine.server.web.sockets import HEAD_S, Sockets

_quiet = logging.getLogger("bargein.server.uvicorn")
_quiet.setLevel(logging.ERROR)  # a stranger's broken request is a warning, and nothing to trouble the user with


class AsgiFront:
    """Makes the protocols of sockets, and ends what they began."""

    def __init__(self, app: App, sockets: Sockets) -> None:
        self.sockets = sockets
        self.state = ServerState()
        self.config = Config(
            app,
            http=_Http,
            ws=None,  # type: ignore[arg-type]
            lifespan="off",
            log_config=None,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=5,
        )
        self.config.load()

    def protocol(self) -> asyncio.Protocol:
        """A protocol for one socket."""
        return _Http(self)

    async def close(self) -> None:
        """Wait for requests under way, whose sockets are gone."""
        tasks = set(self.state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


class _Http(HttpToolsProtocol):
    def __init__(self, front: AsgiFront) -> None:
        super().__init__(config=front.config, server_state=front.state, app_state={})
        self.logger = _quiet
        self.access_log = False
        self._front = front
        self._refused = False
        self._in_head = True  # or before one that is to come
        self._head_bytes = 0  # of the request whose head is being read
        self._parsed = 0
        self._overlong = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._front.sockets.lobby.enter(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._head_came()
        self._front.sockets.lobby.leave(self.transport)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._await_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._parsed += len(name) + len(value) + 4
        if len(self.headers) > head.MOST_HEADERS or self._parsed + len(self.url) > head.MOST_BYTES:
            self._overlong = True
            raise ValueError("the head is too large")

    def on_headers_complete(self) -> None:
        self._head_came()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._unset_keepalive_if_required()
        if self._deadline is None and self.cycle is not None and self.cycle.response_complete:
            self._await_head()  # blank lines, or the rest of a body that has its answer: nothing else ends these
        if self._in_head:
            self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgraded(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            bad = refusal(400, "This is no HTTP/1.1 request.", code="bad_request")
            self._refuse(head.too_large() if self._overlong else bad)
            return
        if self._in_head and self._head_bytes > head.MOST_BYTES:
            self._refuse(head.too_large())

    # ----

    def _should_upgrade(self) -> bool:
        return self.parser.get_method() == b"GET" and self._get_upgrade() == b"websocket"

    def _upgraded(self, rest: bytes) -> None:
        if not self._should_upgrade():  # to something else: it is answered as if it had not asked, and is the last
            self.cycle.keep_alive = False
            return
        if self.cycle is not None and not self.cycle.response_complete:  # the answer before it would be among frames
            self._refuse(refusal(400, "Wait for the answer before asking for a WebSocket.", code="bad_request"))
            return
        version = self.parser.get_http_version().encode("ascii")
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [b"%s: %s" % (name, value) for name, value in self.headers]
        self._head_came()
        self.connections.discard(self)
        self._front.sockets.lobby.leave(self.transport)
        carrier = self._front.sockets.carrier()
        self.transport.set_protocol(carrier)
        carrier.connection_made(self.transport)
        carrier.data_received(b"\r\n".join(lines) + head.END + rest)

    def _await_head(self) -> None:
        self._parsed = 0
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_S, self._too_slow)

    def _head_came(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._refuse(head.too_slow())

    def _refuse(self, answer: Answer) -> None:
        """The last answer of this connection; requests before it that are whole still get theirs, and it is silent."""
        self._head_came()
        self._refused = True
        newest = self.cycle
        if newest is None or newest.response_complete:
            last_words(self.transport, head.serialize(answer))
            return
        newest.keep_alive = False
        if newest.more_body:  # what is wrong is its body: nobody answers it any more
            newest.disconnected = True
            newest.message_event.set()
            if not newest.response_started and not self.pipeline:
                last_words(self.transport, head.serialize(answer))
        self.loop.call_later(CLOSE_S, self.transport.abort)


__all__ = ["AsgiFront"]
