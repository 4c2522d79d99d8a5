"""Servers one after another: each connection of a client is a session of its own, and all it was sent is kept."""

from __future__ import annotations

import asyncio
import json
import random
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import numpy as np

from engine.errors import ConnectionLost
from engine.server import ServerOptions, responder, serve_connection
from engine.server.responders import Responder
from engine.server.responders.script import Script
from engine.server.voices import ToneVoice
from engine.transport import Connection, pair

from .harness import RATE, Message, Shorts, question

BRIEF = Script({"default": [{"say": "The next high tide is at twenty to five."}]})
"""Answers in a few seconds, always the same."""


class Tapped:
    """A server's end of a connection; keeps what the server has read, and can break."""

    def __init__(self, connection: Connection, opened_at: float) -> None:
        self.opened_at = opened_at
        self.ended_at: float | None = None
        self.close_code: int | None = None
        self.read: list[Message] = []
        self.longest = 0  # bytes of the longest message it sent
        self._connection = connection

    async def send(self, data: bytes | str) -> None:
        self.longest = max(self.longest, len(data))
        await self._connection.send(data)

    async def receive(self) -> bytes | str:
        try:
            data = await self._connection.receive()
        except ConnectionLost as lost:
            self.close_code = lost.code
            raise
        self.read.append(json.loads(data))
        return data

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.close_code = self.close_code or code
        await self._connection.close(code, reason)

    def of(self, type: str) -> list[Message]:
        """What the server was sent of one type."""
        return [message for message in self.read if message["type"] == type]

    @property
    def audio(self) -> Shorts:
        """All sound it was sent."""
        return np.frombuffer(
            b"".join(b64decode(each["audio"]) for each in self.of("input_audio_buffer.append")), np.int16
        )

    @property
    def told(self) -> list[tuple[str, str]]:
        """Role or type, and words, of the items that it was sent."""
        return [words(message["item"]) for message in self.of("conversation.item.create")]


def words(item: Message) -> tuple[str, str]:
    """What an item is and says."""
    if item["type"] != "message":
        return item["type"], item.get("arguments") or item.get("output") or ""
    return item["role"], " ".join(part["text"] for part in item["content"])


class Servers:
    """Opens a session of the server inside for every call, the n-th with the n-th options and the n-th kind of end
    (then the last).

    An entry of `fails` by number (from 0) is raised in place of a connection.
    """

    def __init__(
        self,
        *options: ServerOptions,
        brain: str | Responder = BRIEF,
        fails: dict[int, Exception] | None = None,
        taps: Sequence[type[Tapped]] = (Tapped,),
    ) -> None:
        self.sessions: list[Tapped] = []
        self.tries: list[float] = []
        self._options: Sequence[ServerOptions] = options or (ServerOptions(),)
        self._brain = brain
        self._fails = fails or {}
        self._taps = taps

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Connection]:
        now = asyncio.get_running_loop().time()
        number = len(self.tries)
        self.tries.append(now)
        if number in self._fails:
            raise self._fails[number]
        ours, theirs = pair()
        tapped = self._taps[min(len(self.sessions), len(self._taps) - 1)](theirs, now)
        options = self._options[min(len(self.sessions), len(self._options) - 1)]
        self.sessions.append(tapped)
        brain = responder(self._brain) if isinstance(self._brain, str) else self._brain
        seed = random.Random(len(self.sessions))
        serving = asyncio.create_task(
            serve_connection(tapped, responder=brain, voice=ToneVoice(), rng=seed, options=options)
        )
        try:
            yield ours
        finally:
            await ours.close()
            tapped.ended_at = asyncio.get_running_loop().time()
            with suppress(TimeoutError):  # what was sent before is still read
                await asyncio.wait_for(asyncio.shield(serving), 1.0)
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving

    @property
    def audio(self) -> Shorts:
        """The sound of all sessions, one after the other."""
        return np.concatenate([session.audio for session in self.sessions])


def chatter(seconds: float, every: float = 12.0, first: float = 0.0) -> Shorts:
    """The caller's question again and again, over a noise that makes every moment unlike all others."""
    noise = np.random.default_rng(5).integers(-12, 13, round(seconds * RATE)).astype(np.int16)
    speech = question(0.0)
    start = first
    while round(start * RATE) + len(speech) <= len(noise):
        place = round(start * RATE)
        noise[place : place + len(speech)] += speech
        start += every
    return noise


def rand(*values: float) -> Callable[[], float]:
    """Randomness without any: these numbers over and over."""
    state = {"next": 0}

    def give() -> float:
        state["next"] += 1
        return values[(state["next"] - 1) % len(values)]

    return give
