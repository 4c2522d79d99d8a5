"""What the Python drivers share. Standard library only: it is imported in the environment of every client.

A driver is a program `driver.py URL KEY FOLDER`: it connects its client to URL, talks with the sounds of FOLDER and
prints what the client tells its user, one JSON object a line. The test compares that with what went over the line.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

RATE = 24_000
BYTES_PER_S = 2 * RATE
FRAME_S = 0.02
FRAME = int(FRAME_S * BYTES_PER_S)

URL, KEY, FOLDER = sys.argv[1:4]
MODEL = "gpt-realtime"
INSTRUCTIONS = "You are the information desk of a station."
WEATHER = "light rain, twelve degrees"
"""What the tool answers."""
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "name": "get_weather", "description": "The weather in a city.", "parameters": CITY}
HEARD_S = 1.5
"""Of the long answer this much is listened to before it is interrupted."""


def tell(saw: str, **fields: Any) -> None:
    """One line for the test."""
    print(json.dumps({"saw": saw, **fields}), flush=True)


class Microphone:
    """Sound of a microphone in frames of 20 ms: silence, or what is said."""

    def __init__(self, frame_s: float = FRAME_S) -> None:
        self._left = b""
        self._frame_s = frame_s
        self._frame = int(frame_s * BYTES_PER_S)

    def say(self, name: str) -> None:
        """Speak from the next frame on."""
        self._left = Path(FOLDER, f"{name}.pcm").read_bytes()

    def frame(self) -> bytes:
        """The next one."""
        frame, self._left = self._left[: self._frame], self._left[self._frame :]
        return frame.ljust(self._frame, b"\0")

    async def frames(self) -> AsyncIterator[bytes]:
        """In real time, without end."""
        due = time.monotonic()
        while True:
            yield self.frame()
            due += self._frame_s
            await asyncio.sleep(max(due - time.monotonic(), 0))

    def paced(self) -> Iterator[bytes]:
        """The same for a thread."""
        due = time.monotonic()
        while True:
            yield self.frame()
            due += self._frame_s
            time.sleep(max(due - time.monotonic(), 0))


class Loudspeaker:
    """What would have been heard by now, of sound that comes faster than it plays."""

    def __init__(self) -> None:
        self._began = self._ends = 0.0

    def play(self, seconds: float) -> None:
        """Queue sound."""
        now = time.monotonic()
        if now >= self._ends:
            self._began = self._ends = now
        self._ends += seconds

    @property
    def heard_s(self) -> float:
        """Of what was queued without a gap."""
        return min(time.monotonic(), self._ends) - self._began

    @property
    def left_s(self) -> float:
        """Still to be played."""
        return max(self._ends - time.monotonic(), 0.0)

    def stop(self) -> None:
        """Drop what is left."""
        self._ends = min(self._ends, time.monotonic())


class Answer:
    """What a client gives its user of one answer."""

    def __init__(self) -> None:
        self.text = ""
        self._digest = hashlib.sha256()
        self.bytes = 0

    def sound(self, data: bytes) -> None:
        """A piece of it."""
        self._digest.update(data)
        self.bytes += len(data)

    def tell(self, **fields: Any) -> None:
        """It is over."""
        tell("answer", text=self.text, bytes=self.bytes, sha256=self._digest.hexdigest(), **fields)
