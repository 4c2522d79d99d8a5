"""Conversations for the tests: the demo's caller and script on a virtual clock, all that happened written down."""

from __future__ import annotations

import asyncio
import json
import random
import re
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import engine
from engine import clock
from engine.audio import (
    AudioEvent,
    AudioFormat,
    BargeIn,
    CaptureStats,
    EventKind,
    Gate,
    ItemKey,
    PlaybackStats,
    Policy,
    Resampler,
    alaw_decode,
    ulaw_decode,
)
from engine.conversation import Conversation, OpenConnection, Settings, Turn, converse
from engine.endpoints.wav import read_wav
from engine.realtime import events as ev
from engine.server import ServerOptions, responder, serve_connection
from engine.server.responders import Responder
from engine.server.voices import ToneVoice
from engine.transport import Connection, pair

Shorts = NDArray[np.int16]
Message = dict[str, Any]

DATA = Path(str(files("engine") / "data"))
RATE = 24000
HOP = 240
SPEECH = [(part["start_s"], part["end_s"]) for part in json.loads((DATA / "caller.json").read_text())["speech"]]
SCRIPT = f"script:{DATA / 'demo.yaml'}"


def caller() -> Shorts:
    """The caller of the demo: two questions, the second one into the answer to the first."""
    wav = read_wav(DATA / "caller.wav")
    assert wav.rate == RATE
    return wav.samples


def question(pause_s: float = 1.0) -> Shorts:
    """The caller's first question alone."""
    return np.concatenate([caller()[: round(3.5 * RATE)], np.zeros(round(pause_s * RATE), np.int16)])


@dataclass(frozen=True)
class Entry:
    """One thing that happened: a message "sent" or "received", or a report of the "sound"."""

    time: float
    kind: str
    type: str
    message: Message = field(default_factory=dict)
    sound: AudioEvent | None = None
    item: ItemKey | None = None


class Recorder:
    """An observer that keeps everything."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def event(self, direction: str, message: bytes, event: ev.AnyEvent | None) -> None:
        """See `Observer`."""
        try:
            parsed = json.loads(message)
        except (ValueError, RecursionError):
            parsed = None
        if not isinstance(parsed, dict):
            parsed = {"type": "no event"}
        assert event is None or event.type == parsed["type"]
        now = asyncio.get_running_loop().time()
        self.entries.append(Entry(now, direction, str(parsed.get("type")), parsed))

    def sound(self, event: AudioEvent, item: ItemKey | None) -> None:
        """See `Observer`."""
        now = asyncio.get_running_loop().time()
        self.entries.append(Entry(now, "sound", event.kind.name, sound=event, item=item))

    def of(self, kind: str, type: str) -> list[Message]:
        """All messages of one type, sent or received."""
        return [entry.message for entry in self.entries if (entry.kind, entry.type) == (kind, type)]

    def reports(self, kind: EventKind) -> list[AudioEvent]:
        """All reports of one kind."""
        return [entry.sound for entry in self.entries if entry.sound is not None and entry.sound.kind is kind]

    def order(self, *kinds: str) -> list[str]:
        """Types in order of what was of these kinds, repeats in a row as one."""
        result: list[str] = []
        for entry in self.entries:
            if entry.kind in kinds and (not result or result[-1] != entry.type):
                result.append(entry.type)
        return result

    def place(self, kind: str, type: str, after: int = 0) -> int:
        """Where the first such entry from `after` on stands."""
        for place, entry in enumerate(self.entries[after:], after):
            if (entry.kind, entry.type) == (kind, type):
                return place
        raise AssertionError(f"{type} was not {kind} after entry {after}")

    def audio_of(self, response_id: str) -> bytes:
        """Reply audio of one response in wire form, as far as it was received."""
        deltas = self.of("received", "response.output_audio.delta")
        return b"".join(b64decode(delta["delta"]) for delta in deltas if delta["response_id"] == response_id)

    def sent_audio(self) -> bytes:
        """Everything that was appended."""
        return b"".join(b64decode(append["audio"]) for append in self.of("sent", "input_audio_buffer.append"))

    def normal(self) -> list[tuple[str, str, str]]:
        """What happened, ids numbered in order of appearance and times of the wall left out."""
        seen: dict[str, str] = {}

        def number(match: re.Match[str]) -> str:
            return seen.setdefault(match.group(), f"<{len(seen)}>")

        result = []
        for entry in self.entries:
            body = (
                json.dumps({**entry.message, "session": {}})
                if "session" in entry.message
                else json.dumps(entry.message)
            )
            text = f"{body} {entry.sound} {entry.item}"
            result.append((f"{entry.time:.6f}", entry.kind, re.sub(r"\b(?:[a-z]+)_[A-Za-z0-9]{8,}\b", number, text)))
        return result


@dataclass
class Held:
    """A conversation that is over."""

    log: Recorder
    turns: list[Turn]
    recorded: Shorts
    conversation: Conversation
    stats: tuple[CaptureStats, PlaybackStats]

    @property
    def loudspeaker(self) -> Shorts:
        """What was played, mono at 24 kHz."""
        return self.recorded[:, 1]

    def played_reply(self, turn: Turn) -> Shorts:
        """What a turn's reply would sound like, whole and unaltered, from the deltas that were received."""
        form = AudioFormat.PCM
        output = self.conversation.session.get("audio")
        if isinstance(output, dict):
            form = AudioFormat(output["output"]["format"]["type"])
        return decoded(self.log.audio_of(turn.response_id), form)


