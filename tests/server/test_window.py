"""What a response reads: truncation, what it counts, what is cached; the conversation itself keeps everything."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.server import ServerOptions
from engine.server.items import Item
from engine.server.responders import Say, Text, ToolCall
from engine.server.usage import Usage, item_tokens
from engine.server.window import Reader, TooLong, Window
from tests.server.harness import Client, Event, Says, question, run, session

CONFIG: dict[str, Any] = {"instructions": "", "tools": [], "truncation": "auto"}


def ratio(part: float, post_instructions: int | None = None) -> dict[str, Any]:
    limits = {} if post_instructions is None else {"token_limits": {"post_instructions": post_instructions}}
    return {"type": "retention_ratio", "retention_ratio": part, **limits}


def words(name: str, tokens: int) -> Item:
    content = [{"type": "input_text", "text": "word" * tokens}]
    return Item({"id": name, "type": "message", "role": "user", "content": content})


def call(name: str, tokens: int = 9) -> Item:
    wire = {"id": f"call {name}", "type": "function_call", "call_id": name, "name": "some"}
    return Item({**wire, "arguments": "word" * tokens})


def output(name: str, tokens: int = 9) -> Item:
    return Item({"id": f"out {name}", "type": "function_call_output", "call_id": name, "output": "word" * tokens})


def read(
    window: Window,
    items: list[Item],
    policy: Any = "auto",
    reader: Reader = Reader.CONVERSATION,
    instructions: str = "",
) -> tuple[list[str], Usage]:
    """What one response reads: ids and usage."""
    reading = window.look(items, {**CONFIG, "truncation": policy, "instructions": instructions}, reader)
    if reader is Reader.CONVERSATION:
        window.take(reading)
    return [item.id for item in reading.items], reading.usage


TEN = [f"m{n}" for n in range(10)]


@pytest.mark.parametrize(
    ("policy", "instructions", "left"),
    [
        ("auto", 0, 10),
        ("auto", 1, 9),
        ("auto", 550, 4),
        (ratio(0.5), 0, 10),
        (ratio(0.5), 100, 4),
        (ratio(1.0), 100, 9),
        (ratio(0.0), 100, 1),  # the newest stays
        (ratio(0.8, 500), 0, 4),
        (ratio(1.0, 500), 0, 5),
        (ratio(0.5, 10**6), 0, 10),  # a limit beyond the model's is the model's
        (ratio(0.5, 0), 0, 1),
    ],
)
def test_the_oldest_are_left_out(policy: Any, instructions: int, left: int) -> None:
    """Ten items of 100 tokens each, behind the instructions, where a response can read 1000."""
    got, usage = read(Window(1000), [words(name, 100) for name in TEN], policy, instructions="word" * instructions)
    assert got == TEN[10 - left :]
    assert usage.input.total == instructions + 100 * left


def test_disabled_and_what_cannot_fit_fail() -> None:
    window = Window(1000)
    ten = [words(name, 100) for name in TEN]
    assert read(window, ten, "disabled")[0] == TEN
    eleven = [*ten, words("m10", 1)]
    with pytest.raises(TooLong, match="has 1001 tokens, but this response can read at most 1000"):
        read(window, eleven, "disabled")
    assert not any(item.left_out for item in eleven)
    for policy in ("auto", ratio(0.5)):  # not even the newest fits
        with pytest.raises(TooLong):
            read(window, [*ten, words("huge", 1001)], policy)
    with pytest.raises(TooLong):
        read(window, ten, "auto", instructions="word" * 1001)
    assert not any(item.left_out for item in ten)


def test_a_call_goes_with_its_outputs_and_an_approval_with_its_call() -> None:
    asked = Item({"id": "asked", "type": "mcp_approval_request", "name": "some", "arguments": "word" * 9})
    allowed = Item({"id": "allowed", "type": "mcp_approval_response", "approval_request_id": "asked", "approve": True})
    made = Item(
        {"id": "made", "type": "mcp_call", "approval_request_id": "asked", "name": "some", "arguments": "",
         "output": "word" * 9, "error": None}
    )  # fmt: skip
    items = [call("a"), asked, words("between", 30), output("a"), allowed, made, words("last", 10)]
    got, usage = read(Window(100), items)
    assert got == [item.id for item in items]
    assert usage.input.total == 10 + 10 + 30 + 9 + 0 + 10 + 10
    assert read(Window(78), items)[0] == ["asked", "between", "allowed", "made", "last"]  # both halves of the call
    assert read(Window(59), items)[0] == ["between", "last"]
    late = [*items[:3], *items[4:], output("a", 1)]  # the output of a call that is left out comes later
    assert "out a" not in read(Window(1000), late)[0]


def test_what_was_left_out_stays_out_and_the_rest_is_cached() -> None:
    window = Window(1000)
    items = [words(f"m{n}", 100) for n in range(10)]
    assert read(window, items)[1].cached.total == 0
    assert read(window, items)[1].cached.total == 1000
    items.append(words("m10", 100))
    got, usage = read(window, items, ratio(0.5))
    assert (got[0], usage.input.total, usage.cached.total) == ("m6", 500, 0)
    for number in range(11, 16):  # no further truncation while there is room
        items.append(words(f"m{number}", 100))
        got, usage = read(window, items, ratio(0.5))
        assert (got[0], usage.cached.total) == ("m6", 100 * (number - 6))
    private = read(window, items[:2], ratio(0.5), Reader.PRIVATE)  # explicit references are read
    assert (private[0], private[1].cached.total) == (["m0", "m1"], 0)
    aside = read(window, items, ratio(0.5), Reader.ASIDE)
    assert (aside[0][0], aside[1].cached.total) == ("m6", 1000)


@given(
    st.lists(st.tuples(st.sampled_from("mco"), st.integers(0, 4), st.integers(1, 60)), max_size=30),
    st.one_of(st.just("auto"), st.builds(ratio, st.floats(0, 1), st.none() | st.integers(0, 300))),
    st.integers(100, 300),
)
@settings(max_examples=200, deadline=None)
def test_any_conversation(made: list[tuple[str, int, int]], policy: Any, limit: int) -> None:
    """Never beyond the limit, never a call without its outputs, always in order, and it settles."""
    items: list[Item] = []
    for number, (kind, name, tokens) in enumerate(made):
        item = words("", tokens) if kind == "m" else (call if kind == "c" else output)(str(name), tokens)
        item.wire["id"] = f"i{number}"
        items.append(item)
    window = Window(limit)
    try:
        got, usage = read(window, items, policy)
    except TooLong:
        return
    assert usage.input.total == sum(item_tokens(item).total for item in items if item.id in got) <= limit
    assert got == [item.id for item in items if item.id in got]
    for call_id in map(str, range(5)):
        group = {item.id in got for item in items if item.wire.get("call_id") == call_id}
        assert len(group) <= 1
    again, second = read(window, items, policy)
    assert (again, second.input) == (got, usage.input)
    assert second.cached == usage.input


# ---- in a session


async def ask(client: Client, **response: Any) -> Event:
    """One response's end."""
    await client.send("response.create", response=response)
    done: Event = (await client.next("response.done", after=len(client.events)))["response"]
    return done


