"""semantic_vad in a session: each pause of a turn is judged by its sound and, where they are known, its words."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterator

from engine.server.formats import Samples
from engine.server.hearing import Hearing
from engine.server.input_audio import InputAudio
from engine.server.state import SessionState
from engine.server.turnend import Prosody, TurnEnd, wait_ms
from engine.server.turns import JUDGE_MS
from engine.server.wording import completeness

_log = logging.getLogger("bargein.server")

_PROSODY = Prosody()


class Judging:
    """Says how long a pause may last. The sound is judged once per pause, words whenever there are newer ones."""

    def __init__(self, state: SessionState, hearing: Hearing, buffer: InputAudio) -> None:
        self._state = state
        self._hearing = hearing
        self._buffer = buffer
        self._model: TurnEnd = state.options.turn_end or _PROSODY
        self._probability = 0.0

    def paused(self, silence_ms: int) -> Iterator[Awaitable[None]]:
        """A turn has been silent for so long. Yields what must be waited for before more audio is looked at, so that
        the same sound has the same turns however it was cut into appends.
        """
        if silence_ms == JUDGE_MS:
            self._hearing.paused(lambda: self._buffer.turn_so_far(_WORDS_MS))
            samples = self._buffer.turn_so_far(self._model.window_ms)
            if self._model.threaded:
                yield self._ask_in_thread(samples)
            else:
                self._ask(samples)
        detection = self._state.turn_detection
        if detection is None or detection["type"] != "semantic_vad":  # changed while a thread thought
            return
        words = completeness(self._hearing.words_so_far)
        self._buffer.end_after(wait_ms(self._probability, detection["eagerness"], words))

    async def _ask_in_thread(self, samples: Samples) -> None:
        await asyncio.to_thread(self._ask, samples)

    def _ask(self, samples: Samples) -> None:
        try:
            self._probability = self._model.probability(samples)
        except Exception:  # somebody's model: a session goes on without it
            _log.exception("%s could not judge a pause", type(self._model).__name__)
            self._probability = _PROSODY.probability(samples)


_WORDS_MS = 30_000
"""A recogniser is asked in a pause about no more than the newest so much of the turn."""
