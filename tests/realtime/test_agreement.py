"""What was asked of a session against what is in force: differences are told, updates carry only what changes, and a
refused one stops the sound before any of it is sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from engine.errors import ConfigError, LocalProtocolError
from engine.realtime import agreement, session
from engine.realtime import events as ev
from engine.realtime import types as t
from engine.realtime.protocol import Protocol
from tests.realtime.any_shape import shapes
from tests.realtime.scenes import client, closing, created, opening, server

EFFECTIVE = session.realtime("sess_1", instructions="Be kind.")
DETECTION = EFFECTIVE["audio"]["input"]["turn_detection"]


def changed(wanted: dict[str, Any]) -> dict[str, Any]:
    return agreement.changes(EFFECTIVE, wanted)


def test_nothing_changes_when_all_of_it_is_in_force() -> None:
    assert changed(EFFECTIVE) == {}
    part = {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "server_vad"}}}}
    assert changed({**part, "instructions": "Be kind."}) == {}


def test_only_what_changes_is_left() -> None:
    wanted = {"instructions": "Be brief.", "audio": {"output": {"voice": "alloy", "speed": 1.25}}, "tracing": None}
    assert changed(wanted) == {"instructions": "Be brief.", "audio": {"output": {"speed": 1.25}}}


def test_turn_detection_is_sent_whole() -> None:
    wanted = {"audio": {"input": {"turn_detection": {**DETECTION, "threshold": 0.7}}}}
    assert changed(wanted) == wanted


def test_null_is_a_change_where_something_is_set() -> None:
    assert changed({"audio": {"input": {"turn_detection": None}}}) == {"audio": {"input": {"turn_detection": None}}}
    assert changed({"audio": {"input": {"transcription": None}}}) == {}
    assert agreement.changes({}, {"prompt": None}) == {"prompt": None}  # nobody knows what is in force


def test_false_is_not_nought() -> None:
    wanted = {"audio": {"input": {"turn_detection": {**DETECTION, "create_response": 1}}}}
    assert changed(wanted) == wanted


def test_a_secret_that_the_server_hides_is_sent_again() -> None:
    tool = {"type": "mcp", "server_label": "m", "server_url": "https://x", "authorization": "t"}
    effective = {"tools": [{**tool, "authorization": None}]}
    assert agreement.changes(effective, {"tools": [tool]}) == {"tools": [tool]}
    assert agreement.differences({"tools": [tool]}, effective) == []


@given(shapes(t.RealtimeSession))
def test_what_was_merged_is_no_change_any_more(shape: t.Shape) -> None:
    wanted = shape.to_wire()
    sent = agreement.changes(EFFECTIVE, wanted)
    after = session.merge(EFFECTIVE, sent)
    assert agreement.differences(wanted, after) == []


def test_differences_name_what_is_not_in_force() -> None:
    asked = {
        "type": "realtime",
        "instructions": "Be brief.",
        "parallel_tool_calls": True,
        "shiny": 1,
        "audio": {"output": {"voice": "ash"}, "input": {"turn_detection": {"threshold": 0.5}}},
    }
    found = agreement.differences(asked, EFFECTIVE)
    assert [difference.field for difference in found] == [
        "session.instructions",
        "session.shiny",
        "session.audio.output.voice",
    ]
    assert str(found[0]) == "session.instructions: asked for 'Be brief.', in force is 'Be kind.'"
    assert str(found[1]).endswith("in force is not reported")


# ---- the protocol's part


def sent_session(near: Protocol) -> dict[str, Any]:
    (event,) = near.outgoing()
    assert isinstance(event, ev.SessionUpdate)
    return event.session


def test_an_update_sends_only_what_changed() -> None:
    near = client()
    wanted = t.RealtimeSession(instructions="Be brief.", audio=t.Audio(output=t.AudioOutput(voice="alloy", speed=1.25)))
    near.update_session(wanted)
    assert sent_session(near) == {
        "type": "realtime",
        "instructions": "Be brief.",
        "audio": {"output": {"speed": 1.25}},
    }
    assert near.update_session({"instructions": ""}) is None
    assert near.outgoing() == []


def test_the_voice_in_force_may_be_named_again_after_the_first_sound() -> None:
    near = client()
    for event in (*opening(50), *closing()):
        near.receive(event)
    near.update_session(t.RealtimeSession(instructions="x", audio=t.Audio(output=t.AudioOutput(voice="alloy"))))
    assert sent_session(near) == {"type": "realtime", "instructions": "x"}
    with pytest.raises(ConfigError, match="the voice is fixed after the session's first audio"):
        near.update_session({"audio": {"output": {"voice": "ash"}}})


def test_the_speed_waits_for_the_end_of_the_turn() -> None:
    near = client()
    near.receive(created())
    with pytest.raises(ConfigError, match=r"speed is 1\.25: the speed changes only between turns"):
        near.update_session({"audio": {"output": {"speed": 1.25}}})
    assert near.outgoing() == []


def test_extra_goes_last_and_rules_can_be_turned_off(caplog: pytest.LogCaptureFixture) -> None:
    near = client()
    with pytest.raises(ConfigError, match="max_output_tokens"):
        near.update_session({"max_output_tokens": 9999}, extra={"shiny": 1})
    near.update_session({"instructions": "x"}, extra={"shiny": 1, "instructions": "y"})
    assert sent_session(near) == {"type": "realtime", "instructions": "y", "shiny": 1}
    near.update_session({"include": ["x"]}, validate=False)
    assert "validation is off" in caplog.text


def test_an_update_is_compared_with_its_answer() -> None:
    near = client()
    near.update_session({"audio": {"output": {"voice": "ash"}}})
    near.receive(ev.SessionUpdated(session=EFFECTIVE))
    assert [str(each) for each in near.differences] == [
        "session.audio.output.voice: asked for 'ash', in force is 'alloy'"
    ]
    near.update_session({"audio": {"output": {"voice": "ash"}}})
    near.receive(ev.SessionUpdated(session={"audio": {"output": {"voice": "ash"}}}))
    assert near.differences == []


@pytest.mark.parametrize("named", [True, False])
def test_a_refused_update_stops_the_sound_before_any_is_sent(named: bool) -> None:
    near, far = client(), server()
    near.send(ev.SessionUpdate(session={"type": "realtime", "voice": "ash"}))
    (update,) = near.outgoing()
    far.receive(update)
    (refusal,) = far.outgoing()
    assert isinstance(refusal, ev.Error)
    near.receive(refusal if named else ev.Error(error={**refusal.error, "event_id": None}))
    assert near.refusal is not None
    assert near.refusal.code == "unknown_parameter"
    with pytest.raises(LocalProtocolError, match=r"no sound is sent.*Unknown parameter: 'session\.voice'") as caught:
        near.send(ev.InputAudioBufferAppend(audio=bytes(480)))
    assert caught.value.param == "session.voice"
    near.update_session({"instructions": "x"})
    near.receive(ev.SessionUpdated(session={"instructions": "x"}))
    near.send(ev.InputAudioBufferAppend(audio=bytes(480)))


def test_a_refusal_in_the_middle_does_not_stop_the_sound() -> None:
    near = client()
    near.send(ev.InputAudioBufferAppend(audio=bytes(480)))
    near.send(ev.SessionUpdate(event_id="u", session={"type": "realtime", "shiny": 1}))
    near.receive(ev.Error(error={"code": "unknown_parameter", "message": "no", "event_id": "u"}))
    assert near.refusal is not None
    near.send(ev.InputAudioBufferAppend(audio=bytes(480)))


def test_another_error_refuses_no_update() -> None:
    near = client()
    near.update_session({"instructions": "x"})
    near.receive(ev.Error(error={"code": "invalid_value", "message": "no", "event_id": "other"}))
    near.receive(ev.Error(error={"code": "server_error", "message": "no", "event_id": None}))
    assert near.refusal is None
    near.receive(ev.SessionUpdated(session={"instructions": "x"}))
    assert near.differences == []
