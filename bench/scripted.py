"""A server that says the same to every client, and the clients: what `hour.py` and `duplex_cpu.py` share.

A turn: the user speaks, the server tells so, writes down what it heard, and answers with speech in deltas of 100 ms at
four times real time and its transcript word by word. It hears nothing: what it says follows the clock alone. The
clients do a voice application's work: send the microphone in frames, decode and play the reply, follow what is said.
Ours does so in its own chain, with voice detection, interruption and ledger; around the peers, which have none, stands
the least that sounds: a task that sends frames by the clock, and a buffer that plays what came.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.endpoints.wav import read_wav
from engine.errors import ConnectionLost
from engine.transport import Connection

RATE = 24000
DELTA_MS = 100
SPEED = 4.0
WORDS = "The harbour opens at seven and the first boat leaves soon after that, weather permitting."
AUDIO = {"format": {"type": "audio/pcm", "rate": RATE}}
VAD = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}
SESSION: dict[str, Any] = {
    "type": "realtime",
    "object": "realtime.session",
    "id": "sess_1",
    "model": "gpt-realtime",
    "expires_at": 4102444800,
    "instructions": "",
    "output_modalities": ["audio"],
    "tools": [],
    "tool_choice": "auto",
    "max_output_tokens": "inf",
    "audio": {
        "input": {**AUDIO, "transcription": {"model": "whisper-1"}, "noise_reduction": None, "turn_detection": VAD},
        "output": {**AUDIO, "voice": "alloy", "speed": 1.0},
    },
}
USAGE = {"total_tokens": 300, "input_tokens": 100, "output_tokens": 200}
Timed = tuple[float, dict[str, Any]]


@dataclass(frozen=True)
class Plan:
    """Lengths in seconds of a turn and of what is in it."""

    turns: int
    period: float
    user: float
    reply: float

    @property
    def seconds(self) -> float:
        return self.turns * self.period


def microphone(plan: Plan) -> NDArray[np.int16]:
    """One turn's: somebody speaks while it is the user's, and is silent while the reply plays."""
    voice = read_wav(Path(str(files("engine") / "data" / "caller.wav"))).samples[RATE // 2 : RATE // 2 * 5]
    sound = np.zeros(round(plan.period * RATE), np.int16)
    spoken = round(plan.user * RATE)
    sound[:spoken] = np.resize(voice, spoken)
    return sound


def script(plan: Plan, number: int) -> list[Timed]:
    """What the server says in one turn, and when, in seconds from its begin."""
    user, reply, response = f"item_u{number}", f"item_a{number}", f"resp_{number}"
    before = f"item_a{number - 1}" if number else None
    item: dict[str, Any] = {
        "id": user,
        "object": "realtime.item",
        "type": "message",
        "status": "completed",
        "role": "user",
    }
    item["content"] = [{"type": "input_audio", "transcript": None}]
    stop = plan.user + 0.5
    begin: list[dict[str, Any]] = [
        {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 0, "item_id": user},
        {"type": "input_audio_buffer.committed", "item_id": user, "previous_item_id": before},
        {"type": "conversation.item.added", "previous_item_id": before, "item": item},
        {"type": "conversation.item.done", "previous_item_id": before, "item": item},
    ]
    said = {"type": "conversation.item.input_audio_transcription.completed", "item_id": user, "content_index": 0}
    heard = {**said, "transcript": WORDS, "usage": {"type": "duration", "seconds": plan.user}}
    return [
        (0.2, {"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": user}),
        *((stop, event) for event in begin),
        *_answer(plan, stop + 0.3, reply, response, user),
        (stop + 1.0, heard),
    ]


def _answer(plan: Plan, start: float, item_id: str, response_id: str, before: str) -> list[Timed]:
    place = {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}
    at = {"response_id": response_id, "output_index": 0}
    response = {"id": response_id, "object": "realtime.response", "status_details": None, "conversation_id": "conv_1"}
    item = {"id": item_id, "object": "realtime.item", "type": "message", "role": "assistant"}
    opened = {**item, "status": "in_progress", "content": []}
    closed = {**item, "status": "completed", "content": [{"type": "output_audio", "transcript": WORDS}]}
    sound = base64.b64encode(np.resize(microphone(plan), RATE * DELTA_MS // 1000).tobytes()).decode()
    deltas = round(plan.reply * 1000 / DELTA_MS)
    step = DELTA_MS / 1000 / SPEED
    end = start + deltas * step
    events: list[Timed] = [
        (start, {"type": "response.created", "response": {**response, "status": "in_progress", "output": []}}),
        (start, {"type": "response.output_item.added", **at, "item": opened}),
        (start, {"type": "conversation.item.added", "previous_item_id": before, "item": opened}),
        (start, {"type": "response.content_part.added", **place, "part": {"type": "audio", "transcript": ""}}),
    ]
    events += [
        (start + n * step, {"type": "response.output_audio.delta", **place, "delta": sound}) for n in range(deltas)
    ]
    events += [
        (start + n * step, {"type": "response.output_audio_transcript.delta", **place, "delta": word + " "})
        for n, word in enumerate(WORDS.split())
    ]
    done = {**response, "status": "completed", "output": [closed], "usage": USAGE}
    part = {"type": "audio", "transcript": WORDS}
    return [
        *sorted(events, key=lambda timed: timed[0]),
        (end, {"type": "response.output_audio.done", **place}),
        (end, {"type": "response.output_audio_transcript.done", **place, "transcript": WORDS}),
        (end, {"type": "response.content_part.done", **place, "part": part}),
        (end, {"type": "response.output_item.done", **at, "item": closed}),
        (end, {"type": "conversation.item.done", "previous_item_id": before, "item": closed}),
        (end, {"type": "response.done", "response": done}),
    ]


async def serve(connection: Connection, plan: Plan) -> int:
    """Hold the server's end of one conversation; returns the bytes of sound that came, in base64."""
    numbers = itertools.count(1)
    heard = 0

    async def say(event: dict[str, Any]) -> None:
        await connection.send(json.dumps({"event_id": f"event_{next(numbers)}", **event}).encode())

    async def listen() -> None:
        nonlocal heard
        while True:
            message = await connection.receive()
            if b'"input_audio_buffer.append"' in (message if isinstance(message, bytes) else message.encode()):
                heard += len(message)
            elif json.loads(message)["type"] == "session.update":
                await say({"type": "session.updated", "session": SESSION})

    loop = asyncio.get_running_loop()
    listening = asyncio.create_task(listen())
    try:
        await say({"type": "session.created", "session": SESSION})
        start = loop.time()
        for number in range(plan.turns):
            for seconds, event in sorted(script(plan, number), key=lambda timed: timed[0]):
                await asyncio.sleep(start + number * plan.period + seconds - loop.time())
                await say(event)
        await asyncio.sleep(start + plan.seconds - loop.time())
        await connection.close()
    except ConnectionLost:
        pass  # the client has left
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError, ConnectionLost):
            await listening
    return heard


