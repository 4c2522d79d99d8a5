"""One trial of a microphone and a loudspeaker: open, listen, play chirps, find them, count what was lost."""

from __future__ import annotations

import asyncio
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio import BargeIn, EventKind, Hearing, Policy
from engine.cli import chirp
from engine.endpoints import Device, DeviceSound, Opened, SoundSettings
from engine.errors import DeviceError

LISTEN_S = 0.4
START_LIMIT_S = 5.0
SHIFT_MS = 1.0  # a chirp that comes so much sooner or later than the one before: sound was lost or put in between
FULL_SCALE = 32700
ITEM = "chirps"

Samples = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it. Levels in dBFS. `delay_ms` is what an echo canceller would see, `round_trip_ms` the device's
    part of it; None when no chirp was found. `shifts` are places where sound was lost or put in without a flag.
    `silent`: nothing but zeros came from the microphone.
    """

    block_ms: float
    latency_ms: float | None
    opened: Opened
    played: int
    found: int
    delay_ms: float | None
    round_trip_ms: float | None
    echo_db: float | None
    floor_db: float
    peak_db: float
    clipped: int
    silent: bool
    drift_ppm: float | None
    shifts: int
    xruns: int
    missing_ms: float
    underruns: int
    lags_ms: list[float] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether no sound was lost, flagged or not."""
        lost = self.xruns or self.shifts or self.underruns or self.missing_ms > 2 * self.block_ms
        return not lost and self.found in (0, self.played)


class _Clock:
    """When a stream's first frame passed its callback, by the earliest of many looks: callbacks come late, not soon."""

    def __init__(self) -> None:
        self.start = math.inf

    def look(self, newest_s: float, frames: int, rate: int) -> None:
        if frames:
            self.start = min(self.start, newest_s - frames / rate)


async def attempt(device: Device, chirps: int) -> Trial:
    """Try a device. Raises `DeviceError` when it cannot be opened, dies, or no sound flows."""
    settings = SoundSettings(barge_in=BargeIn(policy=Policy.NEVER), hearing=Hearing())
    async with device.open(settings) as sound:
        return await _measure(device, sound, chirps)


