"""What is played and what is said: clips of the pool in a row, with pauses; music, television, taps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from training.vad import sounds as made_sounds
from training.vad.pool import RATE, Sound

HOP = 240

Generator = np.random.Generator
Labels = NDArray[np.float32]


@dataclass(frozen=True)
class Item:
    """A clip: where it lies in the arrays."""

    first: int
    last: int


class Pool:
    """The clips of one side (train or dev), mapped from what `training.echo.prepare` wrote."""

    def __init__(self, work: Path, dev: bool) -> None:
        self.sound = np.load(work / "sound.npy", mmap_mode="r")
        self.near = np.load(work / "near.npy", mmap_mode="r")
        self.groups: dict[str, dict[str, list[Item]]] = {}
        for kind, group, is_dev, first, last in np.load(work / "index.npy", allow_pickle=True):
            if bool(is_dev) == dev:
                self.groups.setdefault(kind, {}).setdefault(group, []).append(Item(int(first), int(last)))

    def pick(self, rng: Generator, kind: str) -> Item:
        """A clip. Large collections do not drown the small: a source's weight is the square root of its size."""
        groups = list(self.groups.get(kind, self.groups["music"]).values())
        weight = np.sqrt([sum(i.last - i.first for i in g) for g in groups])
        group = groups[rng.choice(len(groups), p=weight / weight.sum())]
        lengths = np.sqrt([i.last - i.first for i in group])
        return group[rng.choice(len(group), p=lengths / lengths.sum())]

    def cut(self, rng: Generator, item: Item, samples: int) -> tuple[Sound, Labels]:
        """Up to so many samples from somewhere in a clip, and its labels."""
        length = item.last - item.first
        start = int(rng.integers(0, (length - samples) // HOP + 1)) * HOP if length > samples else 0
        part = self.sound[item.first + start : item.first + min(start + samples, length)].astype(np.float32) / 32768
        hop = (item.first + start) // HOP
        return part, self.near[hop : hop + len(part) // HOP].astype(np.float32) / 255


def level(sound: Sound) -> float:
    """RMS over the louder frames of 20 ms, those within 15 dB of the loudest tenth."""
    power = (sound[: len(sound) // 480 * 480].reshape(-1, 480) ** 2).mean(axis=1)
    if not len(power):
        return 1e-6
    loud = np.sort(power)[-max(1, len(power) // 10) :].mean()
    return float(np.sqrt(power[power >= loud / 31.6].mean() + 1e-12)) if loud > 0 else 1e-6


def talk(rng: Generator, pool: Pool, hops: int, begin: int, pause_s: float) -> tuple[Sound, Labels]:
    """Somebody speaks, from the hop `begin` on, in pieces of 0.5 to 8 s with pauses of `pause_s` on average: RMS 1."""
    sound, labels = np.zeros(hops * HOP, np.float32), np.zeros(hops, np.float32)
    voice = pool.pick(rng, "speech")
    factor = rng.uniform(0.82, 1.22) if rng.random() < 0.6 else 1.0
    at = begin
    while at < hops - 20:
        if rng.random() < 0.15:
            voice = pool.pick(rng, "speech")
        part, marks = pool.cut(rng, voice, int(np.exp(rng.uniform(np.log(0.5), np.log(8))) * RATE))
        if factor != 1.0:
            part = np.asarray(soxr.resample(part, RATE * factor, RATE, quality="LQ"), np.float32)
            place = np.clip((np.arange(len(part) // HOP) + 0.5) * factor - 0.5, 0, len(marks) - 1)
            marks = np.interp(place, np.arange(len(marks)), marks).astype(np.float32)
        count = min(len(marks), hops - at)
        part = part[: count * HOP] / max(level(part), 1e-4) * 10 ** (rng.uniform(-6, 2) / 20)
        edge = min(len(part), 120)
        part[:edge] *= np.linspace(0, 1, edge)
        part[len(part) - edge :] *= np.linspace(1, 0, edge)
        sound[at * HOP : (at + count) * HOP] = part
        labels[at : at + count] = marks[:count]
        at += count + int(rng.exponential(pause_s) * 100) + 1
    return sound, labels


def filled(rng: Generator, pool: Pool, kind: str, hops: int) -> Sound:
    """Clips of one kind in a row, RMS about 1: music, noise; short ones again and again."""
    out = np.zeros(hops * HOP, np.float32)
    item, again = pool.pick(rng, kind), rng.random() < 0.6
    pause, at = float(rng.choice([0.0, 0.0, 0.5, 2.0])), 0
    while at < len(out):
        part, _ = pool.cut(rng, item, len(out))
        part = part[: len(out) - at] / max(level(part), 1e-4)
        fade = min(len(part) // 2, 240)
        part[:fade] *= np.linspace(0, 1, fade)
        part[len(part) - fade :] *= np.linspace(1, 0, fade)
        out[at : at + len(part)] = part * 10 ** (rng.uniform(-6, 0) / 20)
        at += max(len(part), 2400) + (int(rng.exponential(pause) * RATE) if pause else 0)
        if not again:
            item = pool.pick(rng, kind)
    return out


def far_end(rng: Generator, pool: Pool, hops: int) -> Sound:
    """What a loudspeaker plays, RMS about 1: a voice, mostly; music; television; noises; or nothing."""
    which = rng.random()
    if which < 0.58:
        pause = float(rng.choice([0.1, 0.3, 1.0, 3.0]))
        return talk(rng, pool, hops, int(rng.exponential(0.5) * 100), pause)[0]
    if which < 0.69:
        return filled(rng, pool, "music" if rng.random() < 0.5 else "sung", hops)
    if which < 0.80:  # television: several voices over music or noise
        mixed = talk(rng, pool, hops, 0, 0.4)[0]
        under = filled(rng, pool, str(rng.choice(["music", "sung", "noise"])), hops)
        mixed += under * np.float32(10 ** (rng.uniform(-20, 0) / 20))
        if rng.random() < 0.3:
            mixed += talk(rng, pool, hops, 0, 1.0)[0] * np.float32(10 ** (rng.uniform(-15, 0) / 20))
        return mixed
    if which < 0.87:
        return unspoken(rng, pool, hops)
    return np.zeros(hops * HOP, np.float32)


def unspoken(rng: Generator, pool: Pool, hops: int) -> Sound:
    """Noises, recorded or made (taps, knocks, hums, tones), RMS about 1."""
    if rng.random() < 0.5:
        return filled(rng, pool, "noise", hops)
    sound = made_sounds.knocks(rng, hops * HOP) if rng.random() < 0.4 else made_sounds.made(rng, hops * HOP)
    return np.asarray(sound / max(level(sound), 1e-4), np.float32)
