"""Parallel calls that end in any order, fail, are cancelled or talked into: every output once, one request for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

import engine
from engine.conversation.rounds import MAX_SEEN, Rounds
from engine.errors import ToolError

from .harness import RATE, FakeServer, Message, fake, hold

HOW = ("fine", "raise", "tell", "hang", "bad", "nobody")
moments = st.integers(1, 40).map(lambda step: step * 0.05 + 0.001)


@st.composite
def scenes(draw: st.DrawFn) -> dict[str, Any]:
    calls = draw(st.lists(st.tuples(st.sampled_from(HOW), moments), min_size=1, max_size=5))
    speaks = draw(st.none() | st.tuples(moments, moments))
    return {
        "calls": calls,
        "listed": draw(st.sampled_from(["items", "done", "both"])),
        "done_s": draw(moments),
        "status": draw(st.sampled_from(["completed", "completed", "cancelled", "incomplete"])),
        "speaks": speaks and (speaks[0] + 0.023, speaks[0] + speaks[1] + 0.023),  # else they cross on the way
        "answers": draw(st.booleans()),
        "interruptible": draw(st.booleans()),
    }


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110  # virtual time costs nothing
        await asyncio.sleep(0.01)


class Scene:
    """A server with one response full of calls, and perhaps a turn of the user's meanwhile."""

    def __init__(self, scene: dict[str, Any]) -> None:
        self.scene = scene
        self.journal: list[tuple[float, str]] = []  # what came and went: when, what
        self.own = 0
        self.answered = 0

    def note(self, what: str) -> None:
        self.journal.append((asyncio.get_running_loop().time(), what))

    async def act(self, server: FakeServer) -> None:
        detection = {"type": "server_vad", "create_response": self.scene["answers"]}
        await server.created(audio={"input": {"turn_detection": detection}})
        await until(lambda: bool(server.of("session.update")))
        await server.send("session.updated", session={"tools": server.of("session.update")[0]["session"]["tools"]})
        self.start = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.call(server))
            tasks.create_task(self.obey(server))
            if self.scene["speaks"]:
                tasks.create_task(self.speak(server, *self.scene["speaks"]))

    def items(self) -> list[Message]:
        kinds = {"bad": "{", "nobody": "{}"}
        return [
            {
                "id": f"item_{n}", "type": "function_call", "call_id": f"call_{n}", "status": "completed",
                "name": "nobody" if how == "nobody" else "work",
                "arguments": kinds.get(how, f'{{"number": {n}}}'),
            }
            for n, (how, _) in enumerate(self.scene["calls"])
        ]  # fmt: skip

    async def call(self, server: FakeServer) -> None:
        response = {"id": "resp_1", "status": "in_progress", "conversation_id": "conv_1", "output": []}
        await server.send("response.created", response=response)
        for n, item in enumerate(self.items()):
            where = {"response_id": "resp_1", "output_index": n}
            bare = {**item, "arguments": "", "status": "in_progress"}
            await server.send("response.output_item.added", item=bare, **where)
            if self.scene["listed"] != "done":
                await server.send("response.output_item.done", item=item, **where)
        await asyncio.sleep(self.scene["done_s"])
        listed = [] if self.scene["listed"] == "items" else self.items()
        await server.send("response.done", response={**response, "status": self.scene["status"], "output": listed})
        self.note("done resp_1")

    async def speak(self, server: FakeServer, start: float, stop: float) -> None:
        await asyncio.sleep(start)
        self.note("speech")
        await server.send("input_audio_buffer.speech_started", audio_start_ms=0, item_id="user_1")
        await asyncio.sleep(stop - start)
        await server.send("input_audio_buffer.speech_stopped", audio_end_ms=1, item_id="user_1")
        await server.send("input_audio_buffer.committed", item_id="user_1", previous_item_id=None)
        self.note("silence")
        await until(lambda: any(what == "done resp_1" for _, what in self.journal))
        if self.scene["answers"]:
            self.own += 1
            await self.respond(server, f"own_{self.own}")

    async def respond(self, server: FakeServer, name: str) -> None:
        response = {"id": name, "status": "in_progress", "conversation_id": "conv_1", "output": []}
        self.note(f"begins {name}")
        await server.send("response.created", response=response)
        await asyncio.sleep(0.1)
        await server.send("response.done", response={**response, "status": "completed"})
        self.note(f"done {name}")

    async def obey(self, server: FakeServer) -> None:
        seen = 0
        while True:
            await asyncio.sleep(0.005)
            for message in server.received[seen:]:
                seen += 1
                if message["type"] == "conversation.item.create":
                    self.note(f"output {message['item']['call_id']}")
                    item = {"id": f"out_{seen}", "status": "completed", **message["item"]}
                    await server.send("conversation.item.added", item=item, previous_item_id=None)
                    await server.send("conversation.item.done", item=item, previous_item_id=None)
                elif message["type"] == "response.create":
                    self.note("create")
                    self.answered += 1
                    await self.respond(server, f"asked_{self.answered}")


