"""PortAudio and its streams, played by a few lines; the duplex and its callback are real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from engine.audio import DeviceCallback, Duplex, DuplexConfig
from engine.endpoints import DeviceEvent, DeviceSound, SoundSettings, supervised
from engine.endpoints.latency import Probe
from engine.endpoints.negotiate import Pair, Wishes
from engine.endpoints.portaudio import DeviceEntry, StreamPlan
from engine.endpoints.supervised import Patience
from engine.endpoints.wakeup import Wakeup
from engine.errors import DeviceError
from engine.native import lib, new

USB = DeviceEntry(4, "USB Audio: - (hw:1,0)", "ALSA", 2, 2, 48000, False, False)
PLAN = StreamPlan("both", 4, 4, 1, 1, 48000, "int16", 480, 0.0)
WISHES = Wishes("USB*", "USB*", None, 10.0, None, None, None, None)


class FakeStream:
    """An open stream whose callbacks the test makes."""

    def __init__(self, duplex: Duplex, plan: StreamPlan) -> None:
        self.plan = plan
        self.callback = DeviceCallback(duplex, plan.direction)
        self.alive = True
        self.started = self.closed = False
        self.latency_ms = (None, None)

    def start(self) -> None:
        self.started = True

    def close(self) -> None:
        self.alive, self.closed = False, True

    def beat(self, heard: Any = None, flags: int = 0) -> None:
        """One callback."""
        time = new("rt_device_time *", {"adc": 0.0, "now": 0.0, "dac": 0.0})
        block = np.zeros(480, np.int16) if heard is None else heard
        given, played = new("int16_t[480]", block.tolist()), new("int16_t[480]")
        lib.rt_device_callback(given, played, 480, time, flags, self.callback.userdata)


class World:
    """What PortAudio and the clocks say."""

    def __init__(self) -> None:
        self.there = [USB]  # in the helper process
        self.listed = [USB]  # in ours, until renewed
        self.refusals = 0  # of the next openings
        self.opened: list[FakeStream] = []
        self.events: list[DeviceEvent] = []
        self.calls: list[str] = []
        self.slept = 0.0
        self.dead_starts = 0
        self.given_back = False

    def open_streams(self, duplex: Duplex, plans: Sequence[StreamPlan], *_more: object) -> list[FakeStream]:
        self.calls.append("open")
        if self.refusals:
            self.refusals -= 1
            raise DeviceError("it is busy")
        self.opened += [FakeStream(duplex, plan) for plan in plans]
        if self.dead_starts:
            self.dead_starts -= 1
            self.opened[-1].alive = False
        return self.opened[-len(plans) :]

    def devices(self) -> list[DeviceEntry]:
        return self.listed

    def devices_now(self) -> list[DeviceEntry]:
        self.calls.append("look")
        return self.there

    def renew(self) -> bool:
        self.calls.append("renew")
        if any(not stream.closed for stream in self.opened):
            return False
        self.listed = self.there
        return True

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Take PortAudio's place."""
        for name in ("open_streams", "devices", "devices_now", "renew"):
            monkeypatch.setattr(supervised, name, getattr(self, name))
        monkeypatch.setattr(supervised, "_sleep_clock", lambda: self.slept)
        monkeypatch.setattr(supervised, "WATCH_S", 0.005)
        monkeypatch.setattr(supervised, "STALL_S", 3600.0)  # a busy machine stalls the test's callbacks, too
        monkeypatch.setattr(supervised, "LONGEST_PAUSE_S", 0.02)


Body = Callable[[DeviceSound], Awaitable[None]]


@asynccontextmanager
async def opened(
    world: World,
    settings: SoundSettings,
    *,
    reopen: bool = True,
    hold_s: float = 60.0,
    wishes: Wishes = WISHES,
    found: Pair | None = None,
    probe: Probe | None = None,
    events: list[DeviceEvent] | None = None,
) -> AsyncIterator[DeviceSound]:
    """Open, watch, close."""
    wakeup = Wakeup()
    told = world.events if events is None else events
    sound = DeviceSound(wishes, Patience(reopen, hold_s), wakeup, told.append)
    duplex = settings.dress(Duplex(DuplexConfig(wakeup_descriptor=wakeup.descriptor)))
    streams: Any = world.open_streams(duplex, [PLAN])
    sound.opened_with(duplex, streams, found or Pair(USB, USB), 0, probe)
    await sound.start()
    try:
        yield sound
    finally:
        world.given_back = await sound.stop()
        wakeup.close()


def run(world: World, body: Body, *, reopen: bool = True, hold_s: float = 60.0) -> bool:
    """Open, watch, do `body`, close; returns whether all was given back."""

    async def main() -> None:
        async with opened(world, SoundSettings(), reopen=reopen, hold_s=hold_s) as sound, asyncio.timeout(60):
            await body(sound)

    asyncio.run(main())
    return world.given_back


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


async def beating(world: World, condition: Callable[[], bool]) -> None:
    """Callbacks go on until the condition holds."""
    while not condition():
        if world.opened[-1].alive:
            world.opened[-1].beat()
        await asyncio.sleep(0.002)
