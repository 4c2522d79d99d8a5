"""Updates of the session: what they change, what clears, and which are refused with which code and param."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ProtocolError
from engine.realtime import session


def update(**members: Any) -> dict[str, Any]:
    return {"type": "realtime", **members}


def hearing(**members: Any) -> dict[str, Any]:
    return update(audio={"input": members})


def speaking(**members: Any) -> dict[str, Any]:
    return update(audio={"output": members})


def after(*updates: dict[str, Any], start: dict[str, Any] | None = None) -> dict[str, Any]:
    effective = session.realtime("s") if start is None else start
    for each in updates:
        session.check_update(effective, each)
        effective = session.merge(effective, each)
    return effective


def test_the_defaults_are_the_services() -> None:
    effective = session.realtime("sess_1")
    assert effective["output_modalities"] == ["audio"]
    assert effective["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
    assert effective["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    }
    assert (effective["max_output_tokens"], effective["truncation"]) == ("inf", "auto")
    assert (effective["tools"], effective["tool_choice"]) == ([], "auto")


def test_a_partial_update_changes_only_what_it_names() -> None:
    start = session.realtime("s")
    before = copy.deepcopy(start)
    changed = after(update(instructions="Be brief."), speaking(speed=1.25), start=start)
    assert start == before
    assert changed["instructions"] == "Be brief."
    assert changed["audio"]["output"] == {**before["audio"]["output"], "speed": 1.25}
    assert changed["audio"]["input"] == before["audio"]["input"]


def test_null_clears() -> None:
    loud = after(
        update(instructions="x", tools=[{"type": "function", "name": "f"}], tool_choice="none", max_output_tokens=5),
        hearing(transcription={"model": "whisper-1"}, noise_reduction={"type": "near_field"}),
    )
    cleared = after(
        update(instructions=None, tools=None, tool_choice=None, max_output_tokens=None, audio=None),
        hearing(transcription=None, noise_reduction=None),
        start=loud,
    )
    assert cleared == session.realtime("s")


def test_null_turns_detection_off_and_a_part_of_it_keeps_the_rest() -> None:
    softer = after(hearing(turn_detection={"threshold": 0.3}))
    assert softer["audio"]["input"]["turn_detection"] == {**session.SERVER_VAD, "threshold": 0.3}
    off = after(hearing(turn_detection=None), start=softer)
    assert off["audio"]["input"]["turn_detection"] is None
    on = after(hearing(turn_detection={"silence_duration_ms": 200}), start=off)
    assert on["audio"]["input"]["turn_detection"] == {**session.SERVER_VAD, "silence_duration_ms": 200}


def test_another_kind_of_detection_starts_from_its_own_defaults() -> None:
    semantic = after(hearing(turn_detection={"type": "semantic_vad", "eagerness": "high"}))
    assert semantic["audio"]["input"]["turn_detection"] == {**session.SEMANTIC_VAD, "eagerness": "high"}


def test_a_transcription_model_without_detection_switches_it_off() -> None:
    start = session.transcription("s")
    chosen = {"type": "transcription", "audio": {"input": {"transcription": {"model": "gpt-realtime-whisper"}}}}
    session.check_update(start, chosen)
    assert session.merge(start, chosen)["audio"]["input"]["turn_detection"] is None


REFUSED = [
    # update, code, param, a word of the text
    ({}, "missing_required_parameter", "session.type", "Missing required parameter: 'session.type'."),
    ({"type": 5}, "invalid_type", "session.type", "got an integer"),
    ({"type": "song"}, "invalid_value", "session.type", "'song'"),
    (
        {"type": "transcription"},
        "invalid_parameter",
        "session.type",
        "Passing a transcription session update event to a realtime session is not allowed.",
    ),
    (update(voice="echo"), "unknown_parameter", "session.voice", "Unknown parameter: 'session.voice'."),
    (update(modalities=["text"]), "unknown_parameter", "session.modalities", "Unknown parameter"),
    (update(id="mine"), "unknown_parameter", "session.id", "Unknown parameter"),
    (hearing(colour=1), "unknown_parameter", "session.audio.input.colour", "Unknown parameter"),
    (update(audio=[]), "invalid_type", "session.audio", "expected an object, but got an array instead."),
    (update(instructions=5), "invalid_type", "session.instructions", "expected a string"),
    (update(output_modalities=["audio", "text"]), "invalid_value", "session.output_modalities", "Invalid modalities"),
    (update(max_output_tokens=0), "invalid_value", "session.max_output_tokens", "1 to 4096"),
    (update(max_output_tokens="all"), "invalid_type", "session.max_output_tokens", "an integer"),
    (update(model="other"), "invalid_parameter", "session.model", "Cannot change"),
    (hearing(format="pcm16"), "invalid_type", "session.audio.input.format", "an object, but got a string instead."),
    (hearing(format={}), "missing_required_parameter", "session.audio.input.format.type", "format.type"),
    (hearing(format={"type": "audio/mp3"}), "invalid_value", "session.audio.input.format.type", "'audio/mp3'"),
    (
        hearing(format={"type": "audio/pcm", "rate": 16000}),
        "invalid_value",
        "session.audio.input.format.rate",
        "Supported values are: '24000'.",
    ),
    (hearing(turn_detection="none"), "invalid_type", "session.audio.input.turn_detection", "an object"),
    (hearing(turn_detection={"type": "x"}), "invalid_value", "session.audio.input.turn_detection.type", "'x'"),
    (
        hearing(turn_detection={"create_response": None}),
        "invalid_type",
        "session.audio.input.turn_detection.create_response",
        "expected a boolean, but got null instead.",
    ),
    (
        hearing(turn_detection={"threshold": 1.5}),
        "invalid_value",
        "session.audio.input.turn_detection.threshold",
        "0 to 1",
    ),
    (
        hearing(turn_detection={"idle_timeout_ms": 4999}),
        "invalid_value",
        "session.audio.input.turn_detection.idle_timeout_ms",
        "5000 to 30000",
    ),
    (
        hearing(turn_detection={"type": "semantic_vad", "threshold": 0.5}),
        "unknown_parameter",
        "session.audio.input.turn_detection.threshold",
        "Unknown parameter",
    ),
    (speaking(speed=2), "invalid_value", "session.audio.output.speed", "0.25 to 1.5"),
    (speaking(voice={}), "missing_required_parameter", "session.audio.output.voice.id", "voice.id"),
]


@pytest.mark.parametrize(("wanted", "code", "param", "words"), REFUSED)
def test_an_update_is_refused_as_a_whole(wanted: dict[str, Any], code: str, param: str, words: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        session.check_update(session.realtime("s"), wanted)
    assert (caught.value.code, caught.value.param) == (code, param)
    assert words in str(caught.value)


def test_the_voice_is_fixed_after_the_first_audio() -> None:
    same = speaking(voice="alloy")
    session.check_update(session.realtime("s"), same)
    with pytest.raises(ProtocolError) as caught:
        session.check_update(session.realtime("s"), same, audio_started=True)
    assert str(caught.value) == "Cannot update a conversation's voice if assistant audio is present."
    assert caught.value.code == "cannot_update_voice"


def test_tracing_is_fixed_once_enabled() -> None:
    traced = after(update(tracing="auto"))
    session.check_update(traced, update(tracing="auto"))
    with pytest.raises(ProtocolError, match="Cannot change tracing"):
        session.check_update(traced, update(tracing=None))


def test_a_client_may_send_members_it_does_not_know() -> None:
    session.check_update(session.realtime("s"), update(shiny=1), strict=False)
    assert session.merge(session.realtime("s"), update(shiny=1))["shiny"] == 1


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "rate", "id", "x"]), inner),
    max_leaves=4,
)
any_update = st.fixed_dictionaries(
    {"type": st.just("realtime")},
    optional={
        name: values | st.sampled_from(["auto", ["text"], 5])
        for name in ("model", "instructions", "tools", "output_modalities", "max_output_tokens", "tracing")
    }
    | {
        "audio": values
        | st.fixed_dictionaries(
            {},
            optional={
                "input": values
                | st.fixed_dictionaries(
                    {},
                    optional={
                        "format": values | st.just({"type": "audio/pcmu"}),
                        "turn_detection": values | st.just({"threshold": 0.25}) | st.just({"type": "semantic_vad"}),
                        "transcription": values,
                    },
                ),
                "output": values | st.fixed_dictionaries({}, optional={"voice": values, "speed": values}),
            },
        )
    },
)


@given(st.lists(any_update, max_size=4), st.booleans())
def test_any_update_is_merged_or_refused_and_the_result_stays_whole(updates: list[Any], strict: bool) -> None:
    effective = session.realtime("s")
    for each in updates:
        before = copy.deepcopy(effective)
        try:
            session.check_update(effective, each, strict=strict)
        except ProtocolError as problem:
            assert problem.code
            continue
        merged = session.merge(effective, each)
        assert effective == before
        assert set(merged) >= set(before)
        assert isinstance(merged["audio"]["input"]["format"], dict)
        assert merged["output_modalities"] in (["audio"], ["text"])
        detection = merged["audio"]["input"]["turn_detection"]
        assert detection is None or detection["type"] in ("server_vad", "semantic_vad")
        session.check_update(merged, {"type": "realtime"})
        effective = merged
