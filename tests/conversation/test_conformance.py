"""Every message of whole conversations, of either side, satisfies the published schema. Skips where that is absent."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from engine.realtime import types as t
from engine.realtime.roles import Role
from tests.conftest import shared_path
from tests.conversation.harness import caller, held, question, tones
from tests.realtime import published

SIDES = {"sent": Role.CLIENT, "received": Role.SERVER}


def validators() -> dict[tuple[Role, str], jsonschema.Draft202012Validator]:
    return {
        (role, str(kind.__struct_config__.tag)): jsonschema.Draft202012Validator(published.definitions(name))
        for name, (role, kind) in published.schemas_of_events().items()
    }


TOOL = t.FunctionTool(name="clock", description="What time it is.", parameters={"type": "object", "properties": {}})
WANTED = t.RealtimeSession(
    instructions="Be brief.",
    audio=t.Audio(
        input=t.AudioInput(turn_detection=t.ServerVad(silence_duration_ms=400), noise_reduction=None),
        output=t.AudioOutput(voice="marin", speed=1.0),
    ),
    tools=(TOOL,),
    tool_choice="auto",
    max_output_tokens=500,
)


@pytest.mark.parametrize(
    ("samples", "brain", "wanted"), [(caller, "script", None), (question, "echo", WANTED)], ids=["barge-in", "settings"]
)
def test_both_sides_of_a_conversation_satisfy_the_schema(samples: Any, brain: str, wanted: Any) -> None:
    shared_path("protocol", "realtime.schema.json")
    known = validators()
    server = tones() if brain == "script" else tones(brain)
    talk = held(samples(), server, session=wanted.to_wire() if wanted else {})
    checked: dict[str, int] = {}
    for entry in talk.log.entries:
        if entry.kind in SIDES:
            role = SIDES[entry.kind]
            message = published.without_nulls(entry.message) if role is Role.SERVER else entry.message
            known[role, entry.type].validate(message)
            checked[entry.type] = checked.get(entry.type, 0) + 1
    print(f"{sum(checked.values())} messages of {len(checked)} types")
    assert {"session.created", "input_audio_buffer.append", "response.output_audio.delta", "response.done"} <= set(
        checked
    )
