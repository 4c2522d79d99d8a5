"""Recognisers and voices that are services over HTTP, against a process of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from engine.errors import ConfigError, MediaError, MissingExtraError, ServerFaultError, TransportError
from engine.server.formats import Samples
from engine.server.recognisers.configured import recogniser_from
from engine.server.recognisers.programs import ProgramRecogniser
from engine.server.recognisers.service import ServiceRecogniser, ServiceRecogniserSettings
from engine.server.remote import Service
from engine.server.responders.places import Place
from engine.server.voices import ToneVoice
from engine.server.voices.configured import voice_from
from engine.server.voices.programs import ProgramVoice
from engine.server.voices.service import ServiceVoice, ServiceVoiceSettings

from .harness import speech
from .service import ChatApp, chat_app

pytest.importorskip("httpx2")


@pytest.fixture(scope="module")
def app() -> Iterator[ChatApp]:
    with chat_app() as running:
        yield running


def heard(recogniser: ServiceRecogniser, samples: Samples, **hints: str) -> str:
    async def ask() -> str:
        try:
            await recogniser.warm_up()
            return (await recogniser.transcribe(samples, **hints)).text
        finally:
            await recogniser.aclose()

    return asyncio.run(asyncio.wait_for(ask(), 60))


def spoken(voice: ServiceVoice, text: str = "Good day.", name: str = "alloy", speed: float = 1.0) -> Samples:
    async def ask() -> Samples:
        try:
            await voice.warm_up()
            return await voice.synthesize(text, name, speed)
        finally:
            await voice.aclose()

    return asyncio.run(asyncio.wait_for(ask(), 60))


def test_a_turn_is_sent_as_a_wav_file_with_its_hints(app: ChatApp) -> None:
    ears = ServiceRecogniser(ServiceRecogniserSettings(app.url, model="whisper-x", language="de"))
    assert heard(ears, np.zeros(36000, np.float32)) == "what is the weather"
    assert app.last() == {
        "model": "whisper-x", "response_format": "json", "language": "de", "rate": "16000", "ms": "1500",
    }  # fmt: skip
    heard(ears, speech(), language="fr", prompt="bread")
    assert (app.last()["language"], app.last()["prompt"]) == ("fr", "bread")


def test_a_recogniser_that_fails(app: ChatApp) -> None:
    with pytest.raises(ServerFaultError, match="answered 500: no more memory"):
        heard(ServiceRecogniser(ServiceRecogniserSettings(app.url, model="fails")), speech())
    with pytest.raises(TransportError, match="sent no transcript"):
        heard(ServiceRecogniser(ServiceRecogniserSettings(app.url, model="odd")), speech())


@pytest.mark.parametrize(("format", "rate"), [("pcm", 24000), ("pcm", 16000), ("wav", 24000)])
def test_a_sentence_is_spoken_by_a_service(app: ChatApp, format: str, rate: int) -> None:
    voice = ServiceVoice(ServiceVoiceSettings(app.url, voices={"alloy": "sky"}, format=format, rate=rate))
    sound = spoken(voice, "x" * 100, speed=1.25)
    told = rate if format == "pcm" else 16000  # a WAV file tells its rate itself
    assert sound.dtype == np.float32 and abs(sound.size - 12000 * 24000 // told) <= 2
    assert 0.2 < np.abs(sound).max() < 0.4
    assert app.last() == {
        "model": "tts-1", "input": "x" * 100, "voice": "sky", "response_format": format, "speed": 1.25,
    }  # fmt: skip
    spoken(voice, name="coral")
    assert app.last()["voice"] == "coral"


def test_a_service_may_be_asked_from_loop_after_loop(app: ChatApp) -> None:
    ears = ServiceRecogniser(ServiceRecogniserSettings(app.url))
    for _ in range(3):
        assert heard(ears, speech()) == "what is the weather"


def test_an_answer_that_takes_too_long_is_given_up(app: ChatApp) -> None:
    service = Service(app.url, timeout_s=0.1)

    async def ask() -> None:
        try:
            await service.post("/chat/completions", content=b'{"model": "silent"}')
        finally:
            await service.aclose()

    with pytest.raises(TransportError, match=r"did not answer within 0\.1 s"):
        asyncio.run(ask())


# ---- what a YAML file says


def test_recognisers_and_voices_by_their_settings() -> None:
    place = Place("file.yaml", {})
    made = recogniser_from({"kind": "service", "url": "http://127.0.0.1:1/v1", "model": "m"}, place)
    assert isinstance(made, ServiceRecogniser) and made.name == "m at http://127.0.0.1:1/v1"
    assert isinstance(recogniser_from({"kind": "vosk", "model": "x"}, place), ProgramRecogniser)
    assert isinstance(recogniser_from({"kind": "command", "command": ["x"]}, place), ProgramRecogniser)
    assert isinstance(voice_from("tone", place), ToneVoice)
    assert isinstance(voice_from("espeak-ng", place), ProgramVoice)
    assert isinstance(voice_from({"kind": "service", "url": "http://127.0.0.1:1/v1"}, place), ServiceVoice)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (3, "must be a word or a mapping with a kind: use pocketsphinx, service, whisper.cpp, vosk, command"),
        ({"kind": "siri"}, "kind is 'siri': use"),
        ({"kind": "service"}, "has no 'url': it must be given"),
        ({"kind": "service", "url": "x"}, "url is 'x'"),
        ({"kind": "vosk", "model": 3}, "model must be a text in quotes, not a number"),
        ({"kind": "vosk", "model": "x", "speed": 3}, "speed is not known: use kind, command"),
        ({"kind": "command", "command": "x"}, "command must be a list of texts, not a text"),
        ({"kind": "pocketsphinx", "dictionary": "/nowhere"}, "dictionary is '/nowhere': there is no such file"),
    ],
)
def test_bad_settings_name_their_place(data: object, problem: str) -> None:
    pytest.importorskip("pocketsphinx")
    with pytest.raises(ConfigError) as raised:
        recogniser_from(data, Place("file.yaml", {}, ("recogniser",)))
    assert str(raised.value).startswith("file.yaml: recogniser") and problem in str(raised.value)


def test_tone_has_no_settings() -> None:
    with pytest.raises(ConfigError, match="tone has no settings"):
        voice_from({"kind": "tone", "model": "x"}, Place("f", {}))


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(MissingExtraError, match=r"bargein\[rest\]"):
        recogniser_from({"kind": "service", "url": "http://127.0.0.1:1/v1"}, Place("f", {}))


def test_sound_that_is_none() -> None:
    from engine.server.sound import from_pcm, from_wav

    with pytest.raises(MediaError, match="an odd number"):
        from_pcm(b"abc", 24000)
    with pytest.raises(MediaError, match="the answer"):
        from_wav(b"RIFF....", "the answer")


def test_nobody_pays_for_brains_that_are_not_used() -> None:
    extras = (
        "httpx2",
        "pocketsphinx",
        "yaml",
        "espeakng_loader",
        "soxr",
        "engine.rest",
        "engine.server.responders.chat",
    )
    code = f"import sys, engine.server; print([name for name in {extras!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
