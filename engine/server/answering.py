"""The responses of a session: the one slot of the default conversation, those beside it, and the turn that waits.

Only this class fills and empties the slot. A turn that ends while a response is active waits (one turn: later ones
join it, since one answer sees them all) and is answered when the slot is free.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from engine.realtime import events as ev
from engine.server.config import RESPONSE
from engine.server.context import private_input, turn_for
from engine.server.hearing import Hearing
from engine.server.items import Item
from engine.server.mcp.rules import check_choice
from engine.server.mcp.side import McpSide
from engine.server.rates import RateLimits
from engine.server.responders.base import Responder, Turn
from engine.server.run import ResponseRun
from engine.server.run_settings import RunSettings
from engine.server.shapes import fields
from engine.server.speaking import Speaker
from engine.server.state import SessionState
from engine.server.usage import Usage
from engine.server.voices.base import Voice
from engine.server.window import CODE as TOO_LONG
from engine.server.window import Reader, Reading, TooLong, Window

_log = logging.getLogger("bargein.server")

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


@dataclass(slots=True)
class _Answer:
    run: ResponseRun
    task: asyncio.Task[None] | None = None


class Answering:
    """Starts, ends and counts responses."""

    def __init__(
        self,
        state: SessionState,
        *,
        responder: Responder,
        voice: Voice,
        spawn: Spawn,
        room: Callable[[], Awaitable[None]],
        mcp: McpSide,
        hearing: Hearing,
    ) -> None:
        self._state = state
        self._mcp = mcp
        self._hearing = hearing
        self.responder = responder
        """The brain that answers; replaced before the first turn by one of the session's own."""
        self._voice = voice
        self._spawn = spawn
        self._room = room
        self.on_busy: Callable[[], None] = lambda: None
        """Called when the slot is taken."""
        self.on_idle: Callable[[float], None] = lambda _: None
        """Called when it is free again and no turn waits, with the length in ms of the audio the client still plays."""
        self._active: _Answer | None = None
        self._aside: dict[str, _Answer] = {}  # out-of-band, by id; at most options.max_responses
        self._turn_waits = False
        self._count = 0
        self._count_aside = 0
        options = state.options
        self._window = Window(options.context_tokens)
        clock = asyncio.get_running_loop().time
        self._rates = RateLimits(options.requests_per_minute, options.tokens_per_minute, clock)

    @property
    def active_id(self) -> str | None:
        """The response that may write to the conversation now."""
        return self._active.run.id if self._active is not None else None

    def create(self, overrides: dict[str, Any]) -> None:
        """response.create. Raises ProtocolError when it is refused; nothing has happened then."""
        checked = fields("response", overrides, RESPONSE)
        given = checked.pop("input", None)
        aside = checked.pop("conversation", None) == "none"
        metadata = checked.pop("metadata", None)
        # The protocol refuses a request beyond these bounds; a response leaves both counts with its response.done.
        assert len(self._aside) < self._state.options.max_responses if aside else self._active is None
        context = None if given is None else private_input(given, self._state)
        conversation_id = None if aside else self._state.conversation_id
        config = _merged(self._state.config, checked)
        check_choice("response.tool_choice", config)
        self._start(RunSettings(config, metadata, conversation_id), context)

    def answer_turn(self) -> None:
        """Turn detection ended a turn that wants an answer: now, or when the active response is over."""
        if self._active is not None:
            self._turn_waits = True
        else:
            self._start(RunSettings(self._state.config, None, self._state.conversation_id), None)

    def interrupt(self) -> None:
        """The user speaks: the active response is cancelled, a waiting turn will be answered with the new one."""
        self._turn_waits = False
        if self._active is not None:
            self._cancel(self._active, "turn_detected")

    def cancel(self, response_id: str | None) -> None:
        """response.cancel, which the protocol accepts only while there is something to cancel."""
        is_active = response_id is None or response_id == self.active_id
        found = self._active if is_active else self._aside[str(response_id)]
        assert found is not None  # the protocol's slot is taken exactly as long as ours
        self._cancel(found, "client_cancelled")

    def _start(self, settings: RunSettings, context: list[Item] | None) -> None:
        state = self._state
        aside = settings.conversation_id is None
        reader = Reader.PRIVATE if context is not None else Reader.ASIDE if aside else Reader.CONVERSATION
        reading, refused = self._admit(state.history.items() if context is None else context, settings, reader)
        run = ResponseRun(
            settings,
            ids=state.ids,
            emit=state.emit,
            history=None if aside else state.history,
            budget=state.budget,
            usage=reading.usage,
            ended=self._ended,
        )
        answer = _Answer(run)
        if aside:
            self._count_aside += 1
            self._aside[run.id] = answer
        else:
            self._count += 1
            self._active = answer
            self.on_busy()
        if refused is not None:
            run.begin()
            run.finish("failed", error=refused)
            return
        number = self._count_aside if aside else self._count
        tools = self._mcp.tools(settings.config)
        turn = turn_for(reading.items, settings, number, state.history, self._hearing, tools)
        speed = float(state.config["audio"]["output"]["speed"])
        speaker = Speaker(
            run,
            voice=self._voice,
            options=state.options,
            speed=speed,
            room=self._room,
            call_mcp=self._mcp.call,
            late=state.figures.late,
        )
        run.begin()
        answer.task = self._spawn(self._perform(answer, speaker, turn))

    def _admit(
        self, items: Sequence[Item], settings: RunSettings, reader: Reader
    ) -> tuple[Reading, dict[str, Any] | None]:
        """What a response reads; or nothing, and the error it fails with at once."""
        try:
            reading = self._window.look(items, settings.config, reader)
        except TooLong as problem:
            error = {"type": "invalid_request_error", "code": TOO_LONG, "message": str(problem)}
            return Reading((), Usage()), error
        if (refused := self._rates.begin(reading.usage.input.total)) is not None:
            return Reading((), Usage()), refused
        if reader is Reader.CONVERSATION:
            self._window.take(reading)
        return reading, None

    async def _perform(self, answer: _Answer, speaker: Speaker, turn: Turn) -> None:
        try:
            await speaker.perform(self.responder, turn)
        except Exception:
            _log.exception("response %s failed", answer.run.id)
            error = {"type": "server_error", "code": "server_error", "message": "The server failed."}
            answer.run.finish("failed", error=error)

    def _cancel(self, answer: _Answer, reason: str) -> None:
        answer.run.finish("cancelled", reason=reason)
        if answer.task is not None:
            answer.task.cancel()

    def _ended(self, run: ResponseRun) -> None:
        """Free what the response held, in the same step as its response.done: from there on the protocol lets the next
        one begin.
        """
        self._rates.end(run.usage.total - run.usage.input.total)
        self._state.emit(ev.RateLimitsUpdated(rate_limits=self._rates.wire()))
        if self._aside.pop(run.id, None) is not None:
            return
        self._active = None
        if self._turn_waits:
            self._turn_waits = False
            self.answer_turn()
        else:
            self.on_idle(run.audio_ms if run.status == "completed" else 0.0)


def _merged(config: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    if not overrides:
        return config
    result = deepcopy(config)
    output = overrides.pop("audio", {}).get("output", {})
    result.update(overrides)
    result["audio"]["output"].update(output)
    return result
