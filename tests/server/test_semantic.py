"""semantic_vad: when a pause is judged, by whom, and how long it may last."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect

from engine.server import ServerOptions, serve
from engine.server.formats import Samples
from engine.server.recognisers import Heard
from engine.server.responders import Say, Script
from engine.server.turnend import Prosody, TurnEnd, logit, sigmoid, wait_ms
from engine.server.turns import JUDGE_AGAIN_MS, JUDGE_MS, LONGEST_WAIT_MS, Paused, Started, TurnDetector, TurnSettings
from engine.server.voices import ToneVoice
from engine.server.wording import completeness
from tests.server.harness import PCM, Client, Says, run, session, silence, speech, wire

LEAD_S = 0.5
TALK = speech()
TALK_END_MS = 1000 * LEAD_S + TALK.size / 24
# Neither here nor there: at medium eagerness a wait of some 1.4 s.
DOUBTFUL = next(p for p in (sigmoid(n / 100) for n in range(-400, 400)) if wait_ms(p, "medium") < 1500)


class Judge:
    """Answers with given probabilities, one after another (the last one again and again)."""

    window_ms = 1000

    def __init__(self, *answers: float, threaded: bool = False) -> None:
        self.threaded = threaded
        self.answers = list(answers)
        self.asked: list[int] = []

    def probability(self, samples: Samples) -> float:
        self.asked.append(samples.size)
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


class Broken(Judge):
    def probability(self, samples: Samples) -> float:
        super().probability(samples)
        raise RuntimeError("no")


def detection(eagerness: str = "medium", **more: Any) -> dict[str, Any]:
    return {"turn_detection": {"type": "semantic_vad", "eagerness": eagerness}, **more}


async def turn_ends(client: Client, settings: dict[str, Any], sizes: list[int], pause_s: float = 9.0) -> list[float]:
    """Append talk and a pause in pieces of these sizes; the length of the silences that ended turns, in ms."""
    await client.update(audio={"input": settings})
    data = wire(silence(LEAD_S), TALK, silence(pause_s))
    at = number = 0
    while at < len(data):
        size = sizes[number % len(sizes)]
        await client.append(data[at : at + size])
        at, number = at + size, number + 1
    await client.send("input_audio_buffer.clear")
    await client.next("input_audio_buffer.cleared")
    return [stop["audio_end_ms"] - TALK_END_MS for stop in client.of("input_audio_buffer.speech_stopped")]


def ends(
    judge: TurnEnd | None, settings: dict[str, Any], *, sizes: tuple[int, ...] = (96_000,), **more: Any
) -> list[float]:
    async def scene() -> list[float]:
        async with session(options=ServerOptions(turn_end=judge), **more) as client:
            return await turn_ends(client, settings, list(sizes))

    return run(scene)


# ---- the rule


@pytest.mark.parametrize("eagerness", ["low", "medium", "high", "auto"])
def test_the_wait_falls_with_the_probability_from_the_cap_to_the_shortest(eagerness: str) -> None:
    waits = [wait_ms(part / 100, eagerness) for part in range(101)]
    assert waits == sorted(waits, reverse=True)
    assert (
        waits[0] == LONGEST_WAIT_MS[eagerness] == {"low": 8000, "medium": 4000, "auto": 4000, "high": 2000}[eagerness]
    )
    assert JUDGE_MS <= waits[100] <= 600


def test_more_eagerness_never_waits_longer() -> None:
    for part in range(101):
        low, medium, auto, high = (wait_ms(part / 100, each) for each in ("low", "medium", "auto", "high"))
        assert low >= medium == auto >= high


def test_words_move_the_wait() -> None:
    unfinished, silent, finished = (wait_ms(DOUBTFUL, "medium", text) for text in (-0.5, 0.0, 1.0))
    assert unfinished > silent > finished
    assert logit(sigmoid(1.25)) == pytest.approx(1.25)


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("", 0, 0),
        ("  ", 0, 0),
        ("I would like to book a table.", 1, 1),
        ("Could you tell me the time?", 1, 1),
        ("Ich möchte einen Tisch!", 1, 1),
        ("今日は元気です。", 1, 1),
        ("I would like to book a table", 0.1, 0.9),
        ("I would like to book a", -1, -1),
        ("I would like to book a.", -0.9, -0.1),
        ("well I went there because", -1, -1),
        ("I want to, uhm.", -1, -1),
        ("and then we", -0.9, -0.1),
        ("Where are you from?", 0, 0),
        ("first the milk,", -1, -1),
        ("I think...", -1, -1),
        ('He said "yes."', 1, 1),
    ],
)
def test_what_words_say_about_the_end(text: str, least: float, most: float) -> None:
    assert least <= completeness(text) <= most


def judged(pattern: list[int], **settings: Any) -> list[Any]:
    detector = TurnDetector(TurnSettings.of({"type": "semantic_vad", "eagerness": "medium"}, 100))
    found = (detector.step(float(p), 10 * (n + 1)) for n, p in enumerate(pattern))
    return [change for change in found if change is not None]


def test_a_pause_is_told_of_at_160_ms_and_every_100_ms_from_then_on() -> None:
    found = judged([1] * 20 + [0] * 15 + [1] * 3 + [0] * 40)
    assert isinstance(found[0], Started)
    assert [each.silence_ms for each in found[1:] if isinstance(each, Paused)] == [JUDGE_MS, 260, 360]
    assert JUDGE_AGAIN_MS == 100


def test_what_was_judged_holds_for_that_pause_only() -> None:
    detector = TurnDetector(TurnSettings.of({"type": "semantic_vad", "eagerness": "high"}, 100))
    for hop in range(20 + 16):
        detector.step(float(hop < 20), 10 * hop)
    detector.end_after(300)
    detector.step(1.0, 400)
    assert [type(detector.step(0.0, 410 + 10 * hop)).__name__ for hop in range(200)].count("Stopped") == 1
    assert not detector.speaking


# ---- sessions


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize(("eagerness", "cap_ms"), [("low", 8000), ("medium", 4000), ("auto", 4000), ("high", 2000)])
def test_the_caps_hold_whatever_is_judged(eagerness: str, cap_ms: int, threaded: bool) -> None:
    assert ends(Judge(0.0, threaded=threaded), detection(eagerness)) == [pytest.approx(cap_ms, abs=60)]


def test_a_sure_end_is_answered_soon_and_the_model_is_asked_once() -> None:
    judge = Judge(1.0)
    assert ends(judge, detection()) == [pytest.approx(wait_ms(1.0, "medium"), abs=60)]
    assert judge.asked == [24_000]  # its window: the newest second


def test_each_pause_is_judged_anew() -> None:
    judge = Judge(0.0, 1.0)

    async def scene() -> None:
        async with session(options=ServerOptions(turn_end=judge)) as client:
            await client.update(audio={"input": detection()})
            await client.append(wire(silence(LEAD_S), TALK, silence(1.5), TALK, silence(1.0)))
            stopped = await client.next("input_audio_buffer.speech_stopped")
            assert stopped["audio_end_ms"] == pytest.approx(TALK_END_MS + 1500 + TALK.size / 24 + 240, abs=60)
            assert len(client.of("input_audio_buffer.speech_started")) == 1
            await client.next("response.created")

    run(scene)
    assert len(judge.asked) == 2


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(101, 200_000), min_size=1, max_size=5), st.booleans())
def test_any_cut_gives_the_same_turn_ends(sizes: list[int], threaded: bool) -> None:
    expected = ends(None if not threaded else Judge(DOUBTFUL), detection())
    assert len(expected) == 1
    got = ends(
        None if not threaded else Judge(DOUBTFUL, threaded=True), detection(), sizes=tuple(size | 1 for size in sizes)
    )
    assert got == expected


def test_a_broken_model_leaves_the_judgement_to_prosody(caplog: pytest.LogCaptureFixture) -> None:
    assert ends(Broken(), detection()) == ends(None, detection())
    assert "could not judge" in caplog.text


def test_server_vad_asks_nobody() -> None:
    judge = Judge(0.0)
    assert ends(judge, {"turn_detection": {"type": "server_vad"}}) == [pytest.approx(500, abs=60)]
    assert judge.asked == []


def test_a_change_to_server_vad_in_a_pause_ends_it_by_silence() -> None:
    async def scene() -> None:
        async with session(options=ServerOptions(turn_end=Judge(0.0))) as client:
            await client.update(audio={"input": detection()})
            await client.append(wire(silence(LEAD_S), TALK, silence(0.3)))
            await client.update(audio={"input": {"turn_detection": {"type": "server_vad"}}})
            await client.append(wire(silence(1.0)))
            stopped = await client.next("input_audio_buffer.speech_stopped")
            assert stopped["audio_end_ms"] == pytest.approx(TALK_END_MS + 500, abs=60)

    run(scene)


@pytest.mark.parametrize(("words", "longer"), [("I would like a.", True), ("Yes, that is all.", False)])
def test_known_words_count_where_transcription_is_on(words: str, longer: bool) -> None:
    script = Script({"transcripts": [words], "default": [{"say": "Fine."}]})
    hearing: Any = {"transcription": {"model": "gpt-4o-transcribe"}}
    without = ends(Judge(DOUBTFUL), detection(), responder=script)
    with_words = ends(Judge(DOUBTFUL), detection(**hearing), responder=script)
    assert (with_words[0] > without[0] + 100) if longer else (with_words[0] < without[0] - 100)


class Listener:
    """A recogniser that hears the same words in everything, after a while."""

    name = "listener"

    def __init__(self, words: str, delay_s: float = 0.0) -> None:
        self.words, self.delay_s, self.asked = words, delay_s, 0

    async def transcribe(self, samples: Samples, *, language: str | None = None, prompt: str = "") -> Heard:
        self.asked += 1
        await asyncio.sleep(self.delay_s)
        return Heard(self.words)


def spoken(recogniser: Listener, transcription: bool, judge: Judge) -> float:
    """The silence that ended a turn spoken in real time."""

    async def scene() -> float:
        async with session(Says([Say("Fine.")]), ServerOptions(turn_end=judge), recogniser=recogniser) as client:
            hearing: Any = {"transcription": {"model": "whisper-1"}} if transcription else {}
            await client.update(audio={"input": detection(**hearing)})
            await client.speak(wire(silence(LEAD_S), TALK, silence(4.5)), format=PCM)
            stopped = await client.next("input_audio_buffer.speech_stopped")
            return float(stopped["audio_end_ms"]) - TALK_END_MS

    return run(scene)


def test_a_recognisers_words_count_as_soon_as_it_has_them() -> None:
    plain = spoken(Listener("I would like a"), False, Judge(DOUBTFUL))
    later = spoken(Listener("I would like a", 0.1), True, Judge(DOUBTFUL))
    assert plain < 1500 < later == pytest.approx(4000, abs=60)
    sooner = spoken(Listener("That is all.", 0.3), True, Judge(0.3))
    assert sooner < 700
    too_late = spoken(Listener("I would like a", 3.0), True, Judge(DOUBTFUL))
    assert too_late == pytest.approx(plain, abs=20)


def test_the_model_inside_is_a_turn_end() -> None:
    assert isinstance(Prosody(), TurnEnd)
    for sound in (silence(0.0), silence(0.01), silence(3.0), TALK, TALK[:100]):
        assert 0 <= Prosody().probability(sound) <= 1


def test_over_a_socket_a_thinking_model_holds_back_what_follows() -> None:
    """Messages are obeyed in the moment they arrive; those after a pause wait for the model, and none overtakes."""

    class Slow(Judge):
        def probability(self, samples: Samples) -> float:
            time.sleep(0.05)
            return super().probability(samples)

    async def scene() -> list[str]:
        options = ServerOptions(turn_end=Slow(1.0, threaded=True))
        async with serve(port=0, options=options, voice=ToneVoice()) as running, connect(running.url) as socket:
            await socket.send(
                json.dumps({"type": "session.update", "session": {"type": "realtime", "audio": {"input": detection()}}})
            )
            data = wire(silence(LEAD_S), TALK, silence(1.0))
            for start in range(0, len(data), 960):
                audio = b64encode(data[start : start + 960]).decode()
                await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
            await socket.send(json.dumps({"type": "input_audio_buffer.clear"}))
            types: list[str] = []
            async with asyncio.timeout(60):
                while "response.done" not in types or "input_audio_buffer.cleared" not in types:
                    types.append(json.loads(await socket.recv())["type"])
            return types

    types = asyncio.run(scene())
    assert types.count("input_audio_buffer.speech_stopped") == 1
    assert types.index("input_audio_buffer.speech_stopped") < types.index("input_audio_buffer.cleared")