def decoded(data: bytes, form: AudioFormat) -> Shorts:
    """Wire form as int16 at 24 kHz, as the loudspeaker plays it."""
    if form is AudioFormat.PCM:
        return np.frombuffer(data, np.int16)
    law = ulaw_decode if form is AudioFormat.PCMU else alaw_decode
    resampler = Resampler(8000, 24000)
    return np.concatenate([resampler.process(law(np.frombuffer(data, np.uint8))), resampler.flush()])


def tones(brain: str | Responder = SCRIPT, options: ServerOptions | None = None) -> OpenConnection:
    """The server inside with the tone voice and ids from a seed, in memory."""

    @asynccontextmanager
    async def open_connection() -> AsyncIterator[Connection]:
        ours, theirs = pair()
        chosen = responder(brain) if isinstance(brain, str) else brain
        serving = asyncio.create_task(
            serve_connection(theirs, responder=chosen, voice=ToneVoice(), rng=random.Random(1), options=options)
        )
        try:
            yield ours
        finally:
            await ours.close()
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving

    return open_connection


async def hold(
    samples: Shorts | None = None,
    server: OpenConnection | None = None,
    *,
    during: Callable[[Conversation], Awaitable[Any]] | None = None,
    read: bool = True,
    **settings: Any,
) -> Held:
    """Hold a conversation to its end and return all of it; `during` runs beside the reading of the turns."""
    log, turns = Recorder(), []
    memory = engine.Memory(caller() if samples is None else samples, RATE)
    async with (
        converse(memory, server or tones(), Settings(**settings), log) as conversation,
        asyncio.TaskGroup() as tasks,
    ):
        beside = tasks.create_task(_run(during, conversation)) if during else None
        if read:
            async for turn in conversation.turns():
                turns.append(turn)
            if beside is not None:
                beside.cancel()
        elif beside is not None:
            await beside
    stats = conversation.stats()
    return Held(log, turns, memory.recorded, conversation, stats)


async def _run(during: Callable[[Conversation], Awaitable[Any]], conversation: Conversation) -> None:
    await during(conversation)


def held(samples: Shorts | None = None, server: OpenConnection | None = None, **more: Any) -> Held:
    """`hold` in virtual time, five virtual minutes at most."""

    async def main() -> Held:
        async with asyncio.timeout(300):
            return await hold(samples, server, **more)

    return clock.run_virtual(main())


def with_demo_voice(**more: Any) -> Held:
    """The demo through `engine.connect`: the server inside with the best voice there is."""

    async def main() -> Held:
        log, turns = Recorder(), []
        memory = engine.Memory(caller(), RATE)
        async with engine.connect(memory, responder=SCRIPT, observer=log, **more) as conversation:
            async for turn in conversation.turns():
                turns.append(turn)
        return Held(log, turns, memory.recorded, conversation, conversation.stats())

    return clock.run_virtual(main())


class FakeServer:
    """The far end of a connection, played by the test: sends what it is told, keeps what arrives."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.received: list[Message] = []
        self._count = 0

    async def send(self, type: str, **fields: Any) -> None:
        """One event, its event_id filled in."""
        self._count += 1
        await self.connection.send(json.dumps({"type": type, "event_id": f"event_{self._count}", **fields}))

    async def created(self, **session: Any) -> None:
        """session.created, turn detection off unless told otherwise."""
        audio = {"input": {"turn_detection": None, "format": {"type": "audio/pcm", "rate": RATE}}}
        await self.send("session.created", session={"type": "realtime", "id": "sess_1", "audio": audio, **session})

    async def begin(self, response: str, item: str) -> None:
        """A response with one message and one part of sound begins."""
        body = {
            "id": response,
            "object": "realtime.response",
            "status": "in_progress",
            "conversation_id": "conv_1",
            "output": [],
        }
        message = {"id": item, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        where = {"response_id": response, "output_index": 0}
        await self.send("response.created", response=body)
        await self.send("response.output_item.added", item=message, **where)
        await self.send("conversation.item.added", item=message, previous_item_id=None)
        part = {"type": "output_audio", "transcript": ""}
        await self.send("response.content_part.added", item_id=item, content_index=0, part=part, **where)

    async def audio(self, response: str, item: str, base64: str) -> None:
        """One delta."""
        where = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        await self.send("response.output_audio.delta", delta=base64, **where)

    async def done(self, response: str, item: str, status: str = "completed") -> None:
        """The sound and the response end."""
        where = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        await self.send("response.output_audio.done", **where)
        message = {"id": item, "type": "message", "role": "assistant", "status": "completed", "content": []}
        body = {
            "id": response,
            "object": "realtime.response",
            "status": status,
            "conversation_id": "conv_1",
            "output": [message],
        }
        await self.send("response.done", response=body)

    async def collect(self) -> None:
        """Keep what the client sends, until the connection ends."""
        with suppress(engine.TransportError):
            while True:
                self.received.append(json.loads(await self.connection.receive()))

    def of(self, type: str) -> list[Message]:
        """What the client sent of one type."""
        return [message for message in self.received if message["type"] == type]


def fake(act: Callable[[FakeServer], Awaitable[None]]) -> OpenConnection:
    """A server that does what `act` says, and then listens."""

    @asynccontextmanager
    async def open_connection() -> AsyncIterator[Connection]:
        ours, theirs = pair()
        server = FakeServer(theirs)

        async def run() -> None:
            await act(server)

        tasks = [asyncio.create_task(run()), asyncio.create_task(server.collect())]
        try:
            yield ours
        finally:
            await ours.close()
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError, engine.TransportError):
                    await task

    return open_connection


__all__ = [
    "DATA", "HOP", "RATE", "SCRIPT", "SPEECH", "BargeIn", "FakeServer", "Gate", "Held", "Policy", "Recorder", "Shorts",
    "caller", "decoded", "fake", "held", "hold", "question", "tones", "with_demo_voice",
]  # fmt: skip
