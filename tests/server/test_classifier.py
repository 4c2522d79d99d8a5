"""`classifier`: menus, their grammar, and pocketsphinx hearing voices it was not tuned with."""

from __future__ import annotations

import asyncio
import math
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.clock import run_virtual
from engine.errors import ConfigError, MissingExtraError
from engine.server.formats import RATE, Samples
from engine.server.recognisers import Heard
from engine.server.recognisers.sphinx import MAX_WAITING, Sphinx, SphinxFailed, SphinxRecogniser, SphinxSettings
from engine.server.responders import Part, Say, ToolCall, ToolOutput, Turn, responder
from engine.server.responders.classifier import Classifier, certainty
from engine.server.responders.menu import Menu, expand, parse_menu, plain
from engine.server.responders.places import Place
from engine.server.sound import at_rate

from .harness import run, session, silence, wire

KIOSK = Path(__file__).parents[2] / "examples" / "kiosk.yaml"
MENU: dict[str, Any] = {
    "menu": [
        {"phrases": ["when are you open", "[your] opening hours"], "do": [{"say": "From nine to six."}]},
        {
            "phrases": ["(a|one) ticket [please]"],
            "do": [{"call": {"name": "sell", "arguments": {"count": 1}}}],
            "after": [{"say": "Here it is: {output}"}],
        },
        {"phrases": ["call somebody"], "do": [{"call": "staff"}]},
    ],
    "help": "Say {phrases}.",
    "greeting": "Hello. {help}",
}


def menu(**more: Any) -> Menu:
    return parse_menu({**MENU, **more}, Place("menu", {}))


def turn(text: str = "", **more: Any) -> Turn:
    return Turn(number=1, user_turn=1, text=text, **more)


class Deaf:
    """Ears for menus that are only read."""

    name = "deaf"

    async def transcribe(self, samples: Samples, *, language: str | None = None, prompt: str = "") -> Heard:
        return Heard()


def answered(of: Turn) -> list[Part]:
    async def collect() -> list[Part]:
        return [part async for part in Classifier(menu(), recogniser=Deaf()).respond(of)]

    return asyncio.run(collect())


# ---- the menu


@pytest.mark.parametrize(
    ("phrase", "ways"),
    [
        ("yes", ["yes"]),
        ("Yes, please!", ["yes please"]),
        ("[please] stop", ["please stop", "stop"]),
        ("(a|one) ticket", ["a ticket", "one ticket"]),
        ("a (b [c|d]|e)", ["a b c", "a b d", "a b", "a e"]),
        ("it\u2019s o'clock", ["it's o'clock"]),
    ],
)
def test_every_way_to_say_a_phrase(phrase: str, ways: list[str]) -> None:
    assert expand(phrase, Place("x", {})) == ways


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (turn("when are you open"), [Say("From nine to six.")]),
        (turn("Tell me, your OPENING HOURS?"), [Say("From nine to six.")]),
        (turn("one ticket please"), [ToolCall("sell", '{"count": 1}')]),
        (turn("reopening hours"), [Say('Say "when are you open", "one ticket please" or "call somebody".')]),
        (turn(heard=Heard()), [Say('Say "when are you open", "one ticket please" or "call somebody".')]),
        (turn(), [Say('Hello. Say "when are you open", "one ticket please" or "call somebody".')]),
        (turn("a ticket", tool_outputs=[ToolOutput("1", "sell", "number 7")]), [Say("Here it is: number 7")]),
        (turn("x", tool_outputs=[ToolOutput("1", "staff", "Coming.")]), [Say("Coming.")]),
    ],
)
def test_what_is_done(of: Turn, expected: list[Part]) -> None:
    assert answered(of) == expected


