"""Sounds for the tests: what a detector takes for speech, and a microphone and loudspeaker run hop by hop."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio import AudioEvent, BargeIn, Duplex, DuplexConfig, EventKind

HOP = 240
Shorts = NDArray[np.int16]


def babble(samples: int, seed: int = 1, level: float = 0.2, rate: int = 24000) -> Shorts:
    """A hoarse voice: noise in the band of speech over a buzz of 120 Hz, loud enough to be speech at once."""
    white = np.random.default_rng(seed).standard_normal(samples + 64)
    width = max(1, rate // 8000)
    band = np.convolve(white, np.ones(width) / width**0.5, "same")[:samples]
    phase = np.arange(samples) * (2 * np.pi * 120 / rate)
    buzz = sum(np.cos(k * phase) / k for k in range(1, 8))
    return np.asarray(np.clip((0.6 * band + buzz) * level * 32767, -32000, 32000), dtype=np.int16)


def rustle(samples: int, seed: int = 1, level: float = 0.2) -> Shorts:
    """Noise without a pitch."""
    white = np.random.default_rng(seed).standard_normal(samples)
    return np.asarray(np.clip(white * level * 32767, -32000, 32000), dtype=np.int16)


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
