"""Tools of MCP servers: listing, approvals by policy or function, results before and after response.done."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import numpy as np
import pytest

import engine
from engine import ApprovalRequest
from engine.conversation import Conversation, McpServer, approvals
from engine.errors import ConfigError, TransportError
from engine.realtime.types import ApprovalFilter, McpTool, ToolFilter
from engine.server.responders.script import Script

from .harness import RATE, Held, held, tones

ASK = {"name": "ask", "description": "Asks.", "input_schema": {"type": "object"}, "annotations": {"readOnlyHint": True}}
WRITE = {"name": "write"}


def brain(*calls: dict[str, Any], **server: Any) -> Script:
    return Script(
        {
            "mcp": {"wiki": {"tools": [ASK, WRITE], **server}},
            "rules": [
                {"match": {"text": "go"}, "do": [{"mcp": {"server": "wiki", "name": "ask", **call}} for call in calls]},
                {"match": {"output": "."}, "do": [{"say": "Told {output}"}]},
            ],
        }
    )


def wiki(**more: Any) -> McpTool:
    return McpTool(server_label="wiki", server_url="https://wiki.example/mcp", authorization="hush-hush", **more)


def hold(script: Script, *tools: Any, approve: Any = None, seconds: float = 3.0) -> tuple[Held, dict[str, McpServer]]:
    servers: dict[str, McpServer] = {}

    async def during(conversation: Conversation) -> None:
        servers.update(await conversation.tools_ready())
        conversation.say("go")
        await asyncio.sleep(1e6)

    over = held(
        np.zeros(round(RATE * seconds), np.int16), tones(script), during=during, tools=tools, approve=approve,
        session={"output_modalities": ["text"]},
    )  # fmt: skip
    assert not over.conversation.anomalies and not over.log.of("received", "error")
    return over, servers


def words(over: Held) -> list[str]:
    return [turn.text for turn in over.turns if turn.role == "assistant" and turn.text]


def answers(over: Held) -> list[dict[str, Any]]:
    items = [sent["item"] for sent in over.log.of("sent", "conversation.item.create")]
    return [item for item in items if item["type"] == "mcp_approval_response"]


def ask_name(request: ApprovalRequest) -> bool:
    return request.name == "ask" and request.decoded() == {"about": "rain"}


async def slow_yes(request: ApprovalRequest) -> bool:
    await asyncio.sleep(2)
    return True


async def never_decides(request: ApprovalRequest) -> bool:
    await asyncio.sleep(100)
    return True


def fails(request: ApprovalRequest) -> bool:
    raise RuntimeError("password=hunter2")


CALL = {"arguments": {"about": "rain"}, "output": "Rain is wet."}
YES, NO = "Told Rain is wet.", "Told declined: no reason given"


@pytest.mark.parametrize("delay", [0.0, 0.7])
@pytest.mark.parametrize(
    ("rule", "approve", "asked", "told"),
    [
        ("never", None, 0, YES),
        ("always", True, 1, YES),
        ("always", False, 1, NO),
        ("always", {"ask"}, 1, YES),
        ("always", ["wiki.ask"], 1, YES),
        ("always", {"other.ask", "write"}, 1, NO),
        ("always", ask_name, 1, YES),
        ("always", slow_yes, 1, YES),
        ("always", lambda request: "not today", 1, "Told declined: not today"),
        ("always", fails, 1, "Told declined: nobody could be asked"),
        (ApprovalFilter(never=ToolFilter(read_only=True)), True, 0, YES),
        (ApprovalFilter(never=ToolFilter(tool_names=["write"])), True, 1, YES),
        (ApprovalFilter(always=ToolFilter(tool_names=["ask"]), never=ToolFilter(read_only=True)), True, 1, YES),
    ],
)
def test_the_result_is_spoken_once(delay: float, rule: Any, approve: Any, asked: int, told: str) -> None:
    over, _ = hold(brain({**CALL, "delay": delay}), wiki(require_approval=rule), approve=approve)
    assert words(over) == [told]
    assert len(answers(over)) == asked
    assert len(over.log.of("sent", "response.create")) == 2
    if told == YES:
        create = over.log.place("sent", "response.create", over.log.place("received", "response.done"))
        assert over.log.place("received", "response.mcp_call.completed") < create


def test_a_failed_call_is_told() -> None:
    over, _ = hold(brain({"error": "no such page", "delay": 0.5}), wiki(require_approval="never"))
    assert words(over) == ["Told error: no such page"]
    assert len(over.log.of("received", "response.mcp_call.failed")) == 1


def test_a_call_that_never_ends_does_not_keep_a_file_for_ever() -> None:
    over, _ = hold(brain({**CALL, "delay": 3000}), wiki(require_approval="never"))
    assert not words(over) and 30 < over.conversation.sound.seconds < 60


def test_several_calls_and_a_function_are_answered_together() -> None:
    @engine.tool
    async def clock() -> str:
        await asyncio.sleep(1.5)
        return "noon"

    script = Script(
        {
            "mcp": {"wiki": {"tools": [ASK]}},
            "rules": [
                {
                    "match": {"text": "go"},
                    "do": [
                        {"mcp": {"server": "wiki", "name": "ask", "output": "one", "delay": 0.5}},
                        {"call": {"name": "clock", "call_id": "c"}},
                        {"mcp": {"server": "wiki", "name": "ask", "output": "two", "delay": 2.5}},
                    ],
                },
                {"match": {"output": "."}, "do": [{"say": "Told {output}"}]},
            ],
        }
    )
    over, _ = hold(script, wiki(require_approval="never"), clock)
    assert len(over.log.of("sent", "response.create")) == 2
    last = [n for n, entry in enumerate(over.log.entries) if entry.type == "response.mcp_call.completed"][-1]
    assert over.log.place("sent", "response.create", last) > last


def test_two_approvals_of_one_response_bring_one_reply() -> None:
    over, _ = hold(brain({**CALL, "delay": 0.3}, {**CALL, "delay": 0.6}), wiki(), approve=ask_name)
    assert len(answers(over)) == 2 and len(over.log.of("sent", "response.create")) == 2


def test_who_is_not_asked_leaves_it_to_the_application() -> None:
    over, _ = hold(brain(CALL), wiki())
    assert not answers(over) and len(over.log.of("sent", "response.create")) == 1
    assert len(over.log.of("received", "response.done")) == 1


def test_a_function_that_never_decides_declines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approvals, "APPROVAL_S", 5.0)
    over, _ = hold(brain(CALL), wiki(), approve=never_decides)
    assert [answer["approve"] for answer in answers(over)] == [False]


def test_the_tools_are_known_when_they_are_ready() -> None:
    _, servers = hold(brain(CALL, delay=0.8), wiki(allowed_tools=["ask"], require_approval="never"))
    assert servers["wiki"].status == "completed"
    assert [tool.name for tool in servers["wiki"].tools] == ["ask"]


def test_a_server_that_fails_is_told_and_no_error(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING"):
        _, servers = hold(brain({"output": "x"}, fails=True), wiki(require_approval="never"))
    assert servers["wiki"].status == "failed" and "could not be asked" in caplog.text


def test_waiting_for_tools_ends() -> None:
    async def during(conversation: Conversation) -> None:
        with pytest.raises(TransportError, match="no tools"):
            await conversation.tools_ready(2)

    script = brain(CALL, delay=9)
    held(np.zeros(RATE * 9, np.int16), tones(script), during=during, tools=[wiki()], approve=True, read=False)


def test_secrets_stay_with_the_server() -> None:
    over, _ = hold(brain(CALL), wiki(headers={"X-Key": "hush-hush"}, require_approval="never"))
    received = [entry.message for entry in over.log.entries if entry.kind == "received"]
    assert "hush-hush" not in msgspec.json.encode(received).decode()
    assert "hush-hush" not in repr(over.conversation.session) + repr(over.conversation._settings)


@pytest.mark.parametrize("approve", ["always", 7])
def test_what_is_no_policy_is_refused(approve: Any) -> None:
    with pytest.raises(ConfigError, match="approve"):
        engine.connect(engine.Memory(np.zeros(RATE, np.int16), RATE), tools=[wiki()], approve=approve)


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        (McpTool(server_label="other", server_url="https://x.example"), "only the MCP servers 'wiki'"),
        ({"type": "mcp", "server_label": "wiki"}, "exactly one"),
    ],
)
def test_servers_that_cannot_be_are_refused(tool: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        hold(brain(CALL), tool)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ({"mcp": []}, "mapping from labels"),
        ({"mcp": {"wiki": {"tolls": []}}}, "tolls is not known"),
        ({"mcp": {"wiki": {"tools": [{}]}}}, "a mapping with a name"),
        ({"rules": [{"do": [{"mcp": {"name": "x"}}]}]}, "server must be given"),
        ({"rules": [{"do": [{"mcp": {"server": "a", "name": "x", "delay": -1}}]}]}, "delay is -1"),
        ({"rules": [{"do": [{"mcp": {"server": "a", "name": "x", "output": 3}}]}]}, "output must be a text"),
    ],
)
def test_a_bad_script_says_where(script: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Script(script)