class Loudspeaker:
    """What a player keeps: sound that came and is not played yet."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self.played = 0

    def take(self, sound: bytes) -> None:
        self._waiting += sound

    def play(self, size: int) -> None:
        self.played += len(self._waiting[:size])
        del self._waiting[:size]


class Speaks:
    """Sends the microphone by the clock, and plays: what stands around a peer."""

    def __init__(self, plan: Plan, frame_ms: int, send: Callable[[bytes], Any]) -> None:
        self._sound = microphone(plan).tobytes()
        self._size = frame_ms * RATE * 2 // 1000
        self._frame_ms = frame_ms
        self._send = send
        self.loudspeaker = Loudspeaker()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        for frame in itertools.count(1):
            await asyncio.sleep(start + frame * self._frame_ms / 1000 - loop.time())
            begin = (frame - 1) * self._size % len(self._sound)
            await self._send(self._sound[begin : begin + self._size])
            self.loudspeaker.play(self._size)

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[Loudspeaker]:
        task = asyncio.create_task(self.run())
        try:
            yield self.loudspeaker
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):  # the line may have ended under it
                await task


def appended(sound: bytes) -> dict[str, str]:
    """The arguments of openai's `input_audio_buffer.append`."""
    return {"audio": base64.b64encode(sound).decode()}


def check(connection_said: int, plan: Plan) -> None:
    """Raises when a client did not do its work: nearly all of the microphone must have come."""
    expected = plan.seconds * RATE * 2 * 4 / 3
    if not 0.9 * expected < connection_said < 1.3 * expected:
        raise RuntimeError(f"{connection_said} bytes of sound came, about {expected:.0f} were due")
