"""Words from a recogniser: transcripts, what brains are told, and what goes wrong on the way."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.server import ServerOptions
from engine.server.context import MAX_UNKNOWN
from engine.server.formats import Samples
from engine.server.hearing import MAX_PENDING
from engine.server.recognisers import Heard
from engine.server.responders import Part, Say, Script, Turn

from .harness import PCMU, Says, question, run, session, silence, speech, wire

PREFIX = "conversation.item.input_audio_transcription."
TRANSCRIBE = {"input": {"transcription": {"model": "gpt-4o-transcribe", "language": "en", "prompt": "bread"}}}


class Ears:
    """A recogniser that says what it was told to, in order; an exception is raised."""

    name = "ears"

    def __init__(self, *words: str | Exception | Heard, seconds: float = 0.2) -> None:
        self.words = list(words)
        self.seconds = seconds
        self.sounds: list[Samples] = []
        self.hints: list[tuple[str | None, str]] = []
        self.at_once = self.most = self.cancelled = 0

    async def transcribe(self, samples: Samples, *, language: str | None = None, prompt: str = "") -> Heard:
        self.sounds.append(samples)
        self.hints.append((language, prompt))
        found = self.words[min(len(self.sounds), len(self.words)) - 1]
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.at_once -= 1
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, Heard) else Heard(found)


class Understands(Says):
    """Repeats what it understood; keeps the turns."""

    def __init__(self) -> None:
        super().__init__([])
        self.understood: list[Turn] = []

    async def respond(self, turn: Turn) -> AsyncIterator[Part]:
        self.turns.append(turn)
        turn = await turn.understood()
        self.understood.append(turn)
        yield Say(turn.text or (turn.heard.failure if turn.heard else "") or "nothing")


def test_the_recogniser_gives_the_transcript_and_one_recognition_serves_both() -> None:
    async def test() -> None:
        ears, brain = Ears("two rolls please"), Understands()
        async with session(brain, recogniser=ears) as client:
            await client.update(audio=TRANSCRIBE)
            await client.speak(question())
            completed = await client.next(PREFIX + "completed")
            done = await client.next("response.done")
            assert completed["transcript"] == "two rolls please"
            assert [event["delta"] for event in client.of(PREFIX + "delta")] == ["two", " rolls", " please"]
            assert done["response"]["output"][0]["content"][0]["transcript"] == "two rolls please"
        assert len(ears.sounds) == 1 and ears.hints == [("en", "bread")]
        assert ears.sounds[0].dtype == np.float32 and 24000 < ears.sounds[0].size < 3.2 * 24000
        assert brain.turns[0].text == "" and brain.understood[0].text == "two rolls please"

    run(test)


def test_words_come_although_no_transcript_was_asked_for_and_stay_with_the_conversation() -> None:
    async def test() -> None:
        ears, brain = Ears("first words", "second words"), Understands()
        async with session(brain, recogniser=ears) as client:
            for number in range(2):
                seen = len(client.events)
                await client.speak(question())
                await client.next("response.done", after=seen)
                assert len(ears.sounds) == number + 1
            item = client.of("conversation.item.done")[0]["item"]
            assert item["content"][0]["transcript"] is None  # nobody asked for one on the wire
            assert not [kind for kind in client.types() if kind.startswith(PREFIX)]
        said = [item["content"][0]["transcript"] for item in brain.understood[1].items if item["role"] == "user"]
        assert said == ["first words", "second words"]

    run(test)


def test_nobody_asks_for_words_and_nothing_is_recognised() -> None:
    async def test() -> None:
        ears = Ears("x")
        async with session(Says([Say("Good day.")]), recogniser=ears) as client:
            await client.speak(question())
            await client.next("response.done")
        assert ears.sounds == []

    run(test)


def test_a_script_knows_better_and_leaves_the_rest_to_the_recogniser() -> None:
    async def test() -> None:
        ears = Ears("from the ears")
        script = Script({"transcripts": ["from the script"], "default": [{"say": "{text}"}]})
        async with session(script, recogniser=ears) as client:
            await client.update(audio=TRANSCRIBE)
            for words in ("from the script", "from the ears"):
                seen = len(client.events)
                await client.speak(question())
                assert (await client.next(PREFIX + "completed", after=seen))["transcript"] == words
                done = await client.next("response.done", after=seen)
                assert done["response"]["output"][0]["content"][0]["transcript"] == words

    run(test)


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        (ConfigError("no such model"), "The recogniser ears failed: no such model"),
        (RuntimeError("key sk-secret"), "The recogniser ears failed: RuntimeError."),
        (Heard(failure="too noisy"), "too noisy"),
    ],
)
def test_a_recogniser_that_fails_fails_the_transcript_and_the_brain_knows(
    trouble: Any, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with session(Understands(), recogniser=Ears(trouble)) as client:
            await client.update(audio=TRANSCRIBE)
            await client.speak(question())
            failed = await client.next(PREFIX + "failed")
            assert failed["error"]["message"] == message
            done = await client.next("response.done")
            assert done["response"]["output"][0]["content"][0]["transcript"] == message

    with caplog.at_level(logging.CRITICAL, "bargein.server"):
        run(test)


def test_speech_without_words_is_an_empty_transcript_and_no_failure() -> None:
    async def test() -> None:
        brain = Understands()
        async with session(brain, recogniser=Ears("")) as client:
            await client.update(audio=TRANSCRIBE)
            await client.speak(question())
            assert (await client.next(PREFIX + "completed"))["transcript"] == ""
            await client.next("response.done")
        assert brain.understood[0].heard == Heard("") and brain.understood[0].text == ""

    run(test)


def test_without_a_recogniser_the_brain_is_told_so() -> None:
    async def test() -> None:
        brain = Understands()
        async with session(brain) as client:
            await client.speak(question())
            await client.next("response.done")
        heard = brain.understood[0].heard
        assert heard is not None and "no speech recogniser" in heard.failure

    run(test)


def test_a_recogniser_that_hangs_is_given_up() -> None:
    async def test() -> None:
        ears = Ears("late", seconds=100.0)
        async with session(Understands(), ServerOptions(recognise_s=2.0), recogniser=ears) as client:
            await client.update(audio=TRANSCRIBE)
            await client.speak(question())
            failed = await client.next(PREFIX + "failed")
            assert failed["error"]["message"] == "The recogniser ears had no words within 2 s."
            assert ears.cancelled == 1
            await client.next("response.done")

    run(test)


def test_the_end_of_the_session_cancels_recognition_and_an_interruption_does_not() -> None:
    async def test() -> None:
        ears, brain = Ears("kept", seconds=4.0), Understands()
        async with session(brain, recogniser=ears) as client:
            await client.speak(question())
            await client.next("response.created")
            await client.send("response.cancel")
            await client.next("response.done")
            await asyncio.sleep(5)
            await client.send("response.create")
            await client.next("response.output_audio.delta")
            assert brain.understood[0].text == "kept" and len(ears.sounds) == 1
            seen = len(client.events)
            await client.speak(question())
            await client.next("response.created", after=seen)
        assert ears.cancelled == 1

    run(test)


def test_recognitions_under_way_are_bounded() -> None:
    async def test() -> None:
        ears = Ears("late", seconds=50.0)
        async with session(Says([]), ServerOptions(recognise_s=60.0), recogniser=ears) as client:
            await client.update(audio={"input": {"turn_detection": None, **TRANSCRIBE["input"]}})
            for _ in range(MAX_PENDING + 1):
                await client.append(wire(silence(0.12)))
                await client.send("input_audio_buffer.commit")
            failed = await client.next(PREFIX + "failed")
            assert "64 items wait" in failed["error"]["message"]
            await asyncio.sleep(60)
            assert len(client.of(PREFIX + "completed")) == MAX_PENDING
        assert ears.most == MAX_PENDING

    run(test)


def test_sound_that_a_client_puts_in_as_an_item_is_understood_too() -> None:
    async def test() -> None:
        ears, brain = Ears("from an item"), Understands()
        async with session(brain, recogniser=ears) as client:
            await client.update(audio={"input": {"format": {"type": "audio/pcmu"}}})
            audio = b64encode(wire(speech(), format=PCMU)).decode()
            message = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": audio}]}
            await client.send("conversation.item.create", item=message)
            await client.send("response.create")
            await client.next("response.done")
        assert brain.understood[0].text == "from an item"
        assert abs(ears.sounds[0].size - speech().size) < 24

    run(test)


def test_a_turn_waits_only_for_the_newest_words() -> None:
    async def test() -> None:
        ears, brain = Ears("words"), Understands()
        async with session(brain, recogniser=ears) as client:
            audio = b64encode(wire(silence(0.2))).decode()
            message = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": audio}]}
            for _ in range(MAX_UNKNOWN + 3):
                await client.send("conversation.item.create", item=message)
            await client.send("response.create")
            await client.next("response.done")
        assert len(ears.sounds) == MAX_UNKNOWN
        known = [bool(item["content"][0].get("transcript")) for item in brain.understood[0].items]
        assert known == [False] * 3 + [True] * MAX_UNKNOWN

    run(test)


def test_a_brains_own_ears_go_before_the_servers() -> None:
    class WithEars(Understands):
        recogniser = Ears("mine")

    async def test() -> None:
        brain = WithEars()
        async with session(brain, recogniser=Ears("the server's")) as client:
            await client.speak(question())
            await client.next("response.done")
        assert brain.understood[0].text == "mine"

    run(test)


def test_a_session_that_only_writes_down_has_the_recognisers_words_and_the_first_language() -> None:
    async def test() -> None:
        ears = Ears("bonjour", "merci")
        async with session(recogniser=ears, transcription=True) as client:
            listening = {"transcription": {"model": "gpt-transcribe", "languages": ["fr", "de"]}}
            await client.update(type="transcription", audio={"input": listening})
            for words in ("bonjour", "merci"):
                seen = len(client.events)
                await client.speak(question())
                assert (await client.next(PREFIX + "completed", after=seen))["transcript"] == words
        assert ears.hints == [("fr", "")] * 2

    run(test)
