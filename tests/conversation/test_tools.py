"""Calls of tools in a conversation with the server inside: what goes out, in which order, and what is left behind."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

import engine
from engine import ToolCall, ToolFinished
from engine.conversation import Conversation
from engine.errors import ToolError
from engine.realtime import events as ev
from engine.server.responders.script import Script

from .harness import RATE, Held, held, tones

Rules = list[dict[str, Any]]
CREATE, OUTPUT = "response.create", "conversation.item.create"


def brain(*calls: dict[str, Any] | str, text: str = "go", more: Rules | None = None) -> Script:
    """A model that calls these on `text`, and says what it was told."""
    rules: Rules = [
        *(more or []),
        {"match": {"instructions": "word for word"}, "do": [{"say": "{text}"}]},
        {"match": {"text": text}, "do": [{"call": call} for call in calls]},
        {"match": {"output": "."}, "do": [{"say": "Told {output}"}]},
    ]
    return Script({"rules": rules})


def silence(seconds: float) -> Any:
    return np.zeros(round(RATE * seconds), np.int16)


def hold(
    script: Script,
    tools: list[Any],
    during: Callable[[Conversation], Awaitable[Any]] | None = None,
    *,
    seconds: float = 3.0,
    **settings: Any,
) -> tuple[Held, list[ToolFinished]]:
    """Type "go", and hold the conversation to its end. Text replies, unless told otherwise."""
    finished: list[ToolFinished] = []

    async def run(conversation: Conversation) -> None:
        conversation.say("go")
        async with asyncio.TaskGroup() as tasks:
            if during is not None:
                tasks.create_task(_void(during(conversation)))
            async for event in conversation.events():
                if isinstance(event, ToolFinished):
                    finished.append(event)

    settings.setdefault("session", {"output_modalities": ["text"]})
    over = held(silence(seconds), tones(script), during=run, tools=tools, **settings)
    assert not over.conversation.anomalies
    assert not over.log.of("received", "error")
    return over, finished


async def _void(waited: Awaitable[Any]) -> None:
    await waited


def outputs(over: Held) -> dict[str, str]:
    """What was sent, by call_id."""
    items = [sent["item"] for sent in over.log.of("sent", OUTPUT)]
    return {item["call_id"]: item["output"] for item in items if item["type"] == "function_call_output"}


def words(over: Held) -> list[str]:
    return [turn.text for turn in over.turns if turn.role == "assistant" and turn.text]


@engine.tool
async def weather(city: str) -> dict[str, str]:
    """The weather."""
    await asyncio.sleep(0.2)
    return {"city": city, "sky": "rain"}


CALL = {"name": "weather", "arguments": {"city": "Paris"}, "call_id": "call_w"}


def test_a_call_is_answered_and_the_reply_asked_for_once() -> None:
    over, (finished,) = hold(brain(CALL), [weather])
    assert json.loads(outputs(over)["call_w"]) == {"city": "Paris", "sky": "rain"}
    assert len(over.log.of("sent", CREATE)) == 2  # ours for "go", and the one for the reply
    assert words(over) == ['Told {"city":"Paris","sky":"rain"}']
    assert (finished.outcome, finished.call_id, finished.error) == ("completed", "call_w", "")
    assert finished.seconds == pytest.approx(0.2)
    asked = over.log.of("sent", "session.update")[0]["session"]
    assert asked["tools"] == [weather.to_wire()]


def test_the_output_goes_before_the_request_and_behind_the_response() -> None:
    over, _ = hold(brain(CALL), [weather])
    log = over.log
    done = log.place("received", "response.done")
    output = log.place("sent", OUTPUT, log.place("received", "response.created"))
    assert done < log.place("sent", CREATE, output)
    assert output < log.place("sent", CREATE, output)


def test_calls_of_one_response_run_together_and_are_answered_once() -> None:
    running = most = 0

    @engine.tool
    async def slow(seconds: float) -> float:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(seconds)
        running -= 1
        return seconds

    times = [0.9, 0.1, 0.5]
    calls = [{"name": "slow", "arguments": {"seconds": s}, "call_id": f"call_{s}"} for s in times]
    over, finished = hold(brain(*calls), [slow])
    assert most == 3
    assert [event.call_id for event in finished] == ["call_0.1", "call_0.5", "call_0.9"]
    assert len(outputs(over)) == 3
    assert len(over.log.of("sent", CREATE)) == 2
    last = max(n for n, entry in enumerate(over.log.entries) if (entry.kind, entry.type) == ("sent", OUTPUT))
    assert over.log.place("sent", CREATE, last) > last


class Hush(Exception):
    pass


async def returns(value: int) -> int:
    return value


@engine.tool
async def ill(how: str) -> Any:
    if how == "hang":
        await asyncio.sleep(1e6)
    if how == "tell":
        raise ToolError("there is no such city")
    if how == "timeout":
        raise TimeoutError("of its own")
    if how == "object":
        return object()
    if how == "long":
        return "x" * 300_000
    raise Hush("password=hunter2 in /etc/passwd")


def arguments(how: str) -> dict[str, Any]:
    return {"name": "ill", "arguments": {"how": how}, "call_id": "call_1"}


@pytest.mark.parametrize(
    ("call", "outcome", "told"),
    [
        (arguments("tell"), "failed", "there is no such city"),
        (arguments("raise"), "failed", "ill failed"),
        (arguments("timeout"), "failed", "ill failed"),
        (arguments("object"), "failed", "ill failed"),
        (arguments("long"), "failed", "at most"),
        (arguments("hang"), "timed_out", "did not finish within 30 s"),
        ({"name": "ill", "arguments": "{", "call_id": "call_1"}, "bad_arguments", "not valid JSON"),
        ({"name": "ill", "arguments": "[1]", "call_id": "call_1"}, "bad_arguments", "wrong arguments"),
        ({"name": "ill", "arguments": {"how": 3}, "call_id": "call_1"}, "bad_arguments", "$.how"),
        ({"name": "ill", "arguments": {}, "call_id": "call_1"}, "bad_arguments", "how"),
        ({"name": "ill", "arguments": {"how": "x", "why": 1}, "call_id": "call_1"}, "bad_arguments", "why"),
        ({"name": "sing", "arguments": {}, "call_id": "call_1"}, "unknown_tool", "no tool 'sing'; there are: ill"),
    ],
)
def test_what_goes_wrong_is_an_output_and_an_event(call: dict[str, Any], outcome: str, told: str) -> None:
    over, (finished,) = hold(brain(call), [ill])
    sent = outputs(over)["call_1"]
    assert list(json.loads(sent)) == ["error"] and told in json.loads(sent)["error"]
    assert (finished.outcome, finished.output) == (outcome, sent)
    assert finished.error
    assert len(over.log.of("sent", CREATE)) == 2, "the model is asked to say what went wrong"


def test_the_model_never_learns_what_an_exception_says(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING"):
        over, (finished,) = hold(brain(arguments("raise")), [ill])
    everything = str([entry.message for entry in over.log.entries]) + caplog.text
    assert "hunter2" not in everything and "Traceback" not in everything
    assert finished.error == "Hush: password=hunter2 in /etc/passwd", "the application does"


def test_a_plain_function_runs_in_a_thread_with_the_context() -> None:
    import contextvars

    colour = contextvars.ContextVar("colour", default="none")
    seen: list[Any] = []

    def look(call: ToolCall, at: str) -> str:
        seen.append((threading.current_thread() is threading.main_thread(), colour.get(), call.name, call.cancelled))
        return f"saw {at}"

    async def during(conversation: Conversation) -> None:
        del conversation

    colour.set("blue")
    over, _ = hold(brain({"name": "look", "arguments": {"at": "it"}, "call_id": "c"}), [look], during)
    assert outputs(over) == {"c": "saw it"}
    assert seen == [(False, "blue", "look", False)]


def test_calls_of_functions_that_the_application_declared_are_its_own() -> None:
    mine = {"type": "function", "name": "mine", "parameters": {"type": "object", "properties": {}}}

    async def during(conversation: Conversation) -> None:
        async for event in conversation.events():
            if isinstance(event, ev.ResponseFunctionCallArgumentsDone) and event.name == "mine":
                item = {"type": "function_call_output", "call_id": event.call_id, "output": "by hand"}
                conversation.send(ev.ConversationItemCreate(item=item))
                conversation.send(ev.ResponseCreate())

    async def run(conversation: Conversation) -> None:
        conversation.say("go")
        await during(conversation)

    script = brain({"name": "mine", "call_id": "call_m"})
    over = held(silence(3), tones(script), during=run, tools=[weather, mine], session={"output_modalities": ["text"]})
    assert words(over) == ["Told by hand"]
    assert len(over.log.of("sent", CREATE)) == 2


def test_without_tools_nothing_is_answered() -> None:
    over, finished = hold(brain(CALL), None)  # type: ignore[arg-type]
    assert not outputs(over) and not finished


def test_a_cancelled_response_cancels_its_calls_and_asks_nothing() -> None:
    began: list[str] = []

    @engine.tool
    async def lookup() -> str:
        began.append("lookup")
        await asyncio.sleep(100)
        return "never"

    @engine.tool(interruptible=False)
    async def book() -> str:
        began.append("book")
        await asyncio.sleep(0.5)
        return "booked"

    rules: Rules = [
        {
            "match": {"turn": 1},
            "do": [{"call": {"name": "lookup", "call_id": "c_l"}}, {"call": {"name": "book", "call_id": "c_b"}},
                   {"say": "a very long story that is interrupted " * 9}],
        },
        {"match": {"output": "."}, "do": [{"text": "Told {output}"}]},
    ]  # fmt: skip

    async def during(conversation: Conversation) -> None:
        await asyncio.sleep(0.3)
        conversation.interrupt()

    over, finished = hold(Script({"rules": rules}), [lookup, book], during, session={})
    assert began == ["lookup", "book"]
    assert {event.name: event.outcome for event in finished} == {"lookup": "cancelled", "book": "completed"}
    assert "cancelled" in outputs(over)["c_l"] and outputs(over)["c_b"] == "booked"
    assert len(over.log.of("sent", CREATE)) == 2, "one for what was booked, none for what was cancelled"


def test_words_are_spoken_while_it_runs_and_the_reply_waits_for_them() -> None:
    @engine.tool(progress="One moment, please.", progress_after_s=0.5)
    async def search() -> str:
        await asyncio.sleep(1.0)
        return "found"

    over, _ = hold(brain({"name": "search", "call_id": "c"}), [search], session={}, seconds=6.0)
    requests = [sent.get("response", {}) for sent in over.log.of("sent", CREATE)]
    assert [request.get("conversation", "auto") for request in requests] == ["auto", "none", "auto"]
    assert requests[1]["input"][0]["content"] == [{"type": "input_text", "text": "One moment, please."}]
    assert words(over) == ["One moment, please.", "Told found"]
    entries = [(entry.kind, entry.type) for entry in over.log.entries]
    second = [n for n, entry in enumerate(entries) if entry == ("received", "response.done")][1]
    third = [n for n, entry in enumerate(entries) if entry == ("sent", CREATE)][2]
    assert second < third, "two voices would have been mixed"


@pytest.mark.parametrize("seconds", [0.3, 0.49])
def test_a_quick_tool_needs_no_words(seconds: float) -> None:
    @engine.tool(progress="One moment, please.", progress_after_s=0.5)
    async def search() -> str:
        await asyncio.sleep(seconds)
        return "found"

    over, _ = hold(brain({"name": "search", "call_id": "c"}), [search])
    assert words(over) == ["Told found"]


def test_a_tool_says_what_it_likes_from_its_thread() -> None:
    @engine.tool
    def search(call: ToolCall) -> str:
        call.say("Looking.")
        return "found"

    @engine.tool
    async def search_on_loop(call: ToolCall) -> str:
        call.say("Looking.")
        await asyncio.sleep(1)
        return "found"

    over, _ = hold(brain({"name": "search_on_loop", "call_id": "c"}), [search_on_loop])
    assert words(over) == ["Looking.", "Told found"]
    over, _ = hold(brain({"name": "search", "call_id": "c"}), [search])
    assert words(over)[-1] == "Told found"


def test_leaving_the_block_leaves_nothing_behind() -> None:
    ended: list[str] = []

    @engine.tool(progress="Wait.", progress_after_s=0.1)
    async def forever() -> str:
        try:
            await asyncio.sleep(1e6)
        finally:
            ended.append("forever")
        return ""

    async def run() -> set[asyncio.Task[Any]]:
        before = asyncio.all_tasks()
        memory = engine.Memory(silence(100), RATE)
        script = brain({"name": "forever", "call_id": "c"})
        async with engine.connect(memory, responder=script, tools=[forever]) as conversation:
            conversation.say("go")
            async for event in conversation.events():
                if isinstance(event, ev.ResponseDone):
                    await asyncio.sleep(0.5)
                    break
        return asyncio.all_tasks() - before

    assert engine.clock.run_virtual(run()) == set()
    assert ended == ["forever"]


def test_a_thread_is_asked_to_stop_when_the_conversation_ends() -> None:
    began, stopped = threading.Event(), threading.Event()

    @engine.tool
    def spin(call: ToolCall) -> str:
        began.set()
        while not call._cancelled.wait(0.01):
            pass
        stopped.set()
        return "late"

    async def run() -> None:
        memory = engine.Memory(silence(100), RATE)
        script = brain({"name": "spin", "call_id": "c"})
        async with engine.connect(memory, responder=script, tools=[spin]) as conversation:
            conversation.say("go")
            async for event in conversation.events():
                if isinstance(event, ev.ResponseDone):
                    await asyncio.to_thread(began.wait)
                    break

    asyncio.run(run())
    assert stopped.is_set()
