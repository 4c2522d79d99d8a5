"""The table of errors, exactly; unknown members everywhere; newer ones that pass; limits.

Each refusal leaves everything as it was. Messages are those that the service is known to use.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.server import ServerOptions
from engine.server.responders import Say
from tests.server.harness import Client, Event, Says, run, session

HELLO = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
FUNCTION = {"type": "function", "name": "look"}
LONG = [Say("A long answer. " * 20)]


async def refused(client: Client, type: str, **fields: Any) -> Event:
    """Send one event and return the error that it gets."""
    seen = len(client.events)
    await client.send(type, event_id="mine", **fields)
    return (await client.next("error", after=seen))["error"]  # type: ignore[no-any-return]


def update(**fields: Any) -> dict[str, Any]:
    return {"session": {"type": "realtime", **fields}}


TABLE: list[tuple[str, dict[str, Any], str, str | None, str]] = [
    ("session.uptade", {}, "invalid_value", "type", "Invalid value: 'session.uptade'. Supported values are: "),
    ("transcription_session.update", update(), "invalid_value", "type",
     "Invalid value: 'transcription_session.update'."),
    ("session.close", {}, "invalid_value", "type", "Invalid value: 'session.close'."),
    ("session.update", update(voice="ash"), "unknown_parameter", "session.voice",
     "Unknown parameter: 'session.voice'."),
    ("session.update", {"session": {}}, "missing_required_parameter", "session.type",
     "Missing required parameter: 'session.type'."),
    ("session.update", update(audio={"input": {"format": "pcm16"}}), "invalid_type", "session.audio.input.format",
     "Invalid type for 'session.audio.input.format': expected an object, but got a string instead."),
    ("session.update", update(audio={"input": {"turn_detection": {"create_response": None}}}), "invalid_type",
     "session.audio.input.turn_detection.create_response",
     "Invalid type for 'session.audio.input.turn_detection.create_response': "
     "expected a boolean, but got null instead."),
    ("session.update", {"session": {"type": "transcription"}}, "invalid_parameter", "session.type",
     "Passing a transcription session update event to a realtime session is not allowed."),
    ("response.cancel", {}, "response_cancel_not_active", None, "Cancellation failed: no active response found"),
    ("input_audio_buffer.commit", {}, "input_audio_buffer_commit_empty", None,
     "Error committing input audio buffer: buffer too small. "
     "Expected at least 100ms of audio, but buffer only has 0.00ms of audio."),
    ("conversation.item.truncate", {"item_id": "user", "content_index": 0, "audio_end_ms": 5}, "invalid_value",
     "item_id", "Only model output audio messages can be truncated"),
]  # fmt: skip


def test_the_table_of_errors() -> None:
    async def scene() -> None:
        async with session(Says(LONG), model="gpt-realtime") as client:
            await client.send("conversation.item.create", item={**HELLO, "id": "user"})
            for kind, fields, code, param, message in TABLE:
                error = await refused(client, kind, **fields)
                assert (error["type"], error["code"]) == ("invalid_request_error", code), kind
                assert (error["param"], error["event_id"]) == (param, "mine"), kind
                assert error["message"].startswith(message), kind

    run(scene)


def test_the_table_of_errors_that_need_a_response() -> None:
    async def scene() -> None:
        async with session(Says(LONG), ServerOptions(burst=4)) as client:
            await client.send("response.create")
            response_id = (await client.next("response.created"))["response"]["id"]
            await client.next("response.output_audio.delta")
            error = await refused(client, "response.create")
            assert (error["code"], error["param"], error["event_id"]) == (
                "conversation_already_has_active_response",
                None,
                "mine",
            )
            assert error["message"] == (
                f"Conversation already has an active response in progress: {response_id}. "
                "Wait until the response is finished before creating a new one."
            )
            for voice in ("ash", "alloy"):  # even the one it has
                error = await refused(client, "session.update", **update(audio={"output": {"voice": voice}}))
                assert error["code"] == "cannot_update_voice"
                assert error["message"] == "Cannot update a conversation's voice if assistant audio is present."
            error = await refused(client, "session.update", **update(audio={"output": {"speed": 1.2}}))
            assert error["param"] == "session.audio.output.speed", "only between turns"
            same = {"audio": {"output": {"speed": 1.0}}}
            assert (await client.update(**same))["type"] == "session.updated"
            done = (await client.next("response.done"))["response"]
            assert (await client.update(audio={"output": {"speed": 1.2}}))["type"] == "session.updated"
            item_id, length = done["output"][0]["id"], len(client.audio_of(response_id)) // 48
            place = {"item_id": item_id, "content_index": 0, "audio_end_ms": length + 1}
            error = await refused(client, "conversation.item.truncate", **place)
            assert error["message"] == f"Audio content of {length}ms is already shorter than {length + 1}ms"
            assert (error["code"], error["param"]) == ("invalid_value", "audio_end_ms")
            assert (await refused(client, "response.cancel", response_id=response_id))["code"] == (
                "response_cancel_not_active"
            )

    run(scene)


def inside(path: str, member: Any) -> Any:
    """session.audio.input.format -> {"audio": {"input": {"format": member}}}"""
    for name in reversed(path.split(".")[1:]):
        member = {name: member}
    return member


UNKNOWN: list[tuple[str, dict[str, Any]]] = [
    ("session", {}),
    ("session.audio", {}),
    ("session.audio.input", {}),
    ("session.audio.output", {}),
    ("session.audio.input.format", {"type": "audio/pcm"}),
    ("session.audio.input.transcription", {"model": "whisper-1"}),
    ("session.audio.input.noise_reduction", {"type": "far_field"}),
    ("session.audio.input.turn_detection", {"type": "server_vad"}),
    ("session.audio.input.turn_detection", {"type": "semantic_vad"}),
    ("session.audio.output.format", {"type": "audio/pcmu"}),
    ("session.audio.output.voice", {"id": "voice_1"}),
    ("session.truncation", {"type": "retention_ratio", "retention_ratio": 0.5}),
    ("session.tracing", {"group_id": "x"}),
    ("session.prompt", {"id": "pmpt_1"}),
    ("session.reasoning", {"effort": "low"}),
]


@pytest.mark.parametrize(("path", "around"), UNKNOWN, ids=[path for path, _ in UNKNOWN])
def test_one_unknown_member_refuses_the_whole_update(path: str, around: dict[str, Any]) -> None:
    async def scene() -> None:
        async with session() as client:
            before = client.events[0]["session"]
            wanted = inside(path, {**around, "shiny": 1}) if path != "session" else {"shiny": 1}
            error = await refused(client, "session.update", **update(instructions="not taken", **wanted))
            assert (error["code"], error["param"]) == ("unknown_parameter", f"{path}.shiny")
            assert error["message"] == f"Unknown parameter: '{path}.shiny'."
            assert (await client.update())["session"] == before

    run(scene)


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        ({"tools": [FUNCTION, {**FUNCTION, "meta": None}]}, "session.tools[1].meta"),
        ({"id": "sess_1"}, "session.id"),
        ({"expires_at": 5}, "session.expires_at"),
        ({"object": "realtime.session"}, "session.object"),
        ({"client_secret": {}}, "session.client_secret"),
        ({"modalities": ["text"]}, "session.modalities"),
        ({"temperature": 0.8}, "session.temperature"),
        ({"turn_detection": None}, "session.turn_detection"),
    ],
)
def test_members_that_are_not_the_clients_to_set(wanted: dict[str, Any], param: str) -> None:
    async def scene() -> None:
        async with session() as client:
            error = await refused(client, "session.update", **update(**wanted))
            assert (error["code"], error["param"]) == ("unknown_parameter", param)

    run(scene)


OTHERS: list[tuple[str, dict[str, Any], str]] = [
    ("conversation.item.create", {"item": {**HELLO, "shiny": 1}}, "item.shiny"),
    ("conversation.item.create", {"item": {**HELLO, "content": [{"type": "input_text", "text": "x", "shiny": 1}]}},
     "item.content[0].shiny"),
    ("conversation.item.create", {"item": HELLO, "shiny": 1}, "shiny"),
    ("conversation.item.delete", {"item_id": "user", "shiny": 1}, "shiny"),
    ("response.create", {"response": {"shiny": 1}}, "response.shiny"),
    ("response.create", {"response": {"audio": {"input": {}}}}, "response.audio.input"),
    ("response.create", {"response": {"audio": {"output": {"speed": 1}}}}, "response.audio.output.speed"),
    ("response.create", {"response": {"reasoning": {"shiny": 1}}}, "response.reasoning.shiny"),
    ("response.create", {"response": {"prompt": {"id": "p", "shiny": 1}}}, "response.prompt.shiny"),
    ("response.create", {"response": {"tools": [{**FUNCTION, "shiny": 1}]}}, "response.tools[0].shiny"),
    ("response.create", {"response": {"input": [{**HELLO, "shiny": 1}]}}, "response.input[0].shiny"),
    ("response.create", {"shiny": 1}, "shiny"),
    ("response.cancel", {"shiny": 1}, "shiny"),
    ("input_audio_buffer.append", {"audio": "", "shiny": 1}, "shiny"),
]  # fmt: skip


def test_unknown_members_of_every_other_event() -> None:
    async def scene() -> None:
        async with session() as client:
            await client.send("conversation.item.create", item={**HELLO, "id": "user"})
            for kind, fields, param in OTHERS:
                error = await refused(client, kind, **fields)
                assert (error["code"], error["param"], error["event_id"]) == ("unknown_parameter", param, "mine"), kind
            assert len(client.of("conversation.item.added")) == 1
            assert not client.of("response.created") and not client.of("conversation.item.deleted")

    run(scene)


def test_a_refused_cancel_leaves_the_response_and_the_next_cancel_alone() -> None:
    async def scene() -> None:
        async with session(Says(LONG), ServerOptions(burst=2)) as client:
            await client.send("response.create")
            await client.next("response.output_audio.delta")
            assert (await refused(client, "response.cancel", shiny=1))["param"] == "shiny"
            await client.send("response.cancel")
            done = (await client.next("response.done"))["response"]
            assert done["status_details"]["reason"] == "client_cancelled"
            assert len(client.of("error")) == 1

    run(scene)


MARK = {"prompt_cache_breakpoint": {"mode": "explicit"}}
NEWER: list[tuple[str, Any]] = [
    ("session.audio.input.noise_reduction", {"type": "far_field", "strength": 0}),
    ("session.audio.input.transcription", {"model": "gpt-transcribe", "languages": ["en"], "keywords": ["kiosk"]}),
    ("session.audio.input.transcription", {"model": "gpt-realtime-whisper", "delay": "low"}),
    ("session.prompt", {"id": "p", "version": "2", "variables": {"a": "x"}}),
    ("session.prompt", {"id": "p", "variables": {"b": {"type": "input_text", "text": "y", **MARK}}}),
    ("session.prompt", {"id": "p", "variables": {"c": {"type": "input_image", "image_url": "data:,", **MARK}}}),
    ("session.parallel_tool_calls", True),
    ("session.reasoning", {"effort": "xhigh"}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value"), NEWER)
def test_members_of_newer_servers_pass_and_are_echoed(path: str, value: Any) -> None:
    async def scene() -> None:
        async with session() as client:
            told = (await client.update(**inside(path, value)))["session"]
            for name in path.split(".")[1:]:
                told = told[name]
            assert told == value

    run(scene)


def test_noise_reduction_keeps_its_strength_until_another_is_named() -> None:
    async def scene() -> None:
        async with session() as client:
            for asked, expected in (
                ({"type": "near_field", "strength": 0.5}, {"type": "near_field", "strength": 0.5}),
                ({"type": "far_field"}, {"type": "far_field", "strength": 0.5}),
                ({"strength": 2}, {"type": "far_field", "strength": 2}),
                (None, None),
                ({"type": "far_field"}, {"type": "far_field"}),
            ):
                told = await client.update(audio={"input": {"noise_reduction": asked}})
                assert told["session"]["audio"]["input"]["noise_reduction"] == expected
            await client.update(audio={"input": {"noise_reduction": None}})
            for wrong, code in (({"strength": 1}, "missing_required_parameter"), ({"strength": -1}, "invalid_value")):
                wanted = update(audio={"input": {"noise_reduction": wrong}})
                assert (await refused(client, "session.update", **wanted))["code"] == code

    run(scene)


VALUES: list[tuple[Any, str, str]] = [
    ({"include": ["logprobs"]}, "invalid_value", "session.include[0]"),
    ({"tracing": "always"}, "invalid_value", "session.tracing"),
    ({"truncation": {"type": "retention_ratio", "retention_ratio": 2}}, "invalid_value",
     "session.truncation.retention_ratio"),
    ({"reasoning": {"effort": "huge"}}, "invalid_value", "session.reasoning.effort"),
    ({"prompt": {"version": "1"}}, "missing_required_parameter", "session.prompt.id"),
    ({"prompt": {"id": "p", "variables": {"a": 5}}}, "invalid_type", "session.prompt.variables.a"),
    ({"prompt": {"id": "p", "variables": {"a": {"type": "input_text", "shiny": 1}}}}, "unknown_parameter",
     "session.prompt.variables.a.shiny"),
    ({"tool_choice": "maybe"}, "invalid_value", "session.tool_choice"),
    ({"tools": {}}, "invalid_type", "session.tools"),
    ({"tools": [{"type": "function"}]}, "missing_required_parameter", "session.tools[0].name"),
    ({"instructions": 5}, "invalid_type", "session.instructions"),
    ({"max_output_tokens": 4097}, "invalid_value", "session.max_output_tokens"),
    ({"max_output_tokens": True}, "invalid_type", "session.max_output_tokens"),
    ({"audio": {"output": {"speed": 1.51}}}, "invalid_value", "session.audio.output.speed"),
    ({"audio": {"output": {"voice": None}}}, "invalid_type", "session.audio.output.voice"),
    ({"audio": {"input": {"transcription": {"languages": []}}}}, "invalid_value",
     "session.audio.input.transcription.languages"),
    ({"audio": {"input": {"transcription": {"delay": "long"}}}}, "invalid_value",
     "session.audio.input.transcription.delay"),
    ({"audio": {"input": {"turn_detection": {"idle_timeout_ms": 4999}}}}, "invalid_value",
     "session.audio.input.turn_detection.idle_timeout_ms"),
    ({"audio": {"input": {"turn_detection": {"type": "no_vad"}}}}, "invalid_value",
     "session.audio.input.turn_detection.type"),
    ({"audio": {"output": {"format": {"type": "audio/pcm", "rate": 8000}}}}, "invalid_value",
     "session.audio.output.format.rate"),
]  # fmt: skip


def test_values_that_cannot_be() -> None:
    async def scene() -> None:
        async with session() as client:
            before = client.events[0]["session"]
            for wanted, code, param in VALUES:
                error = await refused(client, "session.update", **update(**wanted))
                assert (error["code"], error["param"]) == (code, param), wanted
            assert (await client.update())["session"] == before

    run(scene)


# ---- limits


def metadata(pairs: int, key: int = 3, value: int = 1) -> dict[str, Any]:
    return {"metadata": {f"{number:0{key}}": "v" * value for number in range(pairs)}, "conversation": "none"}


@pytest.mark.parametrize(
    ("kind", "most", "too_much", "param"),
    [
        ("response.create", {"response": metadata(16)}, {"response": metadata(17)}, "response.metadata"),
        ("response.create", {"response": metadata(1, key=64)}, {"response": metadata(1, key=65)}, "response.metadata"),
        ("response.create", {"response": metadata(1, value=512)}, {"response": metadata(1, value=513)},
         "response.metadata.000"),
        ("conversation.item.create", {"item": {**HELLO, "id": "i" * 512}}, {"item": {**HELLO, "id": "i" * 513}},
         "item.id"),
        ("session.update", update(tools=[FUNCTION] * 128), update(tools=[FUNCTION] * 129), "session.tools"),
        ("session.update", update(tools=[{**FUNCTION, "name": "n" * 512}]),
         update(tools=[{**FUNCTION, "name": "n" * 513}]),
         "session.tools[0].name"),
        ("session.update", update(instructions="i" * 1_000_000), update(instructions="i" * 5_000_000), "session"),
    ],
)  # fmt: skip
def test_the_most_passes_and_one_more_does_not(
    kind: str, most: dict[str, Any], too_much: dict[str, Any], param: str
) -> None:
    async def scene() -> None:
        async with session(Says([Say("Yes.")])) as client:
            await client.send(kind, **most)
            await client.next("session.updated", "conversation.item.done", "response.done")
            assert not client.of("error")
            error = await refused(client, kind, **too_much)
            assert (error["code"], error["param"], error["event_id"]) == ("invalid_value", param, "mine")

    run(scene)


def test_an_event_id_has_512_characters_at_most() -> None:
    async def scene() -> None:
        async with session() as client:
            await client.send("response.cancel", event_id="e" * 512)
            assert (await client.next("error"))["error"]["event_id"] == "e" * 512
            seen = len(client.events)
            await client.send("response.cancel", event_id="e" * 513)
            error = (await client.next("error", after=seen))["error"]
            assert (error["code"], error["param"], error["event_id"]) == ("invalid_value", "event_id", None)

    run(scene)


@pytest.mark.parametrize(("ms", "code"), [(99.5, "input_audio_buffer_commit_empty"), (100, None)])
def test_a_commit_has_100_ms_at_least(ms: float, code: str | None) -> None:
    async def scene() -> None:
        async with session() as client:
            await client.update(audio={"input": {"turn_detection": None}})
            await client.append(bytes(round(48 * ms)))
            await client.send("input_audio_buffer.commit")
            answer = await client.next("input_audio_buffer.committed", "error")
            assert answer.get("error", {}).get("code") == code
            if code:
                assert "only has 99.50ms" in answer["error"]["message"]

    run(scene)


def test_a_session_may_be_as_short_as_is_wished() -> None:
    async def scene() -> None:
        async with session(options=ServerOptions(session_s=3)) as client:
            await asyncio.sleep(3.1)
            assert client.closed is not None
            assert (client.closed.code, client.events[-1]["error"]["code"]) == (1001, "session_expired")

    run(scene)