async def write(client: Client, tokens: int, name: str) -> None:
    content = [{"type": "input_text", "text": "word" * tokens}]
    item = {"type": "message", "role": "user", "content": content, "id": name}
    await client.send("conversation.item.create", item=item)


def test_the_conversation_keeps_what_the_brain_does_not_see() -> None:
    async def scene() -> None:
        brain = Says([Text("ok")])
        async with session(brain, ServerOptions(context_tokens=200)) as client:
            await client.update(instructions="", truncation=ratio(0.5), output_modalities=["text"])
            for number in range(3):
                await write(client, 90, f"m{number}")
            done = await ask(client)
            assert [item["id"] for item in brain.turns[0].items] == ["m2"]
            assert (done["status"], done["usage"]["input_tokens"]) == ("completed", 90)
            await client.send("conversation.item.retrieve", item_id="m0")
            kept = await client.next("conversation.item.retrieved")
            assert kept["item"]["content"][0]["text"] == "word" * 90
            await client.send("response.create", response={"input": [{"type": "item_reference", "id": "m0"}]})
            await client.next("response.done", after=len(client.events))
            assert [item["id"] for item in brain.turns[1].items] == ["m0"]

    run(scene)


def test_disabled_truncation_fails_the_response_and_a_deleted_item_makes_room() -> None:
    async def scene() -> None:
        brain = Says([Text("ok")])
        async with session(brain, ServerOptions(context_tokens=200)) as client:
            await client.update(instructions="", truncation="disabled", output_modalities=["text"])
            await write(client, 150, "m0")
            await write(client, 60, "m1")
            done = await ask(client)
            error = done["status_details"]["error"]
            assert (done["status"], error["code"], error["type"]) == (
                "failed",
                "context_length_exceeded",
                "invalid_request_error",
            )
            assert "210 tokens" in error["message"]
            assert (done["usage"]["total_tokens"], done["output"], brain.turns) == (0, [], [])
            await client.send("conversation.item.delete", item_id="m0")
            assert (await ask(client))["status"] == "completed"

    run(scene)


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ("always", "session.truncation"),
        ({"type": "retention_ratio"}, "session.truncation.retention_ratio"),
        ({"retention_ratio": 0.5}, "session.truncation.type"),
        (ratio(1.5), "session.truncation.retention_ratio"),
        (ratio(0.5, -1), "session.truncation.token_limits.post_instructions"),
        ({**ratio(0.5), "more": 1}, "session.truncation.more"),
        (5, "session.truncation"),
    ],
)
def test_policies_there_are_not(value: Any, param: str) -> None:
    async def scene() -> None:
        async with session() as client:
            refused = await client.update(truncation=value)
            assert refused["error"]["param"] == param
            assert (await client.update())["session"]["truncation"] == "auto"

    run(scene)