def alone(how: str, seconds: float, **more: Any) -> dict[str, Any]:
    plain = {"listed": "items", "status": "completed", "speaks": None, "answers": False, "interruptible": True}
    return {"calls": [(how, seconds)], **plain, **more}


def play(scene: dict[str, Any]) -> list[tuple[float, str]]:
    calls = scene["calls"]

    @engine.tool(timeout_s=3.0, interruptible=scene["interruptible"])
    async def work(number: int) -> str:
        how, seconds = calls[number]
        if how == "hang":
            await asyncio.sleep(1e6)
        await asyncio.sleep(seconds)
        if how == "raise":
            raise RuntimeError("hush")
        if how == "tell":
            raise ToolError("no")
        return f"result {number}"

    stage = Scene(scene)

    async def main() -> None:
        async def during(conversation: engine.Conversation) -> None:
            await asyncio.sleep(12)

        memory = np.zeros(RATE * 60, np.int16)
        await hold(memory, fake(stage.act), during=during, read=False, tools=[work])

    engine.clock.run_virtual(main())
    return stage.journal


@settings(max_examples=50, deadline=None)
@given(scenes())
@example(alone("fine", 1.0, done_s=0.1, status="cancelled"))
@example(alone("fine", 0.1, done_s=1.0, status="cancelled"))
@example(alone("fine", 0.5, done_s=0.1, speaks=(0.3, 0.9), answers=True))
@example(alone("fine", 0.5, done_s=0.1, speaks=(0.3, 0.9), answers=False))
@example(alone("fine", 1.2, done_s=0.1, speaks=(0.3, 0.9), answers=True))
def test_every_output_once_and_one_request_for_all(scene: dict[str, Any]) -> None:
    journal = play(scene)
    what = [entry for _, entry in journal]
    outputs = [entry for entry in what if entry.startswith("output")]
    # cut off before they were told of: with "done" they are only in response.done, which is then too late to matter
    assert sorted(outputs) == sorted({f"output call_{n}" for n in range(len(scene["calls"]))})
    creates = [n for n, entry in enumerate(what) if entry == "create"]
    assert len(creates) <= 1
    last_output = max(n for n, entry in enumerate(what) if entry.startswith("output"))
    served = any(entry.startswith("begins own") for entry in what[last_output:])
    cancelled = scene["status"] == "cancelled" and scene["interruptible"] and all(
        how == "hang"
        or (how != "nobody" and scene["listed"] == "done")  # it had not begun
        or (how not in ("bad", "nobody") and seconds > scene["done_s"])
        for how, seconds in scene["calls"]
    )  # fmt: skip
    if creates:
        assert creates[0] > last_output and creates[0] > what.index("done resp_1")
        speaking = "speech" in what[: creates[0]] and "silence" not in what[: creates[0]]
        assert not speaking, "asked while the user spoke"
        assert not cancelled
    else:
        assert served or cancelled, f"nobody answers: {journal}"


def test_a_response_that_began_before_an_output_was_known_does_not_answer_it() -> None:
    rounds = Rounds()
    rounds.of("r").call_began("c")
    rounds.response_over("r", [])
    rounds.call_settled("c", wants_answer=True)
    rounds.response_began()  # it and the output crossed on the way
    assert rounds.take_ready() and not rounds.take_ready()


def test_a_response_that_knows_all_outputs_answers_them() -> None:
    rounds = Rounds()
    rounds.of("r").call_began("c")
    rounds.response_over("r", [])
    rounds.call_settled("c", wants_answer=True)
    rounds.acknowledged("c")
    rounds.response_began()
    assert not rounds.take_ready() and not rounds.unsettled


def test_one_request_serves_two_rounds() -> None:
    rounds = Rounds()
    for name in "ab":
        rounds.of(name).call_began(f"call_{name}")
        rounds.response_over(name, [])
    rounds.call_settled("call_a", wants_answer=True)
    assert rounds.take_ready()
    rounds.call_settled("call_b", wants_answer=True)
    assert rounds.take_ready() and not rounds.take_ready()


def test_memory_of_calls_is_bounded() -> None:
    rounds = Rounds()
    for number in range(3 * MAX_SEEN):
        assert not rounds.seen(f"call_{number}")
    assert len(rounds._seen) == MAX_SEEN and rounds.seen(f"call_{number}")
