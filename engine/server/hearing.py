"""What the user said, in words: transcription events of input items, from whoever knows the words.

A brain may know what is said to it: an object with a method `heard(number)`, as `script` has one. What it has no
words for goes to the recogniser, once per item, when the session wants a transcript or the brain wants words. Without
either, transcription fails and says why. Each item's events run beside everything else, in the time that its words
take; so they arrive in any order against the response and against other items.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from engine.errors import EngineError
from engine.realtime import events as ev
from engine.server.formats import RATE, Samples
from engine.server.items import Item
from engine.server.recognisers.base import Heard, Recogniser, Spoken
from engine.server.state import SessionState
from engine.server.usage import input_audio_tokens, text_tokens

LIVE_MODELS = frozenset({"gpt-realtime-whisper", "gpt-live-transcribe"})
"""They write while the user speaks, and need no turns."""
WORD_MS = 300
"""A live model writes a word for so much sound."""
SILENT = 0.001
"""Samples up to this are silence to it (-60 dBFS)."""
LOGPROBS = "item.input_audio_transcription.logprobs"
MAX_PENDING = 64
"""Items whose words are under way at a time; one more fails."""
NO_RECOGNISER = "This server has no speech recogniser, so there is no transcript."

_log = logging.getLogger("bargein.server")


@runtime_checkable
class Hears(Protocol):
    """Knows what is said: `number` counts the turns of sound of a session, from 1."""

    def heard(self, number: int) -> Heard | None:
        """The words of that turn; None when it has none."""


class Hearing:
    """Transcribes the input of one session."""

    def __init__(
        self,
        state: SessionState,
        brain: object,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        recogniser: Recogniser | None = None,
    ) -> None:
        self._state = state
        self._recogniser = recogniser
        self._spawn = spawn
        self.use(brain)
        self._number = 0
        self._recognising = 0
        self._pending = 0
        self._live_words = self._live_samples = 0  # of the turn that is not committed yet: written, and not silent
        self.words_so_far = ""
        """Words of the turn that is not committed yet, known in its present pause; "" while there are none."""
        self._pause = 0  # counts pauses, so that words which come too late are not those of the next one
        self._guessing: asyncio.Task[None] | None = None

    def use(self, brain: object) -> None:
        """The brain whose words count from now on."""
        self._brain = brain if isinstance(brain, Hears) else None

    # ---- what happens to the sound

    @property
    def live(self) -> bool:
        """Whether words are written while the user speaks."""
        return self._brain is not None and self._model() in LIVE_MODELS

    def growing(self, item_id: str, piece: Samples) -> None:
        """More uncommitted sound, which will be this item: a live model writes already, but nothing for silence."""
        if self._brain is None:
            return
        self._live_samples += int(np.count_nonzero(np.abs(piece) > SILENT))
        heard = self._brain.heard(self._number + 1)
        if heard is not None and not heard.failure:
            self._more(item_id, heard, self._live_samples * 1000 // (RATE * WORD_MS))

    def paused(self, samples: Callable[[], Samples]) -> None:
        """An open turn is silent for a moment, and whether it is over may depend on its words. With transcription on,
        `words_so_far` will have them: a recogniser's as soon as it is done, one such guess at a time.
        """
        self._pause += 1
        self.words_so_far = ""
        if self._model() is None:
            return
        heard = self._brain.heard(self._number + 1) if self._brain is not None else None
        if heard is not None:
            self.words_so_far = heard.text
        elif self._recogniser is not None and (self._guessing is None or self._guessing.done()):
            self._guessing = self._spawn(self._guess(self._recogniser, samples(), self._pause))

    async def _guess(self, recogniser: Recogniser, samples: Samples, pause: int) -> None:
        heard = await self._transcribed(recogniser, samples)
        if pause == self._pause:
            self.words_so_far = heard.text

    def cleared(self) -> None:
        """The sound was thrown away, and what was written of it."""
        self._live_words = self._live_samples = 0

    def committed(self, item: Item, audio_ms: float) -> None:
        """The sound became this item. Who knows its words beforehand understands it at once; they are written when
        they are due.
        """
        self._number += 1
        self._pause += 1
        written, self._live_words, self._live_samples = self._live_words, 0, 0
        heard = self._brain.heard(self._number) if self._brain is not None else None
        item.understood = heard.text if heard is not None else ""
        if heard is not None or self._recogniser is None:
            item.recognition = asyncio.get_running_loop().create_future()
            item.recognition.set_result(heard or self._unknown())
        if self._model() is None:
            return
        too_many = self._pending >= MAX_PENDING
        self._pending += 1
        self._spawn(self._transcribe(item, audio_ms, written, _too_many() if too_many else None))

    async def understand(self, item: Item) -> Heard:
        """What was said in an item, from whoever knows it. Asked twice it is recognised once; who stops waiting does
        not stop the work, since the conversation goes on and the next turn needs the words.
        """
        return await asyncio.shield(self._recognition(item))

    def _unknown(self) -> Heard:
        if self._brain is None:
            return Heard(failure=NO_RECOGNISER)
        return Heard(failure=f"The script has no transcript for turn {self._number}.")

    # ---- what is recognised

    def _recognition(self, item: Item) -> asyncio.Future[Heard]:
        if item.recognition is None:
            item.recognition = asyncio.get_running_loop().create_future()
            if self._recogniser is None:
                item.recognition.set_result(Heard(failure=NO_RECOGNISER))
            elif self._recognising >= MAX_PENDING:
                item.recognition.set_result(_too_many())
            else:
                self._recognising += 1
                self._spawn(self._recognise(self._recogniser, item, item.recognition))
        return item.recognition

    async def _recognise(self, recogniser: Recogniser, item: Item, result: asyncio.Future[Heard]) -> None:
        try:
            heard = await self._asked(recogniser, item)
            item.understood = heard.text
            if not result.done():
                result.set_result(heard)
        finally:
            self._recognising -= 1
            result.cancel()  # the session ended before there were words

    async def _asked(self, recogniser: Recogniser, item: Item) -> Heard:
        if any(clip.dropped for clip in item.clips.values()):
            return Heard(failure="The audio of this item is not kept any more, so there is no transcript.")
        return await self._transcribed(recogniser, item.samples())

    async def _transcribed(self, recogniser: Recogniser, samples: Samples) -> Heard:
        hints = self._state.config["audio"]["input"]["transcription"] or {}
        try:
            async with asyncio.timeout(self._state.options.recognise_s):
                return await recogniser.transcribe(samples, language=_language(hints), prompt=hints.get("prompt") or "")
        except TimeoutError:
            limit = self._state.options.recognise_s
            return Heard(failure=f"The recogniser {recogniser.name} had no words within {limit:g} s.")
        except EngineError as error:
            _log.warning("recogniser %s failed: %s", recogniser.name, error)
            return Heard(failure=f"The recogniser {recogniser.name} failed: {error}")
        except Exception as error:
            _log.exception("recogniser %s failed", recogniser.name)
            return Heard(failure=f"The recogniser {recogniser.name} failed: {type(error).__name__}.")

    # ---- what is written

    async def _transcribe(self, item: Item, audio_ms: float, written: int, heard: Heard | None) -> None:
        try:
            heard = heard or await self.understand(item)
            await asyncio.sleep(heard.delay)
        finally:
            self._pending -= 1
        if heard.failure:
            self._failed(item.id, heard.failure)
            return
        model = self._model()
        if model is None:  # switched off meanwhile
            return
        if model != "whisper-1":
            self._live_words, keep = written, self._live_words
            self._more(item.id, heard, len(heard.text.split()))
            self._live_words = keep
        if "diarize" in model:
            self._segments(item.id, heard, audio_ms)
        if item.clips and item.wire.get("content"):
            item.wire["content"][0]["transcript"] = heard.text
        self._completed(item.id, heard, audio_ms, model)

    def _more(self, item_id: str, heard: Heard, due: int) -> None:
        """Deltas of the words up to number `due`."""
        words = heard.text.split()
        for number in range(self._live_words, min(due, len(words))):
            delta = (" " if number else "") + words[number]
            self._state.emit(
                ev.ConversationItemInputAudioTranscriptionDelta(
                    item_id=item_id, content_index=0, delta=delta, **self._logprobs(delta, heard)
                )
            )
        self._live_words = max(self._live_words, min(due, len(words)))

    def _segments(self, item_id: str, heard: Heard, audio_ms: float) -> None:
        for spoken in heard.segments or (Spoken(heard.text, end=audio_ms / 1000),):
            self._state.emit(
                ev.ConversationItemInputAudioTranscriptionSegment(
                    item_id=item_id,
                    content_index=0,
                    text=spoken.text,
                    id=self._state.ids.new("seg"),
                    speaker=spoken.speaker,
                    start=spoken.start,
                    end=spoken.end,
                )
            )

    def _completed(self, item_id: str, heard: Heard, audio_ms: float, model: str) -> None:
        more: dict[str, Any] = self._logprobs(heard.text, heard)
        if heard.languages:
            more["languages"] = [{"code": code} for code in heard.languages]
        self._state.emit(
            ev.ConversationItemInputAudioTranscriptionCompleted(
                item_id=item_id, content_index=0, transcript=heard.text, usage=_usage(model, heard, audio_ms), **more
            )
        )

    def _failed(self, item_id: str, why: str) -> None:
        error = {"type": "transcription_error", "code": "transcription_unavailable", "message": why, "param": None}
        failed = ev.ConversationItemInputAudioTranscriptionFailed(item_id=item_id, content_index=0, error=error)
        self._state.emit(failed)

    def _logprobs(self, text: str, heard: Heard) -> dict[str, Any]:
        if LOGPROBS not in (self._state.config.get("include") or ()):
            return {}
        tokens = text.split(" ")
        tokens = [token if number == 0 else f" {token}" for number, token in enumerate(tokens)]
        found = [{"token": token, "logprob": heard.logprob, "bytes": list(token.encode())} for token in tokens if token]
        return {"logprobs": found}

    def _model(self) -> str | None:
        """The transcription's model; None when nothing is written down."""
        asked = self._state.config["audio"]["input"]["transcription"]
        return None if asked is None else str(asked.get("model") or "gpt-4o-transcribe")


def _language(hints: Mapping[str, Any]) -> str | None:
    """The session's language; the first of several, where the model takes several."""
    several = hints.get("languages") or ()
    found = hints.get("language") or (several[0] if several else None)
    return str(found) if found else None


def _too_many() -> Heard:
    return Heard(failure=f"{MAX_PENDING} items wait for their words: this one is left out.")


def _usage(model: str, heard: Heard, audio_ms: float) -> dict[str, Any]:
    if model == "whisper-1":
        return {"type": "duration", "seconds": round(audio_ms / 1000, 3)}
    heard_tokens, written = input_audio_tokens(audio_ms), text_tokens(heard.text)
    return {
        "type": "tokens",
        "total_tokens": heard_tokens + written,
        "input_tokens": heard_tokens,
        "input_token_details": {"text_tokens": 0, "audio_tokens": heard_tokens},
        "output_tokens": written,
    }


__all__ = ["LIVE_MODELS", "Heard", "Hearing", "Hears", "Spoken"]
