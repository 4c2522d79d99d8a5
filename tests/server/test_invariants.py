"""Whatever a client does in whatever order, the rules of the protocol hold (the harness checks them on every event)."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.server import ServerOptions
from engine.server.responders import Fail, Part, Say, Text, ToolCall
from tests.server.harness import Client, Says, run, session, silence, speech, wire

SPEECH, SILENCE = wire(speech("hello out there")), wire(silence(0.7))
BRAIN: tuple[list[Part | float], ...] = (
    [Say("A first answer of some length. And a second sentence.")],
    [0.4, Say("After a while.")],
    [ToolCall("look", '{"a": 1}'), Say("And words after it.")],
    [Say("Broken off."), Fail("No more.")],
    [Text("Written.")],
    [],
)


def detection(value: Any) -> dict[str, Any]:
    return {"session": {"type": "realtime", "audio": {"input": {"turn_detection": value}}}}


ACTIONS = st.sampled_from(
    [
        ("speak", {}),
        ("speak", {}),
        ("pause", {}),
        ("pause", {}),
        ("wait", {"seconds": 0.03}),
        ("wait", {"seconds": 2.0}),
        ("truncate", {}),
        ("delete", {}),
        ("retrieve", {}),
        ("input_audio_buffer.commit", {}),
        ("input_audio_buffer.clear", {}),
        ("response.create", {}),
        ("response.create", {"response": {"conversation": "none", "input": []}}),
        ("response.create", {"response": {"output_modalities": ["text"]}}),
        ("response.cancel", {}),
        ("session.update", detection(None)),
        ("session.update", detection({"type": "server_vad", "interrupt_response": False})),
        ("session.update", detection({"type": "server_vad", "interrupt_response": True, "silence_duration_ms": 200})),
        ("session.update", detection({"type": "semantic_vad", "eagerness": "high", "create_response": False})),
    ]
)


async def act(client: Client, kind: str, fields: dict[str, Any]) -> None:
    """Do one thing, without waiting for its answer."""
    items = [event["item"]["id"] for event in client.of("conversation.item.added")]
    match kind:
        case "speak":
            await client.append(SPEECH)
        case "pause":
            await client.append(SILENCE)
        case "wait":
            await asyncio.sleep(fields["seconds"])
        case "truncate" if items:
            await client.send("conversation.item.truncate", item_id=items[-1], content_index=0, audio_end_ms=120)
        case "delete" if items:
            await client.send("conversation.item.delete", item_id=items[-1])
        case "retrieve" if items:
            await client.send("conversation.item.retrieve", item_id=items[-1])
        case "truncate" | "delete" | "retrieve":
            pass
        case _:
            await client.send(kind, **fields)


@settings(max_examples=40, deadline=None)
@given(st.lists(ACTIONS, min_size=1, max_size=30))
def test_any_behaviour(actions: list[tuple[str, dict[str, Any]]]) -> None:
    async def scene() -> None:
        async with session(Says(*BRAIN), ServerOptions(burst=4)) as client:
            for kind, fields in actions:
                await act(client, kind, fields)
            await asyncio.sleep(30)
            created = [event["response"]["id"] for event in client.of("response.created")]
            done = [event["response"]["id"] for event in client.of("response.done")]
            assert Counter(created) == Counter(done)
            assert all(count == 1 for count in Counter(created).values())
            in_progress = 0
            for event in client.events:
                response = event.get("response", {})
                if response.get("conversation_id"):
                    in_progress += {"response.created": 1, "response.done": -1}[event["type"]]
                assert 0 <= in_progress <= 1
            ids = [event["event_id"] for event in client.events]
            assert len(ids) == len(set(ids))
            assert client.closed is None
            # It still answers.
            seen = len(client.events)
            await client.send("response.create", response={"conversation": "none"})
            await client.next("response.done", after=seen)

    run(scene)
