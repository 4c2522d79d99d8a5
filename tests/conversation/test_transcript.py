"""Transcription from the client's side: lines in the order of what was said, whatever arrives when."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine.clock import run_virtual
from engine.conversation import captions
from engine.conversation.transcript import MAX_PENDING, Line, Lines
from engine.errors import ConfigError
from engine.realtime import Role, wire
from engine.realtime import events as ev
from engine.server.responders.script import Script

from .harness import RATE, SPEECH, Recorder, caller

T = "conversation.item.input_audio_transcription."


def transcribed(script: dict[str, Any], *, live: bool = False, **how: Any) -> tuple[list[Line], Recorder]:
    """The lines of the demo's caller, who speaks twice."""
    log = Recorder()

    async def main() -> list[Line]:
        async with asyncio.timeout(300):
            endpoint = engine.Memory(caller(), RATE)
            async with engine.transcribe(endpoint, responder=Script(script), observer=log, **how) as transcript:
                return [line async for line in (transcript.live() if live else transcript.lines())]

    return run_virtual(main()), log


WORDS = {"transcripts": ["Good morning.", "And what else?", "three", "four"]}


def test_lines_have_words_and_times() -> None:
    lines, log = transcribed(WORDS)
    assert [line.text for line in lines][:2] == ["Good morning.", "And what else?"]
    for line, (start, _) in zip(lines, SPEECH, strict=False):
        assert line.final and not line.error
        assert line.start_s <= start + 0.1 and line.end_s > start
    sent = log.of("sent", "session.update")[0]["session"]
    assert sent["type"] == "transcription" and sent["audio"]["input"]["transcription"] == {"model": "gpt-4o-transcribe"}
    assert not log.of("sent", "response.create") and not log.of("received", "error")


def test_live_lines_grow() -> None:
    lines, _ = transcribed(WORDS, live=True)
    growing = [line.text for line in lines if line.item_id == lines[0].item_id]
    assert growing == ["Good", "Good morning.", "Good morning."]
    assert [line.final for line in lines if line.item_id == lines[0].item_id] == [False, False, True]


def test_order_is_that_of_what_was_said() -> None:
    late = {"transcripts": [{"text": "first", "delay": 8}, "second", "third", "fourth"]}
    lines, log = transcribed(late)
    arrived = [event["transcript"] for event in log.of("received", T + "completed")]
    assert arrived[0] != "first" and [line.text for line in lines][:2] == ["first", "second"]


def test_a_live_model_settles_at_pauses_and_at_the_end() -> None:
    lines, log = transcribed(WORDS, model="gpt-realtime-whisper")
    commits = log.of("sent", "input_audio_buffer.commit")
    assert len(commits) >= 2 and not log.of("received", "error")
    assert [line.text for line in lines][:2] == ["Good morning.", "And what else?"]
    ends = [line.end_s for line in lines]
    assert ends == sorted(ends) and all(line.start_s < line.end_s for line in lines)
    assert lines[0].start_s == pytest.approx(SPEECH[0][0] - 0.3, abs=0.1), "silence before it is not its own"


def test_speakers_and_probabilities() -> None:
    segments = [
        {"text": "Hello.", "speaker": "A", "start": 0, "end": 0.8},
        {"text": "Hi.", "speaker": "B", "start": 0.8, "end": 1.1},
    ]
    script = {"transcripts": [{"segments": segments, "logprob": -0.5}, "x", "y", "z"]}
    lines, _ = transcribed(script, model="gpt-4o-transcribe-diarize", logprobs=True, language="en")
    assert [(line.speaker, line.text) for line in lines[:2]] == [("A", "Hello."), ("B", "Hi.")]
    assert lines[0].end_s - lines[0].start_s == pytest.approx(0.8)
    assert lines[0].logprob == -0.5 and lines[0].tokens == (("Hello.", -0.5), (" Hi.", -0.5))


def test_a_failure_is_a_line_that_says_why() -> None:
    lines, _ = transcribed({"transcripts": [{"fail": "too much noise"}, "fine", "x", "y"]})
    assert (lines[0].text, lines[0].error) == ("", "too much noise") and lines[1].text == "fine"


def test_over_a_websocket_the_url_says_what_is_wanted() -> None:
    async def main() -> list[Line]:
        async with asyncio.timeout(60), engine.transcribe(
            engine.Memory(caller()[: round(3.5 * RATE)], RATE, speed=20), responder=Script(WORDS)
        ) as transcript:  # fmt: skip
            return [line async for line in transcript.lines()]

    assert asyncio.run(main())[0].text == "Good morning."


@pytest.mark.parametrize("bad", [{"model": "gpt-4o-transcribe", "session": {"tools": []}}, {"language": 3}])
def test_what_cannot_be_asked_for_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises((ConfigError, TypeError)):
        transcribed(WORDS, **bad)


# ---- lines


