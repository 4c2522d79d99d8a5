"""The listening side of a session: what appended audio leads to - turns, items, interruptions, the idle timeout."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

from engine.realtime import events as ev
from engine.realtime import problems
from engine.server.answering import Answering
from engine.server.formats import Decoder
from engine.server.hearing import Hearing
from engine.server.input_audio import InputAudio, SpeechDetector, SpeechPaused, SpeechStarted
from engine.server.items import user_audio
from engine.server.judging import Judging
from engine.server.refusal import Refusal
from engine.server.state import SessionState
from engine.server.turns import TurnSettings

LEAST_COMMIT_MS = 100


class Listening:
    """Owns the input buffer. Everything that becomes a user's audio item passes here."""

    def __init__(
        self,
        state: SessionState,
        answering: Answering,
        hearing: Hearing,
        *,
        detector: Callable[[], SpeechDetector] | None,
    ) -> None:
        self._state = state
        self._answering = answering
        self._hearing = hearing
        self._buffer = InputAudio(
            state.input_format,
            detector,
            settings=self._turn_settings(),
            limit_bytes=state.options.retained_bytes,
            history_ms=state.options.idle_history_ms,
        )
        self._judging = Judging(state, hearing, self._buffer)
        self._item_id: str | None = None  # announced with speech_started, used by the commit that follows
        self._growing = Decoder(state.input_format)  # of a live model's turn
        self._overflow_told = 0  # dropped bytes when the client was told; it is told once per session
        self._idle_timer: asyncio.TimerHandle | None = None
        answering.on_busy = self.disarm
        answering.on_idle = self.arm

    def append(self, audio: bytes) -> Iterator[Awaitable[None] | None]:
        """Write audio. Yields after every slice, so that a huge append does not hold the loop, and what must be waited
        for before the rest of it is listened to; run it to its end.
        """
        for start in range(0, max(len(audio), 1), 65536):
            for happening in self._buffer.append(audio[start : start + 65536]):
                if isinstance(happening, SpeechStarted):
                    self._speech_started(happening)
                elif isinstance(happening, SpeechPaused):
                    yield from self._judging.paused(happening.silence_ms)
                else:
                    self._speech_stopped(happening.end_ms, happening.audio)
            self._tell_overflow()
            if self._state.turn_detection is None and self._hearing.live:
                self._hear_growing(audio[start : start + 65536])
            yield None

    def commit(self) -> None:
        """input_audio_buffer.commit. Raises ProtocolError below 100 ms; the buffer is kept then."""
        if self._buffer.buffered_ms < LEAST_COMMIT_MS:
            raise problems.buffer_too_small(self._buffer.buffered_ms)
        self._add_item(self._take_item_id(), self._buffer.take())

    def clear(self) -> None:
        """input_audio_buffer.clear."""
        self._buffer.clear()
        self._item_id = None
        self._hearing.cleared()
        self._state.emit(ev.InputAudioBufferCleared())

    def check_format(self, new_format: str) -> None:
        """Refuse a format change while audio of the old format waits to be committed."""
        if new_format == self._state.input_format.value:
            return
        by_hand = self._state.turn_detection is None
        if self._buffer.speaking or (by_hand and self._buffer.buffered_ms > 0):
            message = (
                "The input format can only change while the input audio buffer is empty: commit or clear it first."
            )
            raise Refusal("invalid_value", message, "session.audio.input.format")

    def reconfigure(self) -> None:
        """The session's configuration was replaced."""
        self._buffer.set_format(self._state.input_format)
        was_speaking = self._buffer.speaking
        self._buffer.configure(self._turn_settings())
        self._buffer.reduce_noise(self._state.config["audio"]["input"]["noise_reduction"])
        if was_speaking and not self._buffer.speaking:
            self._item_id = None
        if self._idle_timeout_ms() is None:
            self.disarm()

    def arm(self, playback_ms: float) -> None:
        """A response ended whose audio the client plays for `playback_ms` from now: then the idle timeout runs."""
        self.disarm()
        if self._idle_timeout_ms() is not None and not self._buffer.speaking:
            self._idle_timer = asyncio.get_running_loop().call_later(playback_ms / 1000, self._idle_begins)

    def disarm(self) -> None:
        """Somebody speaks, a response began, or the session ends."""
        self._buffer.hold_from_ms = None
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _turn_settings(self) -> TurnSettings | None:
        found = self._state.turn_detection
        options = self._state.options
        return None if found is None else TurnSettings.of(found, options.least_speech_ms, options.hysteresis)

    def _idle_timeout_ms(self) -> int | None:
        found = self._state.turn_detection
        return None if found is None else found.get("idle_timeout_ms")

    def _speech_started(self, speech: SpeechStarted) -> None:
        self.disarm()
        self._item_id = self._state.new_item_id()
        self._state.emit(ev.InputAudioBufferSpeechStarted(audio_start_ms=speech.start_ms, item_id=self._item_id))
        detection = self._state.turn_detection
        if detection is not None and detection.get("interrupt_response"):
            if self._answering.active_id is not None:
                self._state.figures.interrupted((self._buffer.now_ms - speech.onset_ms) / 1000)
            self._answering.interrupt()

    def _speech_stopped(self, end_ms: int, audio: bytes) -> None:
        item_id = self._take_item_id()
        self._state.emit(ev.InputAudioBufferSpeechStopped(audio_end_ms=end_ms, item_id=item_id))
        self._add_item(item_id, audio)
        self._answer()

    def _answer(self) -> None:
        detection = self._state.turn_detection
        if detection is not None and detection.get("create_response"):
            self._answering.answer_turn()

    def _take_item_id(self) -> str:
        announced, self._item_id = self._item_id, None
        if announced is None or announced in self._state.history:  # a client may have used the announced id itself
            return self._state.new_item_id()
        return announced

    def _add_item(self, item_id: str, audio: bytes) -> None:
        state = self._state
        item = user_audio(item_id, audio, state.input_format)
        state.history.append(item)
        previous = state.history.previous(item_id)  # asked now: the one before may have made room
        state.emit(ev.InputAudioBufferCommitted(item_id=item_id, previous_item_id=previous))
        state.emit(ev.ConversationItemAdded(previous_item_id=previous, item=item.wire))
        state.emit(ev.ConversationItemDone(previous_item_id=previous, item=item.wire))
        self._hearing.committed(item, item.clips[0].duration_ms)

    def _hear_growing(self, audio: bytes) -> None:
        """Without turns a live model writes already while the user speaks: the item has its id before the commit."""
        if self._item_id is None:
            self._item_id = self._state.new_item_id()
            self._growing = Decoder(self._state.input_format)
        self._hearing.growing(self._item_id, self._growing.process(audio))

    def _tell_overflow(self) -> None:
        if self._buffer.overflowed_bytes == self._overflow_told:
            return
        if not self._overflow_told:
            limit = self._state.options.retained_bytes
            message = f"The input audio buffer holds {limit} bytes, which is its limit: its oldest audio is dropped."
            error = {"type": "invalid_request_error", "code": "input_audio_buffer_full", "message": message}
            self._state.emit(ev.Error(error={**error, "param": None, "event_id": None}))
        self._overflow_told = self._buffer.overflowed_bytes

    def _idle_begins(self) -> None:
        timeout_ms = self._idle_timeout_ms()
        if timeout_ms is not None:
            self._buffer.hold_from_ms = self._buffer.now_ms
            self._idle_timer = asyncio.get_running_loop().call_later(timeout_ms / 1000, self._idle_over)

    def _idle_over(self) -> None:
        start_ms = self._buffer.hold_from_ms
        self.disarm()
        if start_ms is None or self._buffer.speaking or self._answering.active_id is not None:
            return
        item_id = self._state.new_item_id()
        start_ms = max(start_ms, self._buffer.first_ms)  # a commit meanwhile took what came before it
        end_ms = self._buffer.now_ms
        timeout = ev.InputAudioBufferTimeoutTriggered(audio_start_ms=start_ms, audio_end_ms=end_ms, item_id=item_id)
        self._state.emit(timeout)
        self._add_item(item_id, self._buffer.take_from(start_ms))
        self._answer()
