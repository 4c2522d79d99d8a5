"""The reference's own examples decode and re-encode to the same JSON value. Skips where the shared data are absent."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from engine.realtime import events as ev
from engine.realtime import wire
from engine.realtime.roles import Role
from tests.conftest import shared_path


def schemas_of_events() -> dict[str, Role]:
    schemas = json.loads(shared_path("protocol", "realtime.schema.json").read_text())["components"]["schemas"]
    return {
        reference["$ref"].rsplit("/", 1)[1]: role
        for union, role in (("RealtimeClientEvent", Role.CLIENT), ("RealtimeServerEvent", Role.SERVER))
        for reference in schemas[union].get("anyOf") or schemas[union]["oneOf"]
    }


def why_invalid(schema: str, value: dict[str, Any], known_bad: dict[str, str]) -> str:
    """The reason to leave an example out, or ""."""
    if schema in known_bad:
        return known_bad[schema]
    audio = {"input_audio_buffer.append": "audio", "response.output_audio.delta": "delta"}.get(value["type"])
    if audio:
        try:
            base64.b64decode(value[audio], validate=True)
        except binascii.Error as error:
            return f"its {audio} is a placeholder, not base64: {error}"
    return ""


def test_published_examples_return_unchanged() -> None:
    events = schemas_of_events()
    examples = json.loads(shared_path("protocol", "realtime.examples.json").read_text())["examples"]
    corrections = json.loads(shared_path("protocol", "schema-corrections.json").read_text())
    known_bad = {entry["schema"]: entry["why"] for entry in corrections["known_bad_examples"]}
    checked, left_out = 0, []
    for example in examples:
        role = events.get(example["schema"])
        if role is None:
            continue
        value = example["value"]
        if reason := why_invalid(example["schema"], value, known_bad):
            left_out.append(f"{example['schema']}: {reason}")
            continue
        event = wire.decode(json.dumps(value), role)
        assert not isinstance(event, ev.Unknown), example["schema"]
        assert json.loads(wire.encode(event)) == value, example["schema"]
        checked += 1
    print(f"{len(examples)} published examples, {checked} events checked, {len(left_out)} left out:")
    print("\n".join(f"  {line}" for line in left_out))
    assert checked >= 50
    assert len(left_out) <= 3
