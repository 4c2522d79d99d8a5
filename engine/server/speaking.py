"""From a brain's parts to a response's events, in time: sentences are synthesized ahead, audio leaves in bursts.

The first delta holds `first_delta_ms`, each later one `delta_ms`, and they leave `burst` times faster than they play,
on the loop's clock. Sound of whatever origin is stretched to the session's speed, its pitch kept. The transcript keeps
step: a word is sent just before the delta in which it begins. Between two deltas the task can be cancelled, so a
cancelled response sends at most the delta it stands at.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from engine.errors import EngineError
from engine.server.formats import Samples
from engine.server.options import ServerOptions
from engine.server.responders.base import (
    Audio,
    Fail,
    McpCall,
    Part,
    Responder,
    Say,
    Stop,
    Text,
    ToolCall,
    ToolCallDelta,
    Turn,
)
from engine.server.run import ResponseRun
from engine.server.sounding import Sound
from engine.server.voices.base import Voice, sentences

_log = logging.getLogger("bargein.server")

PIECES_AHEAD = 2  # sentences synthesized before they are due; then the brain waits


@dataclass(frozen=True, slots=True)
class _Piece:
    """Sound with its words, or only words to be written."""

    words: str
    samples: Samples | None


_Step = _Piece | ToolCall | ToolCallDelta | McpCall | Fail | Stop


class Speaker:
    """Carries out one response. `room` waits until the client's queue takes audio; `late` is told how many seconds
    after its time a delta leaves.
    """

    def __init__(
        self,
        run: ResponseRun,
        *,
        voice: Voice,
        options: ServerOptions,
        speed: float,
        room: Callable[[], Awaitable[None]],
        call_mcp: Callable[[ResponseRun, McpCall], Awaitable[None]],
        late: Callable[[float], None],
    ) -> None:
        self._run = run
        self._left = False  # the response is over: what the brain still says has no hearer
        self._voice = voice
        self._options = options
        self._speed = speed
        self._room = room
        self._call_mcp = call_mcp
        self._late = late
        self._sound: Sound | None = None  # of the open part
        self._calls: dict[int, str] = {}  # items of the calls whose arguments are coming, by the brain's index
        self._written = False  # something was said in the open part: the next words need a space
        self._began: float | None = None  # loop time of the first delta
        self._sent_ms = 0.0

    async def perform(self, responder: Responder, turn: Turn) -> None:
        """Ask the brain and send its answer, up to response.done. A brain's exception ends the response as failed."""
        steps: asyncio.Queue[_Step] = asyncio.Queue(PIECES_AHEAD)  # when full, the brain waits
        async with asyncio.TaskGroup() as group:
            thinking = group.create_task(self._think(responder, turn, steps))
            try:
                while not self._run.over:
                    step = await steps.get()
                    if isinstance(step, Stop | Fail):
                        await self._end(step)
                        break
                    if isinstance(step, ToolCallDelta):
                        await self._go_on_calling(step)
                    else:
                        self._end_calls()
                        await self._carry_out(step)
            finally:
                self._left = True
            thinking.cancel()

    async def _think(self, responder: Responder, turn: Turn, steps: asyncio.Queue[_Step]) -> None:
        try:
            # Responders are async generators; closing them now, not at garbage collection, ends what they wait for.
            async with aclosing(cast(Any, responder.respond(turn))) as parts:
                async for part in parts:
                    for step in self._split(part):
                        ready = await self._ready(step)
                        if self._left:
                            return  # a brain that takes being cancelled for a bad moment and goes on: nobody listens
                        await steps.put(ready)
                    if isinstance(part, Stop | Fail):
                        return
            last: Stop | Fail = Stop()
        except EngineError as error:  # its words are for people: a voice's service that is down, say
            _log.warning("responder %s, or its voice, failed: %s", responder.name, error)
            last = Fail(f"The answer broke off: {error}")
        except Exception as error:
            _log.exception("responder %s failed", responder.name)
            last = Fail(f"The responder failed: {type(error).__name__}.")
        if not self._left:
            await steps.put(last)

    def _split(self, part: Part) -> list[Part]:
        if isinstance(part, Say) and self._run.settings.modality == "audio":
            return [Say(sentence) for sentence in sentences(part.text)]
        return [part]

    async def _ready(self, part: Part) -> _Step:
        spoken = self._run.settings.modality == "audio"
        if isinstance(part, Say):
            if not spoken:
                return _Piece(part.text, None)
            return _Piece(part.text, await self._voice.synthesize(part.text, self._run.settings.voice))
        if isinstance(part, Audio):
            return _Piece(part.transcript, np.asarray(part.samples, np.float32) if spoken else None)
        if isinstance(part, Text):
            return _Piece(part.text, None)
        return part

    async def _carry_out(self, step: _Step) -> None:
        if isinstance(step, ToolCall):
            await self._flush()
            self._run.function_call(step.name, step.arguments, step.call_id)
        elif isinstance(step, McpCall):
            await self._flush()
            await self._call_mcp(self._run, step)
        elif isinstance(step, _Piece) and step.samples is not None:
            await self._speak(step.words, step.samples)
        elif isinstance(step, _Piece):
            await self._write(step.words)

    async def _go_on_calling(self, piece: ToolCallDelta) -> None:
        item_id = self._calls.get(piece.index)
        if item_id is None:
            if not piece.name:
                await self._end(Fail("The responder began a function call without its name."))
                return
            await self._flush()
            item_id = self._calls[piece.index] = self._run.begin_call(piece.name, piece.call_id)
        await self._room()
        self._run.call_arguments(item_id, piece.arguments)

    def _end_calls(self) -> None:
        for item_id in self._calls.values():
            self._run.end_call(item_id)
        self._calls.clear()

    async def _write(self, words: str) -> None:
        if self._sound is not None:
            await self._flush()
        for word in words.split(" ") if words else []:
            await self._room()
            self._run.text(f" {word}" if self._written else word)
            self._written = True

    async def _speak(self, words: str, samples: Samples) -> None:
        if self._sound is None:
            await self._flush()
            self._sound = Sound(self._run.settings.format, self._speed)
        sound = self._sound
        for last in sound.put(words, samples, self._options.delta_ms):
            await self._send(sound, last)
            if self._run.over:
                return

    async def _send(self, sound: Sound, last: bool) -> None:
        """Everything that is ready, in time."""
        while sound.ready(self._length_ms, last) and not self._run.over:
            await self._pace()
            due, delta, milliseconds = sound.take(self._length_ms, last)
            if due:
                self._run.transcript((" " if self._written else "") + " ".join(due))
                self._written = True
            self._run.audio(delta)
            self._sent_ms += milliseconds

    @property
    def _length_ms(self) -> int:
        return self._options.delta_ms if self._sent_ms else self._options.first_delta_ms

    async def _pace(self) -> None:
        await self._room()
        loop = asyncio.get_running_loop()
        if self._began is None:
            self._began = loop.time()
        due = self._began + self._sent_ms / 1000 / self._options.burst
        wait = due - loop.time()
        await asyncio.sleep(max(wait, 0))
        if wait > 0:  # what the brain or a slow reader held up is not late for our sake
            self._late(loop.time() - due)
        if wait < -0.1:  # the brain paused: the burst starts anew and does not catch up
            self._began = loop.time() - self._sent_ms / 1000 / self._options.burst

    async def _end(self, step: Stop | Fail) -> None:
        await self._flush()
        if isinstance(step, Stop) and not step.reason:
            self._end_calls()
        if isinstance(step, Fail):
            error = {"type": step.type, "code": step.code, "message": step.message}
            self._run.finish("failed", error=error)
        elif step.reason:
            self._run.finish("incomplete", reason=step.reason)
        else:
            self._run.finish("completed")

    async def _flush(self) -> None:
        """End the open part: what the encoder still holds belongs to it."""
        if self._sound is not None:
            sound, self._sound = self._sound, None
            sound.end()
            await self._send(sound, last=True)
            self._run.audio(sound.flush())
        self._run.close_part()
        self._written = False
