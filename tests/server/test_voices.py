"""Voices: length follows the text, names differ, the cache is bounded, and a missing extra is named."""

from __future__ import annotations

import asyncio
import sys

import numpy as np
import pytest

from engine.audio import VoiceDetector
from engine.errors import MissingExtraError
from engine.server import serve_connection
from engine.server.formats import Samples
from engine.server.responders import Say
from engine.server.voices import EspeakVoice, ToneVoice, Voice, best_voice, espeak, sentences
from engine.server.voices.cache import SpeechCache
from engine.transport import pair
from tests.server.harness import Client, Says, run

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
        if voice.name == "tone":
            return  # beeps, which nobody takes for speech
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


API_VOICES = ["alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse"]


def timbre(sound: Samples) -> Samples:
    """The mean spectrum in logarithms, 80 to 6400 Hz."""
    frames = sound[: sound.size - sound.size % 600].reshape(-1, 600) * np.hanning(600)
    return np.asarray(np.log((np.abs(np.fft.rfft(frames, axis=1)) ** 2).mean(0)[2:160] + 1e-6), np.float32)


@pytest.mark.parametrize("voice", voices(), ids=lambda voice: str(voice.name))
def test_every_voice_of_the_api_is_another_and_always_the_same(voice: Voice) -> None:
    async def speak() -> None:
        first = {name: timbre(await voice.synthesize(LONG, name)) for name in API_VOICES}
        fresh = type(voice)()  # without what the first one kept
        # In another order; espeak-ng's breath noise and flutter go on from one sentence to the next.
        again = {name: timbre(await fresh.synthesize(LONG, name)) for name in reversed(API_VOICES)}
        for name in API_VOICES:
            apart = {other: float(np.square(first[name] - again[other]).mean()) for other in API_VOICES}
            assert min(apart, key=lambda other: apart[other]) == name

    asyncio.run(speak())


def test_espeak_has_every_voice_that_the_table_names() -> None:
    if len(voices()) == 1:
        pytest.skip("the extra 'voice' is not installed")
    has = espeak.EspeakVoice()._library.has
    assert [name for name, _ in espeak._VOICES.values() if not has(name)] == []
    assert not has("no-such-language")


def test_the_voice_of_a_session_of_a_response_and_a_custom_one() -> None:
    asked: list[str] = []

    class Listens(ToneVoice):
        """Remembers whose voice was asked for."""

        async def synthesize(self, text: str, voice: str = "alloy", speed: float = 1.0) -> Samples:
            asked.append(voice)
            return await super().synthesize(text, voice, speed)

    async def scene() -> None:
        ours, theirs = pair()
        client = Client(ours)
        serving = asyncio.create_task(serve_connection(theirs, responder=Says([Say("Hello.")]), voice=Listens()))
        reading = asyncio.create_task(client.read())
        await client.next("session.created")
        for chosen in ("cedar", {"id": "voice_123"}, "any name"):
            await client.send("response.create", response={"audio": {"output": {"voice": chosen}}})
            done = await client.next("response.done", after=len(client.events))
            assert done["response"]["audio"]["output"]["voice"] == chosen
        refused = await client.update(audio={"output": {"voice": "cedar"}})
        assert refused["error"]["code"] == "cannot_update_voice"
        assert asked == ["cedar", "voice_123", "any name"]
        await ours.close()
        await asyncio.gather(serving, reading)

    run(scene)
