"""A client for the server's tests: a connection in memory, virtual time, and speech made of tones."""

from __future__ import annotations

import asyncio
import json
import random
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import numpy as np

from engine.audio import AudioFormat
from engine.clock import run_virtual
from engine.errors import ConnectionLost, ProtocolError
from engine.realtime.protocol import Protocol, Role
from engine.realtime.wire import decode
from engine.server import ServerOptions, serve_connection
from engine.server.formats import Encoder, Samples
from engine.server.responders import Echo, Part, Responder, Turn
from engine.server.voices import ToneVoice
from engine.transport import Connection, pair
from tests.audio.sounds import voice

T = TypeVar("T")
PCM, PCMU, PCMA = AudioFormat.PCM, AudioFormat.PCMU, AudioFormat.PCMA
Event = dict[str, Any]


class Client:
    """Sends events and keeps every one that arrives."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.events: list[Event] = []
        self.times: list[float] = []
        self.closed: ConnectionLost | None = None
        self.protocol = Protocol(Role.CLIENT)
        """A client's view of the whole traffic: it notes everything that a server must not do."""
        self._arrived = asyncio.Event()
        self._audio_clock = 0.0

    async def read(self) -> None:
        """Collect what arrives until the connection ends."""
        try:
            while True:
                message = await self.connection.receive()
                self.events.append(json.loads(message))
                if self.events[-1]["type"] == "response.done":
                    check_usage(self.events[-1]["response"]["usage"])
                self.protocol.receive(decode(message, Role.SERVER))
                self.times.append(asyncio.get_running_loop().time())
                self._arrived.set()
        except ConnectionLost as lost:
            self.closed = lost
            self._arrived.set()

    async def send(self, type: str, **fields: Any) -> None:
        """Send one event."""
        message = json.dumps({"type": type, **fields})
        with suppress(ProtocolError):  # tests break rules on purpose
            self.protocol.send(decode(message, Role.CLIENT))
        self.protocol.outgoing()
        await self.connection.send(message)

    async def update(self, **session: Any) -> Event:
        """Send session.update and return session.updated, or the error."""
        seen = len(self.events)
        await self.send("session.update", session={"type": "realtime", **session})
        return await self.next("session.updated", "error", after=seen)

    async def next(self, *types: str, after: int = 0) -> Event:
        """The first event of one of these types from position `after` on; waits for it at most 60 s of loop time."""
        async with asyncio.timeout(60):
            while True:
                for event in self.events[after:]:
                    if event["type"] in types:
                        return event
                assert self.closed is None, f"closed with {self.closed} before {types}: {self.types()}"
                self._arrived.clear()
                await self._arrived.wait()

    async def append(self, audio: bytes) -> None:
        """Send audio in one event."""
        await self.send("input_audio_buffer.append", audio=b64encode(audio).decode())

    async def speak(self, audio: bytes, *, format: AudioFormat = PCM, frame_ms: int = 20) -> None:
        """Send audio in frames, in real time of the loop."""
        size = frame_ms * format.bytes_per_ms
        for start in range(0, len(audio), size):
            await self.append(audio[start : start + size])
            await asyncio.sleep(frame_ms / 1000)

    def of(self, type: str) -> list[Event]:
        """All events of one type so far."""
        return [event for event in self.events if event["type"] == type]

    def types(self) -> list[str]:
        """The types so far, runs of deltas as one."""
        result: list[str] = []
        for event in self.events:
            if not (result and event["type"] == result[-1] and event["type"].endswith(".delta")):
                result.append(event["type"])
        return result

    def position(self, event: Event) -> int:
        """Where an event stands among all."""
        return next(n for n, each in enumerate(self.events) if each is event)

    def audio_of(self, response_id: str) -> bytes:
        """The audio deltas of one response, joined."""
        deltas = self.of("response.output_audio.delta")
        return b"".join(b64decode(event["delta"]) for event in deltas if event["response_id"] == response_id)


def check_usage(usage: Event) -> None:
    """Whatever happened, the sums agree and no count is negative."""
    kinds = ("text_tokens", "audio_tokens", "image_tokens")
    read, cached = usage["input_token_details"], usage["input_token_details"]["cached_tokens_details"]
    assert usage["input_tokens"] == sum(read[kind] for kind in kinds)
    assert read["cached_tokens"] == sum(cached[kind] for kind in kinds)
    assert all(0 <= cached[kind] <= read[kind] for kind in kinds)
    written = usage["output_token_details"]
    assert usage["output_tokens"] == written["text_tokens"] + written["audio_tokens"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert min(written.values()) >= 0


@asynccontextmanager
async def session(
    responder: Responder | None = None, options: ServerOptions | None = None, *, alone: bool = True, **settings: Any
) -> AsyncIterator[Client]:
    """One session with a client, opened as far as session.created; checks that it leaves no task behind, if it is
    `alone` and not one of several at a time.
    """
    before = asyncio.all_tasks()
    ours, theirs = pair()
    client = Client(ours)
    serving = asyncio.create_task(
        serve_connection(
            theirs,
            responder=responder or Echo(),
            options=options,
            voice=ToneVoice(),
            rng=random.Random(1),
            **settings,
        )
    )
    reading = asyncio.create_task(client.read())
    try:
        await client.next("session.created")
        yield client
    finally:
        await ours.close()
        async with asyncio.timeout(10):
            await serving
            await reading
        left = asyncio.all_tasks() - before
        assert not left or not alone, f"tasks left behind: {left}"
    assert not client.protocol.anomalies, client.protocol.anomalies


def run(test: Callable[[], Awaitable[T]]) -> T:
    """Run an async test in virtual time."""

    async def main() -> T:
        async with asyncio.timeout(3600):
            return await test()

    return run_virtual(main())


def silence(seconds: float) -> Samples:
    """Digital silence at 24 kHz."""
    return np.zeros(round(seconds * 24000), np.float32)


def speech(text: str = "what is the weather like today") -> Samples:
    """Somebody speaks, without a pause: 50 ms for each letter, here 1.5 s (other words than these)."""
    return np.asarray(voice(1200 * len(text), len(text)) / np.float32(32768), np.float32)


def wire(*parts: Samples, format: AudioFormat = PCM) -> bytes:
    """Samples in wire form."""
    encoder = Encoder(format)
    return encoder.process(np.concatenate(parts)) + encoder.flush()


def question(format: AudioFormat = PCM) -> bytes:
    """Half a second of silence, speech, a second of silence."""
    return wire(silence(0.5), speech(), silence(1.0), format=format)


class Says:
    """A brain that answers with given parts, the n-th response with the n-th list (the last one repeats)."""

    name = "says"

    def __init__(self, *answers: Sequence[Part | float]) -> None:
        self.answers = answers
        self.turns: list[Turn] = []
        self.closed = 0

    async def respond(self, turn: Turn) -> AsyncIterator[Part]:
        """Floats are seconds to wait."""
        answer = self.answers[min(len(self.turns), len(self.answers) - 1)]
        self.turns.append(turn)
        try:
            for part in answer:
                if isinstance(part, float):
                    await asyncio.sleep(part)
                else:
                    yield part
        finally:
            self.closed += 1
