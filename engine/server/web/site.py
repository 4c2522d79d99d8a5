"""What is served at one address, whichever front carries it: the routes, the sessions, and who may come in.

site = Site(responder=Echo(), voice=voice, options=ServerOptions())
answer = site.answer(request)                     # HTTP
place = site.admit(request)                       # WebSocket: an Answer, or a place for one session ...
await site.hold(connection, place)                # ... which this gives back

One loop owns it. Nothing here reads a socket.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from engine.errors import ConnectionLost, ProtocolError
from engine.realtime import events as ev
from engine.realtime import problems, wire
from engine.server.ids import Ids
from engine.server.input_audio import SpeechDetector
from engine.server.mcp.side import rules_of
from engine.server.options import ServerOptions
from engine.server.readiness import Readiness
from engine.server.recognisers import Recogniser
from engine.server.responders import Responder
from engine.server.session import serve_connection
from engine.server.voices import Voice
from engine.server.web.access import Access, offered
from engine.server.web.asked import PATH, SOCKET_PATHS, Dismissal, asks_for_beta, dismissal, model_of, transcription_of
from engine.server.web.client_secrets import start_of
from engine.server.web.credentials import NOBODY, Credentials, Identity
from engine.server.web.messages import Answer, Headers, Request, refusal
from engine.server.web.metrics import Metrics
from engine.server.web.routes import SECRETS, Route, Routes
from engine.server.web.standard import standard
from engine.transport import Connection

MAX_MESSAGE = 15 * 2**20 * 4 // 3 + 2**16
"""Bytes of the largest message taken: 15 MiB of audio in base64, and its JSON. A larger one closes with 1009."""
SUBPROTOCOL = "realtime"
GOING_AWAY = 1001
REFUSING = frozenset({401, 403, 429, 503})
"""Answers that count as refused: somebody is not let in."""
RETRY_S = "1"
_RETRY: Headers = (("retry-after", RETRY_S),)


class Place:
    """Leave to hold one session. `Site.hold` gives it back; who does not come that far calls `leave`."""

    def __init__(self, site: Site, request: Request, identity: Identity) -> None:
        self.request = request
        self.identity = identity
        self.subprotocol = SUBPROTOCOL if SUBPROTOCOL in offered(request) else None
        """What is answered of the subprotocols offered: never a key, which browsers' pages offer beside it."""
        self._site: Site | None = site

    def leave(self) -> None:
        """Give the place back; twice is allowed."""
        if self._site is not None:
            self._site.left(self.identity)
            self._site = None


