"""Traces: spans of the session, its turns, its speech and its tools; no words unless they are asked for."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConfigError, MissingExtraError
from engine.server import ServerOptions
from engine.server.responders import Fail, Say, Script, ToolCall, ToolCallDelta
from engine.server.traces import OpenTelemetryTrace, Trace, TraceFile
from tests.server.harness import Client, Says, question, run, session

SECRET = "the-secret-is-marmalade"
LOOK = {"name": "look", "arguments": SECRET}
ASK = {"server": "wiki", "name": "ask", "arguments": SECRET, "output": SECRET}
SPOKEN = {
    "transcripts": [f"user says {SECRET}"],
    "mcp": {"wiki": {"tools": [{"name": "ask"}]}},
    "rules": [
        {
            "match": {"turn": 1},
            "do": [{"say": f"Brain says {SECRET}."}, {"call": {"name": "look", "arguments": SECRET}}],
        },
        {
            "match": {"turn": 2},
            "do": [{"mcp": {"server": "wiki", "name": "ask", "arguments": SECRET, "output": SECRET}}],
        },
        {"match": {"turn": 3}, "do": [{"fail": {"code": "rate_limit_exceeded", "message": SECRET}}]},
    ],
}


async def conversation(client: Client) -> float:
    """A voice turn with a call, its output, an MCP server's tool, a failure, an error, instructions. Gives the seconds
    that the client's tool took.
    """
    wiki = {"type": "mcp", "server_label": "wiki", "server_url": "https://wiki.example", "require_approval": "never"}
    await client.update(
        instructions=SECRET,
        tools=[{**wiki, "authorization": SECRET, "headers": {"x": SECRET}}],
        audio={"input": {"transcription": {"model": "gpt-4o-transcribe", "prompt": SECRET}}},
    )
    await client.speak(question())
    done = await client.next("response.done")
    call_id = done["response"]["output"][1]["call_id"]
    await asyncio.sleep(0.7)
    output = {"type": "function_call_output", "call_id": call_id, "output": SECRET}
    await client.send("conversation.item.create", item=output)
    for _ in range(2):
        await client.send("response.create")
        done = await client.next("response.done", after=client.position(done) + 1)
    await client.send("response.cancel")
    await client.next("error")
    called = client.of("response.function_call_arguments.done")[0]
    answered = next(e for e in client.of("conversation.item.added") if e["item"]["type"] == "function_call_output")
    took: float = client.times[client.position(answered)] - client.times[client.position(called)]
    return took


def spans(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The lines of a file by name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        span = json.loads(line)
        found.setdefault(span["name"], []).append(span)
    return found


def test_spans_of_a_conversation(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"

    async def scene() -> float:
        async with session(Script(SPOKEN), ServerOptions(trace=TraceFile(path), trace_all=True)) as client:
            return await conversation(client)

    took = run(scene)
    assert took > 0.7
    assert SECRET not in path.read_text(encoding="utf-8")
    assert "wiki.example" not in path.read_text(encoding="utf-8")
    found = spans(path)
    assert {name: len(each) for name, each in found.items()} == {
        "session": 1, "list_tools wiki": 1, "speech": 1, "turn": 3, "tool look": 1, "tool ask": 1,
    }  # fmt: skip
    [whole] = found["session"]
    everything = [span for each in found.values() for span in each]
    assert {span["trace_id"] for span in everything} == {whole["trace_id"]}
    assert len({span["span_id"] for span in everything}) == len(everything)
    assert all(whole["start"] <= span["start"] <= span["end"] <= whole["end"] for span in everything)
    assert whole["parent_span_id"] is None
    first, second, third = found["turn"]
    parents = {
        name: found[name][0]["parent_span_id"] for name in ("list_tools wiki", "speech", "tool look", "tool ask")
    }
    assert parents == {
        "list_tools wiki": whole["span_id"],
        "speech": whole["span_id"],
        "tool look": first["span_id"],
        "tool ask": second["span_id"],
    }
    assert {span["parent_span_id"] for span in found["turn"]} == {whole["span_id"]}
    assert [span["attributes"]["realtime.response.status"] for span in found["turn"]] == ["completed"] * 2 + ["failed"]
    assert (third["status"], third["message"]) == ("error", "rate_limit_exceeded")
    assert [note["name"] for note in first["events"]] == ["first_delta"]
    assert first["attributes"]["gen_ai.usage.output_tokens"] > 0
    [look] = found["tool look"]
    assert look["end"] - look["start"] == pytest.approx(took, abs=0.001)
    [speech] = found["speech"]
    assert speech["attributes"]["realtime.audio_end_ms"] > speech["attributes"]["realtime.audio_start_ms"]
    assert whole["attributes"]["gen_ai.request.model"] == "gpt-realtime"
    assert [note["attributes"] for note in whole["events"]] == [{"error.type": "response_cancel_not_active"}]


def test_words_when_they_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"

    async def scene() -> None:
        options = ServerOptions(trace=TraceFile(path), trace_all=True, trace_words=True)
        async with session(Script(SPOKEN), options) as client:
            await conversation(client)

    run(scene)
    found = spans(path)
    assert found["turn"][0]["events"][-1]["attributes"]["words"] == f"Brain says {SECRET}."
    assert found["tool look"][0]["attributes"]["gen_ai.tool.call.arguments"] == SECRET
    assert found["tool look"][0]["attributes"]["gen_ai.tool.call.result"] == SECRET
    heard = [note for note in found["session"][0]["events"] if note["name"] == "heard"]
    assert [note["attributes"]["words"] for note in heard] == [f"user says {SECRET}"]
    everything = path.read_text(encoding="utf-8")
    assert "authorization" not in everything
    assert "instructions" not in everything


@pytest.mark.parametrize(
    ("tracing", "attributes"),
    [
        (None, None),
        ("auto", {}),
        (
            {"workflow_name": "kiosk", "group_id": "hall", "metadata": {"floor": 2, "door": "east", "odd": [1]}},
            {
                "tracing.workflow_name": "kiosk",
                "tracing.group_id": "hall",
                "tracing.metadata.floor": 2,
                "tracing.metadata.door": "east",
                "tracing.metadata.odd": "[1]",
            },
        ),
    ],
)
def test_a_session_is_traced_when_its_client_asks(
    tracing: Any, attributes: dict[str, Any] | None, tmp_path: Path
) -> None:
    path = tmp_path / "trace.jsonl"

    async def scene() -> None:
        async with session(Says([Say("Hello.")]), ServerOptions(trace=TraceFile(path))) as client:
            await client.send("response.create")
            await client.next("response.done")
            updated = await client.update(tracing=tracing)
            assert updated["session"]["tracing"] == tracing
            await client.send("response.create")
            await client.next("response.done", after=len(client.events))
            if tracing is not None:  # set once, it is fixed
                for other in (None, "auto" if tracing != "auto" else {"group_id": "other"}):
                    error = (await client.update(tracing=other))["error"]
                    assert (error["code"], error["param"]) == ("invalid_parameter", "session.tracing")
                assert (await client.update(tracing=tracing, instructions="More."))["type"] == "session.updated"

    run(scene)
    found = spans(path)
    if attributes is None:
        assert found == {}
        return
    assert [len(found["session"]), len(found["turn"])] == [1, 1]
    asked = {name: value for name, value in found["session"][0]["attributes"].items() if name.startswith("tracing.")}
    assert asked == attributes


@pytest.mark.parametrize(
    ("tracing", "param"),
    [
        ("always", "session.tracing"),
        (True, "session.tracing"),
        ({"name": "x"}, "session.tracing.name"),
        ({"group_id": 5}, "session.tracing.group_id"),
        ({"metadata": []}, "session.tracing.metadata"),
    ],
)
def test_what_is_no_tracing(tracing: Any, param: str) -> None:
    async def scene() -> None:
        async with session() as client:
            assert (await client.update(tracing=tracing))["error"]["param"] == param

    run(scene)


def test_what_is_open_ends_with_the_session(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"

    async def scene() -> None:
        brain = Says([ToolCall("never"), ToolCallDelta("{", "half"), 60.0])
        async with session(brain, ServerOptions(trace=TraceFile(path), trace_all=True)) as client:
            await client.send("response.create")
            await client.next("response.function_call_arguments.delta", after=len(client.events))
            await asyncio.sleep(1)

    run(scene)
    found = spans(path)
    assert sorted(found) == ["session", "tool never", "turn"]  # the half call is no tool's yet
    assert {each["message"] for name in ("tool never", "turn") for each in found[name]} == {"the session ended"}
    assert found["session"][0]["attributes"]["websocket.close.code"] == 1000


def test_a_sink_that_fails_ends_the_tracing_and_not_the_session(tmp_path: Path) -> None:
    class Broken:
        begun = 0

        def begin(self, *_: Any) -> Any:
            self.begun += 1
            raise RuntimeError("exporter")

    async def scene(trace: Trace[Any]) -> None:
        async with session(Says([Say("Hello.")], [Fail("no")]), ServerOptions(trace=trace, trace_all=True)) as client:
            for _ in range(2):
                await client.send("response.create")
                await client.next("response.done", after=len(client.events))

    broken = Broken()
    run(lambda: scene(broken))
    assert broken.begun == 1
    full = TraceFile(tmp_path / "full.jsonl", max_bytes=700)
    run(lambda: scene(full))
    assert 0 < (tmp_path / "full.jsonl").stat().st_size <= 700
    with pytest.raises(ConfigError, match="cannot be written"):
        TraceFile(tmp_path / "no" / "such.jsonl")


def test_opentelemetry_gets_the_same_spans() -> None:
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    async def scene() -> float:
        options = ServerOptions(trace=OpenTelemetryTrace(provider), trace_all=True)
        async with session(Script(SPOKEN), options) as client:
            return await conversation(client)

    took = run(scene)
    made = exporter.get_finished_spans()
    assert sorted(span.name for span in made) == [
        "list_tools wiki", "session", "speech", "tool ask", "tool look", "turn", "turn", "turn",
    ]  # fmt: skip
    whole = next(span for span in made if span.name == "session")
    assert whole.parent is None and whole.context is not None
    assert all(span.context is not None and span.context.trace_id == whole.context.trace_id for span in made)
    turns = [span for span in made if span.name == "turn"]
    assert all(span.parent is not None and span.parent.span_id == whole.context.span_id for span in turns)
    assert [span.status.is_ok for span in turns] == [True, True, False]
    look = next(span for span in made if span.name == "tool look")
    assert look.start_time is not None and look.end_time is not None
    assert (look.end_time - look.start_time) / 1e9 == pytest.approx(took, abs=0.001)
    assert not any(SECRET in str(span.to_json()) for span in made)


def test_opentelemetry_is_loaded_only_where_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "import sys, engine.server, engine.cli.serve; print('opentelemetry' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(MissingExtraError, match="tracing"):
        OpenTelemetryTrace()
