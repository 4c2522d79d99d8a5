"""What is refused, with which code and param; the session lives on after each."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.realtime.events import CLIENT_EVENTS
from engine.server import ServerOptions, serve_connection
from engine.server.responders import Fail, Part, Say, Stop, Turn
from engine.server.voices import ToneVoice
from engine.transport import pair
from tests.server.harness import Says, run, session, silence, speech, wire

TEXT = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}


def item(**fields: Any) -> dict[str, Any]:
    return {"type": "conversation.item.create", "item": fields}


def update(**fields: Any) -> dict[str, Any]:
    return {"type": "session.update", "session": {"type": "realtime", **fields}}


def response(**fields: Any) -> dict[str, Any]:
    return {"type": "response.create", "response": fields}


REFUSALS: list[tuple[Any, str, str | None]] = [
    ("{", "invalid_event", None),
    ("[]", "invalid_event", None),
    ('"session.update"', "invalid_event", None),
    ({}, "invalid_event", None),
    ({"type": 3}, "invalid_type", "type"),
    ({"type": "session.uptade"}, "invalid_value", "type"),
    ({"type": "response.done"}, "invalid_value", "type"),
    ({"type": "transcription_session.update", "session": {}}, "invalid_value", "type"),
    ({"type": "output_audio_buffer.clear"}, "invalid_value", "type"),
    ({"type": "input_audio_buffer.commit", "force": True}, "unknown_parameter", "force"),
    ({"type": "input_audio_buffer.append"}, "missing_required_parameter", "audio"),
    ({"type": "input_audio_buffer.append", "audio": "not base64!"}, "invalid_value", "audio"),
    ({"type": "input_audio_buffer.append", "audio": 3}, "invalid_type", "audio"),
    ({"type": "session.update", "session": {"instructions": "x"}}, "missing_required_parameter", "session.type"),
    ({"type": "session.update", "session": {"type": "transcription"}}, "invalid_parameter", "session.type"),
    (update(voice="ash"), "unknown_parameter", "session.voice"),
    (update(audio={"input": {"format": "pcm16"}}), "invalid_type", "session.audio.input.format"),
    (
        update(audio={"input": {"format": {"type": "audio/pcm", "rate": 16000}}}),
        "invalid_value",
        "session.audio.input.format.rate",
    ),
    (
        update(audio={"input": {"turn_detection": {"create_response": None}}}),
        "invalid_type",
        "session.audio.input.turn_detection.create_response",
    ),
    (
        update(audio={"input": {"turn_detection": {"silence_duration_ms": 10**6}}}),
        "invalid_value",
        "session.audio.input.turn_detection.silence_duration_ms",
    ),
    (
        update(audio={"input": {"turn_detection": {"type": "semantic_vad", "threshold": 0.5}}}),
        "unknown_parameter",
        "session.audio.input.turn_detection.threshold",
    ),
    (update(output_modalities=["audio", "text"]), "invalid_value", "session.output_modalities"),
    (update(tools=[{"type": "mcp", "server_label": "x"}]), "invalid_value", "session.tools[0].type"),
    (update(tools=[{"type": "function"}]), "missing_required_parameter", "session.tools[0].name"),
    (update(model="another"), "invalid_parameter", "session.model"),
    ({"type": "conversation.item.create"}, "missing_required_parameter", "item"),
    (item(role="user", content=[]), "missing_required_parameter", "item.type"),
    (
        item(type="message", role="assistant", content=[{"type": "output_audio", "audio": ""}]),
        "invalid_value",
        "item.content[0].type",
    ),
    (
        item(type="message", role="user", content=[{"type": "input_audio", "audio": "%"}]),
        "invalid_value",
        "item.content[0].audio",
    ),
    (
        item(type="message", role="user", content=[{"type": "input_image", "image_url": "http://10.0.0.1/a.png"}]),
        "invalid_value",
        "item.content[0].image_url",
    ),
    (item(type="function_call_output", call_id="none", output="x"), "invalid_tool_call_id", "item.call_id"),
    ({**item(**TEXT), "previous_item_id": "none"}, "invalid_value", "previous_item_id"),
    (item(id="x" * 513, **TEXT), "invalid_value", "item.id"),
    ({"type": "conversation.item.retrieve", "item_id": "none"}, "item_retrieve_invalid_item_id", "item_id"),
    ({"type": "conversation.item.delete", "item_id": "none"}, "item_delete_invalid_item_id", "item_id"),
    (
        {"type": "conversation.item.truncate", "item_id": "none", "content_index": 0, "audio_end_ms": 1},
        "item_truncate_invalid_item_id",
        "item_id",
    ),
    ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty", None),
    ({"type": "response.cancel"}, "response_cancel_not_active", None),
    ({"type": "response.cancel", "response_id": "resp_none"}, "response_cancel_not_active", None),
    (response(temperature=0.8), "unknown_parameter", "response.temperature"),
    (response(metadata={"k": "v" * 513}), "invalid_value", "response.metadata.k"),
    (response(input=[{"type": "item_reference", "id": "none"}]), "invalid_value", "response.input[0].id"),
    (response(input=[3]), "invalid_type", "response.input[0]"),
    (response(input=[{"role": "user"}]), "missing_required_parameter", "response.input[0].type"),
    (response(input=[{"type": "message", "role": "user"}]), "missing_required_parameter", "response.input[0].content"),
    (
        response(input=[{"type": "message", "role": "user", "content": [{"type": "output_text", "text": "x"}]}]),
        "invalid_value",
        "response.input[0].content[0].type",
    ),
    (response(max_output_tokens=0), "invalid_value", "response.max_output_tokens"),
]


def test_every_refusal_names_code_param_and_event_and_the_session_lives_on() -> None:
    async def scene() -> None:
        async with session(model="gpt-realtime") as client:
            before = client.events[0]["session"]
            for number, (event, code, param) in enumerate(REFUSALS):
                seen = len(client.events)
                event_id = f"mine_{number}" if isinstance(event, dict) else None
                await client.connection.send(
                    event if isinstance(event, str) else json.dumps({**event, "event_id": event_id})
                )
                error = (await client.next("error", after=seen))["error"]
                assert (error["code"], error["param"], error["event_id"]) == (code, param, event_id), event
                assert error["type"] == "invalid_request_error"
                assert error["message"]
            # Nothing of all that changed anything: the configuration is the first one, and a turn works.
            unchanged = await client.update()
            assert unchanged["session"] == before
            await client.send("conversation.item.create", item=TEXT)
            await client.send("response.create")
            done = await client.next("response.done")
            assert done["response"]["status"] == "completed"

    run(scene)


def test_texts_the_service_is_known_to_use() -> None:
    async def scene() -> None:
        async with session(Says([Say("Talking. " * 30)])) as client:
            await client.append(bytes(48 * 30))
            await client.send("input_audio_buffer.commit")
            error = (await client.next("error"))["error"]
            assert error["message"] == (
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
                "but buffer only has 30.00ms of audio."
            )
            await client.send("response.create")
            response_id = (await client.next("response.created"))["response"]["id"]
            seen = len(client.events)
            await client.send("response.create", event_id="second")
            error = (await client.next("error", after=seen))["error"]
            assert error["code"] == "conversation_already_has_active_response"
            assert response_id in error["message"]
            assert error["event_id"] == "second"
            await client.next("response.done")
            refused = await client.update(audio={"output": {"voice": "alloy"}})
            assert refused["error"]["code"] == "cannot_update_voice"

    run(scene)


def test_manual_turns_with_and_without_detection() -> None:
    async def scene() -> None:
        async with session() as client:
            for detection in (None, {"type": "server_vad"}, None):
                await client.update(audio={"input": {"turn_detection": detection}})
                for _ in range(2):
                    seen = len(client.events)
                    await client.append(bytes(48 * 200))
                    await client.send("input_audio_buffer.commit")
                    committed = await client.next("input_audio_buffer.committed", after=seen)
                    added = await client.next("conversation.item.added", after=seen)
                    assert committed["item_id"] == added["item"]["id"]
                    assert committed["previous_item_id"] == added["previous_item_id"]
            assert not client.of("response.created")
            ids = [event["item_id"] for event in client.of("input_audio_buffer.committed")]
            previous = [event["previous_item_id"] for event in client.of("input_audio_buffer.committed")]
            assert previous == [None, *ids[:-1]]

    run(scene)


def test_commit_and_create_back_to_back_answers_the_committed_audio() -> None:
    async def scene() -> None:
        async with session() as client:
            await client.update(audio={"input": {"turn_detection": None}})
            said = wire(speech("play this back"))
            await client.append(said)
            await client.send("input_audio_buffer.commit")
            await client.send("response.create")
            done = await client.next("response.done")
            assert client.audio_of(done["response"]["id"]) == said

    run(scene)


def test_format_change_waits_for_an_empty_buffer() -> None:
    async def scene() -> None:
        async with session() as client:
            await client.update(audio={"input": {"turn_detection": None}})
            await client.append(bytes(4800))
            change = {"input": {"format": {"type": "audio/pcmu"}}}
            refused = await client.update(audio=change)
            assert refused["error"]["param"] == "session.audio.input.format"
            await client.send("input_audio_buffer.clear")
            assert (await client.update(audio=change))["type"] == "session.updated"

    run(scene)


def test_partial_turn_detection_keeps_the_rest_and_null_turns_it_off() -> None:
    async def scene() -> None:
        async with session() as client:
            merged = await client.update(audio={"input": {"turn_detection": {"threshold": 0.7}}})
            detection = merged["session"]["audio"]["input"]["turn_detection"]
            assert (detection["type"], detection["threshold"], detection["create_response"]) == (
                "server_vad",
                0.7,
                True,
            )
            noise = {"type": "near_field", "strength": 0}
            off = await client.update(audio={"input": {"turn_detection": None, "noise_reduction": noise}})
            assert off["session"]["audio"]["input"]["turn_detection"] is None
            assert off["session"]["audio"]["input"]["noise_reduction"] == noise
            await client.append(wire(speech(), silence(2.0)))
            await client.send("input_audio_buffer.clear")
            await client.next("input_audio_buffer.cleared")
            assert not client.of("input_audio_buffer.speech_started")

    run(scene)


def test_failures_come_in_response_done() -> None:
    async def scene() -> None:
        brain = Says([Say("Well."), Fail("Slow down.", "rate_limit_exceeded")], [Stop("content_filter")], [Boom()])
        async with session(brain) as client:
            found = []
            for _ in range(3):
                seen = len(client.events)
                await client.send("response.create")
                found.append((await client.next("response.done", after=seen))["response"])
            assert [each["status"] for each in found] == ["failed", "incomplete", "failed"]
            assert found[0]["status_details"]["error"]["code"] == "rate_limit_exceeded"
            assert found[0]["output"][0]["status"] == "incomplete"
            assert found[1]["status_details"] == {"type": "incomplete", "reason": "content_filter"}
            assert found[2]["status_details"]["error"]["code"] == "server_error"
            assert not client.of("error")

    run(scene)


class Boom(float):
    """A wait that goes wrong inside the brain: asyncio.sleep cannot compare it."""

    def __le__(self, other: float) -> bool:
        raise RuntimeError("the brain broke")


def test_max_output_tokens_makes_the_response_incomplete() -> None:
    async def scene() -> None:
        async with session(Says([Say("word " * 200)])) as client:
            await client.send("response.create", response={"max_output_tokens": 50})
            done = (await client.next("response.done"))["response"]
            assert done["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
            assert 40 <= done["usage"]["output_tokens"] <= 60

    run(scene)


def test_retained_audio_has_a_budget_and_says_when_it_is_gone() -> None:
    async def scene() -> None:
        async with session(options=ServerOptions(retained_bytes=100_000)) as client:
            await client.update(audio={"input": {"turn_detection": None}})
            for _ in range(3):
                await client.append(bytes(48_000))
                await client.send("input_audio_buffer.commit")
            await client.next("conversation.item.done", after=len(client.events))
            first, _, last = (event["item_id"] for event in client.of("input_audio_buffer.committed"))
            await client.send("conversation.item.retrieve", item_id=first)
            assert (await client.next("error"))["error"]["code"] == "item_audio_not_retained"
            await client.send("conversation.item.retrieve", item_id=last)
            kept = await client.next("conversation.item.retrieved")
            assert len(kept["item"]["content"][0]["audio"]) == len(b64encode(bytes(48_000)))

    run(scene)


def test_the_session_expires() -> None:
    async def scene() -> None:
        async with session(options=ServerOptions(session_s=120)) as client:
            assert client.events[0]["session"]["expires_at"] > 0
            await asyncio.sleep(119.9)
            assert client.closed is None
            await asyncio.sleep(0.2)
            assert client.events[-1]["error"]["code"] == "session_expired"
            assert client.closed is not None
            assert client.closed.code == 1001
            assert "maximum duration of 2 minutes" in client.closed.reason

    run(scene)


def test_a_client_that_reads_no_more_cannot_outstay_its_session() -> None:
    async def scene() -> None:
        ours, theirs = pair(limit=4)
        options = ServerOptions(session_s=30)
        serving = asyncio.create_task(
            serve_connection(theirs, responder=Says([Say("word " * 400)]), options=options, voice=ToneVoice())
        )
        await ours.send('{"type": "response.create"}')  # and nothing is read: the way out is full
        await asyncio.sleep(29)
        assert not serving.done()
        await asyncio.sleep(10)
        assert serving.done()
        await serving

    run(scene)


@pytest.mark.parametrize("reminder", [False, True])
def test_the_end_is_warned_of(reminder: bool, caplog: pytest.LogCaptureFixture) -> None:
    """The protocol has no event for it: the log says it, and session.updated where it is wished for."""
    options = ServerOptions(session_s=120, expiry_warning_s=30, expiry_reminder=reminder)

    async def scene() -> None:
        async with session(options=options) as client:
            await asyncio.sleep(89.9)
            assert not caplog.records
            await asyncio.sleep(0.2)
            assert "ends in 30 s" in caplog.text
            reminded = client.of("session.updated")
            assert [event["session"] for event in reminded] == [client.events[0]["session"]] * reminder
            assert not client.of("error") and client.closed is None

    run(scene)


def test_a_session_shorter_than_the_warning_has_none(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with session(options=ServerOptions(session_s=20, expiry_warning_s=30)) as client:
            await asyncio.sleep(20.1)
            assert client.closed is not None and client.closed.code == 1001
            assert "ends in" not in caplog.text

    run(scene)


class Tidy:
    """A brain that takes a second to put its things away, whoever tells it to stop."""

    name = "tidy"

    async def respond(self, turn: Turn) -> AsyncIterator[Part]:
        """See `Responder.respond`."""
        try:
            yield Say("Hm.")
            yield Stop()
        finally:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(1)
            await asyncio.sleep(1)


def test_the_slot_is_free_with_response_done() -> None:
    async def scene() -> None:
        async with session(Tidy()) as client:
            for _ in range(3):
                seen = len(client.events)
                await client.send("response.create")
                await client.next("response.done", "error", after=seen)
            assert len(client.of("response.done")) == 3
            assert not client.of("error")

    run(scene)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ["session", "item", "response", "audio", "item_id", "content_index", "audio_end_ms", "event_id"]
)
EVENTS = st.builds(
    lambda kind, fields: json.dumps({**fields, "type": kind}),
    st.sampled_from(sorted(CLIENT_EVENTS)),
    st.dictionaries(NAMES, JSON, max_size=4),
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(EVENTS | st.text(max_size=50) | st.builds(json.dumps, JSON), min_size=1, max_size=20))
def test_garbage_never_ends_the_session(messages: list[str]) -> None:
    async def scene() -> None:
        async with session() as client:
            for message in messages:
                await client.connection.send(message)
            await client.send("session.update", session={"type": "realtime", "instructions": "still here"})
            updated = await client.next("session.updated")
            while updated["session"]["instructions"] != "still here":
                updated = await client.next("session.updated", after=client.position(updated) + 1)
            created, done = client.of("response.created"), client.of("response.done")
            assert len(created) - 1 <= len(done) <= len(created)

    run(scene)
