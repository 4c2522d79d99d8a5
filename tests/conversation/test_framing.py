"""Append events of any length from 10 to 200 ms: every byte once, in order, and none left behind."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import engine
from engine.audio import AudioFormat
from engine.audio.duplex import RECORD
from engine.conversation import Conversation, Settings
from engine.conversation.framing import Framer
from engine.errors import ConfigError
from engine.realtime import events as ev
from tests.conversation.harness import Held, held, question

FORMATS = [AudioFormat.PCM, AudioFormat.PCMU]


def records(count: int, form: AudioFormat, first: int = 0) -> NDArray[Any]:
    """Records whose bytes number the sound."""
    made = np.zeros(count, RECORD)
    length = 10 * form.bytes_per_ms
    made["bytes"] = length
    made["position"] = np.arange(first, first + count) * 240
    for i in range(count):
        made["payload"][i, :length] = np.random.default_rng(first + i).integers(0, 256, length)
    return made


def sound(made: NDArray[Any]) -> bytes:
    return b"".join(bytes(record["payload"][: record["bytes"]]) for record in made)


@settings(max_examples=80, deadline=None)
@given(
    form=st.sampled_from(FORMATS),
    frame_ms=st.integers(10, 200),
    batches=st.lists(st.integers(0, 45), max_size=8),
)
def test_frames_have_exactly_their_length_and_lose_nothing(
    form: AudioFormat, frame_ms: int, batches: list[int]
) -> None:
    framer = Framer(form.bytes_per_ms, frame_ms)
    everything = records(sum(batches), form)
    frames: list[bytes] = []
    at = 0
    for batch in batches:
        frames += framer.cut(everything[at : at + batch])
        at += batch
        assert sum(map(len, frames)) > at * 10 * form.bytes_per_ms - frame_ms * form.bytes_per_ms  # less than one waits
    assert {len(frame) for frame in frames} <= {frame_ms * form.bytes_per_ms}
    frames += framer.cut(everything[:0], flush=True)
    assert b"".join(frames) == sound(everything)
    assert list(framer.cut(everything[:0], flush=True)) == []


@pytest.mark.parametrize("form", FORMATS)
def test_without_a_length_all_that_waits_goes_200_ms_at_a_time(form: AudioFormat) -> None:
    made = records(45, form)
    frames = list(Framer(form.bytes_per_ms).cut(made))
    assert [len(frame) // form.bytes_per_ms for frame in frames] == [200, 200, 50]
    assert b"".join(frames) == sound(made)


@pytest.mark.parametrize("wrong", [0, 9, 201, 20.0, "20", True])
def test_an_impossible_length_is_a_config_error_that_names_it(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="frame_ms is"):
        Settings(frame_ms=wrong)
    with pytest.raises(ConfigError, match="frame_ms is"):
        engine.connect(engine.Memory(np.zeros(240, np.int16), 24000), frame_ms=wrong)


def lengths(talk: Held) -> list[int]:
    return [len(b64decode(append["audio"])) for append in talk.log.of("sent", "input_audio_buffer.append")]


@pytest.mark.parametrize(("frame_ms", "form"), [(25, AudioFormat.PCM), (100, AudioFormat.PCMU)])
def test_a_conversation_in_frames_hears_and_answers_the_same(frame_ms: int, form: AudioFormat) -> None:
    free = held(question(), audio_format=form)
    framed = held(question(), audio_format=form, frame_ms=frame_ms)
    assert set(lengths(framed)) == {frame_ms * form.bytes_per_ms}
    assert framed.turns[0].role == free.turns[0].role == "user"
    common = min(len(free.log.sent_audio()), len(framed.log.sent_audio()))
    assert common > 3000 * form.bytes_per_ms
    assert framed.log.sent_audio()[:common] == free.log.sent_audio()[:common]
    assert framed.turns[-1].received_ms == free.turns[-1].received_ms > 0


def test_a_commit_takes_with_it_what_was_said_before_it() -> None:
    async def push_to_talk(conversation: Conversation) -> None:
        await asyncio.sleep(1.95)
        conversation.send(ev.InputAudioBufferCommit())
        await asyncio.sleep(30)

    manual = {"audio": {"input": {"turn_detection": None}}}
    talk = held(question(), during=push_to_talk, frame_ms=200, session=manual)
    commit = talk.log.place("sent", "input_audio_buffer.commit")
    before = [entry for entry in talk.log.entries[:commit] if entry.type == "input_audio_buffer.append"]
    sent_ms = sum(len(b64decode(entry.message["audio"])) for entry in before) / 48
    assert 1930 <= sent_ms <= 1950
    assert len(b64decode(before[-1].message["audio"])) < 200 * 48