class Site:
    """See the top."""

    def __init__(
        self,
        *,
        responder: Responder,
        voice: Voice,
        options: ServerOptions,
        detector: Callable[[], SpeechDetector] | None = None,
        rng: random.Random | None = None,
        recogniser: Recogniser | None = None,
        access: Access | None = None,
        credentials: Credentials | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.responder = responder
        self.voice = voice
        self.recogniser = recogniser
        self.metrics = Metrics()
        """Figures of all that happens here, for GET /metrics."""
        self.options = replace(options, watchers=(*options.watchers, self.metrics))
        self.access = access or Access()
        self.credentials = credentials or Credentials()
        self.access.check(self.credentials.keys)
        self.sessions = 0
        """Sessions open now."""
        self.draining = False
        """Whether the end has begun: who is here may finish, nobody else comes in."""
        self.rules = rules_of(responder, options.mcp)
        """MCP servers that sessions may name."""
        self.now = now
        """Wall time, in Unix seconds."""
        self.takes_bodies = True
        """Whether the front carries requests with bodies."""
        self.routes: Routes = standard(self)
        self._detector = detector
        self._rng = rng
        self._of_owner: Counter[str] = Counter()  # only owners with a session: at most max_sessions
        self._empty = asyncio.Event()
        self._empty.set()
        self._readiness = Readiness(responder, recogniser, voice, options.turn_end)

    # ---- life

    def begin(self) -> None:
        """Load what has to be loaded, from now on."""
        self._readiness.begin()
        self.metrics.watch_loop()

    async def drain(self, seconds: float) -> None:
        """Let nobody in any more, and return when the last session has ended, or after so many seconds."""
        self.draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._empty.wait()

    def stop(self) -> None:
        """Nobody comes in any more, and who waits for the brain waits in vain."""
        self.draining = True
        self._readiness.stop()

    async def close(self) -> None:
        """Put away what was loaded; the sessions have ended. Twice is allowed."""
        self.stop()
        self.metrics.stop()
        await self._readiness.close()

    # ---- HTTP

    def answer(self, request: Request) -> Answer:
        """What a request that is no WebSocket gets. Its body, if it has one, has been read."""
        found = self.route(request)
        if isinstance(found, Answer):
            return found
        return self.run(found, request)

    def route(self, request: Request) -> Route | Answer:
        """The route of a request that may be made, judged by its head alone; or the answer it gets at once."""
        refused = self.access.refused(request, self.credentials.keys)
        if refused is not None:
            return self._counted(refused)
        found = self._routed(request)
        return self.told(request, found) if isinstance(found, Answer) else found

    def _routed(self, request: Request) -> Route | Answer:
        if request.path in SOCKET_PATHS and request.method in ("GET", "HEAD"):
            return _upgrade_required(request)
        preflight = self.access.preflight(request, self.routes.methods(request.path))
        if preflight is not None:
            return preflight
        found = self.routes.find(request)
        if isinstance(found, Answer):
            return found
        if self.draining and found.method != "GET":
            return _going()
        who = self._identified(request, found.who)  # before its body: nobody reads one for a stranger
        if isinstance(who, Answer):
            return who
        return found if (problem := body_problem(found, request)) is None else problem

    def run(self, route: Route, request: Request) -> Answer:
        """What a route answers to its request, whose body has been read."""
        problem = body_problem(route, request)
        if problem is not None:
            return self.told(request, problem)
        who = self._identified(request, route.who)
        return self.told(request, who if isinstance(who, Answer) else route.run(request, who))

    def _identified(self, request: Request, kinds: frozenset[str] | None) -> Identity | Answer:
        if kinds is None:
            return NOBODY
        who = self.credentials.identify(request, self.now())
        if isinstance(who, Answer) and not self.credentials.keys and not self.takes_bodies:
            return NOBODY  # nobody can make client secrets here, so that one shown in vain is somebody's play key
        if isinstance(who, Answer) or who.kind in kinds:
            return who
        return refusal(403, "A client secret may not do this: use an API key.", code="insufficient_permissions")

    def _counted(self, answer: Answer) -> Answer:
        if answer.status in REFUSING:
            self.metrics.refused(answer)
        return answer

    def told(self, request: Request, answer: Answer) -> Answer:
        """An answer as it goes out: counted where it refuses somebody, and readable by a page that may come in."""
        self._counted(answer)
        shared = self.access.shares(request)
        return Answer(answer.status, answer.body, answer.type, answer.headers + shared) if shared else answer

    # ---- WebSocket

    def admit(self, request: Request) -> Place | Answer:
        """A place for the session that a WebSocket asks for, or why there is none, to be said before the upgrade."""
        place = self._admit(request)
        return self._counted(place) if isinstance(place, Answer) else place

    def _admit(self, request: Request) -> Place | Answer:
        refused = self.access.refused(request, self.credentials.keys)
        if refused is not None:
            return refused
        if request.path not in SOCKET_PATHS:
            message = f"Nothing here. The Realtime API is a WebSocket at {PATH}."
            return refusal(404, message, code="not_found")
        if self.draining:
            return _going()
        who = self._identified(request, SECRETS)
        if isinstance(who, Answer):
            return who
        if self.sessions >= self.options.max_sessions:
            message = f"This server holds {self.options.max_sessions} sessions, which is its limit."
            return refusal(503, message, code="server_full", headers=_RETRY)
        if who.owner and self._of_owner[who.owner] >= self.access.sessions_per_key:
            message = f"This key has {self.access.sessions_per_key} sessions open, which is its limit."
            return refusal(429, message, code="rate_limit_exceeded", headers=_RETRY)
        return self._taken(Place(self, request, who))

    def _taken(self, place: Place) -> Place:
        self.sessions += 1
        self._of_owner[place.identity.owner] += 1
        self._empty.clear()
        return place

    def left(self, identity: Identity) -> None:
        """A place is given back; see `Place.leave`."""
        self.sessions -= 1
        self._of_owner[identity.owner] -= 1
        if not self._of_owner[identity.owner]:
            del self._of_owner[identity.owner]
        if not self.sessions:
            self._empty.set()

    async def hold(self, connection: Connection, place: Place) -> None:
        """The whole session over an accepted WebSocket; afterwards the connection is closed and the place is free."""
        request = place.request
        offers = request.all("sec-websocket-protocol") if self.options.beta else ()
        wants_beta, start = asks_for_beta(request.all("openai-beta"), offers), start_of(place.identity)
        try:
            dismissed = dismissal(request.path, request.query, start, wants_beta=wants_beta, beta=self.options.beta)
            if dismissed is not None:
                await self._dismiss(connection, dismissed)
                return
            await serve_connection(
                connection,
                responder=self.responder,
                options=self.options,
                voice=self.voice,
                model=model_of(request.query),
                detector=self._detector,
                rng=self._rng,
                transcription=transcription_of(request.query),
                recogniser=self.recogniser,
                readiness=self._readiness,
                beta=wants_beta,
                start=start,
                owner=place.identity.owner,
            )
        except ProtocolError as problem:  # what a client secret attached is not taken any more
            await self._dismiss(connection, Dismissal(problem))
        finally:
            place.leave()

    async def _dismiss(self, connection: Connection, dismissed: Dismissal) -> None:
        self.metrics.dismissed()
        problem = dismissed.problem
        error = {"type": problems.KIND, "code": problem.code, "message": str(problem), "param": None, "event_id": None}
        with suppress(ConnectionLost):  # who is gone need not be told
            await connection.send(wire.encode(ev.Error(event_id=Ids().new("event"), error=error)))
            await connection.close(dismissed.code, dismissed.reason)


def body_problem(route: Route, request: Request) -> Answer | None:
    """What is wrong with a request's body, or with the one that its head announces; None when nothing is."""
    if not request.body and not announces_body(request):
        return None
    if not route.types:
        return refusal(415, "This takes no body.", code="unsupported_content_type")
    length = request.all("content-length")
    digits = length[0] if len(length) == 1 and length[0].isascii() and length[0].isdigit() else ""
    if len(request.body) > route.limit or _longer(digits, route.limit):
        return too_long(route)
    if request.all("content-encoding"):
        return refusal(415, "Send the body as it is, without Content-Encoding.", code="unsupported_content_type")
    if _media_type(request.only("content-type")) not in route.types:
        expected = " or ".join(route.types)
        return refusal(415, f"Unsupported content type: use {expected}.", code="unsupported_content_type")
    return None


def announces_body(request: Request) -> bool:
    """Whether a body follows the head, by what the head says."""
    length = request.all("content-length")
    return bool(request.all("transfer-encoding")) or any(each.strip("0") for each in length)


def too_long(route: Route) -> Answer:
    """413."""
    return refusal(413, f"The body is longer than {route.limit} bytes.", code="body_too_large")


def busy() -> Answer:
    """503 for a body that there is no room for."""
    message = "Too many bodies are being read at a time: try again."
    return refusal(503, message, code="server_busy", headers=_RETRY)


def _longer(digits: str, limit: int) -> bool:
    digits = digits.lstrip("0")
    return len(digits) > 15 or int(digits or "0") > limit


def _media_type(header: str | None) -> str:
    """The type itself. JSON may say its charset, a form its boundary; anything else makes it another type."""
    kind, *parameters = [part.strip() for part in (header or "").split(";")]
    kind = kind.lower()
    allowed = {"application/json": ("charset=utf-8", 'charset="utf-8"')}.get(kind, ())
    if kind == "multipart/form-data":
        return kind
    return kind if all(parameter.lower() in allowed for parameter in parameters) else ""


def _upgrade_required(request: Request) -> Answer:
    scheme = "wss" if request.secure else "ws"
    message = f"This is a bargein Realtime server. Open a WebSocket: {scheme}://{request.only('host')}{PATH}"
    return refusal(426, message, code="upgrade_required", headers=(("upgrade", "websocket"),))


def _going() -> Answer:
    return refusal(503, "This server is going away: try another one.", code="server_closing", headers=_RETRY)


__all__ = ["MAX_MESSAGE", "SUBPROTOCOL", "Place", "Site", "announces_body", "body_problem", "busy", "too_long"]
