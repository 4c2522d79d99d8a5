"""What the state machine's server is made of: a detector that hears loudness, sound that tells its place, brains.

Every sample of input is made from its position in the stream, so audio that is lost, doubled or moved shows itself;
every sample of output is the number of the brain's turn that made it, and so does a chunk of another turn.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

import numpy as np

from engine.audio import AudioFormat, alaw_encode, ulaw_encode
from engine.errors import ConnectionLost
from engine.server.formats import Samples
from engine.server.hearing import Heard
from engine.server.mcp.servers import McpTools
from engine.server.responders import Audio, Fail, Part, Say, Stop, Text, ToolCall, ToolCallDelta, Turn
from engine.server.responders.base import McpCall
from engine.transport import Connection

HOP = 240


class LoudnessDetector:
    """Speech is what is loud: a probability of 1 or 0 for every 10 ms, whatever the cut."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)

    def process(self, samples: Samples) -> Samples:
        """See SpeechDetector."""
        whole = np.concatenate([self._rest, samples])
        count = whole.size // HOP
        self._rest = whole[count * HOP :]
        loud = np.abs(whole[: count * HOP]).reshape(count, HOP).mean(axis=1) > 0.1
        return np.asarray(loud, np.float32)


def sound(position: int, count: int, loud: bool, format: AudioFormat) -> bytes:
    """`count` samples of input from this position of the stream on: all different, loud or nearly silent."""
    steps = (np.arange(position, position + count, dtype=np.int64) * 7919) % 9001
    samples = (9000 + steps if loud else steps % 61).astype(np.int16)
    if format is AudioFormat.PCM:
        return samples.astype("<i2").tobytes()
    return bytes((ulaw_encode if format is AudioFormat.PCMU else alaw_encode)(samples).tobytes())


class AtOnce:
    """A server's end of a connection that hands messages over in the moment they are sent (see `Prompt`)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._taker: Callable[[bytes], bool] | None = None
        self._waiting = 0  # messages that wait for receive, and so does what comes after them

    def deliver(self, taker: Callable[[bytes], bool]) -> None:
        """See Prompt."""
        self._taker = taker

    async def receive(self) -> bytes | str:
        """See Connection."""
        message = await self._connection.receive()
        self._waiting -= 1
        return message

    async def send(self, data: bytes | str) -> None:
        """See Connection."""
        await self._connection.send(data)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """See Connection."""
        self._taker = None
        await self._connection.close(code, reason)

    def other(self, connection: Connection) -> Connection:
        """The client's end."""
        return _Sender(self, connection)

    async def arrive(self, message: bytes | str, put: Callable[[bytes | str], Awaitable[None]]) -> None:
        """The client sends."""
        data = message.encode() if isinstance(message, str) else message
        if self._taker is not None and not self._waiting and self._taker(data):
            return
        self._waiting += 1
        await put(data)


class _Sender:
    def __init__(self, end: AtOnce, connection: Connection) -> None:
        self._end = end
        self._connection = connection
        self.receive = connection.receive
        self._closed = False

    async def send(self, data: bytes | str) -> None:
        if self._closed:
            raise ConnectionLost(1000, "")
        await self._end.arrive(data, self._connection.send)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self._closed = True
        await self._connection.close(code, reason)


class NumberVoice:
    """Speaks a text that begins with n7 in samples of the value 7; 12 ms for each letter."""

    name = "numbers"

    async def synthesize(self, text: str, voice: str = "alloy", speed: float = 1.0) -> Samples:
        """See Voice.synthesize."""
        await asyncio.sleep(0)
        found = re.match(r"n(\d+)", text)
        assert found, text
        return numbered(int(found[1]), round(12 * len(text) / speed))


def numbered(number: int, milliseconds: int) -> Samples:
    """Sound of this number."""
    return np.full(24 * milliseconds, number / 32768, np.float32)


KINDS = (
    "say", "long", "slow", "audio", "text", "tool", "tools", "pieces", "say_tool", "mcp", "mcp_late", "mcp_error",
    "fail", "raise", "filtered", "nothing", "stubborn", "tidy",
)  # fmt: skip


