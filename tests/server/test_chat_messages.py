"""`chat` without a service: conversations as messages, tools, and whatever a stream may hold."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ServerFaultError, TransportError
from engine.server.responders import Tool, ToolCallDelta, Turn
from engine.server.responders.base import McpCall, McpTool
from engine.server.responders.chat_answer import MAX_CALLS, ChatAnswer
from engine.server.responders.chat_messages import (
    CUT_OFF,
    NO_OUTPUT,
    UNKNOWN_WORDS,
    mcp_name,
    messages,
    tool_choice,
    tools,
)
from engine.server.responders.sse import EventStream


def asked(text: str = "hello", **more: Any) -> Turn:
    items = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}]
    return Turn(number=1, user_turn=1, text=text, **{"items": items, **more})


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
        ({"type": "mcp", "server_label": "x"}, "auto"),
    ],
)
def test_tool_choice(choice: Any, expected: Any) -> None:
    assert tool_choice(choice) == expected


def test_tools_of_mcp_servers_are_called_whole() -> None:
    known = McpTool("we.ather", "get", "Tells it.")
    assert tools(asked(mcp_tools=[known]))[0]["function"]["name"] == mcp_name("we.ather", "get") == "we_ather__get"
    assert (
        tool_choice({"type": "mcp", "server_label": "we.ather", "name": "get"})["function"]["name"] == "we_ather__get"
    )
    answer = ChatAnswer({"we_ather__get": ("we.ather", "get")})
    for piece in ({"function": {"name": "we_ather__get", "arguments": '{"a"'}}, {"function": {"arguments": ": 1}"}}):
        answer.add(json.dumps({"choices": [{"delta": {"tool_calls": [{"index": 0, **piece}]}}]}))
        assert answer.pieces() == []
    assert answer.rest() == [McpCall("we.ather", "get", '{"a": 1}')]


def test_a_function_without_parameters_has_an_object_of_none() -> None:
    assert tools(asked(tools=[Tool("f")])) == [
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    ]


# ---- the conversation as messages


def message(role: str, *parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": list(parts), **more}


def call(call_id: str) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": '{"a": 1}'}


def output(call_id: str, text: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": text}


def as_called(*ids: str, content: str | None = None) -> dict[str, Any]:
    made = [{"id": each, "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}} for each in ids]
    return {"role": "assistant", "content": content, "tool_calls": made}


def as_output(call_id: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def of(*items: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    return messages(asked(items=items, **more))


def test_words_said_and_written_are_messages() -> None:
    assert of(
        message("system", {"type": "input_text", "text": "Be brief."}),
        message("user", {"type": "input_audio", "transcript": "hello"}, {"type": "input_text", "text": "there"}),
        message("assistant", {"type": "output_audio", "transcript": "Good day."}),
        message("user", {"type": "input_audio", "transcript": None}),
        message("assistant"),
    ) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hello there"},
        {"role": "assistant", "content": "Good day."},
        {"role": "user", "content": UNKNOWN_WORDS},
    ]


def test_a_reply_that_was_cut_off_says_so() -> None:
    assert of(message("assistant", {"type": "output_audio"}, status="completed")) == [
        {"role": "assistant", "content": CUT_OFF}
    ]
    known = message("assistant", {"type": "output_audio"}, id="item_1")
    assert of(known, truncated={"item_1": 1240.0}) == [
        {"role": "assistant", "content": "[The user interrupted this reply after hearing 1.2 s of it.]"}
    ]
    cancelled = message("assistant", {"type": "output_audio", "transcript": "Well,"}, status="incomplete")
    assert of(cancelled) == [{"role": "assistant", "content": f"Well, {CUT_OFF}"}]


def test_outputs_follow_their_calls() -> None:
    between = message("user", {"type": "input_text", "text": "wait"})
    assert of(call("1"), call("2"), between, output("2", "two"), output("1", "one")) == [
        as_called("1", "2"), as_output("1", "one"), as_output("2", "two"), {"role": "user", "content": "wait"},
    ]  # fmt: skip


def test_calls_one_after_the_other_stay_apart_and_words_before_a_call_belong_to_it() -> None:
    said = message("assistant", {"type": "output_text", "text": "Let me see."})
    assert of(said, call("1"), output("1", "one"), call("2"), output("2", "two")) == [
        as_called("1", content="Let me see."), as_output("1", "one"), as_called("2"), as_output("2", "two"),
    ]  # fmt: skip


def test_what_has_no_counterpart_is_made_acceptable() -> None:
    assert of(call("1"), output("gone", "late")) == [
        as_called("1"),
        as_output("1", NO_OUTPUT),
        {"role": "system", "content": "Output of an earlier call (gone): late"},
    ]


def test_calls_of_mcp_servers_are_calls() -> None:
    done = {
        "type": "mcp_call",
        "server_label": "s",
        "id": "1",
        "name": "f",
        "arguments": '{"a": 1}',
        "output": None,
        "error": {"message": "no"},
    }
    called, answer = of(done)
    assert called["tool_calls"][0]["function"]["name"] == "s__f" and answer == as_output("1", "error: no")


def test_pictures_are_shown_or_mentioned() -> None:
    shown = message(
        "user", {"type": "input_text", "text": "see"}, {"type": "input_image", "image_url": "data:image/png,x"}
    )
    content = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "data:image/png,x"}}]
    assert of(shown) == [{"role": "user", "content": content}]
    assert messages(asked(items=[shown]), images=False) == [
        {"role": "user", "content": "see [1 pictures, which cannot be shown]"}
    ]


ITEMS = st.lists(
    st.sampled_from("123").flatmap(lambda n: st.sampled_from([call(n), output(n, "x")]))
    | st.sampled_from(["user", "assistant", "system"]).map(lambda role: message(role, {"type": "text", "text": "w"})),
    max_size=12,
    unique_by=lambda item: json.dumps([item["type"], item.get("call_id"), item.get("role")]),
)


@given(ITEMS)
def test_whatever_the_conversation_a_strict_service_takes_it(items: list[dict[str, Any]]) -> None:
    found = of(*items)
    waiting: list[str] = []
    for each in found:
        if each["role"] == "tool":
            waiting.remove(each["tool_call_id"])
            continue
        assert not waiting, "calls must be answered at once"
        waiting = [made["id"] for made in each.get("tool_calls", ())]
        assert each["content"] or waiting
    assert not waiting


# ---- what the stream may be


@given(st.lists(st.text(max_size=10), max_size=5), st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0, 99)))
def test_events_come_out_the_same_however_they_are_cut(datas: list[str], end: str, places: list[int]) -> None:
    datas = ["".join(sign for sign in data if sign not in "\r\n") for data in datas]
    whole = "".join(f": hello{end}event: x{end}data: {data}{end}data:b{end}{end}" for data in datas).encode()
    edges = sorted({0, len(whole), *(place % (len(whole) + 1) for place in places)})
    events = EventStream()
    found = [event for a, b in itertools.pairwise(edges) for event in events.process(whole[a:b])]
    assert found + events.flush() == [f"{data}\nb" for data in datas]


def test_an_event_without_end_is_given_up() -> None:
    events = EventStream(limit=1000)
    with pytest.raises(TransportError, match="over 1000 bytes"):
        for _ in range(30):
            events.process(b"data: " + b"x" * 90 + b"\n")
    with pytest.raises(TransportError):
        EventStream(limit=1000).process(b"x" * 1001)


def test_odd_ways_to_stream_calls() -> None:
    def made(*pieces: dict[str, Any]) -> list[tuple[str, str, str]]:
        answer, calls = ChatAnswer(), dict[int, tuple[str, str, str]]()
        for piece in (*pieces, None):
            answer.add(json.dumps({"choices": [{"delta": {"tool_calls": [piece] if piece else None}}]}))
            for told in answer.pieces() if piece else answer.rest():
                assert isinstance(told, ToolCallDelta)
                name, arguments, call_id = calls.get(told.index, (told.name, "", told.call_id))
                calls[told.index] = (name, arguments + told.arguments, call_id)
        return list(calls.values())

    whole = {"function": {"name": "f", "arguments": {"a": 1}}}
    assert made({"id": "1", **whole}, {"id": "2", **whole}) == [("f", '{"a":1}', "1"), ("f", '{"a":1}', "2")]
    same = [{"index": 0, "id": str(n), "function": {"name": f"f{n}", "arguments": "{}"}} for n in range(2)]
    assert made(*same) == [("f0", "{}", "0"), ("f1", "{}", "1")]
    late = [{"index": 0, "function": {"arguments": "{"}}, {"index": 0, "id": "x", "function": {"name": "f"}}]
    assert made(*late, {"index": 0, "function": {"arguments": "}"}}) == [("f", "{}", "x")]
    assert made({"index": 0, "id": "1", "function": {"name": "f"}}) == [("f", "{}", "1")]
    assert made({"index": 0, "function": {"arguments": "x"}}) == []
    with pytest.raises(TransportError, match="more than 64 calls"):
        made(*({"index": n, "id": str(n)} for n in range(MAX_CALLS + 1)))
    with pytest.raises(TransportError, match="characters"):
        made(
            {"index": 0, "function": {"name": "f", "arguments": "x" * 2**20}},
            {"index": 0, "function": {"arguments": "x"}},
        )


@pytest.mark.parametrize(
    "data", ["[]", "3", "{", '{"choices": 3}', '{"choices": [{"delta": 3}]}', '{"choices": [3]}', "{}"]
)
def test_nonsense_is_nothing_or_an_error(data: str) -> None:
    answer = ChatAnswer()
    if data in ("[]", "3", "{"):
        with pytest.raises(TransportError):
            answer.add(data)
    else:
        assert answer.add(data) == ""


def test_an_error_within_the_stream() -> None:
    with pytest.raises(ServerFaultError):
        ChatAnswer().add('{"error": {"message": "x"}}')
