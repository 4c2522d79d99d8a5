"""Any message is an event or a RemoteProtocolError that names code, param and, when it can be read, the event's id."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import LocalProtocolError, RemoteProtocolError
from engine.realtime import events as ev
from engine.realtime import wire
from engine.realtime.roles import Role

TRUNCATE = '{"type":"conversation.item.truncate","event_id":"e1","item_id":"i",'

MISTAKES = [
    # message, code, param, event_id, a word of the text
    ("", "invalid_event", None, None, "not valid JSON"),
    ("nope", "invalid_event", None, None, "not valid JSON"),
    ('{"type":"input_audio_buffer.clear"', "invalid_event", None, None, "not valid JSON"),
    ('{"type":"input_audio_buffer.clear"} x', "invalid_event", None, None, "not valid JSON"),
    ('{"type":"response.create","response":{"a":NaN}}', "invalid_event", None, None, "not valid JSON"),
    ('{"type":"response.create","response":{"a":Infinity}}', "invalid_event", None, None, "not valid JSON"),
    ('{"type":"response.create","response":{"a":1e999}}', "invalid_event", None, None, "out of range"),
    ('{"type":"response.create","response":{"a":' + "9" * 5000 + "}}", "invalid_event", None, None, "out of range"),
    ('{"type":"response.create","response":{"a":"\\ud800"}}', "invalid_event", None, None, "not valid JSON"),
    ('{"type":"response.create","response":{"a":"\ud800"}}', "invalid_event", None, None, "not valid JSON"),
    (b'{"type":"response.create","response":{"a":"\xff"}}', "invalid_event", None, None, "not valid JSON"),
    ("[1]", "invalid_event", None, None, "not a JSON object"),
    ("null", "invalid_event", None, None, "not a JSON object"),
    ('{"event_id":"e1"}', "invalid_event", None, "e1", "The 'type' field is missing."),
    ('{"type":7,"event_id":"e1"}', "invalid_type", "type", "e1", "expected a string, but got an integer"),
    ('{"type":null,"event_id":5}', "invalid_type", "type", None, "got null"),
    ('{"type":"input_audio_buffer.append","event_id":"e1"}', "missing_required_parameter", "audio", "e1", "'audio'"),
    ('{"type":"input_audio_buffer.append","audio":"AAA"}', "invalid_value", "audio", None, "base64"),
    ('{"type":"input_audio_buffer.append","audio":"A A="}', "invalid_value", "audio", None, "base64"),
    ('{"type":"input_audio_buffer.append","audio":5}', "invalid_type", "audio", None, "got an integer"),
    (TRUNCATE + '"content_index":0}', "missing_required_parameter", "audio_end_ms", "e1", "'audio_end_ms'"),
    (TRUNCATE + '"content_index":"0","audio_end_ms":1}', "invalid_type", "content_index", "e1", "got a string"),
    (TRUNCATE + '"content_index":true,"audio_end_ms":1}', "invalid_type", "content_index", "e1", "got a boolean"),
    (TRUNCATE + '"content_index":0,"audio_end_ms":1.5}', "invalid_type", "audio_end_ms", "e1", "got a number"),
    (
        '{"type":"session.update","session":[],"event_id":"e1"}',
        "invalid_type",
        "session",
        "e1",
        "got an array",
    ),
    ('{"type":"input_audio_buffer.clear","event_id":"' + "x" * 513 + '"}', "invalid_value", "event_id", None, "512"),
    ('{"type":"response.create","response":' + '{"a":' * 80 + "1" + "}" * 81, "invalid_event", None, None, "deeper"),
    ('{"type":"novel","a":' + "[" * 80 + "]" * 80 + "}", "invalid_event", None, None, "deeper"),
    ('{"type":"input_audio_buffer.clear","a":' + "[" * 80 + "]" * 80 + "}", "invalid_event", None, None, "deeper"),
    ("[" * 200_000, "invalid_event", None, None, "deeper"),
    ('{"type":"response.create","response":' + '{"a":' * 200_000, "invalid_event", None, None, "deeper"),
]


@pytest.mark.parametrize(("message", "code", "param", "event_id", "words"), MISTAKES)
def test_a_mistake_is_named(
    message: str | bytes, code: str, param: str | None, event_id: str | None, words: str
) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        wire.decode(message, Role.CLIENT)
    error = caught.value
    assert (error.code, error.param, error.event_id) == (code, param, event_id)
    assert words in str(error)
    assert len(str(error)) < 500


def test_nesting_up_to_the_limit_is_fine() -> None:
    inner: Any = 1
    for _ in range(wire.MAX_DEPTH - 1):
        inner = [inner]
    text = json.dumps({"type": "response.create", "response": {"a": inner}})
    assert json.loads(wire.encode(wire.decode(text, Role.CLIENT))) == json.loads(text)
    deeper = json.dumps({"type": "response.create", "response": {"a": [inner]}})
    with pytest.raises(RemoteProtocolError):
        wire.decode(deeper, Role.CLIENT)


def test_an_unknown_event_is_kept_whole() -> None:
    text = '{"a":[1,null,{"b":2.5}],"type":"response.sung","event_id":"e1"}'
    for sender in Role:
        event = wire.decode(text, sender)
        assert event == ev.Unknown(type="response.sung", fields={"a": [1, None, {"b": 2.5}], "event_id": "e1"})
        assert event.event_id == "e1"
        assert json.loads(wire.encode(event)) == json.loads(text)


def test_every_kind_of_buffer_is_read() -> None:
    text = b'{"type":"input_audio_buffer.clear"}'
    for data in (text, bytearray(text), memoryview(text), text.decode()):
        assert wire.decode(data, Role.CLIENT) == ev.InputAudioBufferClear()


@pytest.mark.parametrize("value", [object(), "\ud800", {1: object()}])
def test_what_has_no_json_form_is_refused(value: object) -> None:
    with pytest.raises(LocalProtocolError, match=r"response\.create cannot be written"):
        wire.encode(ev.ResponseCreate(response={"a": value}))


def total(data: bytes | str) -> None:
    for sender in Role:
        try:
            event = wire.decode(data, sender)
        except RemoteProtocolError as error:
            assert error.code in ("invalid_event", "invalid_type", "invalid_value", "missing_required_parameter")
            continue
        assert wire.decode(wire.encode(event), sender) == event


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_any_bytes_or_text_are_an_event_or_an_error(data: bytes | str) -> None:
    total(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
TYPES = [*ev.CLIENT_EVENTS.values(), *ev.SERVER_EVENTS.values()]
NAMES = sorted({name for cls in TYPES for name in cls.__struct_encode_fields__})


@given(st.sampled_from([*ev.CLIENT_EVENTS, *ev.SERVER_EVENTS]), st.dictionaries(st.sampled_from(NAMES), json_values))
def test_a_known_type_with_any_members_is_an_event_or_an_error(kind: str, members: dict[str, Any]) -> None:
    total(json.dumps({**members, "type": kind}))


@given(st.text(max_size=8), st.dictionaries(st.text(max_size=8), json_values, max_size=4))
def test_any_object_survives_as_it_is(kind: str, members: dict[str, Any]) -> None:
    value = {**members, "type": f"novel.{kind}"}
    if any("\ud800" <= character <= "\udfff" for character in json.dumps(value, ensure_ascii=False)):
        return
    event = wire.decode(json.dumps(value), Role.SERVER)
    assert json.loads(wire.encode(event)) == value