async def _measure(device: Device, sound: DeviceSound, chirps: int) -> Trial:
    heard: list[NDArray[Any]] = []
    clocks = _Clock(), _Clock()
    await _until_flowing(sound)
    before = _figures(sound)  # what a start costs is not counted
    await _listen(sound, heard, clocks, round(LISTEN_S * 100))
    quiet = len(_joined(heard))
    train = chirp.train(chirps)
    queue = sound.duplex.queue
    queue.push(ITEM, 0, np.rint(train * 32767).astype(np.int16).tobytes(), queue.open())
    queue.complete(ITEM, 0)
    begun = await _listen(sound, heard, clocks, round(100 * (len(train) / chirp.RATE + 2 * chirp.PERIOD_S)))
    samples, after = _joined(heard), _figures(sound)
    config, opened = sound.duplex.config, sound.opened
    offset = round((clocks[1].start - clocks[0].start) * chirp.RATE) if opened.streams == 2 else 0
    first = int(heard[0]["position"][0])
    echoes = chirp.find(samples / 32768.0, begun + offset - first, chirps) if begun is not None else []
    found = [echo for echo in echoes if echo is not None]
    lags = [1000.0 * echo.lag / chirp.RATE for echo in found]
    inside = sound.duplex.capture_latency_ms(opened.block) + sound.duplex.playback_latency_ms(opened.block)
    return Trial(
        block_ms=1000.0 * opened.block / config.capture_rate,
        latency_ms=device.wishes.latency_ms,
        opened=opened,
        played=chirps,
        found=len(found),
        delay_ms=median(lags) if lags else None,
        round_trip_ms=median(lags) - inside if lags else None,
        echo_db=median(echo.gain_db for echo in found) if found else None,
        floor_db=_db(_floor(samples[quiet // 2 : quiet])),
        peak_db=_db(float(np.abs(samples.astype(np.float64)).max()) / 32768.0),
        clipped=int((np.abs(samples.astype(np.int32)) >= FULL_SCALE).sum()),
        silent=not samples.any(),
        drift_ppm=_drift(echoes),
        shifts=sum(abs(later - sooner) > SHIFT_MS for sooner, later in pairwise(lags)),
        xruns=after[0] - before[0],
        missing_ms=1000.0 * (after[1] - before[1]) / config.capture_rate,
        underruns=sound.duplex.playback_stats().playout.underruns,
        lags_ms=lags,
    )


async def _until_flowing(sound: DeviceSound) -> None:
    for _ in range(round(START_LIMIT_S / 0.02)):
        stats = sound.stats()
        if stats and all(each.callbacks >= 5 for each in stats):
            return
        await asyncio.sleep(0.02)
    raise DeviceError("no sound flows: the device opens, and its callback is not called; is it busy elsewhere?")


async def _listen(
    sound: DeviceSound, heard: list[NDArray[Any]], clocks: tuple[_Clock, _Clock], records: int
) -> int | None:
    """Take so many records of 10 ms. Returns the played position at which the chirps began, if they did."""
    begun: int | None = None
    while records > 0:
        await sound.wait(0.1)
        if sound.away:
            raise DeviceError(f"{sound.opened.microphone!r} and {sound.opened.loudspeaker!r} died in the trial")
        if len(new := sound.duplex.read_records()):
            heard.append(new)
            records -= len(new)
        for event in sound.duplex.read_events():
            if event.kind is EventKind.PLAYING and begun is None:
                begun = event.position
        stats = sound.stats()
        rates = sound.duplex.config.capture_rate, sound.duplex.config.playback_rate
        for clock, each, rate in zip(clocks, (stats[0], stats[-1]), rates, strict=True) if stats else ():
            clock.look(each.newest_s, each.frames, rate)
    return begun


def _figures(sound: DeviceSound) -> tuple[int, int]:
    stats = sound.stats()
    return sum(each.flagged for each in stats), sum(each.missing_frames for each in stats)


def _drift(echoes: list[chirp.Echo | None]) -> float | None:
    """How much faster the microphone's clock runs than the loudspeaker's, by the lags of the chirps; ppm."""
    places = [(number, echo.lag) for number, echo in enumerate(echoes) if echo is not None]
    if len(places) < 3 or max(lag for _, lag in places) - min(lag for _, lag in places) > SHIFT_MS * chirp.RATE / 1000:
        return None
    slope = np.polyfit([number for number, _ in places], [lag for _, lag in places], 1)[0]
    return float(slope / (chirp.PERIOD_S * chirp.RATE) * 1e6)


def _joined(heard: list[NDArray[Any]]) -> Samples:
    """Records by their positions; where one is missing there are zeros."""
    records = np.concatenate(heard)
    first = int(records["position"][0])
    samples = np.zeros(int(records["position"][-1]) + 240 - first, np.int16)
    for record in records:
        begin = int(record["position"]) - first
        samples[begin : begin + 240] = record["payload"].view(np.int16)
    return samples


def _floor(samples: Samples) -> float:
    """The level of the room: that of most hops, so that a click does not count."""
    hops = samples[: len(samples) // 240 * 240].reshape(-1, 240).astype(np.float64)
    return float(np.median(np.sqrt((hops**2).mean(axis=1)))) / 32768.0 if len(hops) else 0.0


def _db(level: float) -> float:
    return 20.0 * math.log10(level) if level > 1e-6 else -120.0


@contextmanager
def load(processes: int | None = None) -> Iterator[None]:
    """Keep every processor busy."""
    count = os.cpu_count() or 1 if processes is None else processes
    command = [sys.executable, "-S", "-c", "while True: pass"]
    running = [subprocess.Popen(command, stdin=subprocess.DEVNULL) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
        for process in running:
            process.wait()
