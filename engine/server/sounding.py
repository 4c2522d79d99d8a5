"""The sound of one content part on its way out: at the speed asked for, in wire form, its words beside it.

Sound goes in by pieces and comes out by deltas, as one stream: neither a stretched sound nor a resampled one starts
anew where a piece ends. A word is due just before the delta in which it begins; where words begin within a piece is
reckoned from their letters.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from engine.audio import AudioFormat, TimeStretch
from engine.server.formats import RATE, Encoder, Samples


class Sound:
    """One part's stream. `speed` is 0.25 to 1.5; other than at 1 it keeps up to 35 ms of the newest sound back (at less
    than 0.5 up to 60 ms), so that it does not matter how small the pieces are.
    """

    def __init__(self, format: AudioFormat, speed: float) -> None:
        self._encoder = Encoder(format)
        self._stretch = TimeStretch(speed)
        self._speed = speed
        self._taken = 0  # samples put in, before stretching
        self._given = 0  # samples given out, after it
        self._ready = np.zeros(0, np.float32)  # at most one slice, stretched
        self._words: deque[tuple[float, str]] = deque()  # with the sample given out at which each begins
        self._over = False

    def put(self, words: str, samples: Samples, slice_ms: int) -> Iterator[bool]:
        """Take a piece, a slice of it at a time: after each, take what is `ready`. True after the last one: then a
        short delta, too.
        """
        for start, word in _timed(words, samples.size):
            self._words.append(((self._taken + start) / self._speed, word))
        size = slice_ms * RATE // 1000
        for start in range(0, max(samples.size, 1), size):
            piece = samples[start : start + size]
            self._taken += piece.size
            self._ready = np.concatenate([self._ready, self._stretch.process(piece)])
            yield start + size >= samples.size

    def end(self) -> None:
        """No more comes: what was kept back is ready, and all words are."""
        self._ready = np.concatenate([self._ready, self._stretch.flush()])
        self._over = True

    def ready(self, milliseconds: int, last: bool) -> bool:
        """Whether there is so much to take; after the last slice, whether there is anything."""
        if self._ready.size >= milliseconds * RATE // 1000:
            return True
        return last and bool(self._ready.size or self._word_is_due(True))

    def take(self, milliseconds: int, last: bool) -> tuple[list[str], bytes, float]:
        """The next delta, of at most so much sound: the words that begin in it, its bytes (with G.711 3 ms late), and
        how many milliseconds it plays.
        """
        size = milliseconds * RATE // 1000
        chunk, self._ready = self._ready[:size], self._ready[size:]
        self._given += chunk.size
        words: list[str] = []
        while self._word_is_due(last and not self._ready.size):
            words.append(self._words.popleft()[1])
        return words, self._encoder.process(chunk), chunk.size * 1000 / RATE

    def flush(self) -> bytes:
        """The bytes that the encoder still holds. Ends the stream."""
        return self._encoder.flush()

    def _word_is_due(self, at_the_end: bool) -> bool:
        """Whether the next word has begun. At the end of a piece one without sound of its own has, too."""
        if not self._words:
            return False
        begins = self._words[0][0]
        return begins < self._given or (at_the_end and (self._over or begins <= self._given))


def _timed(words: str, samples: int) -> list[tuple[float, str]]:
    """Each word with the sample at which it is reckoned to begin: its share of the letters."""
    result: list[tuple[float, str]] = []
    letters = 0
    for word in words.split():
        result.append((letters / max(len(words), 1) * samples, word))
        letters += len(word) + 1
    return result
