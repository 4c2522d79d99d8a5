"""The WebSocket front: listens on loopback, lets clients in, and runs one session per connection.

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
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus

from websockets.asyncio.server import Server as SocketServer
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as listen
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from engine.errors import ConfigError, ConnectionLost
from engine.realtime import events as ev
from engine.realtime import problems, wire
from engine.server.carrier import Carrier
from engine.server.doors import (
    PATH,
    Answer,
    Dismissal,
    asks_for_beta,
    check_bind,
    check_request,
    dismissal,
    model_of,
    transcription_of,
)
from engine.server.ids import Ids
from engine.server.input_audio import SpeechDetector
from engine.server.options import ServerOptions
from engine.server.readiness import Readiness
from engine.server.recognisers import Recogniser
from engine.server.responders import Echo, Responder
from engine.server.session import OVERFLOW_CLOSE, ears_of, serve_connection, voice_of
from engine.server.voices import Voice, best_voice
from engine.transport.websocket import WebSocketConnection

MAX_MESSAGE = 15 * 2**20 * 4 // 3 + 2**16
"""Bytes of the largest message taken: 15 MiB of audio in base64, and its JSON. A larger one closes with 1009."""
WRITE_LIMIT = 64 * 2**10
"""Bytes handed to the kernel ahead; then the session's outbox fills instead."""
SUBPROTOCOL = Subprotocol("realtime")

_log = logging.getLogger("bargein.server")
_library_log = logging.getLogger("bargein.server.websockets")
_library_log.setLevel(logging.CRITICAL)  # a stranger's broken handshake is nothing to trouble the user with


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


class Server:
    """A listening server. `url` is where clients connect."""

    def __init__(
        self,
        *,
        responder: Responder,
        voice: Voice,
        options: ServerOptions,
        detector: Callable[[], SpeechDetector] | None,
        rng: random.Random | None,
        recogniser: Recogniser | None = None,
    ) -> None:
        self.responder = responder
        self.voice = voice
        self.recogniser = recogniser
        self.options = options
        self.sessions = 0
        """Sessions open now."""
        self.url = ""
        self._detector = detector
        self._rng = rng
        self._server: SocketServer | None = None
        self._readiness = Readiness(responder, recogniser, voice, options.turn_end)

    async def start(self, host: str, port: int) -> None:
        """Bind and listen. Raises ConfigError when the address is not loopback or cannot be had."""
        check_bind(host)
        try:
            self._server = await listen(
                self._serve,
                host,
                port,
                process_request=self._door,
                select_subprotocol=_select_subprotocol,
                compression=None,
                max_size=MAX_MESSAGE,
                create_connection=Carrier,
                write_limit=WRITE_LIMIT,
                ping_interval=None,
                ping_timeout=None,
                close_timeout=2.0,
                server_header="bargein",
                logger=_library_log,
            )
        except (OSError, OverflowError) as error:
            problem = getattr(error, "strerror", None) or error
            raise ConfigError(f"cannot listen on {host} port {port}: {problem}; choose another --port, or 0") from None
        bound = next(iter(self._server.sockets)).getsockname()
        shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        self.url = f"ws://{shown}:{bound[1]}{PATH}"
        _log.info("listening on %s, responder %s, voice %s", self.url, self.responder.name, self.voice.name)
        self._readiness.begin()

    async def close(self) -> None:
        """Close every session with 1001, stop listening, and wait until nothing is left. Closing twice is allowed."""
        if self._server is not None:
            self._server.close()
            self._readiness.stop()
            await self._server.wait_closed()
        await self._readiness.close()

    def _door(self, socket: ServerConnection, request: Request) -> Response | None:
        headers = request.headers
        upgrade = "websocket" in headers.get("Upgrade", "").lower() if len(headers.get_all("Upgrade")) == 1 else False
        answer = check_request(
            request.path, hosts=headers.get_all("Host"), origins=headers.get_all("Origin"), upgrade=upgrade
        )
        if answer is None and self.sessions >= self.options.max_sessions:
            answer = Answer(503, f"This server holds {self.options.max_sessions} sessions, which is its limit.\n")
        if answer is None:
            return None
        response = socket.respond(HTTPStatus(answer.status), answer.text)
        if answer.status == 503:
            response.headers["Retry-After"] = "1"
        if answer.status == 426:
            response.headers["Upgrade"] = "websocket"
        return response

    async def _serve(self, socket: ServerConnection) -> None:
        assert isinstance(socket, Carrier)
        if self.sessions >= self.options.max_sessions:  # several came through the door in the same moment
            await socket.close(OVERFLOW_CLOSE, "the server is full")
            return
        self.sessions += 1
        try:
            assert socket.request is not None
            path, wants_beta = socket.request.path, asks_for_beta(socket.request.headers.get_all("OpenAI-Beta"))
            dismissed = dismissal(path, wants_beta=wants_beta, beta=self.options.beta)
            if dismissed is not None:
                await _dismiss(ServedConnection(socket), dismissed)
                return
            await serve_connection(
                ServedConnection(socket),
                responder=self.responder,
                options=self.options,
                voice=self.voice,
                model=model_of(path),
                detector=self._detector,
                rng=self._rng,
                transcription=transcription_of(path),
                recogniser=self.recogniser,
                readiness=self._readiness,
                beta=wants_beta,
            )
        finally:
            self.sessions -= 1


async def _dismiss(connection: ServedConnection, dismissed: Dismissal) -> None:
    problem = dismissed.problem
    error = {"type": problems.KIND, "code": problem.code, "message": str(problem), "param": None, "event_id": None}
    with suppress(ConnectionLost):  # who is gone need not be told
        await connection.send(wire.encode(ev.Error(event_id=Ids().new("event"), error=error)))
        await connection.close(dismissed.code, dismissed.reason)


def _select_subprotocol(_socket: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """`realtime` when it is offered. Browsers put keys beside it, and old ones openai-beta.realtime-v1: without keys to
    check, and with the dialect chosen by a header, those are let pass unread.
    """
    return SUBPROTOCOL if SUBPROTOCOL in offered else None


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
) -> AsyncIterator[Server]:
    """Listen on `host` (loopback) and `port` (0 = any free one) while the block runs; yields the Server.

    `responder` is `Echo()` by default, `voice` the best there is, and without a `recogniser` nothing that is said is
    understood; a brain's own voice and recogniser go before those given here. What has to be loaded is loaded from
    now on, and the first session.created waits for it. Leaving the block closes every session and waits
    for the end of its tasks. Raises ConfigError when the address cannot be used.
    """
    brain = responder or Echo()
    voice = voice_of(brain) or voice
    if voice is None:
        voice = await asyncio.to_thread(best_voice)
    server = Server(
        responder=brain,
        voice=voice,
        options=options or ServerOptions(),
        detector=detector,
        rng=rng,
        recogniser=ears_of(brain) or recogniser,
    )
    await server.start(host, port)
    try:
        yield server
    finally:
        await server.close()
