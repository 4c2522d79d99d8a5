"""The sockets of a server: those that have not said yet what they want, and the WebSockets that are open.

Who connects and says nothing, or says it slowly, has HEAD_S seconds for the head of a request. So many as WAITING wait
at a time; one more, and the one that has waited longest is hung up on: those who speak at once always get in.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from engine.server.carrier import Carrier
from engine.server.web import head
from engine.server.web.messages import Answer, Request, refusal
from engine.server.web.site import GOING_AWAY, MAX_MESSAGE, SUBPROTOCOL, Place, Site, announces_body
from engine.transport.websocket import WebSocketConnection

HEAD_S = 10.0
"""Seconds for the whole head of a request."""
WAITING = 512
"""Sockets that have no session: in the middle of a request, or idle between two."""

_log = logging.getLogger("bargein.server")
_library_log = logging.getLogger("bargein.server.websockets")
_library_log.setLevel(logging.ERROR)  # a stranger's broken frames are nothing to trouble the user with


class ServedConnection(WebSocketConnection):
    """`Connection` over an accepted WebSocket."""

    def __init__(self, socket: Carrier) -> None:
        super().__init__(socket)
        self._carrier = socket

    async def send(self, data: bytes | str) -> None:
        """See `Connection.send`."""
        try:
            await self._carrier.put(data if isinstance(data, bytes) else data.encode())
        except self._closed as error:
            raise self._lost(error) from None

    def deliver(self, taker: Callable[[bytes], bool]) -> None:
        """See `Prompt.deliver`."""
        self._carrier.deliver(taker)

    def post(self, data: bytes) -> bool:
        """See `Prompt.post`."""
        return self._carrier.post(data)

    async def receive(self) -> bytes | str:
        """See `Connection.receive`."""
        try:
            return await self._carrier.take()
        except self._closed as error:
            raise self._lost(error) from None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """See `Connection.close`. 1006 (which no close frame may carry) cuts the line; 1005 is answered as 1000."""
        if code == 1006:
            self.abort()
            return
        await super().close(code if _may_be_sent(code) else 1000, reason.encode()[:120].decode(errors="ignore"))


def _may_be_sent(code: int) -> bool:
    return (1000 <= code <= 1014 and code not in (1004, 1005, 1006)) or 3000 <= code <= 4999


class Lobby:
    """The sockets without a session: at most `most`, and then the one that has waited longest goes."""

    def __init__(self, most: int = WAITING) -> None:
        self._most = most
        self._waiting: dict[asyncio.Transport, None] = {}  # in the order they came; at most `most`
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, transport: asyncio.Transport) -> None:
        """One more."""
        if self._closed:
            transport.abort()
            return
        if len(self._waiting) >= self._most:
            longest = next(iter(self._waiting))
            del self._waiting[longest]
            longest.abort()
        self._waiting[transport] = None

    def leave(self, transport: asyncio.Transport) -> None:
        """It has a session now, or is gone; twice is allowed."""
        self._waiting.pop(transport, None)

    def clear(self) -> None:
        """Hang up on all, and on whoever comes."""
        self._closed = True
        for transport in tuple(self._waiting):
            transport.abort()
        self._waiting.clear()


class Sockets:
    """Opens WebSockets for a site, and answers on the same socket what is no WebSocket."""

    def __init__(self, site: Site, lobby: Lobby | None = None) -> None:
        self.open: dict[Carrier, asyncio.Task[None]] = {}
        """The open ones, each with the task of its session: at most max_sessions of the site."""
        self.lobby = lobby or Lobby()
        self._site = site
        self._deadlines: dict[Carrier, asyncio.TimerHandle] = {}  # of those in the lobby that are ours

    def carrier(self, **_: Any) -> Carrier:
        """A protocol for one socket."""
        protocol = ServerProtocol(
            select_subprotocol=_select_subprotocol,
            max_size=MAX_MESSAGE,
            logger=_library_log,
        )
        return Carrier(protocol, self)

    async def close(self) -> None:
        """Close every session with 1001, hang up on everybody else, and wait until nothing is left."""
        self.lobby.clear()
        tasks = [asyncio.ensure_future(ServedConnection(carrier).close(GOING_AWAY)) for carrier in self.open]
        tasks += self.open.values()
        if tasks:
            await asyncio.wait(tasks)

    # ---- called by carriers

    def came(self, carrier: Carrier) -> None:
        """See `Porter`."""
        self.lobby.enter(carrier.transport)
        self._deadlines[carrier] = carrier.loop.call_later(HEAD_S, self._too_slow, carrier)

    def arrived(self, carrier: Carrier, request_head: bytes, rest: bytes) -> None:
        """See `Porter`."""
        self._decided(carrier)
        request = head.parse(request_head, peer=_peer(carrier.transport), secure=_secure(carrier.transport))
        if isinstance(request, Answer):
            carrier.refuse(head.serialize(request))
            return
        answer = self._opened(carrier, request, request_head, rest) if _upgrade(request) else self._answer(request)
        if answer is not None:
            carrier.refuse(head.serialize(answer, head_only=request.method == "HEAD"))

    def overlong(self, carrier: Carrier) -> None:
        """See `Porter`."""
        self._decided(carrier)
        carrier.refuse(head.serialize(head.too_large()))

    def gone(self, carrier: Carrier) -> None:
        """See `Porter`."""
        self._decided(carrier)
        self.lobby.leave(carrier.transport)

    # ----

    def _decided(self, carrier: Carrier) -> None:
        if (deadline := self._deadlines.pop(carrier, None)) is not None:
            deadline.cancel()

    def _too_slow(self, carrier: Carrier) -> None:
        self._decided(carrier)
        carrier.refuse(head.serialize(head.too_slow()))

    def _answer(self, request: Request) -> Answer:
        found = self._site.route(request)
        if isinstance(found, Answer):
            return found
        if found.method != "GET":
            message = "This server answers GET only: the rest of HTTP needs the extra: pip install 'bargein[server]'."
            return refusal(501, message, code="extra_needed")
        return self._site.run(found, request)

    def _opened(self, carrier: Carrier, request: Request, request_head: bytes, rest: bytes) -> Answer | None:
        if announces_body(request):
            return refusal(400, "The request for a WebSocket has no body.", code="bad_request")
        place = self._site.admit(request)
        if isinstance(place, Answer):
            return place
        try:
            refused = carrier.open(request_head, rest)
        except Exception:  # the loop hangs up, and tells of it
            place.leave()
            raise
        if refused is not None:
            place.leave()
            headers = [
                (name.lower(), value)
                for name, value in refused.headers.raw_items()
                if name.lower() in ("upgrade", "sec-websocket-version")
            ]
            message = "This is no handshake of a WebSocket."  # the library's own words may repeat a key
            return refusal(refused.status_code, message, code="bad_handshake", headers=tuple(headers))
        self.lobby.leave(carrier.transport)
        self.open[carrier] = carrier.loop.create_task(self._run(carrier, place))
        return None

    async def _run(self, carrier: Carrier, place: Place) -> None:
        try:
            await self._site.hold(ServedConnection(carrier), place)
        except Exception:  # one session's mistake is not the others'
            _log.exception("a session failed")
        finally:
            place.leave()
            if carrier.protocol.state is not State.CLOSED:
                await ServedConnection(carrier).close(1011)
            del self.open[carrier]


def _upgrade(request: Request) -> bool:
    return request.method == "GET" and "websocket" in (request.only("upgrade") or "").lower()


def _select_subprotocol(_protocol: ServerProtocol, offered: Any) -> Subprotocol | None:
    """As `Place.subprotocol`."""
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None


def _peer(transport: asyncio.Transport) -> str:
    name = transport.get_extra_info("peername")
    return str(name[0]) if isinstance(name, tuple) else ""


def _secure(transport: asyncio.Transport) -> bool:
    return transport.get_extra_info("sslcontext") is not None


__all__ = ["HEAD_S", "WAITING", "Lobby", "ServedConnection", "Sockets"]
