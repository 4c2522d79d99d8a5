"""Five minutes of a reply arrive at once: the socket is read on, and what comes behind them takes effect at once."""

from __future__ import annotations

import asyncio
import random
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import engine
from engine import clock
from engine.audio import BargeIn, EventKind, Policy
from engine.audio.inlet import DEFAULT_LIMIT
from engine.conversation import Conversation, Settings, Turn, converse
from engine.realtime import events as ev
from tests.conversation.harness import HOP, RATE, FakeServer, Recorder, Shorts, fake

LOUD = b64encode(random.Random(3).randbytes(48000)).decode()  # one second
FADE_MS = 20
DETECTION = {"audio": {"input": {"turn_detection": {"type": "server_vad", "interrupt_response": True}}}}


@dataclass
class Seen:
    log: Recorder = field(default_factory=Recorder)
    turns: list[Turn] = field(default_factory=list)
    events: list[ev.AnyEvent] = field(default_factory=list)
    waiting: list[tuple[float, int, int]] = field(default_factory=list)
    peer: FakeServer | None = None
    loudspeaker: Shorts = field(default_factory=lambda: np.empty(0, np.int16))


def talk(act: Callable[[FakeServer], Awaitable[None]], seconds: float, policy: Policy = Policy.EITHER) -> Seen:
    """Some virtual seconds with a silent user and a server that behaves as `act` says."""
    seen = Seen()
    memory = engine.Memory(np.zeros(RATE, np.int16), RATE)

    async def behave(peer: FakeServer) -> None:
        seen.peer = peer
        await act(peer)

    async def keep(conversation: Conversation) -> None:
        async for turn in conversation.turns():
            seen.turns.append(turn)

    async def keep_events(conversation: Conversation) -> None:
        async for event in conversation.events():
            if not isinstance(event, ev.ResponseOutputAudioDelta):
                seen.events.append(event)

    async def main() -> None:
        settings = Settings(barge_in=BargeIn(policy))
        async with converse(memory, fake(behave), settings, seen.log) as conversation, asyncio.TaskGroup() as tasks:
            tasks.create_task(keep(conversation))
            tasks.create_task(keep_events(conversation))
            for _ in range(round(seconds * 10)):
                await asyncio.sleep(0.1)
                replies: Any = conversation._replies
                now = asyncio.get_running_loop().time()
                seen.waiting.append((now, replies.queue.waiting, replies.inlet.waiting_bytes))
            conversation.stop()

    clock.run_virtual(main())
    seen.loudspeaker = memory.recorded[:, 1]
    return seen


async def burst(peer: FakeServer, seconds: int) -> None:
    for _ in range(seconds):
        await peer.audio("resp_1", "item_1", LOUD)


async def speech_started(peer: FakeServer) -> None:
    await peer.send("input_audio_buffer.speech_started", audio_start_ms=900, item_id="item_user")


def test_speech_started_takes_effect_behind_a_burst_of_five_minutes() -> None:
    async def act(peer: FakeServer) -> None:
        await peer.send("session.created", session={"type": "realtime", "id": "sess_1", **DETECTION})
        await peer.begin("resp_1", "item_1")
        await burst(peer, 1)
        await asyncio.sleep(0.5)  # it sounds
        await burst(peer, 299)
        await asyncio.sleep(0.35)
        await speech_started(peer)
        await asyncio.sleep(1.0)
        await peer.done("resp_1", "item_1", "cancelled")

    seen = talk(act, seconds=3)
    deltas = seen.log.of("received", "response.output_audio.delta")
    assert len(deltas) == 300
    held_then = max(seen.waiting, key=lambda entry: entry[1] + entry[2])
    assert held_then[1] > 119 * RATE  # the queue is full
    assert held_then[2] > 170 * 2 * RATE  # and the rest of the five minutes waits behind it

    told = seen.log.place("received", "input_audio_buffer.speech_started")
    at = seen.log.entries[told].time
    (fading,) = seen.log.reports(EventKind.FADING)
    assert abs(fading.position / RATE - at) <= 2 * HOP / RATE
    assert seen.loudspeaker[fading.position - RATE // 4 : fading.position].any()
    assert not seen.loudspeaker[fading.position + FADE_MS * RATE // 1000 :].any()
    assert [entry[1:] for entry in seen.waiting if entry[0] > at + 0.1] == [(0, 0)] * len(
        [entry for entry in seen.waiting if entry[0] > at + 0.1]
    )
    (turn,) = seen.turns
    assert (turn.interrupted, turn.received_ms) == (True, 300_000)
    assert turn.played_ms < 2000
    assert seen.peer is not None
    (truncate,) = seen.peer.of("conversation.item.truncate")
    assert truncate["audio_end_ms"] == turn.played_ms


def test_more_than_the_overflow_holds_cancels_the_response_and_says_so_by_name() -> None:
    assert DEFAULT_LIMIT == 16 * 1024 * 1024
    holds = 120 + DEFAULT_LIMIT // 48000  # seconds: the queue and the overflow

    async def act(peer: FakeServer) -> None:
        await peer.created()
        await peer.begin("resp_1", "item_1")
        await burst(peer, holds - 1)
        await asyncio.sleep(0.25)
        assert peer.of("response.cancel") == []  # all of this is held
        await burst(peer, 5)
        await asyncio.sleep(0.25)
        await speech_started(peer)  # read on
        await peer.done("resp_1", "item_1", "cancelled")

    seen = talk(act, seconds=2)
    assert seen.peer is not None
    (cancel,) = seen.peer.of("response.cancel")
    assert cancel["response_id"] == "resp_1"
    named = [event for event in seen.events if event.type == "bargein.playback_overflow"]
    assert [event.fields for event in named if isinstance(event, ev.Unknown)] == [{"response_id": "resp_1"}]
    assert "input_audio_buffer.speech_started" in [event.type for event in seen.events]
    (turn,) = seen.turns
    assert turn.interrupted
    assert 0 < turn.played_ms < 1000
