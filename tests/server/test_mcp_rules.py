"""What a session may say about MCP servers, and what it is told when it may not."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from engine.errors import ConfigError, MissingExtraError
from engine.server import McpOptions, ServerOptions
from engine.server.responders import McpCall, Script

from .harness import Says, run, session
from .mcp_world import need_mcp

URL = "https://mcp.example.com/mcp"
SCRIPT = {"mcp": {"wiki": {"tools": [{"name": "ask"}, {"name": "write"}]}}, "rules": [], "default": [{"say": "hm"}]}


def refused(
    options: ServerOptions | None, *tools: dict[str, Any], brain: Any = None, **more: Any
) -> tuple[str, str, str]:
    """Code, param and message of the error."""

    async def main() -> tuple[str, str, str]:
        async with session(brain, options) as client:
            answer = await client.update(tools=[{"type": "mcp", **tool} for tool in tools], **more)
            assert answer["type"] == "error", answer
            assert not client.of("mcp_list_tools.in_progress")
            error = answer["error"]
            return error["code"], error["param"], error["message"]

    return run(main)


def real(**more: Any) -> dict[str, Any]:
    return {"server_label": "shop", "server_url": URL, **more}


@pytest.fixture
def allowed() -> ServerOptions:
    need_mcp()
    return ServerOptions(mcp=McpOptions(allow=["mcp.example.com"], max_servers=2))


def test_none_is_allowed_by_default() -> None:
    code, param, message = refused(None, real())
    assert (code, param) == ("invalid_value", "session.tools[0].type") and "does not offer MCP tools" in message


@pytest.mark.parametrize(
    ("given", "param", "words"),
    [
        ({"connector_id": "connector_gmail"}, "connector_id", "no connectors; use server_url"),
        ({"tunnel_id": "tunnel_" + "a" * 32}, "tunnel_id", "no tunnels; use server_url"),
    ],
)
@pytest.mark.parametrize("with_list", [False, True])
def test_connectors_and_tunnels(
    given: dict[str, Any], param: str, words: str, with_list: bool, allowed: ServerOptions
) -> None:
    code, at, message = refused(allowed if with_list else None, {"server_label": "shop", **given})
    assert (code, at) == ("invalid_value", f"session.tools[0].{param}") and words in message


@pytest.mark.parametrize(
    ("given", "param", "words"),
    [
        ({"server_url": "https://other.example.com/"}, ".server_url", "its owner has not allowed it"),
        ({"server_url": "http://mcp.example.com/mcp"}, ".server_url", "use https"),
        ({"server_url": "https://u:hushhush@mcp.example.com/"}, ".server_url", "use authorization or headers"),
        ({"server_url": "nonsense"}, ".server_url", "expected a URL"),
        ({"server_url": 7}, ".server_url", "string"),
        ({"server_url": None}, "", "exactly one of"),
        ({"tunnel_id": "t"}, ".tunnel_id", "no tunnels"),
        ({"server_label": ""}, ".server_label", "at least one character"),
        ({"authorization": "hushhush\r\nX: y"}, ".authorization", "printable ASCII"),
        ({"authorization": "hushhush" * 2000}, ".authorization", "8192 characters"),
        ({"headers": {"X Y": "hushhush"}}, ".headers", "header may have"),
        ({"headers": {"X-A": "hushhush\n"}}, ".headers.X-A", "printable ASCII"),
        ({"headers": {"X-A": 7}}, ".headers.X-A", "string"),
        ({"headers": {"Host": "hushhush"}}, ".headers", "not a client's to set"),
        ({"headers": {"Mcp-Session-Id": "hushhush"}}, ".headers", "not a client's to set"),
        ({"headers": {f"X-{n}": "hushhush" for n in range(40)}}, ".headers", "at most 32"),
        ({"headers": {"X-A": "hushhush" * 900, "X-B": "hushhush" * 900}}, ".headers", "8192 bytes"),
        ({"allowed_tools": [7]}, ".allowed_tools[0]", "string"),
        ({"allowed_tools": {"names": []}}, ".allowed_tools.names", "Unknown"),
        ({"allowed_tools": {"read_only": "yes"}}, ".allowed_tools.read_only", "boolean"),
        ({"allowed_tools": {"tool_names": "all"}}, ".allowed_tools.tool_names", "array"),
        ({"require_approval": "sometimes"}, ".require_approval", "'always', 'never'"),
        ({"require_approval": {"never": {"tool_names": 1}}}, ".require_approval.never.tool_names", "array"),
        ({"invented": 1}, ".invented", "Unknown"),
    ],
)
def test_what_is_refused(given: dict[str, Any], param: str, words: str, allowed: ServerOptions) -> None:
    _, at, message = refused(allowed, {**real(), **given})
    assert at == f"session.tools[0]{param}" and words in message, (at, message)
    assert "hushhush" not in message


def test_labels_and_numbers(allowed: ServerOptions) -> None:
    assert refused(allowed, real(), real())[1] == "session.tools[1].server_label"
    _, at, message = refused(allowed, *(real(server_label=f"s{n}") for n in range(3)))
    assert at == "session.tools" and "at most 2" in message


def test_real_servers_beside_those_of_a_script(allowed: ServerOptions) -> None:
    """A script's go by their label, whatever their URL; no connection is made for them."""

    async def main() -> None:
        async with session(Script(SCRIPT), allowed) as client:
            played = {"type": "mcp", "server_label": "wiki", "server_url": "https://anywhere.example/"}
            updated = await client.update(
                tools=[{**played, "authorization": "hushhush", "headers": {"X-A": "hushhush"}}]
            )
            assert "hushhush" not in json.dumps(updated)
            (shown,) = updated["session"]["tools"]
            assert shown == played
            done = await client.next("conversation.item.done")
            assert [each["name"] for each in done["item"]["tools"]] == ["ask", "write"]

    run(main)
    assert refused(None, real(), brain=Script(SCRIPT))[1] == "session.tools[0].server_label"


