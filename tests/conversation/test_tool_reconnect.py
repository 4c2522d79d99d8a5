"""A line that breaks while a tool runs: its output reaches the next server, and the reply is asked for once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

import engine
from engine import clock
from engine.conversation import Reconnect, Settings, converse
from engine.server.responders.base import Part, Say, ToolCall, Turn

from .harness import RATE
from .sessions import Servers, Tapped


class Asks:
    """Calls a tool and goes on talking; says what came of it."""

    name = "asks"

    async def respond(self, turn: Turn) -> AsyncIterator[Part]:
        """See Responder."""
        if turn.tool_outputs:
            yield Say(f"It is {turn.tool_outputs[-1].output}.")
        else:
            yield ToolCall("look_up", "{}", "call_1")
            yield Say("I am looking, and that may take a while, so please wait for me.")


class BreaksInTheResponse(Tapped):
    """Breaks in the middle of what is said beside the call."""

    mark = b"response.output_audio.delta"

    async def send(self, data: bytes | str) -> None:
        await super().send(data)
        if self.mark in (data if isinstance(data, bytes) else data.encode()):
            await self.close(1012)


class BreaksAfterIt(BreaksInTheResponse):
    """Breaks when the response is whole."""

    mark = b"response.done"


@pytest.mark.parametrize("tap", [BreaksInTheResponse, BreaksAfterIt])
@pytest.mark.parametrize("seconds", [0.3, 0.9, 4.0])
def test_the_output_reaches_the_next_server(tap: type[Tapped], seconds: float) -> None:
    @engine.tool
    async def look_up() -> str:
        await asyncio.sleep(seconds)
        return "late"

    servers = Servers(brain=Asks(), taps=[tap, Tapped])
    turns: list[engine.Turn] = []

    async def main() -> None:
        settings = Settings(reconnect=Reconnect(random=lambda: 0.0), tools=[look_up])
        memory = engine.Memory(np.zeros(12 * RATE, np.int16), RATE)
        async with asyncio.timeout(120), converse(memory, servers, settings) as conversation:
            conversation.say("What time is it?")
            async for turn in conversation.turns():
                turns.append(turn)

    clock.run_virtual(main())
    session = servers.sessions[1]
    told = [kind for kind, _ in session.told]
    assert told.count("function_call") == 1 and told.count("function_call_output") == 1
    assert told.index("function_call") < told.index("function_call_output")
    assert len(session.of("response.create")) == 1
    assert turns[-1].text == "It is late."
