"""Ours against the published schema, both ways. Skips where the shared protocol data are absent.

What the types here can say satisfies the schema; what the schema allows is read without loss and without a member that
has no name here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from engine.realtime import events as ev
from engine.realtime import rules, wire
from engine.realtime import types as t
from engine.realtime.types import reading
from engine.realtime.types.shape import Shape
from tests.conftest import shared_path
from tests.realtime import published
from tests.realtime.any_shape import shapes

BRISK = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
OF_ANOTHER_PART = tuple(f".content[].{name}" for name in ("text", "audio", "transcript", "image_url", "detail"))
"""The schema has one object for all parts of a message: a text part may have a transcript there."""
AUDIO = {"input_audio_buffer.append": "audio", "response.output_audio.delta": "delta"}


@pytest.mark.parametrize("name", published.PAIRS)
def test_what_a_shape_can_say_satisfies_the_schema(name: str) -> None:
    validator = jsonschema.Draft202012Validator(published.definitions(name))
    needed = set(published.corrected()[name].get("required", ()))

    @BRISK
    @given(shapes(published.PAIRS[name]))
    def check(shape: Shape) -> None:
        value = published.without_nulls(shape.to_wire())
        if "client_secret" in needed:  # one shape for the older dialect's request and its answer
            value.setdefault("client_secret", {"value": "ek_1", "expires_at": 1})
        validator.validate(value)

    check()


@pytest.mark.parametrize("name", published.PAIRS)
def test_what_the_schema_allows_is_read_without_loss(name: str) -> None:
    kind = published.PAIRS[name]

    @BRISK
    @given(published.values(name).filter(lambda value: value is not None))
    def check(value: dict[str, Any]) -> None:
        shape = kind.from_wire(value)
        assert shape.to_wire() == value
        assert [where for where in unnamed(shape) if not where.endswith(OF_ANOTHER_PART)] == []
        assert kind.from_wire(shape.to_wire()) == shape
        json.dumps(value)

    check()


def unnamed(value: Any, where: str = "") -> Iterator[str]:
    """Members that have no name in the types here: what stayed in an `extra`."""
    if isinstance(value, Shape):
        if value.extra is not UNSET:
            yield from (f"{where}.{name}" for name in value.extra)
        for name in value.__struct_fields__:
            if name != "extra":
                yield from unnamed(getattr(value, name), f"{where}.{name}")
    elif isinstance(value, tuple):
        for element in value:
            yield from unnamed(element, f"{where}[]")


def events_with_names() -> list[str]:
    try:
        return list(published.schemas_of_events())
    except pytest.skip.Exception:
        return []


@pytest.mark.parametrize("name", events_with_names() or ["(the shared data are absent)"])
def test_every_event_of_the_schema_is_read_without_loss(name: str) -> None:
    shared_path("protocol", "realtime.schema.json")
    role, kind = published.schemas_of_events()[name]

    @BRISK
    @given(published.values(name), st.binary(max_size=6))
    def check(value: dict[str, Any], sound: bytes) -> None:
        if member := AUDIO.get(value["type"]):
            value = {**value, member: base64.b64encode(sound).decode()}
        event = wire.decode(json.dumps(value), role)
        assert type(event) is kind
        assert event.extra is UNSET
        assert json.loads(wire.encode(event)) == value

    check()


@pytest.mark.parametrize(
    ("schema", "kind", "member"),
    [
        ("RealtimeClientEventSessionUpdate", t.RealtimeSession, "session"),
        ("RealtimeClientEventSessionUpdate", t.TranscriptionSession, "session"),
        ("RealtimeClientEventResponseCreate", t.ResponseRequest, "response"),
        ("RealtimeClientEventConversationItemCreate", t.UserMessage, "item"),
        ("RealtimeClientEventConversationItemCreate", t.FunctionCallOutput, "item"),
    ],
)
def test_a_shape_in_the_event_that_carries_it_satisfies_the_schema(schema: str, kind: type[Shape], member: str) -> None:
    validator = jsonschema.Draft202012Validator(published.definitions(schema))
    _, event_kind = published.schemas_of_events()[schema]

    @BRISK
    @given(shapes(kind))
    def check(shape: Shape) -> None:
        event = event_kind(**{member: published.without_nulls(shape.to_wire())})
        validator.validate(json.loads(wire.encode(event)))

    check()


@pytest.mark.parametrize("kind", [t.RealtimeSession, t.TranscriptionSession, t.ResponseRequest])
def test_the_rules_pass_what_the_types_can_say(kind: type[Shape]) -> None:
    """Only exclusions between members, which annotations cannot say, may refuse it."""
    excluded = {
        "exactly one of server_url, connector_id and tunnel_id says where the tools are",
        "gpt-realtime-whisper takes no turn detection",
        "gpt-live-transcribe takes no turn detection",
    }

    @BRISK
    @given(shapes(kind))
    def check(shape: Shape) -> None:
        found = rules.problems(kind, shape.to_wire(extra=False)).problems
        assert {problem.rule for problem in found} <= excluded

    check()


def test_the_published_examples_of_shapes_return_unchanged() -> None:
    examples = json.loads(shared_path("protocol", "realtime.examples.json").read_text())["examples"]
    checked = 0
    for example in examples:
        kind = published.PAIRS.get(example["schema"])
        if kind is None:
            continue
        assert kind.from_wire(example["value"]).to_wire() == example["value"], example["schema"]
        if "session" in example["schema"].lower():
            assert t.session_of(example["value"]).to_wire().items() >= example["value"].items()
        checked += 1
    print(f"{checked} examples of shapes")
    assert checked >= 6


def test_every_schema_is_compared_or_left_out_with_a_reason() -> None:
    compared = {*published.PAIRS, *published.schemas_of_events()}
    covered = {found for name in compared for found in published.reached(name)}
    everything = set(published.corrected())
    unions = {"RealtimeClientEvent", "RealtimeServerEvent"}
    reasons = {name: reason for name in everything if (reason := published.left_out(name))}
    rest = everything - covered - unions - set(reasons)
    members = sum(len(reading.plan(kind)) for kind in set(published.PAIRS.values()))
    print(f"{len(everything)} schemas: {len(compared)} compared, {len(covered)} covered with what they refer to,")
    print(f"{len(reasons)} left out; {len(ev.CLIENT_EVENTS)} + {len(ev.SERVER_EVENTS)} events, {members} members")
    assert rest == set()
