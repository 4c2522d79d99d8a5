"""The server that listens: on loopback or elsewhere, with the front that answers all of HTTP or the bare one.

Audio does not shrink, so compression is never negotiated; a client that offers it is served without. No pings time a
client out: a busy machine must not cost a call. One message may be as large as an append of 15 MiB in base64.

Every queue is bounded: 64 KiB are read ahead, then the socket is left alone (carrier.py); what is to be written waits
in the session's outbox, and a client that lets it fill is closed with 1013. Connection number `max_sessions` + 1 is
answered 503.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

from engine.errors import ConfigError, MissingExtraError
from engine.server.carrier import CLOSE_S
from engine.server.input_audio import SpeechDetector
from engine.server.options import ServerOptions
from engine.server.recognisers import Recogniser
from engine.server.responders import Responder
from engine.server.voices import Voice
from engine.server.web.access import Access, check_bind, is_wildcard, split_host
from engine.server.web.app import App, made
from engine.server.web.asked import PATH
from engine.server.web.credentials import Credentials
from engine.server.web.handshakes import Handshakes
from engine.server.web.site import Site
from engine.server.web.sockets import Sockets

if TYPE_CHECKING:
    from engine.server.web.asgi_front import AsgiFront

FRONTS = ("auto", "asgi", "bare")
BACKLOG = 1024
"""Connections that the kernel holds until we take them."""

_log = logging.getLogger("bargein.server")


class Server:
    """A listening server. `url` is where clients connect."""

    def __init__(self, site: Site, *, front: str = "auto", tls: ssl.SSLContext | None = None) -> None:
        self.site = site
        self.front = chosen_front(front)
        """`asgi`, or `bare`, which answers GET only."""
        site.takes_bodies = self.front != "bare"
        self.url = ""
        """The WebSocket's."""
        self.base_url = ""
        """That of the HTTP API: `http://127.0.0.1:8765/v1`."""
        self.sockets = Sockets(site)
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._asgi: AsgiFront | None = None
        self._handshakes: Handshakes | None = None
        self._closing: asyncio.Task[None] | None = None

    @property
    def sessions(self) -> int:
        """Sessions open now."""
        return self.site.sessions

    async def start(self, host: str, port: int) -> None:
        """Bind and listen. Raises ConfigError when the address may not be used or cannot be had."""
        check_bind(host, keys=self.site.credentials.keys, access=self.site.access)
        if self.site.access.hosts and not self.site.credentials.keys:
            _log.warning("hosts are allowed, and there are no keys: whoever is let through to this port may use it")
        try:
            self._server = await asyncio.get_running_loop().create_server(
                self._secured(self._protocols()),
                host,
                port,
                backlog=BACKLOG,
            )
        except (OSError, OverflowError) as error:
            problem = getattr(error, "strerror", None) or error
            raise ConfigError(f"cannot listen on {host} port {port}: {problem}; choose another --port, or 0") from None
        self._name(*self._server.sockets[0].getsockname()[:2])
        _log.info("listening on %s, responder %s, voice %s", self.url, self.site.responder.name, self.site.voice.name)
        self.site.begin()

    def _protocols(self) -> Callable[[], asyncio.BaseProtocol]:
        if self.front == "bare":
            return self.sockets.carrier
        from engine.server.web.asgi_front import AsgiFront

        self._asgi = AsgiFront(App(self.site), self.sockets)
        return self._asgi.protocol

    def _secured(self, protocols: Callable[[], asyncio.BaseProtocol]) -> Callable[[], asyncio.BaseProtocol]:
        if self._tls is None:
            return protocols
        self._handshakes = Handshakes(self._tls, self.sockets.lobby, protocols)
        return self._handshakes.protocol

    def _name(self, address: str, port: int) -> None:
        hosts, name = self.site.access.hosts, address
        if is_wildcard(address) and hosts and (split := split_host(hosts[0])) is not None:
            name = split[0]  # as clients call it
        shown = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
        secure = "s" if self._tls is not None else ""
        self.url = f"ws{secure}://{shown}{PATH}"
        self.base_url = f"http{secure}://{shown}/v1"

    async def drain(self, seconds: float) -> None:
        """Refuse who comes (503, Retry-After), and return when the last session has ended, or after so many seconds."""
        await self.site.drain(seconds)

    async def close(self) -> None:
        """Close every session with 1001, stop listening, and wait until nothing is left. Closing twice is allowed."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self.site.stop()
            await self.sockets.close()
            if self._handshakes is not None:
                await self._handshakes.close()
            if self._asgi is not None:
                await self._asgi.close()
            with suppress(TimeoutError):  # who is in the middle of a handshake of TLS is not waited for
                async with asyncio.timeout(CLOSE_S):
                    await self._server.wait_closed()
        await self.site.close()


def chosen_front(front: str) -> str:
    """`asgi` or `bare`; for `auto`, what is installed. Raises ConfigError for another one, or one that is not there."""
    if front not in FRONTS:
        raise ConfigError(f"front is {front!r}: use {', '.join(FRONTS)}")
    there = find_spec("uvicorn") is not None and find_spec("httptools") is not None
    if front == "asgi" and not there:
        raise MissingExtraError("the ASGI front", "server")
    return "asgi" if there and front != "bare" else "bare"


@asynccontextmanager
async def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    responder: Responder | None = None,
    options: ServerOptions | None = None,
    voice: Voice | None = None,
    detector: Callable[[], SpeechDetector] | None = None,
    rng: random.Random | None = None,
    recogniser: Recogniser | None = None,
    access: Access | None = None,
    credentials: Credentials | None = None,
    tls: ssl.SSLContext | None = None,
    front: str = "auto",
) -> AsyncIterator[Server]:
    """Listen on `host` and `port` (0 = any free one) while the block runs; yields the Server.

    `responder` is `Echo()` by default, `voice` the best there is, and without a `recogniser` nothing that is said is
    understood; a brain's own voice and recogniser go before those given here. What has to be loaded is loaded from
    now on, and the first session.created waits for it. Leaving the block closes every session and waits
    for the end of its tasks.

    `access` says which hosts and pages may come in beside this machine's own, `credentials` knows the keys; without
    keys `host` must be loopback. With `tls` it speaks https and wss only. `front` is `asgi` (extra `server`: all of
    HTTP), `bare` (WebSocket and GET), or `auto`, which takes `asgi` where it is installed. Raises ConfigError when the
    address cannot be used.
    """
    site = await made(
        responder=responder,
        options=options,
        voice=voice,
        detector=detector,
        rng=rng,
        recogniser=recogniser,
        access=access,
        credentials=credentials,
    )
    server = Server(site, front=front, tls=tls)
    await server.start(host, port)
    try:
        yield server
    finally:
        await server.close()
