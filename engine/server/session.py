"""One Realtime session over a connection: the actor that every event of one client passes.

Three kinds of tasks live in one TaskGroup: a reader that hands events in (a connection that is `Prompt` hands them in
the moment they arrive), a writer that takes encoded events out of the bounded outbox, and one task per response.
Everything between them is synchronous: an event is handled whole, and its answers are encoded and queued, before the
next one is looked at. The response slot has one owner (`answering`), the input buffer one (`listening`).

    async with asyncio.timeout(60):
        await serve_connection(connection, responder=Echo(), options=ServerOptions())
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import copy_context
from typing import Any

from engine.errors import ConnectionLost, LocalProtocolError, ProtocolError, RemoteProtocolError
from engine.realtime import events as ev
from engine.realtime import problems, wire
from engine.realtime.beta_served import BetaServed
from engine.realtime.protocol import Protocol, Role, Slot, Verdict
from engine.server.answering import Answering
from engine.server.config import reported
from engine.server.faulty import Faulty
from engine.server.figures import figures_of
from engine.server.handlers import Handlers, refuse_unknown
from engine.server.hearing import Hearing
from engine.server.ids import Ids
from engine.server.input_audio import SpeechDetector
from engine.server.listening import Listening
from engine.server.mcp.side import McpSide, rules_of
from engine.server.options import ServerOptions
from engine.server.outbox import Close, Entry, Outbox, Stall
from engine.server.readiness import Readiness, unavailable
from engine.server.recognisers.base import Recogniser
from engine.server.responders.base import PerSession, Responder, SessionInfo, ears_of, voice_of
from engine.server.start import Start, begun, defaults
from engine.server.state import SessionState
from engine.server.tracing import Tracing, traced
from engine.server.voices import Voice, best_voice
from engine.transport import Connection, Prompt

_log = logging.getLogger("bargein.server")

EXPIRED_CLOSE = 1001
AT_ONCE_BYTES = 2**16
"""A larger message waits for the reader's task, which lets others run between slices of sound."""
EXPIRY_GRACE_S = 5.0  # for a slow reader to take what is queued before the close
OVERFLOW_CLOSE = 1013
REFUSED_CLOSE = 1011
OVERFLOW_REASON = "the client reads too slowly"


async def serve_connection(
    connection: Connection,
    *,
    responder: Responder,
    options: ServerOptions | None = None,
    voice: Voice | None = None,
    model: str | None = None,
    detector: Callable[[], SpeechDetector] | None = None,
    rng: random.Random | None = None,
    transcription: bool = False,
    recogniser: Recogniser | None = None,
    readiness: Readiness | None = None,
    beta: bool = False,
    start: Start | None = None,
    owner: str = "",
) -> None:
    """Hold one session over an open connection until either side ends it, then close the connection.

    `model` is what the client asked for; with `transcription` the session only writes down what it hears; with `beta`
    the client speaks the older dialect. `start` is what a client secret attached: its type goes before `transcription`,
    `model` before its model (ProtocolError if it is refused). `owner` is whose session it is, in figures. `detector`
    makes a speech detector for 24 kHz (by default the C core's). `rng` makes ids repeatable. A `voice` and a
    `recogniser` of the brain's own go before those given here. `readiness` is shared by the sessions of a server;
    without one, brain, recogniser and voice are warmed up and closed for this session. Returns when the connection has
    ended, whatever the reason; no task is left behind.
    """
    voice, recogniser = voice_of(responder) or voice or best_voice(), ears_of(responder) or recogniser
    ready = readiness or Readiness(responder, recogniser, voice, options.turn_end if options else None)
    actor = Session(
        connection,
        responder=responder,
        options=options or ServerOptions(),
        voice=voice,
        model=model,
        detector=detector,
        rng=rng,
        transcription=transcription,
        recogniser=recogniser,
        readiness=ready,
        beta=beta,
        start=start,
        owner=owner,
    )
    try:
        await actor.run()
    finally:
        if readiness is None:
            await ready.close()


