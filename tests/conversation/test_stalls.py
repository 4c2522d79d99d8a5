"""A network that takes nothing for a while: what the microphone heard meanwhile must not come late for ever."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from engine.clock import run_virtual
from engine.conversation import Conversation, Settings, converse
from engine.conversation.freshness import fresh
from engine.endpoints import Memory
from engine.errors import ConfigError, ConnectionLost
from engine.transport import Connection

RATE = 24_000
FORM = {"type": "audio/pcm", "rate": RATE}
CREATED = {
    "type": "session.created",
    "event_id": "event_1",
    "session": {
        "type": "realtime",
        "id": "sess_1",
        "audio": {"input": {"format": FORM, "turn_detection": None}, "output": {"format": FORM}},
    },
}


class Stalling:
    """A server that takes nothing between two times of the loop's clock; notes when which sound came."""

    def __init__(self, since: float, until: float) -> None:
        self.came: list[tuple[float, np.ndarray[Any, Any]]] = []
        self._since = since
        self._until = until
        self._created = False
        self._closed = asyncio.Event()

    async def send(self, data: bytes | str) -> None:
        loop = asyncio.get_running_loop()
        if self._since <= loop.time() < self._until:
            await asyncio.sleep(self._until - loop.time())
        event = json.loads(data)
        if event["type"] == "input_audio_buffer.append":
            self.came.append((loop.time(), np.frombuffer(b64decode(event["audio"]), "<i2")))

    async def receive(self) -> bytes | str:
        if not self._created:
            self._created = True
            return json.dumps(CREATED)
        await self._closed.wait()
        raise ConnectionLost(1000)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self._closed.set()


def stalled(since: float, until: float, oldest_s: float = 5.0) -> tuple[list[tuple[float, float]], Conversation]:
    """Speak 40 s into it, each sample telling its own time; (when it came, when it was captured) of each append."""
    times = np.arange(40 * RATE) // 240 + 1  # the number of its 10 ms

    async def main() -> tuple[Stalling, Conversation]:
        server = Stalling(since, until)

        @asynccontextmanager
        async def opened() -> AsyncIterator[Connection]:
            yield server

        settings = Settings(oldest_s=oldest_s, frame_ms=None)
        async with converse(Memory(times.astype(np.int16), RATE), opened, settings) as conversation:
            await asyncio.sleep(39.0)
            await server.close()
        return server, conversation

    server, conversation = run_virtual(main())
    return [(at, float(np.median(sound)) / 100) for at, sound in server.came if np.median(sound) > 0], conversation


def test_a_short_stall_loses_nothing() -> None:
    came, conversation = stalled(10.0, 13.0)
    assert conversation.left_out_ms == 0
    assert conversation.stats()[0].lost_records == 0
    captured = [at for _, at in came]
    assert max(np.diff(captured)) <= 0.35, "a hole"


def test_sound_that_became_too_old_is_left_out_and_counted() -> None:
    came, conversation = stalled(10.0, 13.0, oldest_s=1.0)
    late = sorted(at - captured for at, captured in came)
    assert late[-1] > 2.9, "the one that was under way when it began"
    assert late[-2] <= 1.1
    assert 1_500 <= conversation.left_out_ms <= 2_100
    assert came[-1][1] > 38, "it goes on"


def test_a_stall_longer_than_the_ring_leaves_nothing_stale() -> None:
    came, conversation = stalled(10.0, 30.0)
    first_after = next(captured for at, captured in came if at > 30.05)
    assert first_after > 25
    lost = 10 * conversation.stats()[0].lost_records
    assert lost + conversation.left_out_ms == pytest.approx(20_000, abs=400)


@pytest.mark.parametrize("oldest_s", [0.9, 5.1, 0, -1, True, "1", None])
def test_an_age_that_cannot_be(oldest_s: Any) -> None:
    with pytest.raises(ConfigError, match="oldest_s"):
        Settings(oldest_s=oldest_s)


def test_fresh() -> None:
    records = np.zeros(4, dtype=[("position", "<u8")])
    records["position"] = [0, 24_000, 12_000, 48_000]
    assert len(fresh(records, 1.0, 1.0)) == 4
    assert fresh(records, 1.5, 1.0)["position"].tolist() == [24_000, 12_000, 48_000]
    assert fresh(records, 9.0, 1.0)["position"].tolist() == []
    assert len(fresh(records[:0], 9.0, 1.0)) == 0
