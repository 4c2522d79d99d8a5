"""Sounds for the tests: what a detector takes for speech, and a microphone and loudspeaker run hop by hop."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio import AudioEvent, BargeIn, Duplex, DuplexConfig, EventKind, Resampler
from engine.endpoints.wav import read_wav

HOP = 240
Shorts = NDArray[np.int16]


@lru_cache
def _caller(rate: int) -> Shorts:
    """The demo's caller at a rate."""
    wav = read_wav(Path(str(files("engine") / "data")) / "caller.wav")
    if wav.rate == rate:
        return wav.samples
    resampler = Resampler(wav.rate, rate, "file")
    sound = np.concatenate([resampler.process(wav.samples), resampler.flush()])
    return np.asarray(sound[round(resampler.latency_ms * rate / 1000) :], np.int16)


def voice(samples: int, seed: int = 1, level: float = 0.8, rate: int = 24000) -> Shorts:
    """A voice without a pause, again and again when it is to be long: "Can you tell me how the", or with an even seed
    "Good morning". `level` is its peak.
    """
    first, last = (0.62, 1.22) if seed % 2 == 0 else (1.62, 2.58)
    part = np.resize(_caller(rate)[round(first * rate) : round(last * rate)].astype(float), samples)
    return np.asarray(part * (level * 32767 / max(1.0, np.abs(part).max())), np.int16)


def reply(samples: int, seed: int = 7) -> Shorts:
    """Sound of a reply: full of changes, never silent."""
    noise = np.random.default_rng(seed).integers(3000, 12000, samples)
    return np.asarray(noise * np.where(np.arange(samples) % 2, 1, -1), dtype=np.int16)


def hops(count: int) -> Shorts:
    """So many hops of silence."""
    return np.zeros(count * HOP, np.int16)


class Bench:
    """A duplex run in blocks of 10 ms, with everything that came out of it."""

    def __init__(self, barge_in: BargeIn | None = None, **fields: Any) -> None:
        settings: dict[str, Any] = {"capture_rate": 24000, "playback_rate": 24000, "max_block": HOP, **fields}
        self.duplex = Duplex(DuplexConfig(barge_in=barge_in or BargeIn(), **settings))
        self.block = settings["capture_rate"] // 100
        self.queue = self.duplex.queue
        self.heard: list[Shorts] = []
        self.events: list[AudioEvent] = []
        self.probabilities: list[float] = []

    def say(self, sound: Shorts) -> Shorts:
        """Run the microphone over `sound`; returns what the loudspeaker played meanwhile."""
        first = len(self.heard)
        for start in range(0, len(sound), self.block):
            self.heard.append(self.duplex.process(sound[start : start + self.block]))
            self.probabilities.append(self.duplex.capture_stats().probability)
            self.events += self.duplex.read_events()
        return np.concatenate(self.heard[first:])

    def play(self, sound: Shorts, name: str = "item", *, complete: bool = True) -> int:
        """Queue a reply in a generation of its own."""
        generation = self.queue.open()
        assert self.queue.push(name, 0, sound.tobytes(), generation) == 2 * len(sound)
        if complete:
            self.queue.complete(name, 0)
        return generation

    def of(self, kind: EventKind) -> list[AudioEvent]:
        """All reports of one kind."""
        return [event for event in self.events if event.kind is kind]

    def the(self, kind: EventKind) -> AudioEvent:
        """The one report of a kind."""
        (event,) = self.of(kind)
        return event