def test_a_response_cannot_bring_servers() -> None:
    async def main() -> None:
        async with session(Script(SCRIPT)) as client:
            tool = {"type": "mcp", "server_label": "wiki", "server_url": URL}
            await client.send("response.create", response={"tools": [tool]})
            error = (await client.next("error"))["error"]
            assert error["param"] == "response.tools[0].type" and "session.update" in error["message"]

    run(main)


@pytest.mark.parametrize(
    ("choice", "param"),
    [
        ({"type": "mcp", "server_label": "wiki"}, None),
        ({"type": "mcp", "server_label": "wiki", "name": "ask"}, None),
        ({"type": "mcp", "server_label": "wiki", "name": None}, None),
        ({"type": "mcp", "server_label": "shop"}, ".server_label"),
        ({"type": "mcp"}, ".server_label"),
        ({"type": "mcp", "server_label": "wiki", "nome": "ask"}, ".nome"),
        ({"type": "mcp", "server_label": "wiki", "name": 7}, ".name"),
    ],
)
def test_tool_choice(choice: dict[str, Any], param: str | None) -> None:
    """Of a session and of a response; the brain sees it."""

    async def main() -> None:
        brain = Says([McpCall("wiki", "ask", output="ok")])
        brain.mcp_servers = Script(SCRIPT).mcp_servers  # type: ignore[attr-defined]
        async with session(brain) as client:
            tool = {"type": "mcp", "server_label": "wiki", "server_url": URL, "require_approval": "never"}
            await client.update(tools=[tool])
            await client.next("mcp_list_tools.completed")
            updated = await client.update(tool_choice=choice)
            seen = len(client.events)
            await client.send("response.create", response={"tool_choice": choice})
            if param is None:
                assert updated["session"]["tool_choice"] == choice
                await client.next("response.mcp_call.completed")
                assert brain.turns[0].tool_choice == choice
                assert [(each.server, each.name) for each in brain.turns[0].mcp_tools] == [
                    ("wiki", "ask"),
                    ("wiki", "write"),
                ]
            else:
                assert updated["error"]["param"] == f"session.tool_choice{param}"
                assert (await client.next("error", after=seen))["error"]["param"] == f"response.tool_choice{param}"

    run(main)


@pytest.mark.parametrize(("name", "server"), [("delete", "wiki"), ("write", "wiki"), ("ask", "other")])
def test_a_script_cannot_call_what_is_not_offered(name: str, server: str) -> None:
    """Not listed, left out by allowed_tools, of a server that the session has not named: no approval is asked for."""

    async def main() -> None:
        brain = Says([McpCall(server, name, output="ok")])
        brain.mcp_servers = Script({**SCRIPT, "mcp": {**SCRIPT["mcp"], "other": {}}}).mcp_servers  # type: ignore
        async with session(brain) as client:
            tool = {"type": "mcp", "server_label": "wiki", "server_url": URL, "allowed_tools": ["ask"]}
            await client.update(tools=[tool])
            await client.next("mcp_list_tools.completed")
            await client.send("response.create")
            done = await client.next("response.done")
            (item,) = done["response"]["output"]
            assert item["type"] == "mcp_call" and item["error"]["type"] == "protocol_error"
            assert client.types().index("response.mcp_call.failed") < client.types().index("response.done")

    run(main)


