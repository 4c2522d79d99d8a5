"""An hour of conversation on the virtual clock: does anything grow, drift or get lost?

A caller who asks, interrupts, coughs and waits (the demo's recording, in random order) talks to the server inside over
memory; application sounds, holds and mutes come in between. Every simulated minute the process's memory is read, every
turn is checked against what was sent, and at the end the ledger and the counters. Run by `make soak`; fails when memory
grows by 1 MB per hour or more after the first quarter, or when a sum does not come out exactly. The caller speaks about
as often as people do: each item of the conversation is remembered, some 1.5 kB with its words, up to 4096 of them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine import clock
from engine.audio import AudioEvent, Duplex, DuplexConfig, EventKind, ItemKey
from engine.conversation import Conversation, Settings, converse
from engine.endpoints import SoundSettings
from engine.endpoints.wav import read_wav
from engine.front import embedded
from engine.realtime import events as ev
from engine.server import ServerOptions
from engine.server.voices import ToneVoice

if TYPE_CHECKING:
    from bench import memory
else:
    import memory

RATE, HOP = 24000, 240
MOST_MB_PER_HOUR = 1.0
DATA = Path(str(files("engine") / "data"))
SMALL = ServerOptions(retained_bytes=2**20, item_bytes=2**20, max_items=50, session_s=86400)  # no history of its own


def speech(seed: int) -> Iterator[NDArray[np.int16]]:
    """What the caller says, piece by piece, for ever: about as often as people do."""
    rng = random.Random(seed)
    recording = read_wav(DATA / "caller.wav").samples
    spans = json.loads((DATA / "caller.json").read_text())["speech"]
    words = [recording[round(s["start_s"] * RATE) : round(s["end_s"] * RATE)] for s in spans]
    noise = np.random.default_rng(seed).standard_normal(RATE // 5) * np.exp(-np.arange(RATE // 5) / 1500)
    cough = np.asarray(np.clip(noise * 6000, -32000, 32000), np.int16)
    while True:
        kind = rng.random()
        if kind < 0.25:
            yield rng.choice(words)
        elif kind < 0.4:
            yield cough
        else:
            yield np.zeros(round(rng.uniform(0.3, 22.0) * RATE), np.int16)


class Caller:
    """A Sound on the virtual clock whose microphone never ends: questions, interruptions, coughs, silence."""

    def __init__(self, duplex: Duplex, seed: int) -> None:
        self.duplex = duplex
        self._speech = speech(seed)
        self._now = np.zeros(RATE, np.int16)
        self._place = 0
        self.frames = 0
        self._woken = asyncio.Event()
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        while True:
            await asyncio.sleep(start + (self.frames + HOP) / RATE - loop.time())
            block = np.zeros(HOP, np.int16)
            part = self._now[self._place : self._place + HOP]
            block[: len(part)] = part
            self._place += HOP
            if self._place >= len(self._now):
                self._now, self._place = next(self._speech), 0
            self.duplex.process(block)
            self.frames += HOP
            if self.frames // HOP % 2 == 0:
                self._woken.set()

    async def wait(self, timeout: float) -> None:
        """As `Sound.wait`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._woken.wait()
        self._woken.clear()

    ended = False

    @property
    def seconds(self) -> float:
        """As `Sound.seconds`."""
        return self.frames / RATE