def happenings(n: int) -> list[dict[str, Any]]:
    """All events of one item, in the order in which a server sends those of one item."""
    item = f"item_{n}"
    before = f"item_{n - 1}" if n else None
    return [
        {"type": "input_audio_buffer.speech_started", "audio_start_ms": 1000 * n, "item_id": item},
        {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 1000 * n + 900, "item_id": item},
        {"type": "input_audio_buffer.committed", "item_id": item, "previous_item_id": before},
        {"type": T + "delta", "item_id": item, "content_index": 0, "delta": f"words {n}"},
        {"type": T + "completed", "item_id": item, "content_index": 0, "transcript": f"words {n}", "usage": {}},
    ]


def event(fields: dict[str, Any]) -> ev.AnyEvent:
    return wire.decode(msgspec.json.encode({"event_id": "e", **fields}), Role.SERVER)


@settings(max_examples=100)
@given(st.integers(1, 6), st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_order_of_speech(count: int, chance: random.Random) -> None:
    """Speech and commits come in order; words of different items in any order behind their commit."""
    spoken = [happening for n in range(count) for happening in happenings(n)[:3]]
    words = [happenings(n)[3:] for n in range(count)]
    lines = Lines()
    told: list[Line] = []
    committed: set[str] = set()
    while spoken or any(words):
        ready = [each for n, each in enumerate(words) if each and f"item_{n}" in committed]
        if spoken and (not ready or chance.random() < 0.5):
            now = spoken.pop(0)
            if now["type"].endswith("committed"):
                committed.add(now["item_id"])
        else:
            now = chance.choice(ready).pop(0)
        told += lines.receive(event(now))
    final = [line for line in told if line.final]
    assert [line.text for line in final] == [f"words {n}" for n in range(count)]
    assert [line.start_s for line in final] == [float(n) for n in range(count)]
    assert lines.pending == 0 and list(lines.give_up()) == []


def test_what_never_comes_is_given_up_at_the_end() -> None:
    lines = Lines()
    for now in [*happenings(0)[:4], *happenings(1)]:
        assert not [line for line in lines.receive(event(now)) if line.final]
    first, second = lines.give_up()
    assert (first.text, first.error) == ("words 0", "no transcript came") and second.text == "words 1"


def test_pending_items_are_bounded() -> None:
    lines, final = Lines(), 0
    for n in range(2 * MAX_PENDING):
        for now in happenings(n)[:3]:
            final += sum(line.final for line in lines.receive(event(now)))
    assert lines.pending == MAX_PENDING and final == MAX_PENDING


def test_late_events_of_a_settled_item_say_nothing() -> None:
    lines = Lines()
    told = [line for now in happenings(0) for line in lines.receive(event(now))]
    assert told and not list(lines.receive(event(happenings(0)[3])))


# ---- files


def line(text: str, start: float, end: float, speaker: str = "") -> Line:
    return Line("i", text, start, end, speaker)


TALK = [
    line("Hello there.", 0.3, 1.25, "A"),
    line("A <b> & c --> d", 61.5, 3601.0004, 'B "x"'),
    Line("j", "", 2, 3, error="noise"),
]


def test_srt() -> None:
    assert captions.srt(TALK) == (
        '1\n00:00:00,300 --> 00:00:01,250\nA: Hello there.\n\n2\n00:01:01,500 --> 01:00:01,000\nB "x": A <b> & c -> d\n'
    )


def test_vtt() -> None:
    assert captions.vtt(TALK) == (
        "WEBVTT\n\n00:00:00.300 --> 00:00:01.250\n<v A>Hello there.\n\n"
        "00:01:01.500 --> 01:00:01.000\n<v B &quot;x&quot;>A &lt;b&gt; &amp; c --&gt; d\n"
    )


def test_json_has_everything() -> None:
    rows = msgspec.json.decode(captions.json(TALK))
    assert [row["text"] for row in rows] == ["Hello there.", "A <b> & c --> d", ""] and rows[2]["error"] == "noise"


@given(st.text(max_size=400), st.floats(0, 1e5), st.floats(0, 60))
def test_captions_are_short_and_in_time(text: str, start: float, length: float) -> None:
    spoken = [line(text, start, start + length), line("next", start + length, start + length + 1)]
    made = list(captions.cues(spoken))
    for cue, following in itertools.pairwise(made):
        assert cue.start_s <= cue.end_s <= following.start_s + 1e-6
    assert all(len(row) <= captions.WIDTH for cue in made for row in cue.rows) and all(
        len(cue.rows) <= 2 for cue in made
    )
    assert "".join("".join(cue.rows) for cue in made[:-1]).replace(" ", "") == "".join(text.split())


@pytest.mark.parametrize("name", ["talk", "talk.txt", "srt"])
def test_another_kind_of_file_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"\.srt, \.vtt, \.json"):
        captions.writer(name)
    assert captions.writer("TALK.SRT") is captions.srt
