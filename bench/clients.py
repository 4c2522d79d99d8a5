"""The same conversation held by bargein, by openai's realtime client and by openai-agents' RealtimeSession.

`line` is the URL of a server, or one end of a pair in memory. Each returns when the server closes, having read every
event, unless `read` is false: then nobody does. `at` is called with what was played, once the conversation runs.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import engine
from engine import clock
from engine.conversation import Settings, converse
from engine.endpoints import SoundSettings
from engine.endpoints.clocked import play
from engine.errors import ConnectionLost
from engine.transport import Connection

if TYPE_CHECKING:
    from bench.scripted import RATE, Loudspeaker, Plan, Speaks, appended, microphone
else:
    from scripted import RATE, Loudspeaker, Plan, Speaks, appended, microphone

Line = str | Connection
Client = Callable[[Line, Plan, int, bool], Awaitable[None]]


class Repeated:
    """One turn's microphone again and again, as an array of all of it would be: an hour would take 165 MiB."""

    def __init__(self, turn: NDArray[np.int16], length: int) -> None:
        self._turn = turn
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> NDArray[np.int16]:
        start, stop, _ = part.indices(self._length)
        return self._turn.take(range(start, stop), mode="wrap")


class Microphone:
    """An endpoint: the microphone of all turns, paced or in virtual time; what is played is thrown away."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def open(self, settings: SoundSettings) -> Any:
        if clock.is_virtual():
            sound: Any = Repeated(microphone(self._plan), round((self._plan.seconds + 60) * RATE))
        else:
            sound = np.tile(microphone(self._plan), self._plan.turns + 1)
        return play(sound, RATE, settings, lambda _: None)


async def bargein(line: Line, plan: Plan, frame_ms: int, read: bool = True) -> None:
    settings = {"frame_ms": frame_ms}
    if isinstance(line, str):
        held = engine.connect(Microphone(plan), url=line, key="sk-bench", **settings)  # type: ignore[arg-type]
    else:
        held = converse(Microphone(plan), lambda: _given(line), Settings(**settings))  # type: ignore[arg-type]
    async with held as conversation:
        if not read:
            await asyncio.sleep(plan.seconds - 1)
            return
        async with asyncio.TaskGroup() as tasks:
            turns = tasks.create_task(_count(conversation.turns()))
            tasks.create_task(_count(conversation.events()))
        if turns.result() < 2 * plan.turns - 1:
            raise RuntimeError(f"{turns.result()} turns in place of {2 * plan.turns}")


@asynccontextmanager
async def _given(line: Connection) -> AsyncIterator[Connection]:
    yield line


async def _count(feed: AsyncIterator[Any]) -> int:
    return sum([1 async for _ in feed])


class Socket:
    """A pair's end as the peers' WebSocket library would have it."""

    def __init__(self, line: Connection) -> None:
        self._line = line

    async def recv(self, **_: object) -> bytes:
        return bytes(await self._line.receive())  # type: ignore[arg-type]

    async def send(self, data: bytes | str, **_: object) -> None:
        await self._line.send(data)

    async def close(self, **_: object) -> None:
        await self._line.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with suppress(ConnectionLost):
            while True:
                yield await self.recv()


async def openai(line: Line, plan: Plan, frame_ms: int, read: bool = True) -> None:
    """Every event through `recv`: not to read means not to receive, so there is no such run."""
    if not read:
        raise ValueError("openai's client receives only what is read")
    from openai import AsyncOpenAI
    from openai.resources.realtime.realtime import AsyncRealtimeConnection

    async with AsyncExitStack() as stack:
        connection: Any
        if isinstance(line, str):
            client = AsyncOpenAI(
                api_key="sk-bench", base_url=line.replace("ws://", "http://").removesuffix("/realtime")
            )
            connection = await stack.enter_async_context(client.realtime.connect(model="gpt-realtime"))
        else:
            connection = AsyncRealtimeConnection(Socket(line))

        async def send(sound: bytes) -> None:
            await connection.input_audio_buffer.append(**appended(sound))

        speaker = await stack.enter_async_context(Speaks(plan, frame_ms, send).beside())
        with suppress(ConnectionLost):
            async for event in connection:
                _openai_event(event, speaker)


def _openai_event(event: Any, speaker: Loudspeaker) -> None:
    if event.type == "response.output_audio.delta":
        speaker.take(base64.b64decode(event.delta))
    elif event.type == "input_audio_buffer.speech_started":
        speaker.play(1 << 30)


async def agents(line: Line, plan: Plan, frame_ms: int, read: bool = True) -> None:
    import agents as package
    from agents.realtime import RealtimeAgent, RealtimeRunner
    from agents.realtime.openai_realtime import OpenAIRealtimeWebSocketModel

    package.set_tracing_disabled(True)

    class Model(OpenAIRealtimeWebSocketModel):  # type: ignore[misc]
        async def _create_websocket_connection(self, *args: Any, **named: Any) -> Any:
            return await super()._create_websocket_connection(*args, **named) if isinstance(line, str) else Socket(line)

    url = line if isinstance(line, str) else "ws://127.0.0.1/none"
    config = {"api_key": "sk-bench", "url": url, "initial_model_settings": {"turn_detection": {"type": "server_vad"}}}
    session = await RealtimeRunner(RealtimeAgent(name="bench"), model=Model()).run(model_config=config)
    async with session, Speaks(plan, frame_ms, session.send_audio).beside() as speaker:
        if not read:
            await asyncio.sleep(plan.seconds - 1)
            return
        async for event in session:
            if event.type == "audio":
                speaker.take(event.audio.data)
            elif event.type == "audio_interrupted":
                speaker.play(1 << 30)


CLIENTS: dict[str, Client] = {"bargein": bargein, "openai": openai, "openai-agents": agents}
