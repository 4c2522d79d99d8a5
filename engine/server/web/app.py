"""The server as an ASGI application, for any ASGI server and any framework that mounts one.

    from engine import server
    app = server.app(responder=server.responder("echo"))      # uvicorn module:app --ws-max-size 22020096

HTTP, WebSocket and lifespan. Who may come in is judged as on a server of our own, so Host, Origin and keys mean the
same; a message may be as large as the ASGI server lets it be, and at most MAX_MESSAGE.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from engine.errors import ConnectionLost
from engine.server.input_audio import SpeechDetector
from engine.server.options import ServerOptions
from engine.server.recognisers import Recogniser
from engine.server.responders import Echo, Responder
from engine.server.responders.base import ears_of, voice_of
from engine.server.voices import Voice, best_voice
from engine.server.web.access import Access
from engine.server.web.credentials import Credentials
from engine.server.web.head import headers_of, too_slow
from engine.server.web.messages import Answer, Request
from engine.server.web.routes import Route
from engine.server.web.site import MAX_MESSAGE, Place, Site, announces_body, busy, too_long

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_S = 20.0
"""Seconds for a whole body; then 408."""
DROPPED_BYTES = 8 * 2**20
"""Of a body that nobody wants, so much is read before the answer: a client that writes it all first still gets it."""
BODIES_BYTES = 64 * 2**20
"""Of all bodies that are being read at a time; what would be more is answered 503."""
CLOSE_S = 3.0
"""Longest that closing a WebSocket takes."""
_TOO_LARGE = 1009
_BROKEN = 1006


async def made(
    *,
    responder: Responder | None = None,
    options: ServerOptions | None = None,
    voice: Voice | None = None,
    detector: Callable[[], SpeechDetector] | None = None,
    rng: random.Random | None = None,
    recogniser: Recogniser | None = None,
    access: Access | None = None,
    credentials: Credentials | None = None,
) -> Site:
    """The site of these; a voice is looked for in a thread when none is given."""
    brain = responder or Echo()
    voice = voice_of(brain) or voice
    if voice is None:
        voice = await asyncio.to_thread(best_voice)
    return Site(
        responder=brain,
        voice=voice,
        options=options or ServerOptions(),
        detector=detector,
        rng=rng,
        recogniser=ears_of(brain) or recogniser,
        access=access,
        credentials=credentials,
    )


class App:
    """The ASGI application. Of one loop; without a lifespan it begins with its first request."""

    def __init__(self, site: Site | Callable[[], Awaitable[Site]]) -> None:
        self._making = asyncio.Lock()
        self._bodies = _Bodies()
        self._make = None if isinstance(site, Site) else site
        self._site = site if isinstance(site, Site) else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification, 3.0."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(await self.site(), scope, receive, send)
        elif scope["type"] == "websocket":
            await self._open(await self.site(), scope, receive, send)

    async def site(self) -> Site:
        """What is served, begun."""
        if self._site is None:
            async with self._making:
                if self._site is None:
                    assert self._make is not None
                    made = await self._make()
                    made.begin()
                    self._site = made
        return self._site

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.site()
                await send({"type": "lifespan.startup.complete"})
            else:
                if self._site is not None:
                    await self._site.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _answer(self, site: Site, scope: Scope, receive: Receive, send: Send) -> None:
        request = request_of(scope, scope["method"])
        found = site.route(request)
        body: bytes | Answer | None = b""
        if announces_body(request) or (isinstance(found, Route) and found.types):
            body = await self._bodies.read(found, receive)
        if body is None:  # the client has left
            return
        if isinstance(found, Answer):
            answer = found
        elif isinstance(body, Answer):
            answer = site.told(request, body)
        else:
            answer = site.run(found, request.with_body(body))
        headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers_of(answer)]
        if isinstance(body, Answer) or answer.status == 413:  # there may be more of it
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else answer.body})

    async def _open(self, site: Site, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        place = site.admit(request_of(scope, "GET"))
        if isinstance(place, Answer):
            await _refuse(place, scope, send)
            return
        try:
            await self._hold(site, place, receive, send)
        finally:
            place.leave()

    async def _hold(self, site: Site, place: Place, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "websocket.accept", "subprotocol": place.subprotocol})
        except Exception:  # every ASGI server has its own for a client that has left
            return
        await site.hold(AsgiConnection(receive, send), place)


class AsgiConnection:
    """`Connection` over an accepted WebSocket of an ASGI server, which bounds what waits to be read and written."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._lost: ConnectionLost | None = None

    async def send(self, data: bytes | str) -> None:
        """See `Connection.send`."""
        if self._lost is not None:
            raise self._lost
        text = data if isinstance(data, str) else data.decode()
        try:
            await self._send({"type": "websocket.send", "text": text})
        except Exception:  # of a kind that every ASGI server has for itself
            raise self._ended(_BROKEN, "the connection broke while something was sent") from None

    async def receive(self) -> bytes | str:
        """See `Connection.receive`."""
        if self._lost is not None:
            raise self._lost
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise self._ended(message.get("code") or 1005, message.get("reason") or "")
        data: bytes | str = message["text"] if message.get("text") is not None else message.get("bytes") or b""
        if len(data) > MAX_MESSAGE:
            await self.close(_TOO_LARGE, "")
            raise self._lost or ConnectionLost(_TOO_LARGE, "")
        return data

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """See `Connection.close`. There is no way to cut the line: 1006 becomes 1011."""
        if self._lost is not None:
            return
        self._ended(code, reason)
        code = {_BROKEN: 1011, 1005: 1000}.get(code, code)
        try:
            async with asyncio.timeout(CLOSE_S):
                shown = reason.encode()[:120].decode(errors="ignore")
                await self._send({"type": "websocket.close", "code": code, "reason": shown})
        except Exception:  # gone, or it reads no more: the server cuts it off when we return
            return

    def _ended(self, code: int, reason: str) -> ConnectionLost:
        if self._lost is None:
            self._lost = ConnectionLost(code, reason)
        return self._lost