def test_the_grammar_has_every_way_once() -> None:
    made = menu()
    assert made.grammar().startswith("#JSGF V1.0;\ngrammar menu;\npublic <phrase> = when are you open\n  | your")
    assert len(made.phrases) == len(set(made.phrases)) == 8
    assert "somebody" in made.vocabulary and plain("What's UP, 2 you?") == "what's up 2 you"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"menu": []}, "menu must be a list of entries"),
        ({"menu": [{"phrases": ["a"]}]}, r"menu\[0\] has no 'do'"),
        ({"menu": [{"phrases": "a", "do": []}]}, r"menu\[0\].phrases must be a list of texts"),
        ({"menu": [{"phrases": ["(a"], "do": []}]}, r"phrases\[0\] has a '\(' that is not closed"),
        ({"menu": [{"phrases": ["a]"], "do": []}]}, r"has a '\]' too many"),
        ({"menu": [{"phrases": ["[a]"], "do": []}]}, "can be said without any word"),
        ({"menu": [{"phrases": ["gr\u00fc\u00df gott"], "do": []}]}, "is no word: write it as it is said"),
        ({"menu": [{"phrases": ["2 tickets"], "do": []}]}, "has '2', which is no word"),
        ({"menu": [{"phrases": ["[a] " * 12], "do": []}]}, "in more than 2000 ways"),
        ({"menu": [{"phrases": ["a"], "do": [{"sing": "x"}]}]}, "sing is not known"),
        ({"menu": [{"phrases": ["a"], "do": [], "after": [{"say": "x"}]}]}, "after is never done"),
        ({"menu": [{"phrases": ["a"], "do": []}, {"phrases": ["a"], "do": []}]}, "has 'a', which entry 0 has too"),
        ({"threshold": 2}, "threshold is 2: use a number from 0 to 1"),
        ({"words": {"bargein": "XX"}}, "words.bargein is 'XX': use some of AA"),
        ({"help": 3}, "help must be a text"),
        ({"colour": "red"}, "colour is not known"),
    ],
)
def test_a_bad_menu_is_named(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        menu(**change)


def test_certainty() -> None:
    assert certainty(-2.2, 1.0) == pytest.approx(0.5)
    assert certainty(-0.5, 1.0) > 0.99 and certainty(-4.0, 1.0) < 0.01 and certainty(-1000.0, 1.0) >= 0.0
    assert certainty(0.0, 0.3) == 0.0  # most of the speech is none of the phrase's


def test_without_pocketsphinx_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"bargein\[recogniser\]"):
        Classifier.of(MENU)


# ---- hearing

HELD_OUT = [("en-us+f1", 60), ("en-gb+f3", 60)]
"""espeak-ng's voices that the threshold was not chosen with."""
OTHER_SPEECH = [
    "the weather is lovely today", "can i bring my dog inside", "what time does the bus leave",
    "who painted the mona lisa", "she plays the piano very well", "give me a cup of coffee",
]  # fmt: skip


def said(text: str, voice: str, pitch: int) -> Samples:
    """A voice in a little noise, with silence around it."""
    from engine.server.voices.espeak import _shared_library

    library = _shared_library()
    sound = at_rate(library.speak(text, voice, pitch, 170).astype(np.float32) / np.float32(32768), RATE, library.rate)
    whole = np.concatenate([silence(0.3), sound, silence(0.5)])
    return (whole + np.random.default_rng(1).normal(0, 0.001, whole.size)).astype(np.float32)


@pytest.fixture(scope="module")
def kiosk() -> Iterator[Classifier]:
    for needed in ("pocketsphinx", "espeakng_loader", "soxr", "yaml"):
        pytest.importorskip(needed)
    brain = responder(f"classifier:{KIOSK}")
    assert isinstance(brain, Classifier)
    yield brain
    asyncio.run(brain.recogniser.aclose())  # type: ignore[attr-defined]


