"""Tools of a real MCP server of the `mcp` package: listing, filters, approvals, calls and their failures."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

import engine
from engine import server
from engine.server.responders import McpTool, Part, Text, Turn
from engine.server.voices import ToneVoice

from .mcp_world import LABEL, call, need_mcp, options, peer, run, shopping, tool

need_mcp()

TOOLS = ["add", "write", "fails", "quotes", "shows", "slow", "big", "picture", "table"]
WAYS = ["new", "old", "forgetful", "sse"]


@pytest.fixture(scope="module")
def peers() -> Iterator[Callable[[str], str]]:
    """The URL of a server by its way; each is started once."""
    with ExitStack() as stack:
        urls: dict[str, str] = {}

        def url(way: str) -> str:
            if way not in urls:
                urls[way] = stack.enter_context(peer(way))
            return urls[way]

        yield url


@pytest.mark.parametrize("way", WAYS)
def test_a_tool_is_listed_called_and_its_result_shown_to_the_brain(way: str, peers: Callable[[str], str]) -> None:
    async def main() -> None:
        url = peers(way)
        async with shopping(options(url), call("add", a=2, b=3)) as shopper:
            client = shopper.client
            assert await shopper.listed(tool(url)) == TOOLS
            item = await shopper.answered()
            assert (item["output"], item["error"], item["server_label"]) == ("5", None, LABEL)
            await client.next("response.done")
            await shopper.answered()
            first, second = shopper.brain.turns
            assert [each.name for each in first.mcp_tools] == TOOLS
            add = first.mcp_tools[0]
            assert isinstance(add, McpTool) and add.server == LABEL and add.description == "Adds two numbers."
            assert add.parameters["required"] == ["a", "b"]
            assert [each.output for each in second.tool_outputs] == ["5"]

    run(main)


def test_the_events_and_their_order(peers: Callable[[str], str]) -> None:
    async def main() -> None:
        url = peers("new")
        async with shopping(options(url), call("slow", seconds=0.2)) as shopper:
            client = shopper.client
            await shopper.listed(tool(url))
            await shopper.answered()
            types = client.types()
            assert types[1:6] == [
                "session.updated",
                "conversation.item.added",
                "mcp_list_tools.in_progress",
                "mcp_list_tools.completed",
                "conversation.item.done",
            ]
            assert types[types.index("response.created") :] == [
                "response.created",
                "response.output_item.added",
                "conversation.item.added",
                "response.mcp_call_arguments.delta",
                "response.mcp_call_arguments.done",
                "response.mcp_call.in_progress",
                "response.output_item.done",
                "response.done",
                "rate_limits.updated",
                "response.mcp_call.completed",
                "conversation.item.done",
            ]

    run(main)


@pytest.mark.parametrize(
    ("allowed", "names"),
    [
        (None, TOOLS),
        (["write", "add", "unknown"], ["add", "write"]),
        ([], []),
        ({"read_only": True}, ["add"]),
        ({"read_only": False, "tool_names": ["add", "write"]}, ["write"]),
        ({}, TOOLS),
    ],
)
def test_allowed_tools(allowed: Any, names: list[str], peers: Callable[[str], str]) -> None:
    """What is filtered away is neither listed nor shown to the brain nor called."""

    async def main() -> None:
        url = peers("new")
        async with shopping(options(url), call("write", text="x")) as shopper:
            assert await shopper.listed(tool(url, allowed_tools=allowed)) == names
            item = await shopper.answered()
            assert [each.name for each in shopper.brain.turns[0].mcp_tools] == names
            if "write" in names:
                assert item["output"] == "written: x"
            else:
                assert item["error"]["type"] == "protocol_error" and item["error"]["code"] == -32602
                assert "offers no tool 'write'" in item["error"]["message"]

    run(main)


@pytest.mark.parametrize(
    ("rule", "asked"),
    [
        (None, True),
        ("always", True),
        ("never", False),
        ({"never": {"read_only": True}}, False),
        ({"never": {"tool_names": ["write"]}}, True),
        ({"always": {"tool_names": ["add"]}, "never": {"read_only": True}}, True),
    ],
)
def test_approvals(rule: Any, asked: bool, peers: Callable[[str], str]) -> None:
    async def main() -> None:
        url = peers("new")
        async with shopping(options(url), call("add", a=1, b=1)) as shopper:
            client = shopper.client
            await shopper.listed(tool(url, require_approval=rule))
            await client.send("response.create")
            done = await client.next("response.done")
            (output,) = done["response"]["output"]
            assert output["type"] == ("mcp_approval_request" if asked else "mcp_call")
            if asked:
                assert not client.of("response.mcp_call.in_progress")
                answer = {"type": "mcp_approval_response", "approval_request_id": output["id"], "approve": True}
                await client.send("conversation.item.create", item=answer)
            item = await shopper.ended()
            assert item["output"] == "2"
            assert item["approval_request_id"] == (output["id"] if asked else None)

    run(main)


def test_our_own_client_approves_and_hears_the_result(peers: Callable[[str], str]) -> None:
    """Client, server inside and MCP server, each over its own socket."""

    class Adds:
        name = "adds"

        async def respond(self, turn: Turn) -> AsyncIterator[Part]:
            if turn.tool_outputs:
                yield Text(f"It is {turn.tool_outputs[-1].output}.")
            else:
                yield call("add", a=20, b=22)

    async def main() -> list[str]:
        url = peers("old")
        async with server.serve(responder=Adds(), options=options(url), voice=ToneVoice()) as running:
            silence = engine.Memory(np.zeros(24_000 * 30, np.int16))
            tools = [engine.types.McpTool(server_label=LABEL, server_url=url, authorization="hush-hush")]
            writing = {"output_modalities": ["text"]}
            async with engine.connect(
                silence, url=running.url, tools=tools, approve={"add"}, session=writing
            ) as conversation:
                ready = await conversation.tools_ready()
                assert [each.name for each in ready[LABEL].tools] == TOOLS
                conversation.say("How much is 20 and 22?")
                async for turn in conversation.turns():
                    if turn.role == "assistant" and turn.text:
                        return [turn.text, *conversation.anomalies]
        raise AssertionError("no answer")

    assert run(main) == ["It is 42."]


def test_a_declined_call_is_not_made(peers: Callable[[str], str]) -> None:
    async def main() -> None:
        url = peers("new")
        async with shopping(options(url), call("write", text="x"), call("add", a=1, b=2)) as shopper:
            client = shopper.client
            await shopper.listed(tool(url, require_approval={"always": {"tool_names": ["write"]}, "never": {}}))
            await client.send("response.create")
            asked = (await client.next("response.done"))["response"]["output"][0]["id"]
            answer = {"type": "mcp_approval_response", "approval_request_id": asked, "approve": False, "reason": "late"}
            await client.send("conversation.item.create", item=answer)
            seen = len(client.events)
            await client.send("conversation.item.create", item=answer)  # it waits no more
            assert (await client.next("error", after=seen))["error"]["param"] == "item.approval_request_id"
            item = await shopper.answered()
            assert item["name"] == "add"
            assert [each.output for each in shopper.brain.turns[1].tool_outputs] == ["declined: late"]

    run(main)


@pytest.mark.parametrize("way", ["new", "old", "sse"])
@pytest.mark.parametrize(
    ("name", "arguments", "kind", "words"),
    [
        ("fails", {}, "tool_execution_error", "no such page"),
        ("add", {"a": 1}, "tool_execution_error", "validation error"),
        ("add", [1], "protocol_error", "no JSON object"),
        ("missing", {}, "protocol_error", "offers no tool 'missing'"),
        ("big", {"size": 5000}, "tool_execution_error", "more than 2000 bytes"),
        ("slow", {"seconds": 50}, "protocol_error", "did not answer in time"),
    ],
)
def test_failures(way: str, name: str, arguments: Any, kind: str, words: str, peers: Callable[[str], str]) -> None:
    """Each is told in the item, and the next call works."""

    async def main() -> None:
        url = peers(way)
        bad = call(name, **arguments) if isinstance(arguments, dict) else call(name)
        if not isinstance(arguments, dict):
            bad = type(bad)(LABEL, name, "[1]")
        settings = options(url, max_output_bytes=2000, call_s=3.0 if name == "slow" else 30.0)
        async with shopping(settings, bad, call("add", a=1, b=2)) as shopper:
            await shopper.listed(tool(url))
            item = await shopper.answered()
            assert item["output"] is None and item["error"]["type"] == kind
            assert words in item["error"]["message"], item
            assert ("code" in item["error"]) == (kind == "protocol_error")
            await shopper.client.next("response.done")
            assert (await shopper.answered())["output"] == "3"

    run(main)


@pytest.mark.parametrize(
    ("name", "output"), [("picture", "Look:\n[image]"), ("table", '{"apples":3}'), ("big", "x" * 50_000)]
)
def test_results_of_other_kinds(name: str, output: str, peers: Callable[[str], str]) -> None:
    async def main() -> None:
        url = peers("new")
        async with shopping(options(url), call(name, **({"size": 50_000} if name == "big" else {}))) as shopper:
            await shopper.listed(tool(url))
            said = (await shopper.answered())["output"]
            assert "".join(said.split()) == "".join(output.split())

    run(main)


def test_no_more_calls_wait_than_allowed(peers: Callable[[str], str]) -> None:
    async def main() -> None:
        url = peers("new")
        settings = options(url, max_calls=2)
        async with shopping(settings) as shopper:
            shopper.brain.answers = ([call("slow", seconds=0.5)] * 3,)
            await shopper.listed(tool(url))
            items = [await shopper.answered()]
            for _ in range(2):
                last = next(each for each in shopper.client.events if each.get("item") == items[-1])
                items.append(await shopper.ended(after=shopper.client.position(last)))
            assert [each["output"] for each in items] == [None, "at last", "at last"]
            assert "More than 2 calls" in items[0]["error"]["message"]

    run(main)


def test_a_session_ends_while_a_call_waits(peers: Callable[[str], str]) -> None:
    """The harness sees that no task is left."""

    async def main(way: str) -> None:
        url = peers(way)
        async with shopping(options(url), call("slow", seconds=50)) as shopper:
            await shopper.listed(tool(url))
            await shopper.client.send("response.create")
            await shopper.client.next("response.done")

    for way in ("new", "old", "sse"):
        run(lambda way=way: main(way))  # type: ignore[misc]


def test_other_tools_end_the_old_ones(peers: Callable[[str], str]) -> None:
    async def main() -> None:
        url = peers("old")
        async with shopping(options(url), call("add", a=1, b=2)) as shopper:
            client = shopper.client
            assert await shopper.listed(tool(url)) == TOOLS
            await client.update(instructions="others")
            await client.update(tools=[tool(url)])  # the same: it is not listed again
            assert len(client.of("mcp_list_tools.in_progress")) == 1
            assert await shopper.listed(tool(url, allowed_tools=["write"])) == ["write"]
            await client.update(tools=[])
            item = await shopper.answered()
            assert "No MCP server" in item["error"]["message"]
            assert not shopper.brain.turns[0].mcp_tools

    run(main)


def test_an_approval_does_not_outlive_the_server(peers: Callable[[str], str]) -> None:
    async def main() -> None:
        url = peers("new")
        async with shopping(options(url), call("add", a=1, b=2)) as shopper:
            client = shopper.client
            await shopper.listed(tool(url, require_approval="always"))
            await client.send("response.create")
            asked = (await client.next("response.done"))["response"]["output"][0]["id"]
            await client.update(tools=[])
            answer = {"type": "mcp_approval_response", "approval_request_id": asked, "approve": True}
            await client.send("conversation.item.create", item=answer)
            assert "No MCP server" in (await shopper.ended())["error"]["message"]

    run(main)


def test_a_server_that_is_away_is_asked_again_when_named_again(peers: Callable[[str], str]) -> None:
    async def main() -> None:
        url, nobody = peers("new"), "http://127.0.0.1:1/mcp"
        async with shopping(options(url, "127.0.0.1:1")) as shopper:
            client = shopper.client
            assert await shopper.listed(tool(nobody)) == []
            assert await shopper.listed(tool(nobody)) == []
            assert len(client.of("mcp_list_tools.failed")) == 2
            assert await shopper.listed(tool(url)) == TOOLS

    run(main)