def request_of(scope: Scope, method: str) -> Request:
    """The request of an ASGI scope; what it is mounted below is not part of the path."""
    headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
    if (subprotocols := scope.get("subprotocols")) and not any(name == "sec-websocket-protocol" for name, _ in headers):
        headers.append(("sec-websocket-protocol", ", ".join(subprotocols)))
    path, root = scope["path"], scope.get("root_path") or ""
    client = scope.get("client")
    return Request(
        method.upper(),
        path[len(root) :] if root and path.startswith(root + "/") else path,
        scope.get("query_string", b"").decode("latin-1"),
        tuple(headers),
        peer=str(client[0]) if client else "",
        secure=scope.get("scheme") in ("https", "wss"),
    )


class _Bodies:
    """Reads bodies, so many bytes at a time."""

    def __init__(self) -> None:
        self._held = 0  # bytes of those that are not whole yet; at most BODIES_BYTES

    async def read(self, route: Route | Answer, receive: Receive) -> bytes | Answer | None:
        """A body that the route takes, or why not; of one that is not wanted, some is read and dropped. None: nobody
        is there any more.
        """
        limit = route.limit if isinstance(route, Route) else 0
        kept, seen = bytearray(), 0
        try:
            async with asyncio.timeout(BODY_S):
                while seen <= max(limit, DROPPED_BYTES):
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    piece = message.get("body", b"")
                    seen += len(piece)
                    if seen <= limit:
                        if self._held + len(piece) > BODIES_BYTES:
                            return busy()
                        kept += piece
                        self._held += len(piece)
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            return too_slow()
        finally:
            self._held -= len(kept)
        return bytes(kept) if seen <= limit or isinstance(route, Answer) else too_long(route)


async def _refuse(answer: Answer, scope: Scope, send: Send) -> None:
    """An HTTP answer instead of the WebSocket, where the ASGI server can give one; else it says 403 by itself."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers_of(answer)]
    await send({"type": "websocket.http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": answer.body})


def app(
    *,
    responder: Responder | None = None,
    options: ServerOptions | None = None,
    voice: Voice | None = None,
    detector: Callable[[], SpeechDetector] | None = None,
    rng: random.Random | None = None,
    recogniser: Recogniser | None = None,
    access: Access | None = None,
    credentials: Credentials | None = None,
) -> App:
    """The server as an ASGI application; the parameters are those of `serve`.

    Without keys it answers its own machine only, by Host, Origin and, where the ASGI server tells it, the address of
    the client. Raises ConfigError for an `access` that needs keys and has none.
    """
    if access is not None:
        access.check(credentials is not None and credentials.keys)
    site = partial(
        made,
        responder=responder,
        options=options,
        voice=voice,
        detector=detector,
        rng=rng,
        recogniser=recogniser,
        access=access,
        credentials=credentials,
    )
    return App(site)


__all__ = ["App", "AsgiConnection", "app", "made", "request_of"]
