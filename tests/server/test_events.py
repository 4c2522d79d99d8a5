"""Ten client events are obeyed and forty server events are sent, each where it belongs: for every one there is a scene.

The published schema, where it is at hand, is what each of them is held against.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Any

import jsonschema
import pytest

from engine.realtime.events import CLIENT_EVENTS, SERVER_EVENTS
from engine.realtime.roles import Role
from engine.server import ServerOptions
from engine.server.responders import Say, Script, Text, ToolCall
from tests.realtime import published
from tests.server.harness import Client, Event, Says, question, run, session, silence, wire

OF_CALLS = {"output_audio_buffer.started", "output_audio_buffer.stopped", "output_audio_buffer.cleared"}
OF_CALLS |= {"input_audio_buffer.dtmf_event_received"}
OF_THEN = {"conversation.created", "conversation.item.created"}
HEARD = "conversation.item.input_audio_transcription."
HELLO = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
WIKI = {"type": "mcp", "server_label": "wiki", "server_url": "https://wiki.example/mcp", "require_approval": "never"}
MCP: dict[str, Any] = {
    "mcp": {"wiki": {"tools": [{"name": "ask", "input_schema": {}}]}, "gone": {"fails": True}},
    "rules": [
        {"match": {"turn": 1}, "do": [{"mcp": {"server": "wiki", "name": "ask", "output": "Rain is wet."}}]},
        {"match": {"turn": 2}, "do": [{"mcp": {"server": "wiki", "name": "ask", "error": "no"}}]},
    ],
}


async def respond(client: Client, **response: Any) -> Event:
    """Ask for a response and wait until it is done."""
    seen = len(client.events)
    await client.send("response.create", response=response)
    await client.next("rate_limits.updated", after=seen)
    return client.of("response.done")[-1]["response"]  # type: ignore[no-any-return]


async def a_spoken_turn() -> list[Event]:
    async with session(Script({"transcripts": ["what is the weather"], "default": [{"say": "Sunny."}]})) as client:
        await client.update(audio={"input": {"transcription": {"model": "gpt-4o-transcribe"}}})
        await client.speak(question())
        await client.next("rate_limits.updated")
        return client.events


async def a_written_answer() -> list[Event]:
    async with session(Says([Text("Written.")])) as client:
        await respond(client, output_modalities=["text"])
        return client.events


async def a_function_call() -> list[Event]:
    async with session(Says([ToolCall("look", '{"where": "here"}')])) as client:
        await respond(client)
        return client.events


async def items_by_hand() -> list[Event]:
    async with session(Says([Say("A sentence to be cut.")])) as client:
        await client.send("conversation.item.create", item={**HELLO, "id": "mine"})
        await client.send("conversation.item.retrieve", item_id="mine")
        await client.send("conversation.item.delete", item_id="mine")
        await client.send("conversation.item.delete", item_id="mine")
        item_id = (await respond(client))["output"][0]["id"]
        await client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=100)
        await client.next("conversation.item.truncated")
        return client.events


async def a_buffer_by_hand() -> list[Event]:
    async with session(Says([5.0, Say("Late.")])) as client:
        await client.update(audio={"input": {"turn_detection": None}})
        await client.append(wire(silence(0.2)))
        await client.send("input_audio_buffer.clear")
        await client.append(wire(silence(0.2)))
        await client.send("input_audio_buffer.commit")
        await client.send("response.create")
        await client.send("response.cancel")
        await client.next("rate_limits.updated")
        return client.events


async def nobody_speaks() -> list[Event]:
    async with session(Says([Say("Still there?")])) as client:
        await client.update(audio={"input": {"turn_detection": {"idle_timeout_ms": 5000}}})
        await respond(client)
        await client.speak(wire(silence(8.0)), frame_ms=100)
        await client.next("input_audio_buffer.timeout_triggered")
        return client.events


async def transcribed(model: str, *transcripts: Any) -> list[Event]:
    async with session(Script({"transcripts": list(transcripts)}), transcription=True) as client:
        await client.update(type="transcription", audio={"input": {"transcription": {"model": model}}})
        await client.speak(question())
        await client.next(HEARD + "completed", HEARD + "failed")
        return client.events


async def speakers_told_apart() -> list[Event]:
    return await transcribed("gpt-4o-transcribe-diarize", {"segments": [{"text": "Hi.", "speaker": "A"}]})


async def words_not_understood() -> list[Event]:
    return await transcribed("gpt-4o-transcribe", {"fail": "too much noise"})


async def tools_of_an_mcp_server() -> list[Event]:
    async with session(Script(MCP)) as client:
        await client.update(tools=[WIKI, {**WIKI, "server_label": "gone"}])
        await client.next("mcp_list_tools.completed")
        await client.next("mcp_list_tools.failed")
        await respond(client)
        await respond(client)
        return client.events


SCENES: dict[Callable[[], Awaitable[list[Event]]], list[str]] = {
    a_spoken_turn: [
        "session.created", "session.updated",
        "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "input_audio_buffer.committed",
        "conversation.item.added", "conversation.item.done", HEARD + "delta", HEARD + "completed",
        "response.created", "response.output_item.added", "response.content_part.added",
        "response.output_audio.delta", "response.output_audio.done",
        "response.output_audio_transcript.delta", "response.output_audio_transcript.done",
        "response.content_part.done", "response.output_item.done", "response.done", "rate_limits.updated",
    ],
    a_written_answer: ["response.output_text.delta", "response.output_text.done"],
    a_function_call: ["response.function_call_arguments.delta", "response.function_call_arguments.done"],
    items_by_hand: [
        "conversation.item.retrieved", "conversation.item.deleted", "conversation.item.truncated", "error",
    ],
    a_buffer_by_hand: ["input_audio_buffer.cleared"],
    nobody_speaks: ["input_audio_buffer.timeout_triggered"],
    speakers_told_apart: [HEARD + "segment"],
    words_not_understood: [HEARD + "failed"],
    tools_of_an_mcp_server: [
        "mcp_list_tools.in_progress", "mcp_list_tools.completed", "mcp_list_tools.failed",
        "response.mcp_call_arguments.delta", "response.mcp_call_arguments.done",
        "response.mcp_call.in_progress", "response.mcp_call.completed", "response.mcp_call.failed",
    ],
}  # fmt: skip
"""Each scene and the events it is there for."""


def test_the_forty() -> None:
    promised = [kind for kinds in SCENES.values() for kind in kinds]
    assert len(promised) == len(set(promised)) == 40
    assert set(promised) == set(SERVER_EVENTS) - OF_CALLS - OF_THEN
    assert len(CLIENT_EVENTS) == 10 + 1  # and output_audio_buffer.clear, which belongs to calls


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_a_scene_sends_its_events_and_none_of_calls_or_of_then(scene: Callable[[], Awaitable[list[Event]]]) -> None:
    kinds = {event["type"] for event in run(scene)}
    assert set(SCENES[scene]) <= kinds
    assert not kinds & (OF_CALLS | OF_THEN)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_every_event_is_as_published(scene: Callable[[], Awaitable[list[Event]]]) -> None:
    schemas = {
        kind.__struct_config__.tag: name
        for name, (role, kind) in published.schemas_of_events().items()
        if role is Role.SERVER
    }
    validators = {kind: jsonschema.Draft202012Validator(published.definitions(name)) for kind, name in schemas.items()}
    for event in run(scene):
        validators[event["type"]].validate(published.without_nulls(event))


def test_the_full_session_is_reported_first_and_after_every_update() -> None:
    """No member of the effective session is left out, however little was asked."""

    async def scene() -> None:
        for transcribes, asked in ((False, {"instructions": "x"}), (True, {"type": "transcription"})):
            async with session(transcription=transcribes) as client:
                first = client.events[0]["session"]
                after = (await client.update(**asked))["session"]
                assert set(_members(first)) == set(_members(after))
                assert {**after, **{name: first[name] for name in asked if name in first}} == first
                schema = published.corrected()[
                    "RealtimeTranscriptionSessionCreateResponseGA" if transcribes else "RealtimeSessionCreateResponseGA"
                ]["properties"]
                # `reasoning` is of models that reason, and is reported once it was asked for.
                assert set(schema) - set(first) <= {"reasoning"}, "members of the reference that are not reported"

    run(scene)


def _members(value: Any, path: str = "") -> list[str]:
    if not isinstance(value, dict):
        return [path]
    return [path, *(member for name, inner in value.items() for member in _members(inner, f"{path}.{name}"))]


OBEYED: dict[str, tuple[dict[str, Any], str]] = {
    "session.update": ({"session": {"type": "realtime"}}, "session.updated"),
    "input_audio_buffer.append": ({"audio": b64encode(question()).decode()}, "input_audio_buffer.speech_started"),
    "input_audio_buffer.commit": ({}, "input_audio_buffer.committed"),
    "input_audio_buffer.clear": ({}, "input_audio_buffer.cleared"),
    "conversation.item.create": ({"item": {**HELLO, "id": "mine"}}, "conversation.item.done"),
    "conversation.item.retrieve": ({"item_id": "mine"}, "conversation.item.retrieved"),
    "response.create": ({}, "response.done"),
    "conversation.item.truncate": ({"content_index": 0, "audio_end_ms": 40}, "conversation.item.truncated"),
    "conversation.item.delete": ({"item_id": "mine"}, "conversation.item.deleted"),
    "response.cancel": ({}, "response.done"),
}


def test_the_ten_are_obeyed_and_the_one_of_calls_is_refused() -> None:
    assert set(OBEYED) == set(CLIENT_EVENTS) - {"output_audio_buffer.clear"}

    async def scene() -> None:
        async with session(Says([Say("One.")], [Say("Two. " * 50)]), ServerOptions(burst=2)) as client:
            off = {"turn_detection": {"create_response": False}}
            await client.update(audio={"input": off})
            for kind, (fields, answer) in OBEYED.items():
                seen, more = len(client.events), dict[str, str]()
                if kind == "input_audio_buffer.commit":
                    await client.append(wire(silence(0.3)))
                if kind == "response.cancel":
                    await client.send("response.create")
                    await client.next("response.output_audio.delta", after=seen)
                if kind == "conversation.item.truncate":
                    more["item_id"] = client.of("response.done")[0]["response"]["output"][0]["id"]
                await client.send(kind, **fields, **more)
                await client.next(answer, after=seen)
                await asyncio.sleep(0.5)
            assert not client.of("error")
            await client.send("output_audio_buffer.clear", event_id="mine")
            error = (await client.next("error"))["error"]
            assert (error["code"], error["param"], error["event_id"]) == ("invalid_value", "type", "mine")
            assert "WebRTC and SIP" in error["message"]

    run(scene)