def test_phrases_are_told_apart_and_other_speech_is_none(kiosk: Classifier) -> None:
    async def listen() -> tuple[list[bool], list[str], list[str]]:
        right, wrong, accepted = [], [], []
        for voice, pitch in HELD_OUT:
            for entry in kiosk.menu.entries:
                heard = await kiosk.recogniser.transcribe(said(entry.phrases[0], voice, pitch))
                found = kiosk.menu.entry_for(heard.text)
                right.append(found is entry)
                wrong += [heard.text] if found not in (None, entry) else []
                assert not heard.text or math.log(0.5) <= heard.logprob <= 0
            for text in OTHER_SPEECH:
                heard = await kiosk.recogniser.transcribe(said(text, voice, pitch))
                accepted += [f"{text} as {heard.text}"] if heard.text else []
        return right, wrong, accepted

    right, wrong, accepted = asyncio.run(listen())
    assert sum(right) >= 0.9 * len(right), f"{sum(right)} of {len(right)}"
    assert not wrong
    assert len(accepted) <= 0.1 * len(HELD_OUT) * len(OTHER_SPEECH), accepted


def test_a_turn_is_heard_the_same_whoever_spoke_before(kiosk: Classifier) -> None:
    phrase, other = said("one ticket please", "en-us+f1", 60), said("give me a cup of coffee", "en-gb+f3", 60)
    noisy = other + np.random.default_rng(3).normal(0, 0.05, other.size).astype(np.float32)

    async def listen() -> list[Heard]:
        return [await kiosk.recogniser.transcribe(sound) for sound in (phrase, phrase, noisy, other, phrase)]

    first, second, *_, last = asyncio.run(listen())
    assert first == second == last and first.text == "one ticket please"


def test_silence_noise_and_long_speech_are_no_phrase(kiosk: Classifier) -> None:
    noise = np.random.default_rng(2).normal(0, 0.1, RATE).astype(np.float32)

    async def listen() -> list[str]:
        sounds = [silence(1.0), noise, silence(0.01), silence(0), silence(600)]
        return [(await kiosk.recogniser.transcribe(sound)).text for sound in sounds]

    assert asyncio.run(listen()) == [""] * 5


def test_a_threshold_of_zero_takes_what_fits_best() -> None:
    pytest.importorskip("pocketsphinx")
    pytest.importorskip("espeakng_loader")

    async def listen(threshold: float) -> str:
        brain = Classifier(menu(threshold=threshold))
        try:
            return (await brain.recogniser.transcribe(said("when were you up", "en-us", 50))).text
        finally:
            await brain.recogniser.aclose()  # type: ignore[attr-defined]

    assert asyncio.run(listen(0.0)) == "when are you open"
    assert asyncio.run(listen(1.0)) == ""


def test_a_spoken_conversation_with_a_kiosk(kiosk: Classifier) -> None:
    async def test() -> None:
        async with session(kiosk) as client:
            await client.update(audio={"input": {"transcription": {"model": "gpt-4o-transcribe"}}})
            await client.speak(wire(silence(0.3), said("one ticket please", "en-us+f1", 60), silence(0.7)))
            done = (await client.next("response.done"))["response"]
            assert [item["type"] for item in done["output"]] == ["message", "function_call"]
            assert done["output"][1]["arguments"] == '{"count": 1}'
            completed = await client.next("conversation.item.input_audio_transcription.completed")
            assert completed["transcript"] == "one ticket please"
            item = {
                "type": "function_call_output", "call_id": done["output"][1]["call_id"], "output": "Number seven.",
            }  # fmt: skip
            await client.send("conversation.item.create", item=item)
            seen = len(client.events)
            await client.send("response.create")
            done = (await client.next("response.done", after=seen))["response"]
            assert done["output"][0]["content"][0]["transcript"] == "Here is your ticket. Number seven."
            seen = len(client.events)
            await client.speak(wire(said("can i bring my dog inside", "en-us+f1", 60), silence(0.7)))
            done = (await client.next("response.done", after=seen))["response"]
            transcript = done["output"][0]["content"][0]["transcript"]
            assert transcript.startswith("I did not understand that. You can say:") and "opening hours" in transcript

    run(test)