class Session:
    """See `serve_connection`, which makes and runs one."""

    def __init__(
        self,
        connection: Connection,
        *,
        responder: Responder,
        options: ServerOptions,
        voice: Voice,
        model: str | None,
        detector: Callable[[], SpeechDetector] | None,
        rng: random.Random | None,
        readiness: Readiness,
        transcription: bool = False,
        recogniser: Recogniser | None = None,
        beta: bool = False,
        start: Start | None = None,
        owner: str = "",
    ) -> None:
        self._connection = connection
        self._prompt = connection if isinstance(connection, Prompt) else None
        self._responder = responder
        self._readiness = readiness
        self._start = start
        self._options = options
        self._beta = BetaServed(start.temperature if start is not None else None) if beta else None
        self._outbox = Outbox(options.send_queue_bytes)
        self._way_out = Faulty(options.faults, self._queue)
        self._ended: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        self._handling = 0  # messages that are being obeyed and wait for something, here or in the reader
        self._finishing: asyncio.Task[None] | None = None  # a message begun in the moment it arrived
        self._timers: list[asyncio.TimerHandle] = []  # the warning, the end, and that for one who reads no more
        self._opened = asyncio.Event()  # session.created is queued: from now on events are obeyed
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()  # reader, writer and one per response: bounded by max_responses
        ids = Ids(rng)
        # An item is announced before the history makes room for it: the protocol holds one more for that moment.
        self._protocol = Protocol(
            Role.SERVER, ids=ids.new, max_items=options.max_items + 1, max_out_of_band=options.max_responses
        )
        end = int(time.time() + options.session_s)
        config = defaults(options, ids.new("sess"), start, model=model, transcription=transcription, expires_at=end)
        if start is not None:
            config = begun(config, start, rules_of(responder, options.mcp))
        self._transcription = config["type"] == "transcription"
        figures = figures_of(config, options.watchers, owner=owner, beta=beta)
        self._state = SessionState(config, ids=ids, options=options, emit=self._emit, figures=figures)
        self._state.history.on_drop = self._protocol.forget
        self._mcp = mcp = McpSide(self._state, responder, self._spawn)
        self._hearing = Hearing(self._state, responder, self._spawn, recogniser)
        self._answering = Answering(
            self._state,
            responder=responder,
            voice=voice,
            spawn=self._spawn,
            room=self._outbox.room,
            mcp=mcp,
            hearing=self._hearing,
        )
        self._listening = Listening(self._state, self._answering, self._hearing, detector=detector)
        self._handlers = Handlers(self._state, self._listening, self._answering, mcp)
        self.id = str(config["id"])
        self._tracing: Tracing | None = traced(config, options, responder, voice)

    async def run(self) -> None:
        """The session's whole life."""
        loop, options, timers = asyncio.get_running_loop(), self._options, self._timers
        timers.append(loop.call_later(options.session_s, self._expire))
        if options.expiry_warning_s < options.session_s:
            timers.append(loop.call_later(options.session_s - options.expiry_warning_s, self._warn))
        code, reason = 1011, "the server failed"
        try:
            async with self._group:
                self._spawn(self._read())
                self._spawn(self._write())
                async with self._brain():
                    code, reason = await self._ended
                    for task in (working := tuple(self._tasks)):
                        task.cancel()
                    if working:
                        await asyncio.wait(working)  # the brain's session outlives its turns
        except* Exception as group:
            # A mistake of ours must not take other sessions down; this one ends with 1011.
            _log.error("session %s failed", self.id, exc_info=group)
        finally:
            for timer in timers:
                timer.cancel()
            self.end(code, reason)  # whatever arrives now is not obeyed any more
            self._listening.disarm()
            self._way_out.stop()
            if self._tracing is not None:
                self._tracing.end(code, reason)
            self._state.figures.end(code)
            await self._connection.close(code, reason)
        _log.info("session %s ended with %d %r", self.id, code, reason)  # the client's words, perhaps

    @asynccontextmanager
    async def _brain(self) -> AsyncIterator[None]:
        """Make the brain ready and enter its session, then tell the client of ours; or tell it why there is none."""
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._options.warm_up_s) as limit, self._unless_ended(limit):
                    await self._readiness.wait()
                    await self._enter(stack)
            except Exception as error:
                if not self._ended.done():
                    self._refuse(error)
            else:
                self._begin()
                self._opened.set()
            yield

    @asynccontextmanager
    async def _unless_ended(self, limit: asyncio.Timeout) -> AsyncIterator[None]:
        """A client that leaves while it waits for the brain is not waited for."""

        def leave(_: object) -> None:
            limit.reschedule(0)

        self._ended.add_done_callback(leave)
        try:
            yield
        finally:
            self._ended.remove_done_callback(leave)

    async def _enter(self, stack: AsyncExitStack) -> None:
        if not isinstance(self._responder, PerSession):
            return
        config = self._state.config
        info = SessionInfo(self.id, str(config.get("model") or ""), self._transcription, config)
        brain = await stack.enter_async_context(self._responder.session(info))
        self._answering.responder = brain
        self._hearing.use(brain)

    def _refuse(self, error: Exception) -> None:
        told = unavailable(error)
        problem = ProtocolError(str(told), code="brain_unavailable")
        self._protocol.error(problem, kind="server_error")
        self._flush()
        self._queue(Close(REFUSED_CLOSE, "the server's brain is not available"))

    def _begin(self) -> None:
        self._emit(ev.SessionCreated(session=reported(self._state.config)))
        if self._beta is not None and self._state.config["type"] == "realtime":  # today's dialect never says this
            conversation = {"id": self._state.conversation_id, "object": "realtime.conversation"}
            self._emit(ev.ConversationCreated(conversation=conversation))
        if self._start is not None:
            self._mcp.reconfigured(self._start.session)

    def end(self, code: int, reason: str) -> None:
        """End the session without waiting for what is queued. The first call counts."""
        if not self._ended.done():
            self._ended.set_result((code, reason))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _read(self) -> None:
        try:
            if self._prompt is not None:
                context = copy_context()  # ours, not that of whoever accepted the socket
                self._prompt.deliver(lambda data: context.run(self._at_once, data))
            while not self._ended.done():
                data = await self._connection.receive()
                self._handling += 1  # what arrives meanwhile waits for its turn
                await self._opened.wait()
                if self._finishing is not None:
                    await asyncio.wait({self._finishing})
                    self._finishing = None
                await self._obey(self._steps(data))
                self._handling -= 1
        except ConnectionLost as lost:
            self.end(lost.code, lost.reason)

    def _at_once(self, data: bytes) -> bool:
        """Handle a message in the moment it arrives: no task wakes up for it. False: it is the reader's, later."""
        if self._handling or len(data) > AT_ONCE_BYTES or self._ended.done() or not self._opened.is_set():
            return False
        try:
            steps = self._steps(data)
            for work in steps:
                if work is not None:
                    self._handling += 1
                    self._finishing = self._spawn(self._finish(steps, work))
                    break
        except Exception:
            _log.exception("session %s failed", self.id)
            self.end(1011, "the server failed")
        return True

    async def _finish(self, steps: Iterator[Awaitable[None] | None], work: Awaitable[None]) -> None:
        """The rest of a message that was begun in the moment it arrived and has to wait for something."""
        await work
        await self._obey(steps)
        self._handling -= 1

    async def _obey(self, steps: Iterator[Awaitable[None] | None]) -> None:
        for number, work in enumerate(steps):
            if work is not None:
                await work
            elif number:
                await asyncio.sleep(0)  # other sessions go on between the slices of a huge append

    def _steps(self, data: bytes | str) -> Iterator[Awaitable[None] | None]:
        """Obey one message; yields after each slice of a huge append, and what must be waited for before the rest. Run
        it to its end before the next.
        """
        try:
            event = wire.decode(data if self._beta is None else self._beta.incoming(data), Role.CLIENT)
            refuse_unknown(event)
        except RemoteProtocolError as problem:
            self._protocol.malformed(problem)
            self._flush()
            return
        if isinstance(event, ev.ResponseCreate) and self._protocol.slot is Slot.FREE and self._way_out.steals_slot():
            self._answering.answer_turn()
        verdict = self._protocol.receive(event)
        self._flush()
        if verdict is not Verdict.ACCEPTED:
            return
        try:
            if isinstance(event, ev.InputAudioBufferAppend):
                yield from self._listening.append(event.audio)
            else:
                self._handlers.handle(event)
        except LocalProtocolError:
            # A state we did not foresee is our fault, and no reason to end somebody's call.
            _log.exception("session %s could not obey %s", self.id, event.type)
            failure = ProtocolError("The server failed to handle this event.", code="server_error")
            self._protocol.error(failure, cause=event, kind="server_error")
        except ProtocolError as problem:
            self._protocol.error(problem, cause=event)
        self._flush()

    def _flush(self) -> None:
        for event in self._protocol.outgoing():
            if self._tracing is not None:
                self._tracing.see(event)
            self._state.figures.see(event)
            self._way_out.send(event)

    def _emit(self, event: ev.Event) -> None:
        self._protocol.send(event)
        self._flush()

    def _queue(self, entry: Entry) -> None:
        if self._beta is not None and isinstance(entry, bytes):
            told = self._beta.outgoing(entry)
            if told is None:
                return
            entry = told
        if self._outbox.idle and self._prompt is not None and isinstance(entry, bytes) and self._prompt.post(entry):
            return  # the writer need not wake up for it
        if not self._outbox.put(entry):
            self.end(OVERFLOW_CLOSE, OVERFLOW_REASON)

    async def _write(self) -> None:
        try:
            while True:
                entry = await self._outbox.get()
                if isinstance(entry, Close):
                    self.end(entry.code, entry.reason)
                    return
                if isinstance(entry, Stall):
                    await asyncio.sleep(entry.seconds)
                else:
                    await self._connection.send(entry)
                    self._outbox.written(entry)
        except ConnectionLost as lost:
            self.end(lost.code, lost.reason)

    def _warn(self) -> None:
        """The session ends soon. The wire has no event for that: the log says it, and session.updated if it may."""
        _log.warning("session %s ends in %g s: its longest duration", self.id, self._options.expiry_warning_s)
        if self._options.expiry_reminder and self._opened.is_set():
            self._emit(ev.SessionUpdated(session=reported(self._state.config)))

    def _expire(self) -> None:
        problem = problems.session_expired(max(1, round(self._options.session_s / 60)))
        self._protocol.error(problem)
        self._flush()
        self._queue(Close(EXPIRED_CLOSE, str(problem)))
        loop = asyncio.get_running_loop()
        self._timers.append(loop.call_later(EXPIRY_GRACE_S, self.end, EXPIRED_CLOSE, str(problem)))