class AnyBrain:
    """Answers the n-th turn in the n-th of the ways it is given, over and over."""

    name = "any"

    def __init__(self, kinds: Sequence[str]) -> None:
        self.kinds = kinds
        self.begun = 0
        self.ended = 0
        self.orphans: set[str] = set()
        """Calls of which a turn held an output and not the call itself."""

    def heard(self, number: int) -> Heard | None:
        """Every third turn cannot be written down."""
        return None if number % 3 == 0 else Heard(f"turn number {number}", delay=0.1 * (number % 4))

    def mcp_servers(self) -> Mapping[str, McpTools]:
        """One that answers and one that does not."""
        return {"wiki": McpTools([{"name": "ask", "input_schema": {}}], delay=0.2), "gone": McpTools(fails=True)}

    async def respond(self, turn: Turn) -> AsyncIterator[Part]:
        """See Responder."""
        self.begun += 1
        number = self.begun
        seen = {item["call_id"] for item in turn.items if item["type"] == "function_call"}
        self.orphans |= {item["call_id"] for item in turn.items if item["type"] == "function_call_output"} - seen
        kind = self.kinds[(number - 1) % len(self.kinds)]
        try:
            async for part in getattr(self, f"_{kind}")(f"n{number}", number):
                yield part
        finally:
            try:
                await asyncio.sleep(0.5 if kind == "tidy" else 0)
            finally:
                self.ended += 1

    async def _say(self, name: str, number: int) -> AsyncIterator[Part]:
        yield Say(f"{name} an answer of one sentence.")

    async def _long(self, name: str, number: int) -> AsyncIterator[Part]:
        for _ in range(5):
            yield Say(f"{name} says one thing. {name} says another thing after it.")

    async def _slow(self, name: str, number: int) -> AsyncIterator[Part]:
        for _ in range(3):
            await asyncio.sleep(0.4)
            yield Say(f"{name} took its time.")

    async def _audio(self, name: str, number: int) -> AsyncIterator[Part]:
        yield Audio(numbered(number, 700), f"{name} sound of its own")
        yield Audio(numbered(number, 333))

    async def _text(self, name: str, number: int) -> AsyncIterator[Part]:
        yield Text(f"{name} is written.")

    async def _tool(self, name: str, number: int) -> AsyncIterator[Part]:
        yield ToolCall("look", f'{{"from": "{name}"}}')

    async def _tools(self, name: str, number: int) -> AsyncIterator[Part]:
        for _ in range(3):
            yield ToolCall("look", f'{{"from": "{name}", "filler": "{"x" * 60}"}}')

    async def _pieces(self, name: str, number: int) -> AsyncIterator[Part]:
        """Arguments bit by bit, two calls side by side."""
        for piece in range(4):
            yield ToolCallDelta(f'{{"{name}": {piece}', "look", index=piece % 2)
            await asyncio.sleep(0.2)

    async def _say_tool(self, name: str, number: int) -> AsyncIterator[Part]:
        yield Say(f"{name} looks it up.")
        yield ToolCall("look", "{}")
        yield Say(f"{name} has looked.")

    async def _mcp(self, name: str, number: int) -> AsyncIterator[Part]:
        yield McpCall("wiki", "ask", "{}", output=name)
        yield Say(f"{name} asked the wiki.")

    async def _mcp_late(self, name: str, number: int) -> AsyncIterator[Part]:
        yield McpCall("wiki", "ask", "{}", output=name, delay=0.7)

    async def _mcp_error(self, name: str, number: int) -> AsyncIterator[Part]:
        yield McpCall("wiki", "ask", "{}", error="no")

    async def _fail(self, name: str, number: int) -> AsyncIterator[Part]:
        yield Say(f"{name} breaks off.")
        yield Fail("No more.")

    async def _raise(self, name: str, number: int) -> AsyncIterator[Part]:
        yield Say(f"{name} breaks.")
        raise RuntimeError(name)

    async def _filtered(self, name: str, number: int) -> AsyncIterator[Part]:
        yield Say(f"{name} is not said.")
        yield Stop("content_filter")

    async def _nothing(self, name: str, number: int) -> AsyncIterator[Part]:
        return
        yield

    async def _stubborn(self, name: str, number: int) -> AsyncIterator[Part]:
        """Takes being cancelled for a bad moment, and goes on."""
        for _ in range(4):
            try:
                await asyncio.sleep(0.3)
            except asyncio.CancelledError:
                await asyncio.sleep(0.1)
            yield Say(f"{name} goes on.")

    async def _tidy(self, name: str, number: int) -> AsyncIterator[Part]:
        yield Say(f"{name} puts its things away afterwards.")
