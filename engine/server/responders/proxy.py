"""`proxy`: another Realtime server answers, with this one's ears, turns and sound path; a local brain when it is gone.

    proxy:wss://api.openai.com/v1/realtime?model=gpt-realtime

The key is OPENAI_API_KEY's (or Azure's), as for a client. A line that breaks is opened again in the background. While
it is down the fallback answers in the same session, after one sentence that says so; a turn that was being answered is
answered by it anew, since half an answer is none.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any, cast

from engine.errors import ConnectionLost, HandshakeRefused, RemoteProtocolError, TransportError
from engine.realtime.redaction import redacted
from engine.server.recognisers.base import Recogniser
from engine.server.responders.base import (
    Closes,
    HasRecogniser,
    HasVoice,
    Part,
    PerSession,
    Responder,
    Say,
    SessionInfo,
    Turn,
    WarmsUp,
)
from engine.server.responders.echo import Echo
from engine.server.responders.upstream import HANDSHAKE_S, LineLost, Upstream
from engine.server.voices.base import Voice
from engine.service import key_for, key_headers, socket_url, without_secrets
from engine.transport.websocket import connect

ECHO = Echo()
NOTICE = "The line is down. I answer from here for now."
FIRST_RETRY_S, LAST_RETRY_S = 0.5, 30.0

_log = logging.getLogger("bargein.server")


class Proxy:
    """See the module. `url` is a WebSocket URL or an API base; `key` goes before the environment's.

    `fallback` answers while there is no line; with None a session is refused without a line, and a turn without one
    fails. A server that refuses the key or the session ends the session with brain_unavailable: that is a mistake to
    mend, not a line that died. Raises ConfigError for a URL or key that can be none.
    """

    def __init__(
        self, url: str, *, key: str | None = None, fallback: Responder | None = ECHO, notice: str = NOTICE
    ) -> None:
        self._url = socket_url(url)
        key = key_for(self._url, key)
        self._headers = key_headers(self._url, key)
        self._known = (key,) if key else ()
        self._fallback = fallback
        self._notice = notice

    @property
    def name(self) -> str:
        """ "proxy" and where to."""
        return f"proxy to {without_secrets(self._url)}"

    @property
    def voice(self) -> Voice | None:
        """The fallback's; what the other server says comes as sound."""
        return self._fallback.voice if isinstance(self._fallback, HasVoice) else None

    @property
    def recogniser(self) -> Recogniser | None:
        """The fallback's."""
        return self._fallback.recogniser if isinstance(self._fallback, HasRecogniser) else None

    async def warm_up(self) -> None:
        """The fallback's."""
        if isinstance(self._fallback, WarmsUp):
            await self._fallback.warm_up()

    async def aclose(self) -> None:
        """The fallback's."""
        if isinstance(self._fallback, Closes):
            await self._fallback.aclose()

    async def respond(self, turn: Turn) -> AsyncIterator[Part]:
        """For one turn outside a session: on a line of its own."""
        async with self.session(SessionInfo("")) as brain, aclosing(cast(Any, brain.respond(turn))) as parts:
            async for part in parts:
                yield part

    @asynccontextmanager
    async def session(self, info: SessionInfo) -> AsyncIterator[Responder]:
        """See `PerSession.session`: a line of this session's own, kept open as long as it lives."""
        async with AsyncExitStack() as stack:
            fallback = self._fallback
            if isinstance(fallback, PerSession):
                fallback = await stack.enter_async_context(fallback.session(info))
            line = _Line(self._url, self._headers, self._known)
            brain = _Proxied(line, self.name, fallback, self._notice)
            if info.transcription:  # nobody will ask
                yield brain
                return
            async with asyncio.TaskGroup() as group:
                keeping = group.create_task(line.keep())
                try:
                    problem = await line.first(required=fallback is None)
                    if problem is None:
                        yield brain
                finally:
                    keeping.cancel()
            if problem is not None:  # raised here, where no group wraps it
                raise problem


class _Line:
    """Keeps one connection open. `upstream` is None while there is none."""

    def __init__(self, url: str, headers: dict[str, str], known: tuple[str, ...]) -> None:
        self.upstream: Upstream | None = None
        self._url = url
        self._headers = headers
        self._known = known
        self._tried: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    async def first(self, *, required: bool) -> Exception | None:
        """Wait for the first attempt. What it raised, when a line is `required` or was refused for good."""
        problem = await self._tried
        refused = isinstance(problem, RemoteProtocolError) or (
            isinstance(problem, HandshakeRefused) and not problem.may_pass
        )
        return problem if required or refused else None

    async def keep(self) -> None:
        """Open it, again and again."""
        failures = 0
        while True:
            try:
                async with connect(self._url, headers=self._headers, open_timeout=HANDSHAKE_S) as connection:
                    upstream = Upstream(connection, self._known)
                    await upstream.open()
                    self.upstream, failures = upstream, 0
                    self._settle(None)
                    await upstream.read()
            except (TransportError, ConnectionLost, RemoteProtocolError, TimeoutError) as problem:
                said = redacted(str(problem), self._known) or type(problem).__name__
                _log.warning("no line to %s: %s", without_secrets(self._url), said)
                self._settle(problem)
            finally:
                self.upstream = None
            await asyncio.sleep(min(FIRST_RETRY_S * 2**failures, LAST_RETRY_S) * random.uniform(0.75, 1.0))
            failures = min(failures + 1, 10)

    def _settle(self, problem: Exception | None) -> None:
        if not self._tried.done():
            self._tried.set_result(problem)


class _Proxied:
    """The brain of one session."""

    def __init__(self, line: _Line, name: str, fallback: Responder | None, notice: str) -> None:
        self._line = line
        self._name = name
        self._fallback = fallback
        self._notice = notice
        self._told = False  # that the line is down, since it was last up

    @property
    def name(self) -> str:
        """As `Proxy.name`."""
        return self._name

    async def respond(self, turn: Turn) -> AsyncIterator[Part]:
        """See `Responder.respond`."""
        upstream = self._line.upstream
        if upstream is not None:
            try:
                async with aclosing(cast(Any, upstream.answer(turn))) as parts:
                    async for part in parts:
                        yield part
                self._told = False
                return
            except LineLost:
                pass
        if self._fallback is None:
            raise TransportError("the line to the other server is down")
        if not self._told and self._notice:
            self._told = True
            yield Say(self._notice)
        async with aclosing(cast(Any, self._fallback.respond(turn))) as parts:
            async for part in parts:
                yield part


__all__ = ["NOTICE", "Proxy"]
