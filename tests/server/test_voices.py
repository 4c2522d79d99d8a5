"""Voices: length follows the text, names differ, the cache is bounded, and a missing extra is named."""

from __future__ import annotations

import asyncio
import sys

import numpy as np
import pytest

from engine.audio import VoiceDetector
from engine.errors import MissingExtraError
from engine.server.voices import EspeakVoice, ToneVoice, Voice, best_voice, espeak, sentences
from engine.server.voices.cache import SpeechCache

SHORT, LONG = "Good day.", "Good day. This is a rather longer sentence with many more words in it."


def voices() -> list[Voice]:
    try:
        return [ToneVoice(), EspeakVoice()]
    except MissingExtraError:
        return [ToneVoice()]


@pytest.mark.parametrize("voice", voices(), ids=lambda voice: str(voice.name))
def test_a_voice(voice: Voice) -> None:
    async def speak() -> None:
        short, long = await voice.synthesize(SHORT), await voice.synthesize(LONG)
        assert short.dtype == np.float32
        assert short.ndim == 1
        assert 0.05 < np.abs(long).max() <= 1
        assert long.size > 3 * short.size
        fast = await voice.synthesize(LONG, speed=1.5)
        assert fast.size == pytest.approx(long.size / 1.5, rel=0.15)
        other = await voice.synthesize(SHORT, "cedar")
        assert other.size != short.size or not np.array_equal(other, short)
        assert np.array_equal(await voice.synthesize(SHORT), short)
        assert np.array_equal(await voice.synthesize(SHORT, "no such voice"), short)
        assert np.abs(await voice.synthesize("")).sum() < 1
        speaking = VoiceDetector(24000).process(np.concatenate([np.zeros(12000, np.float32), long]))
        assert np.mean(speaking[50:] > 0.5) > 0.5

    asyncio.run(speak())


def test_sentences() -> None:
    assert sentences('Hello. How are you?  "Fine." Yes') == ["Hello.", "How are you?", '"Fine."', "Yes"]
    assert sentences("") == []
    assert sentences("Mr. Smith met Dr. Who. They spoke.") == ["Mr. Smith met Dr. Who.", "They spoke."]
    long = "so on, " * 100
    assert all(len(piece) <= 240 for piece in sentences(long))
    assert " ".join(sentences(long)).split() == long.split()
    assert all(len(piece) <= 240 for piece in sentences("x" * 1000))


def test_the_cache_is_bounded() -> None:
    cache = SpeechCache(4000)
    for number in range(20):
        cache.put(number, np.full(100, number, np.float32))
        assert cache.size_bytes <= 4000
    assert cache.get(0) is None
    kept = cache.get(19)
    assert kept is not None
    assert kept[0] == 19
    cache.put("large", np.zeros(2000, np.float32))
    assert cache.get("large") is None


def test_without_the_extra_the_tone_voice_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak, "_library", None)
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(MissingExtraError, match=r"bargein\[voice\]"):
        EspeakVoice()
    assert best_voice().name == "tone"