def test_a_tool_is_not_called_before_it_is_listed() -> None:
    async def main() -> None:
        brain = Says([McpCall("wiki", "ask", output="ok")])
        brain.mcp_servers = Script({**SCRIPT, "mcp": {"wiki": {**SCRIPT["mcp"]["wiki"], "delay": 5}}}).mcp_servers  # type: ignore
        async with session(brain) as client:
            await client.update(tools=[{"type": "mcp", "server_label": "wiki", "server_url": URL}])
            await client.send("response.create")
            (item,) = (await client.next("response.done"))["response"]["output"]
            assert "has not listed its tools yet" in item["error"]["message"] and not brain.turns[0].mcp_tools

    run(main)


def aside(call: McpCall) -> tuple[Says, dict[str, Any]]:
    """A brain that makes this call, and the tool of its server."""
    brain = Says([call])
    brain.mcp_servers = Script(SCRIPT).mcp_servers  # type: ignore[attr-defined]
    return brain, {"type": "mcp", "server_label": "wiki", "server_url": URL, "require_approval": "never"}


@pytest.mark.parametrize("delay", [0.0, 3.0])
def test_a_response_out_of_band_has_the_result_in_its_output(delay: float) -> None:
    """The conversation would have no place for it."""

    async def main() -> None:
        brain, tool = aside(McpCall("wiki", "ask", output="wet", delay=delay))
        async with session(brain) as client:
            await client.update(tools=[tool])
            await client.next("mcp_list_tools.completed")
            await client.send("response.create", response={"conversation": "none"})
            (item,) = (await client.next("response.done"))["response"]["output"]
            assert item["output"] == "wet"
            assert [each["item"]["type"] for each in client.of("conversation.item.added")] == ["mcp_list_tools"]
            types = client.types()
            assert types.index("response.mcp_call.completed") < types.index("response.output_item.done")

    run(main)


def test_a_response_out_of_band_that_is_cancelled_ends_its_call() -> None:
    async def main() -> None:
        brain, tool = aside(McpCall("wiki", "ask", output="wet", delay=30.0))
        async with session(brain) as client:
            await client.update(tools=[tool])
            await client.next("mcp_list_tools.completed")
            await client.send("response.create", response={"conversation": "none"})
            await client.next("response.mcp_call.in_progress")
            response_id = client.of("response.created")[0]["response"]["id"]
            await client.send("response.cancel", response_id=response_id)
            done = await client.next("response.done")
            (item,) = done["response"]["output"]
            assert done["response"]["status"] == "cancelled" and item["error"]["type"] == "tool_execution_error"
            wanted = ["response.mcp_call.failed", "response.output_item.done", "response.done"]
            assert [each for each in client.types() if each in wanted] == wanted

    run(main)


def test_a_server_that_is_taken_back_while_it_is_asked_fails() -> None:
    """Every listing that begins also ends."""

    async def main() -> None:
        async with session(Script({**SCRIPT, "mcp": {"wiki": {"delay": 100}}})) as client:
            await client.update(tools=[{"type": "mcp", "server_label": "wiki", "server_url": URL}])
            await client.update(tools=[])
            failed = await client.next("mcp_list_tools.failed")
            assert failed["item_id"] == client.of("mcp_list_tools.in_progress")[0]["item_id"]

    run(main)


@pytest.mark.parametrize(
    "bad",
    [
        {"max_servers": 0}, {"max_tools": 10**9}, {"max_tools_bytes": 1}, {"max_output_bytes": 0}, {"call_s": 0},
        {"max_receive_bytes": 1}, {"max_calls": 0}, {"list_s": 10**6}, {"allow": "mcp.example.com"}, {"allow": ["a/b"]},
        {"allow": ["mcp.example.com"], "ca": "/nowhere.pem"},
    ],
)  # fmt: skip
def test_options_out_of_range(bad: dict[str, Any]) -> None:
    need_mcp()
    with pytest.raises(ConfigError):
        McpOptions(**bad)


def test_the_extra_is_asked_for_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "engine.server.mcp.remote", raising=False)
    monkeypatch.setitem(sys.modules, "mcp", None)
    McpOptions()
    with pytest.raises(MissingExtraError, match=r"pip install 'bargein\[mcp\]'"):
        McpOptions(allow=["mcp.example.com"])


def test_the_package_is_imported_only_when_hosts_are_allowed() -> None:
    program = (
        "import sys, engine.server as s; s.ServerOptions(); print(*(m for m in ('mcp', 'httpx2') if m in sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""
