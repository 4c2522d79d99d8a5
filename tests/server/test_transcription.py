"""Transcription: words from the script, sessions that only write down, live models, and honest failures."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.server.responders import Script
from engine.server.web.asked import PATH, dismissal

from .harness import Client, Event, question, run, session, silence, speech, wire

PREFIX = "conversation.item.input_audio_transcription."
WORDS = "what is the weather"


def script(*transcripts: Any, **more: Any) -> Script:
    return Script({"transcripts": list(transcripts), **more})


async def transcribing(client: Client, model: str = "gpt-4o-transcribe", **more: Any) -> Event:
    listening = {"transcription": {"model": model}, **more.pop("input", {})}
    return await client.update(type="transcription", audio={"input": listening}, **more)


def texts(client: Client, kind: str) -> list[str]:
    key = {"delta": "delta", "completed": "transcript", "segment": "text"}[kind]
    return [event[key] for event in client.of(PREFIX + kind)]


def test_a_session_that_only_writes_down() -> None:
    async def test() -> None:
        async with session(script(WORDS), transcription=True) as client:
            created = client.of("session.created")[0]["session"]
            assert created["type"] == "transcription" and "model" not in created and "output" not in created["audio"]
            detection = created["audio"]["input"]["turn_detection"]
            assert set(detection) == {"type", "threshold", "prefix_padding_ms", "silence_duration_ms"}
            updated = await transcribing(client)
            assert set(updated["session"]["audio"]["input"]["turn_detection"]) == set(detection)
            await client.speak(question())
            await client.next(PREFIX + "completed")
            await asyncio.sleep(5)
            assert "".join(texts(client, "delta")) == WORDS and texts(client, "completed") == [WORDS]
            assert not [kind for kind in client.types() if kind.startswith("response.")]

    run(test)


def test_semantic_vad_is_obeyed_and_told_as_server_vad() -> None:
    async def ends_of(eagerness: str | None) -> int:
        async with session(script(WORDS), transcription=True) as client:
            wanted = {"type": "server_vad"} if eagerness is None else {"type": "semantic_vad", "eagerness": eagerness}
            told = (await transcribing(client, input={"turn_detection": wanted}))["session"]["audio"]["input"]
            expected = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}
            assert told["turn_detection"] == expected
            await client.speak(wire(silence(0.5), speech(), silence(9.0)))
            stopped = await client.next("input_audio_buffer.speech_stopped")
            # What is told is what a part of it is a part of.
            part = {"silence_duration_ms": 700}
            told = (await transcribing(client, input={"turn_detection": part}))["session"]["audio"]["input"]
            assert told["turn_detection"] == {**expected, **part}
            return int(stopped["audio_end_ms"])

    server, high, low = (run(partial(ends_of, each)) for each in (None, "high", "low"))
    assert high <= low and low != server, "semantic_vad waits by eagerness, whatever it is told as"


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"type": "response.create"}, "invalid_value"),
        ({"type": "session.update", "session": {"type": "realtime"}}, "invalid_parameter"),
        ({"type": "session.update", "session": {"type": "transcription", "tools": []}}, "unknown_parameter"),
        ({"type": "session.update", "session": {"type": "transcription", "model": "x"}}, "unknown_parameter"),
    ],
)
def test_what_it_refuses(event: Event, code: str) -> None:
    async def test() -> None:
        async with session(script(WORDS), transcription=True) as client:
            await client.send(event.pop("type"), **event)
            assert (await client.next("error"))["error"]["code"] == code

    run(test)


@pytest.mark.parametrize("model", ["gpt-realtime-whisper", "gpt-live-transcribe"])
def test_a_live_model_writes_while_the_user_speaks_and_ends_with_a_commit(model: str) -> None:
    async def test() -> None:
        async with session(script(WORDS, "thank you"), transcription=True) as client:
            updated = await transcribing(client, model)
            assert updated["session"]["audio"]["input"]["turn_detection"] is None
            await client.speak(wire(silence(2.0)))
            assert not texts(client, "delta")  # nobody said anything
            await client.speak(wire(np.full(16_800, 0.1, np.float32)))
            assert "".join(texts(client, "delta")) == "what is"
            await client.speak(wire(np.full(7_200, 0.1, np.float32)))
            assert "".join(texts(client, "delta")) == "what is the"
            await client.send("input_audio_buffer.commit")
            completed = await client.next(PREFIX + "completed")
            assert completed["transcript"] == WORDS and "".join(texts(client, "delta")) == WORDS
            item = (await client.next("input_audio_buffer.committed"))["item_id"]
            assert {event["item_id"] for event in client.of(PREFIX + "delta")} == {item} == {completed["item_id"]}
            await client.speak(wire(silence(0.4)))
            await client.send("input_audio_buffer.clear")
            await client.speak(wire(silence(0.4)))
            await client.send("input_audio_buffer.commit")
            await client.next(PREFIX + "completed", after=client.position(completed) + 1)
            assert texts(client, "completed") == [WORDS, "thank you"]

    run(test)


def test_a_live_model_takes_no_turn_detection() -> None:
    async def test() -> None:
        async with session(script(WORDS), transcription=True) as client:
            refused = await transcribing(
                client, "gpt-live-transcribe", input={"turn_detection": {"type": "server_vad"}}
            )
            assert "Turn detection is not supported" in refused["error"]["message"]

    run(test)


def test_speakers_are_told_apart() -> None:
    segments = [
        {"text": "Hello.", "speaker": "A", "start": 0, "end": 0.8},
        {"text": "Hi.", "speaker": "B", "start": 0.8, "end": 1.5},
    ]

    async def test() -> None:
        async with session(script({"segments": segments}), transcription=True) as client:
            await transcribing(client, "gpt-4o-transcribe-diarize")
            await client.speak(question())
            await client.next(PREFIX + "completed")
            told = client.of(PREFIX + "segment")
            assert [{key: event[key] for key in segments[0]} for event in told] == segments
            assert texts(client, "completed") == ["Hello. Hi."]

    run(test)


@pytest.mark.parametrize(
    ("model", "usage"),
    [
        ("whisper-1", {"type": "duration"}),
        ("gpt-4o-transcribe", {"type": "tokens"}),
    ],
)
def test_usage_is_by_model_and_whisper_has_no_deltas(model: str, usage: dict[str, str]) -> None:
    async def test() -> None:
        async with session(script(WORDS), transcription=True) as client:
            await transcribing(client, model)
            await client.speak(question())
            completed = await client.next(PREFIX + "completed")
            assert completed["usage"]["type"] == usage["type"]
            assert bool(client.of(PREFIX + "delta")) is (model != "whisper-1")

    run(test)


def test_logprobs_and_languages_where_asked_for() -> None:
    heard = {"text": "bonjour", "languages": ["fr"], "logprob": -0.5}

    async def test() -> None:
        async with session(script(heard, heard), transcription=True) as client:
            await transcribing(client, include=["item.input_audio_transcription.logprobs"])
            await client.speak(question())
            completed = await client.next(PREFIX + "completed")
            assert completed["logprobs"] == [{"token": "bonjour", "logprob": -0.5, "bytes": list(b"bonjour")}]
            assert completed["languages"] == [{"code": "fr"}]
            await client.update(type="transcription", include=[])
            await client.speak(question())
            later = await client.next(PREFIX + "completed", after=client.position(completed) + 1)
            assert later.get("logprobs") is None

    run(test)


def test_words_may_come_in_another_order_than_the_turns() -> None:
    async def test() -> None:
        async with session(script({"text": "first", "delay": 9}, "second"), transcription=True) as client:
            await transcribing(client)
            await client.speak(wire(silence(0.5), speech(), silence(1.0), speech(), silence(1.0)))
            await asyncio.sleep(12)
            assert texts(client, "completed") == ["second", "first"]
            committed = [event["item_id"] for event in client.of("input_audio_buffer.committed")]
            assert [event["item_id"] for event in client.of(PREFIX + "completed")] == committed[::-1]

    run(test)


@pytest.mark.parametrize(
    ("transcripts", "words"), [([], "no transcript for turn 1"), ([{"fail": "too much noise"}], "too much noise")]
)
def test_failures_say_why(transcripts: list[Any], words: str) -> None:
    async def test() -> None:
        async with session(script(*transcripts), transcription=True) as client:
            await transcribing(client)
            await client.speak(question())
            assert words in (await client.next(PREFIX + "failed"))["error"]["message"]

    run(test)


def test_the_brain_of_a_conversation_understands_what_is_said() -> None:
    rules = [{"match": {"text": "weather"}, "do": [{"say": "It rains."}]}]

    async def test() -> None:
        async with session(script(WORDS, rules=rules)) as client:
            await client.update(output_modalities=["text"])
            await client.speak(question())
            done = await client.next("response.output_text.done")
            assert done["text"] == "It rains." and not client.of(PREFIX + "completed"), "nobody asked for words"

    run(test)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("intent=transcription", None),
        ("intent=transcription&model=gpt-realtime", "invalid_model"),
        ("model=gpt-realtime", None),
        ("intent=other&model=x", None),
    ],
)
def test_the_door_takes_no_model_with_transcription(query: str, code: str | None) -> None:
    """Told in the open connection: a page in a browser sees nothing of an HTTP answer."""
    dismissed = dismissal(PATH, query, wants_beta=False, beta=False)
    assert (dismissed.problem.code if dismissed else None) == code
    if dismissed is not None:
        assert str(dismissed.problem) == "You must not provide a model parameter for transcription sessions."
        assert (dismissed.code, dismissed.reason) == (4000, "invalid_request_error.invalid_model")


@pytest.mark.parametrize(
    ("transcripts", "words"),
    [
        ("words", "must be a list"),
        ([3], r"transcripts\[0\] must be a mapping"),
        ([{"tekst": "x"}], "tekst is not known"),
        ([{"text": 3}], "text must be a text"),
        ([{"delay": -1}], "delay is -1"),
        ([{"segments": {}}], "segments must be a list"),
        ([{"segments": [{"start": 2, "end": 1}]}], "end is 1"),
    ],
)
def test_a_bad_script_says_where(transcripts: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Script({"transcripts": transcripts})
