"""One example of every event goes through the types and back unchanged; absent, null and a value stay three things."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from engine.realtime import events as ev
from engine.realtime import wire
from engine.realtime.roles import Role

SAMPLES: dict[str, list[dict[str, Any]]] = json.loads((Path(__file__).parent / "samples.json").read_text())

CLIENT_TYPES = set(
    """
session.update input_audio_buffer.append input_audio_buffer.commit input_audio_buffer.clear conversation.item.create
conversation.item.retrieve conversation.item.truncate conversation.item.delete response.create response.cancel
output_audio_buffer.clear
""".split()  # noqa: SIM905 - it reads better
)
SERVER_TYPES = set(
    """
error session.created session.updated conversation.created conversation.item.created conversation.item.added
conversation.item.done conversation.item.retrieved conversation.item.truncated conversation.item.deleted
conversation.item.input_audio_transcription.delta conversation.item.input_audio_transcription.completed
conversation.item.input_audio_transcription.segment conversation.item.input_audio_transcription.failed
input_audio_buffer.committed input_audio_buffer.cleared input_audio_buffer.speech_started
input_audio_buffer.speech_stopped input_audio_buffer.timeout_triggered input_audio_buffer.dtmf_event_received
output_audio_buffer.started output_audio_buffer.stopped output_audio_buffer.cleared response.created
response.output_item.added response.output_item.done response.content_part.added response.content_part.done
response.output_audio.delta response.output_audio.done response.output_audio_transcript.delta
response.output_audio_transcript.done response.output_text.delta response.output_text.done
response.function_call_arguments.delta response.function_call_arguments.done response.mcp_call_arguments.delta
response.mcp_call_arguments.done response.mcp_call.in_progress response.mcp_call.completed response.mcp_call.failed
mcp_list_tools.in_progress mcp_list_tools.completed mcp_list_tools.failed response.done rate_limits.updated
""".split()  # noqa: SIM905 - it reads better
)

EVERY_SAMPLE = [
    pytest.param(Role(side), value, id=value["type"]) for side, values in SAMPLES.items() for value in values
]


def test_the_types_are_those_of_the_reference() -> None:
    assert len(CLIENT_TYPES) == 11
    assert len(SERVER_TYPES) == 46
    assert set(ev.CLIENT_EVENTS) == CLIENT_TYPES
    assert set(ev.SERVER_EVENTS) == SERVER_TYPES


def test_there_is_a_sample_of_every_type() -> None:
    assert sorted(value["type"] for value in SAMPLES["client"]) == sorted(CLIENT_TYPES)
    assert sorted(value["type"] for value in SAMPLES["server"]) == sorted(SERVER_TYPES)


def test_a_type_is_named_after_its_event() -> None:
    for kind, cls in {**ev.CLIENT_EVENTS, **ev.SERVER_EVENTS}.items():
        assert cls.__name__ == "".join(word.capitalize() for word in re.split(r"[._]", kind))
        assert cls.__doc__ is not None
        assert cls.__doc__.startswith(("Client", "Server")), f"{cls.__name__} does not say who sends it"
        assert cls.__name__ in ev.__all__


@pytest.mark.parametrize(("sender", "value"), EVERY_SAMPLE)
def test_a_sample_returns_unchanged(sender: Role, value: dict[str, Any]) -> None:
    event = wire.decode(json.dumps(value), sender)
    assert isinstance(event, ev.EVENTS[sender][value["type"]])
    assert event.type == value["type"]
    assert event.extra is ev.UNSET
    assert json.loads(wire.encode(event)) == value


@pytest.mark.parametrize(("sender", "value"), EVERY_SAMPLE)
def test_members_of_tomorrow_are_kept(sender: Role, value: dict[str, Any]) -> None:
    for unknown in ({"shiny": {"a": [None, 1]}}, {"extra": "plain"}, {"*": {"stars": 5}}, {"*": 1, "shiny": 2}):
        newer = {**value, **unknown}
        event = wire.decode(json.dumps(newer), sender)
        assert isinstance(event, ev.Event)
        assert event.extra == unknown
        assert json.loads(wire.encode(event)) == newer


@pytest.mark.parametrize(("sender", "value"), EVERY_SAMPLE)
def test_the_other_side_does_not_own_it(sender: Role, value: dict[str, Any]) -> None:
    assert isinstance(wire.decode(json.dumps(value), sender.peer), ev.Unknown)


def test_absent_null_and_a_value_are_three_things() -> None:
    texts = {
        ev.UNSET: b'{"type":"input_audio_buffer.committed","item_id":"i"}',
        None: b'{"type":"input_audio_buffer.committed","item_id":"i","previous_item_id":null}',
        "p": b'{"type":"input_audio_buffer.committed","item_id":"i","previous_item_id":"p"}',
    }
    for expected, text in texts.items():
        event = wire.decode(text, Role.SERVER)
        assert isinstance(event, ev.InputAudioBufferCommitted)
        assert event.previous_item_id == expected
        assert wire.encode(event) == text


def test_audio_is_bytes_here_and_base64_there() -> None:
    event = wire.decode('{"type":"input_audio_buffer.append","audio":"AAEC/w=="}', Role.CLIENT)
    assert event == ev.InputAudioBufferAppend(audio=b"\x00\x01\x02\xff")
    for audio in (b"\x00\x01\x02\xff", bytearray(b"\x00\x01\x02\xff"), memoryview(b"\x00\x01\x02\xff")):
        assert wire.encode(ev.InputAudioBufferAppend(audio=audio)) == (  # type: ignore[arg-type]
            b'{"type":"input_audio_buffer.append","audio":"AAEC/w=="}'
        )


def test_events_are_frozen() -> None:
    event = ev.InputAudioBufferClear()
    with pytest.raises(AttributeError):
        event.event_id = "other"  # type: ignore[misc]


def test_response_done_tells_its_outcome() -> None:
    event = wire.decode(json.dumps(next(v for v in SAMPLES["server"] if v["type"] == "response.done")), Role.SERVER)
    assert isinstance(event, ev.ResponseDone)
    assert (event.response_id, event.status, event.reason) == ("resp_1", "cancelled", "turn_detected")
    assert event.usage is not None
    assert (event.usage.total_tokens, event.usage.input_token_details.cached_tokens) == (30, 4)
    assert event.usage.output_token_details.audio_tokens == 8


@pytest.mark.parametrize("response", [{}, {"id": 5, "status": [], "status_details": 1, "usage": {"total_tokens": "x"}}])
def test_reading_a_strange_response_does_not_raise(response: dict[str, Any]) -> None:
    event = ev.ResponseDone(response=response)
    assert (event.response_id, event.status, event.reason, event.failure) == ("", "", "", {})
    assert event.usage is None
    assert event.metadata == {}
