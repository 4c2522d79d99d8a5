"""Function calls: arguments as they come, several at once, cut short, and counted."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest

from engine.errors import ConfigError
from engine.server import ServerOptions
from engine.server.responders import Audio, Part, Say, Script, Stop, Text, ToolCall, ToolCallDelta
from tests.audio.test_stretch import voiced
from tests.server.harness import Client, Event, Says, run, session

ARGUMENTS = json.dumps({"city": "Paris", "days": [1, 2, 3], "units": "celsius"})


async def done(client: Client, **response: Any) -> Event:
    """One response, from response.create to response.done."""
    seen = len(client.events)
    await client.send("response.create", response=response)
    ended: Event = (await client.next("response.done", after=seen))["response"]
    return ended


def arguments(client: Client, call_id: str) -> str:
    """What the deltas of a call say."""
    deltas = client.of("response.function_call_arguments.delta")
    return "".join(event["delta"] for event in deltas if event["call_id"] == call_id)


def test_arguments_are_sent_as_they_come() -> None:
    async def scene() -> None:
        pieces = [ARGUMENTS[start : start + 7] for start in range(0, len(ARGUMENTS), 7)]
        answer: list[Part | float] = [ToolCallDelta(pieces[0], "weather", "call_1")]
        for piece in pieces[1:]:
            answer += [0.1, ToolCallDelta(piece)]
        async with session(Says([Say("One moment."), 2.0, *answer])) as client:
            response = await done(client)
            spoken, call = response["output"]
            assert (spoken["status"], call["status"]) == ("completed", "completed")
            assert (call["name"], call["call_id"], call["arguments"]) == ("weather", "call_1", ARGUMENTS)
            deltas = client.of("response.function_call_arguments.delta")
            assert [event["delta"] for event in deltas] == pieces
            at = [client.times[client.position(event)] for event in deltas]
            assert all(later - earlier == pytest.approx(0.1) for earlier, later in pairwise(at))
            ended = client.of("response.function_call_arguments.done")[0]
            assert (ended["arguments"], ended["name"], ended["output_index"]) == (ARGUMENTS, "weather", 1)
            kinds = [kind for kind in client.types() if "output_item" in kind or "arguments" in kind]
            assert kinds[-4:] == [
                "response.output_item.added",
                "response.function_call_arguments.delta",
                "response.function_call_arguments.done",
                "response.output_item.done",
            ]

    run(scene)


def test_calls_side_by_side() -> None:
    """Pieces of two calls mixed, a third after them, whole, and words after all: four items in order."""

    async def scene() -> None:
        brain = Says(
            [
                ToolCallDelta('{"a"', "first", "call_a", index=0),
                ToolCallDelta('{"b"', "second", "call_b", index=1),
                ToolCallDelta(": 1}", index=0),
                0.1,
                ToolCallDelta(": 2}", index=1),
                ToolCall("third", "{}", "call_c"),
                ToolCallDelta("{}", "fourth", "call_d", index=0),  # a new one: the first with this index has ended
                Text("All asked."),
            ]
        )
        async with session(brain) as client:
            response = await done(client, output_modalities=["text"])
            calls = response["output"][:4]
            assert [call["name"] for call in calls] == ["first", "second", "third", "fourth"]
            assert [call["arguments"] for call in calls] == ['{"a": 1}', '{"b": 2}', "{}", "{}"]
            assert [arguments(client, f"call_{letter}") for letter in "abcd"] == [call["arguments"] for call in calls]
            assert response["output"][4]["content"] == [{"type": "output_text", "text": "All asked."}]
            assert all(item["status"] == "completed" for item in response["output"])
            for call in calls:  # outputs in any order, then one answer
                output = {"type": "function_call_output", "call_id": call["call_id"], "output": call["name"]}
                await client.send("conversation.item.create", item=output)
            await done(client)
            assert [each.output for each in brain.turns[1].tool_outputs] == ["first", "second", "third", "fourth"]

    run(scene)


@pytest.mark.parametrize("how", ["cancel", "fail", "stop"])
def test_a_call_cut_short_is_incomplete_with_the_arguments_so_far(how: str) -> None:
    async def scene() -> None:
        last: list[Part | float] = [60.0] if how == "cancel" else [Stop("content_filter")]
        if how == "fail":
            last = [ToolCallDelta("never begun", index=7)]  # a mistake of the brain's: it has no name
        brain = Says(
            [ToolCallDelta('{"city": "Par', "weather"), 0.1, ToolCallDelta("is", index=0), *last], [Say("Hm.")]
        )
        async with session(brain) as client:
            await client.send("response.create")
            await client.next("response.output_item.added")
            await asyncio.sleep(0.5)
            if how == "cancel":
                await client.send("response.cancel")
            ended = (await client.next("response.done"))["response"]
            assert ended["status"] == {"cancel": "cancelled", "fail": "failed", "stop": "incomplete"}[how]
            call = ended["output"][0]
            assert (call["status"], call["arguments"]) == ("incomplete", '{"city": "Paris')
            assert client.of("response.function_call_arguments.done")[0]["arguments"] == '{"city": "Paris'
            assert ended["usage"]["output_token_details"]["text_tokens"] == 2 + 4  # name and arguments
            await done(client)  # the session goes on, and the brain sees what there is
            assert brain.turns[1].items[0]["status"] == "incomplete"

    run(scene)


@pytest.mark.parametrize("streamed", [True, False])
def test_max_output_tokens_counts_calls(streamed: bool) -> None:
    async def scene() -> None:
        whole = '{"text": "' + "word " * 100 + '"}'
        call = ToolCallDelta if streamed else ToolCall
        answer = [call(whole, "note") if streamed else ToolCall("note", whole), Say("Never said.")]
        async with session(Says(answer)) as client:
            ended = await done(client, max_output_tokens=20)
            assert ended["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
            item = ended["output"][0]
            assert (len(ended["output"]), item["status"]) == (1, "incomplete")
            assert item["arguments"] == whole[: 19 * 4]  # the name is one token
            assert arguments(client, item["call_id"]) == item["arguments"]
            assert ended["usage"]["output_tokens"] == 20

    run(scene)


@pytest.mark.parametrize("limit", [1, 7, 33, 100])
@pytest.mark.parametrize("modality", ["audio", "text"])
def test_no_response_is_longer_than_its_max_output_tokens(limit: int, modality: str) -> None:
    async def scene() -> None:
        answer: list[Part] = [
            Say("Some words to begin with."),
            Audio(voiced(120, 0.8), "and sound"),
            ToolCall("f", "{}" * 50),
        ]
        async with session(Says([*answer, Text("long " * 400)]), ServerOptions(delta_ms=330)) as client:
            ended = await done(client, max_output_tokens=limit, output_modalities=[modality])
            assert ended["status"] == "incomplete"
            assert ended["usage"]["output_tokens"] == limit
            audio_ms = len(client.audio_of(ended["id"])) / 48
            assert ended["usage"]["output_token_details"]["audio_tokens"] == -(-audio_ms // 50)

    run(scene)


def test_a_script_lets_arguments_come_bit_by_bit() -> None:
    async def scene() -> None:
        first = {"call": {"name": "look", "arguments": {"where": "in the kitchen"}, "call_id": "c1", "seconds": 2}}
        second = {"call": {"name": "go", "seconds": 0.5}}
        async with session(Script({"default": [first, second]})) as client:
            await client.send("response.create")
            await asyncio.sleep(1.0)
            assert 0 < len(arguments(client, "c1")) < len('{"where": "in the kitchen"}')
            ended = (await client.next("response.done"))["response"]
            assert [call["arguments"] for call in ended["output"]] == ['{"where": "in the kitchen"}', "{}"]
            assert arguments(client, "c1") == '{"where": "in the kitchen"}'
            assert len({call["call_id"] for call in ended["output"]}) == 2

    run(scene)


def test_a_script_says_where_its_seconds_are_wrong() -> None:
    with pytest.raises(ConfigError, match=r"default\[0\].call.seconds is -1"):
        Script({"default": [{"call": {"name": "look", "seconds": -1}}]})


@pytest.mark.parametrize("approval", ["never", "always"])
@pytest.mark.parametrize(("limit", "made"), [(10, False), (19, True), (20, True)])
def test_a_call_of_an_mcp_server_is_made_whole_or_not_at_all(approval: str, limit: int, made: bool) -> None:
    """The name is one token and the arguments are eighteen."""

    async def scene() -> None:
        ask = {"server": "wiki", "name": "ask", "arguments": "word" * 18, "output": "told"}
        brain = Script({"mcp": {"wiki": {"tools": [{"name": "ask"}]}}, "default": [{"mcp": ask}, {"text": "word" * 9}]})
        async with session(brain) as client:
            wiki = {"type": "mcp", "server_label": "wiki", "server_url": "https://wiki.example"}
            await client.update(tools=[{**wiki, "require_approval": approval}])
            await client.next("mcp_list_tools.completed")
            ended = await done(client, max_output_tokens=limit)
            assert ended["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
            kind = "mcp_call" if approval == "never" else "mcp_approval_request"
            assert [item["type"] for item in ended["output"]][:1] == [kind] * made
            assert ended["usage"]["output_tokens"] == (limit if made else 0)

    run(scene)
