"""Messages of tools, MCP, approvals and transcription satisfy the published schema; skips where it is absent."""

from __future__ import annotations

from typing import Any

import pytest

import engine
from tests.conftest import shared_path
from tests.conversation import test_mcp, test_tools, test_transcript
from tests.conversation.harness import Recorder
from tests.conversation.test_conformance import SIDES, validators
from tests.realtime import published


def tools() -> Recorder:
    return test_tools.hold(test_tools.brain(test_tools.CALL), [test_tools.weather])[0].log


def mcp() -> Recorder:
    script = test_mcp.brain(test_mcp.CALL, {"error": "no such page", "delay": 0.5})
    return test_mcp.hold(script, test_mcp.wiki(require_approval="never"))[0].log


def approval() -> Recorder:
    return test_mcp.hold(test_mcp.brain({**test_mcp.CALL, "delay": 0.5}), test_mcp.wiki(), approve=True)[0].log


def progress() -> Recorder:
    slow = engine.tool(progress="One moment.", progress_after_s=0.1)(test_tools.weather.function)
    script = test_tools.brain({"name": "weather", "arguments": {"city": "Paris"}, "call_id": "c"})
    return test_tools.hold(script, [slow], session={}, seconds=5.0)[0].log


def speakers() -> Recorder:
    heard = {"segments": [{"text": "Hello.", "speaker": "A", "start": 0, "end": 1}], "languages": ["en"]}
    script = {"transcripts": [heard, {"fail": "noise"}, "x", "y"]}
    return test_transcript.transcribed(script, model="gpt-4o-transcribe-diarize", logprobs=True)[1]


def live() -> Recorder:
    return test_transcript.transcribed(test_transcript.WORDS, model="gpt-live-transcribe")[1]


@pytest.mark.parametrize(
    ("scene", "types"),
    [
        (tools, {"response.function_call_arguments.delta", "response.function_call_arguments.done"}),
        (mcp, {"mcp_list_tools.completed", "response.mcp_call.failed", "response.mcp_call_arguments.done"}),
        (approval, {"response.mcp_call.in_progress", "response.mcp_call.completed", "conversation.item.create"}),
        (progress, {"response.output_audio.delta"}),
        (speakers, {"conversation.item.input_audio_transcription.segment", "session.updated"}),
        (live, {"conversation.item.input_audio_transcription.delta", "input_audio_buffer.commit"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_messages_satisfy_the_schema(scene: Any, types: set[str]) -> None:
    shared_path("protocol", "realtime.schema.json")
    known, seen = validators(), set()
    for entry in scene().entries:
        if entry.kind in SIDES:
            role = SIDES[entry.kind]
            message = published.without_nulls(entry.message) if entry.kind == "received" else entry.message
            known[role, entry.type].validate(message)
            seen.add(entry.type)
    assert types <= seen, types - seen