class Room:
    """The endpoint of a `Caller`."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    @asynccontextmanager
    async def open(self, settings: SoundSettings) -> AsyncIterator[Any]:
        """As `Endpoint.open`."""
        config = DuplexConfig(capture_rate=RATE, playback_rate=RATE, max_block=HOP, barge_in=settings.barge_in)
        caller = Caller(settings.dress(Duplex(config)), self.seed)
        try:
            yield caller
        finally:
            caller.task.cancel()
            await asyncio.wait([caller.task])


@dataclass
class Tally:
    """Counts of what happened; an observer."""

    sent: dict[str, int] = field(default_factory=dict)
    reports: dict[str, int] = field(default_factory=dict)
    truncated: dict[str, int] = field(default_factory=dict)  # the newest hundred items, ms
    appended: int = 0

    def event(self, direction: str, message: bytes, event: ev.AnyEvent | None) -> None:
        """As `Observer.event`."""
        del message
        if direction == "sent" and event is not None:
            self.sent[event.type] = self.sent.get(event.type, 0) + 1
            if isinstance(event, ev.InputAudioBufferAppend):
                self.appended += len(event.audio)
            if isinstance(event, ev.ConversationItemTruncate):
                self.truncated[event.item_id] = event.audio_end_ms
                if len(self.truncated) > 100:
                    del self.truncated[next(iter(self.truncated))]

    def sound(self, event: AudioEvent, item: ItemKey | None) -> None:
        """As `Observer.sound`."""
        del item
        self.reports[event.kind.name] = self.reports.get(event.kind.name, 0) + 1


@dataclass
class Outcome:
    """An hour in figures."""

    turns: int = 0
    interrupted: int = 0
    sounds: int = 0
    wrong: list[str] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)  # simulated minutes, MB

    @property
    def slope(self) -> float:
        """MB per simulated hour after the first quarter."""
        late = self.memory[len(self.memory) // 4 :]
        return memory.slope([minutes / 60 for minutes, _ in late], [mb for _, mb in late]).mb_per_hour


async def soak(minutes: float, seed: int) -> tuple[Outcome, Tally, Conversation]:
    """Hold the conversation for so many simulated minutes."""
    outcome, tally = Outcome(), Tally()
    server = embedded(f"script:{DATA / 'demo.yaml'}", SMALL, voice=ToneVoice())  # in memory: the loop is virtual
    async with converse(Room(seed), server, Settings(), tally) as conversation:
        tasks = [
            asyncio.create_task(_turns(conversation, outcome, tally)),
            asyncio.create_task(_events(conversation)),
            asyncio.create_task(_meddle(conversation, outcome, random.Random(seed))),
        ]
        for minute in range(round(minutes)):
            await asyncio.sleep(60)
            outcome.memory.append((minute + 1, memory.sample(minute / 60).resident))
        for task in tasks:
            task.cancel()
        conversation.resume()
        conversation.mute()
        conversation.interrupt()
        await asyncio.sleep(15)
        _sums(conversation, outcome, tally)
    return outcome, tally, conversation


async def _turns(conversation: Conversation, outcome: Outcome, tally: Tally) -> None:
    async for turn in conversation.turns():
        outcome.turns += 1
        if turn.role != "assistant":
            continue
        outcome.interrupted += turn.interrupted
        await asyncio.sleep(0)
        told = [tally.truncated[item] for item in turn.item_ids if item in tally.truncated]
        cut = turn.interrupted and 0 < turn.played_ms < turn.received_ms
        if turn.played_ms > turn.received_ms or told != ([turn.played_ms] if cut else []):
            outcome.wrong.append(f"{turn.response_id}: heard {turn.played_ms} of {turn.received_ms} ms, told {told}")


async def _events(conversation: Conversation) -> None:
    async for _ in conversation.events():
        pass  # read, so that the feed's own bound of 8 MiB is not what grows


async def _meddle(conversation: Conversation, outcome: Outcome, rng: random.Random) -> None:
    chime = np.asarray(6000 * np.sin(np.arange(RATE // 4) * 0.1), np.int16)
    while True:
        await asyncio.sleep(rng.uniform(5, 30))
        kind = rng.randrange(6)
        if kind == 0:
            conversation.play(chime, RATE)
            outcome.sounds += 1
        elif kind == 1:
            conversation.hold()
            await asyncio.sleep(rng.uniform(0.1, 5))
            conversation.resume()
        elif kind == 2:
            conversation.mute()
            await asyncio.sleep(rng.uniform(0.1, 5))
            conversation.unmute()
        elif kind == 3:
            conversation.interrupt()
        elif kind == 4:
            conversation.volume = rng.choice([0.5, 1.0, 2.0])
        else:
            conversation.say("What time is it?")


def _sums(conversation: Conversation, outcome: Outcome, tally: Tally) -> None:
    capture, playback = conversation.stats()
    queue = playback.playout
    frames = conversation.sound.duplex.config.capture_rate * conversation.sound.seconds
    reports = tally.reports
    decided = sum(reports.get(kind.name, 0) for kind in (EventKind.CONFIRMED, EventKind.RESTORED, EventKind.RELEASED))
    exact = {
        "queued = played + faded + discarded": (queue.queued, queue.played + queue.faded + queue.discarded),
        "captured = played frames": (capture.frames, playback.frames),
        "frames = the clock's": (capture.frames, round(frames)),
        "hops = sound + held back + silence": (capture.sound_hops + capture.held_hops, capture.hops),
        "records = sound + silence": (capture.records, capture.sound_hops + capture.silence_hops),
        "appended = records": (abs(tally.appended // 480 - capture.records) <= 20, True),
        "mapped = records": (abs(conversation.time_map.sent_ms // 10 - capture.records) <= 20, True),
        "ducks = decisions": (reports.get("DUCKED", 0), decided),
        "lost": (capture.lost_records + capture.lost_events + capture.lost_hops + playback.lost_events, 0),
        "anomalies": (len(conversation.anomalies), 0),
        "overflow": (conversation.left_out_ms, 0),
    }
    outcome.wrong += [f"{name}: {mine} and {other}" for name, (mine, other) in exact.items() if mine != other]


def main(minutes: float, seed: int) -> bool:
    """Print the report; whether all is well."""
    begun = time.perf_counter()
    outcome, tally, conversation = clock.run_virtual(soak(minutes, seed))
    took = time.perf_counter() - begun
    queue = conversation.stats()[1].playout
    print(f"{minutes:g} simulated minutes in {took:.0f} s, seed {seed}")
    print(f"{outcome.turns} turns, {outcome.interrupted} replies interrupted, {outcome.sounds} own sounds")
    print(f"reports: {dict(sorted(tally.reports.items()))}")
    print(f"sent: {dict(sorted(tally.sent.items()))}")
    print(f"ledger: {queue.queued} = {queue.played} played + {queue.faded} faded + {queue.discarded} discarded")
    grows = outcome.slope if len(outcome.memory) >= 8 else 0.0
    first, last = outcome.memory[0][1], outcome.memory[-1][1]
    print(f"memory: {first:.1f} MB after a minute, {last:.1f} MB at the end, {grows:+.2f} MB per hour")
    every = max(1, len(outcome.memory) // 12)
    print("MB by minute: " + ", ".join(f"{minute:.0f}: {mb:.1f}" for minute, mb in outcome.memory[::every]))
    for line in outcome.wrong[:20]:
        print(f"WRONG {line}")
    return not outcome.wrong and grows < MOST_MB_PER_HOUR


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An hour of conversation on the virtual clock.")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    sys.exit(0 if main(arguments.minutes, arguments.seed) else 1)