def test_usage_of_a_voice_conversation_and_of_a_truncated_reply() -> None:
    async def scene() -> None:
        brain = Says([Say("A reply of some words that will be cut."), ToolCall("look", "{}" * 10)])
        async with session(brain) as client:
            tools = [{"type": "function", "name": "look", "description": "Looks around.", "parameters": {}}]
            await client.update(audio={"input": {"turn_detection": None}}, instructions="word" * 10, tools=tools)
            head = (await ask(client, input=[]))["usage"]["input_tokens"]
            assert head > 10 + 10  # instructions, and the tools
            await client.append(question())
            await client.send("input_audio_buffer.commit")
            first = await ask(client, tools=[])
            heard = -(-len(question()) // 4800)
            # The first response read nothing of the conversation; its items are in it.
            assert first["usage"]["input_token_details"]["audio_tokens"] > heard
            second = await ask(client)
            third = await ask(client)
            assert third["usage"]["input_token_details"]["cached_tokens"] == second["usage"]["input_tokens"]
            reply = third["output"][0]
            before = (await ask(client))["usage"]["input_token_details"]
            await client.send("conversation.item.truncate", item_id=reply["id"], content_index=0, audio_end_ms=100)
            await client.next("conversation.item.truncated")
            after = (await ask(client))["usage"]["input_token_details"]
            grown = (await ask(client))["usage"]["input_token_details"]  # by one more answer of the same kind
            words = -(-len(reply["content"][0]["transcript"]) // 4)
            answer_text = grown["text_tokens"] - after["text_tokens"]
            assert after["text_tokens"] == before["text_tokens"] + answer_text - words
            assert after["audio_tokens"] == before["audio_tokens"] + 2  # a new answer for the old, and 100 ms
            # What stands before the item that changed is cached, from there on nothing; then all of it again.
            assert after["cached_tokens"] == before["cached_tokens"] == third["usage"]["input_tokens"]
            assert grown["cached_tokens"] == after["text_tokens"] + after["audio_tokens"]
            turn = brain.turns[-1]
            assert turn.truncated == {reply["id"]: 100.0}
            seen = next(item for item in turn.items if item["id"] == reply["id"])
            assert seen["content"] == [{"type": "output_audio"}]

    run(scene)
