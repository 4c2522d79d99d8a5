"""The built-in voice: beeps shaped like syllables, for machines without espeak-ng and for tests.

Every vowel group of the text becomes one voiced syllable (a glottal-like pulse train through two vowel resonances),
words are set apart by short gaps and sentences by longer ones. Nobody would take it for speech, and the voice detector
does not; its length follows the text, and the same text always gives the same samples.
"""

from __future__ import annotations

import asyncio
import re

import numpy as np

from engine.server.formats import RATE, Samples
from engine.server.voices.cache import SpeechCache
from engine.server.voices.worker import WORKER

_SYLLABLE = re.compile(r"[aeiouyäöüàâéèêëîïôûœæ0-9]+|[^\x00-\x7f]", re.IGNORECASE)
_FORMANTS_HZ = {
    "a": (730, 1090),
    "e": (530, 1840),
    "i": (270, 2290),
    "o": (570, 840),
    "u": (300, 870),
    "y": (300, 2100),
}
_PITCH_HZ = {
    "alloy": 150.0, "ash": 105.0, "ballad": 118.0, "cedar": 98.0, "coral": 205.0, "echo": 112.0,
    "marin": 195.0, "sage": 180.0, "shimmer": 220.0, "verse": 128.0,
}  # fmt: skip

SYLLABLE_S = 0.15
WORD_GAP_S = 0.04
END_GAP_S = 0.12


class ToneVoice:
    """Text to syllable-like tones. Keeps what it made, at most `cache_bytes`."""

    def __init__(self, cache_bytes: int = 4 * 2**20) -> None:
        self._cache = SpeechCache(cache_bytes)

    @property
    def name(self) -> str:
        """Always "tone"."""
        return "tone"

    async def synthesize(self, text: str, voice: str = "alloy", speed: float = 1.0) -> Samples:
        """See `Voice.synthesize`. A sentence costs some milliseconds, once, on the voices' thread."""
        key = (text, voice, round(speed, 3))
        samples = self._cache.get(key)
        if samples is None:
            pitch_hz = _PITCH_HZ.get(voice, _PITCH_HZ["alloy"])
            samples = await asyncio.get_running_loop().run_in_executor(WORKER, render, text, pitch_hz, speed)
            self._cache.put(key, samples)
        return samples


def render(text: str, pitch_hz: float = 150.0, speed: float = 1.0) -> Samples:
    """The tones of a text: float32 mono at 24 kHz, peak 0.5."""
    pieces: list[Samples] = []
    for number, word in enumerate(text.split()):
        syllables = _SYLLABLE.findall(word) or ["a"] * bool(word.strip(".,;:!?-\"'()"))
        for place, syllable in enumerate(syllables):
            # A falling line within the word keeps neighbouring syllables apart for ear and eye.
            glide = 1.06 - 0.05 * place - 0.01 * (number % 5)
            pieces.append(_syllable(syllable[0].lower(), pitch_hz * glide, SYLLABLE_S / speed))
        pieces.append(_silence((END_GAP_S if word[-1] in ".!?" else WORD_GAP_S) / speed))
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)


def _silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.float32)


def _syllable(vowel: str, pitch_hz: float, seconds: float) -> Samples:
    count = round(seconds * RATE)
    first, second = _FORMANTS_HZ.get(vowel, (600, 1400))
    orders = np.arange(1, int(3600 / pitch_hz) + 1)
    hertz = orders * pitch_hz
    # Each harmonic is weighed by how near it lies to one of the two resonances (bandwidth 120 and 200 Hz).
    weight = 1 / (1 + ((hertz - first) / 120) ** 2) + 0.5 / (1 + ((hertz - second) / 200) ** 2) + 0.02
    phase = 2 * np.pi * np.outer(hertz, np.arange(count) / RATE) + 0.7 * orders[:, None] ** 2
    wave = weight @ np.sin(phase)
    edge = min(round(0.02 * RATE), count // 2)
    envelope = np.ones(count)
    envelope[:edge] = 0.5 - 0.5 * np.cos(np.pi * np.arange(edge) / max(edge, 1))
    envelope[count - edge :] = envelope[:edge][::-1]
    wave *= envelope
    return np.asarray(0.5 * wave / max(float(np.abs(wave).max()), 1e-9), np.float32)