def test_words_without_a_sound_are_told_before_the_session() -> None:
    pytest.importorskip("pocketsphinx")
    entry = {"phrases": ["hello bargein frobozz"], "do": []}

    async def warm(**more: Any) -> None:
        brain = Classifier(menu(menu=[entry], **more))
        try:
            await brain.recogniser.warm_up()  # type: ignore[attr-defined]
        finally:
            await brain.recogniser.aclose()  # type: ignore[attr-defined]

    with pytest.raises(ConfigError, match="words whose sound is not known: 'bargein', 'frobozz'; say how"):
        asyncio.run(warm())
    asyncio.run(warm(words={"bargein": "B AA R G IH N", "frobozz": "F R AA B AA Z"}))


# ---- the process


def test_the_process_is_started_again_when_it_died(kiosk: Classifier) -> None:
    ears: Any = kiosk.recogniser
    phrase = said("one ticket please", "en-us", 50)

    async def listen() -> str:
        return str((await ears.transcribe(phrase)).text)

    assert asyncio.run(listen()) == "one ticket please"
    ears._sphinx._process.kill()
    ears._sphinx._process.wait()
    assert asyncio.run(listen()) == "one ticket please"
    asyncio.run(ears.aclose())
    assert asyncio.run(listen()) == "one ticket please"


def test_one_process_serves_all_and_the_line_before_it_is_bounded(kiosk: Classifier) -> None:
    phrase = silence(0.2)

    async def many() -> list[Any]:
        return await asyncio.gather(
            *(kiosk.recogniser.transcribe(phrase) for _ in range(MAX_WAITING + 1)), return_exceptions=True
        )

    answers = run_virtual(many())
    assert [answer.text for answer in answers[:-1]] == [""] * MAX_WAITING
    assert isinstance(answers[-1], SphinxFailed) and "32 turns wait" in str(answers[-1])


def test_the_loop_goes_on_while_a_turn_is_recognised(kiosk: Classifier) -> None:
    """Decoding would hold the interpreter's lock: it happens in another process."""
    phrase = np.tile(said("two tickets please", "en-us", 50), 6)

    async def turns_meanwhile() -> int:
        listening = asyncio.ensure_future(kiosk.recogniser.transcribe(phrase))
        count = 0
        while not listening.done():
            await asyncio.sleep(0)
            count += 1
        return count

    assert asyncio.run(turns_meanwhile()) > 100


def test_a_decoder_that_hangs_is_ended() -> None:
    pytest.importorskip("pocketsphinx")
    sphinx = Sphinx(SphinxSettings())
    asyncio.run(sphinx.begin())
    assert sphinx._process is not None
    sphinx._process.send_signal(signal.SIGSTOP)
    sphinx._settings = SphinxSettings(timeout_s=0.2)
    with pytest.raises(SphinxFailed, match=r"longer than 0\.2 s"):
        asyncio.run(sphinx.ask("decode", silence(1.0)))
    assert sphinx._process is None


def test_a_decoder_that_fails_says_so_and_goes_on() -> None:
    pytest.importorskip("pocketsphinx")
    sphinx = Sphinx(SphinxSettings())
    for _ in range(2):
        with pytest.raises(SphinxFailed, match="pocketsphinx failed: "):
            asyncio.run(sphinx.ask("decode", silence(1.0)))  # it has no language model
    asyncio.run(sphinx.aclose())


def test_free_speech_is_written_down() -> None:
    pytest.importorskip("pocketsphinx")
    pytest.importorskip("espeakng_loader")
    ears = SphinxRecogniser()

    async def listen() -> str:
        try:
            return (await ears.transcribe(said("what time is it", "en-us", 50))).text
        finally:
            await ears.aclose()

    heard = asyncio.run(listen())
    assert len(heard.split()) >= 2, heard  # which words is another thing: it is no dictation machine
    with pytest.raises(SphinxFailed, match="a turn of 61 s is too long"):
        asyncio.run(ears.transcribe(silence(61)))
