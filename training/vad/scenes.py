"""Scenes of 20 s to learn from: clips of speech with pauses, in rooms, in noise, at any level, through any line.

    python -m training.vad.scenes build/vad --seed 1 --keep 40        # goes on until it is stopped
    python -m training.vad.scenes build/vad --dev --count 4           # from the clips held aside, always the same

Each shard holds SCENES scenes as the network's features (float16) and two soft labels a hop (uint8, of 255). Fresh
shards replace the oldest, so that what is learnt from is never the same for long.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.fft import irfft, rfft
from scipy.signal import fftconvolve

from engine.audio import Resampler, ulaw_decode, ulaw_encode
from training.vad import sounds
from training.vad.features import features
from training.vad.labels import closed
from training.vad.pool import RATE, Sound

SCENES = 48
SECONDS = 20
LENGTH = SECONDS * RATE
HOP = 240
HOPS = LENGTH // HOP

Generator = np.random.Generator


@dataclass(frozen=True)
class Item:
    """A clip of the pool: where it lies in the arrays."""

    first: int
    last: int
    rate: int


class Pool:
    """The clips of one side (train or dev), mapped from what `training.vad.prepare` wrote."""

    def __init__(self, work: Path, dev: bool) -> None:
        self.sound = np.load(work / "sound.npy", mmap_mode="r")
        self.labels = np.load(work / "labels.npy", mmap_mode="r")
        self.items: dict[str, list[Item]] = {"speech": [], "noise": [], "music": []}
        self.groups: dict[str, dict[str, list[Item]]] = {kind: {} for kind in self.items}
        for row in np.load(work / "index.npy", allow_pickle=True):
            kind, group, is_dev, first, last, rate = row
            if bool(is_dev) == dev:
                item = Item(int(first), int(last), int(rate))
                self.items[kind].append(item)
                self.groups[kind].setdefault(group, []).append(item)

    def pick(self, rng: Generator, kind: str) -> Item:
        """A clip. Large collections do not drown the small: a source's weight is the square root of its size."""
        groups = list(self.groups[kind].values())
        weight = np.sqrt([sum(i.last - i.first for i in g) for g in groups])
        group = groups[rng.choice(len(groups), p=weight / weight.sum())]
        lengths = np.sqrt([i.last - i.first for i in group])
        return group[rng.choice(len(group), p=lengths / lengths.sum())]

    def cut(self, rng: Generator, item: Item, samples: int) -> tuple[Sound, NDArray[np.float32]]:
        """Up to so many samples of a clip from somewhere in it, and its labels (2, hops)."""
        length = item.last - item.first
        start = int(rng.integers(0, max(1, (length - samples) // HOP + 1))) * HOP if length > samples else 0
        part = self.sound[item.first + start : item.first + min(start + samples, length)].astype(np.float32) / 32768
        hop = (item.first + start) // HOP
        return part, self.labels[:, hop : hop + len(part) // HOP].astype(np.float32) / 255


def level(sound: Sound) -> float:
    """RMS over the louder frames of 20 ms, those within 15 dB of the loudest tenth."""
    frames = sound[: len(sound) // 480 * 480].reshape(-1, 480)
    power = (frames**2).mean(axis=1)
    if not len(power):
        return 1e-6
    loud = np.sort(power)[-max(1, len(power) // 10) :].mean()
    return float(np.sqrt(power[power >= loud / 31.6].mean() + 1e-12)) if loud > 0 else 1e-6


def room(rng: Generator, sound: Sound) -> Sound:
    """In a room: an exponential decay, denser with time, in which high tones die sooner."""
    t60, ratio_db = np.exp(rng.uniform(np.log(0.1), np.log(0.9))), rng.uniform(-8, 15)
    n = int(t60 * RATE * 0.8)
    t = np.arange(n) / RATE
    tail = rng.standard_normal(n) * np.exp(-6.9 * t / t60)
    dull = rfft(tail) * (1 / (1 + (np.arange(n // 2 + 1) * RATE / n / rng.uniform(2000, 9000)) ** 2))
    tail = irfft(dull, n)
    tail[: int(rng.uniform(0.001, 0.008) * RATE)] = 0
    tail /= np.sqrt((tail**2).sum() + 1e-12)
    tail *= 10 ** (-ratio_db / 20)
    tail[0] = 1.0
    return np.asarray(fftconvolve(sound, tail)[: len(sound)], np.float32)


def equalise(rng: Generator, sound: Sound) -> Sound:
    """A microphone's colour: a tilt, bumps, and perhaps no bass."""
    n = len(sound)
    hz = np.fft.rfftfreq(n, 1 / RATE) + 1.0
    octave = np.log2(hz / 1000)
    gain = rng.uniform(-3, 3) * np.clip(octave, -4, 3)
    for _ in range(rng.integers(0, 4)):
        gain += rng.uniform(-10, 8) * np.exp(-0.5 * ((octave - rng.uniform(-3.5, 3)) / rng.uniform(0.15, 0.8)) ** 2)
    if rng.random() < 0.5:
        gain -= 10 * np.log10(1 + (rng.uniform(40, 300) / hz) ** 4)
    return np.asarray(irfft(rfft(sound) * 10 ** (gain / 20), n), np.float32)


def speed(rng: Generator, sound: Sound, labels: NDArray[np.float32]) -> tuple[Sound, NDArray[np.float32]]:
    """Faster and higher, or slower and lower."""
    factor = rng.uniform(0.85, 1.18)
    changed = np.asarray(soxr.resample(sound, RATE * factor, RATE, quality="LQ"), np.float32)
    hops = len(changed) // HOP
    at = np.clip((np.arange(hops) + 0.5) * factor - 0.5, 0, labels.shape[1] - 1)
    return changed, np.stack([np.interp(at, np.arange(labels.shape[1]), row) for row in labels]).astype(np.float32)


def talk(rng: Generator, pool: Pool) -> tuple[Sound, NDArray[np.float32]]:
    """Clips in a row with pauses between them; now and then two at once, or one from far away."""
    sound, labels = np.zeros(LENGTH, np.float32), np.zeros((2, HOPS), np.float32)
    same_voice = pool.pick(rng, "speech") if rng.random() < 0.6 else None
    pause = rng.choice([0.15, 0.5, 1.2, 3.0], p=[0.2, 0.3, 0.3, 0.2])
    own_room = rng.random() < 0.15
    at = int(rng.exponential(0.6) * 100)
    while at < HOPS - 20:
        item = same_voice if same_voice is not None and rng.random() < 0.8 else pool.pick(rng, "speech")
        part, marks = pool.cut(rng, item, int(min(rng.exponential(3.5) + 0.6, 12) * 100) * HOP)
        if rng.random() < 0.5:
            part, marks = speed(rng, part, marks)
        hops = min(marks.shape[1], HOPS - at)
        if hops < 10:
            break
        part = part[: hops * HOP] / level(part) * 10 ** (-rng.uniform(0, 10) / 20)
        if own_room and rng.random() < 0.5:
            part = room(rng, part) * 10 ** (-rng.uniform(3, 25) / 20)
        ramp = min(120, len(part) // 2)
        part[:ramp] *= np.linspace(0, 1, ramp)
        part[-ramp:] *= np.linspace(1, 0, ramp)
        sound[at * HOP : (at + hops) * HOP] += part
        labels[:, at : at + hops] = np.maximum(labels[:, at : at + hops], marks[:, :hops])
        gap = -rng.uniform(0, 1.0) if rng.random() < 0.06 else rng.exponential(pause)
        at += max(10, hops + int(gap * 100))
    labels[1] = closed(labels[1])  # pauses between clips are as good as those inside them
    return sound, labels


def noise(rng: Generator, pool: Pool) -> Sound:
    """20 s without speech, RMS 1 where it is loud: recorded, music, many voices, or made."""
    which = rng.random()
    if which < 0.62:
        made = repeat(rng, pool, "noise")
        if rng.random() < 0.25:
            made = made + repeat(rng, pool, "noise") * 10 ** (rng.uniform(-15, 5) / 20)
    elif which < 0.74:
        made = repeat(rng, pool, "music")
    elif which < 0.79:
        made = sum(
            (talk(rng, pool)[0] * rng.uniform(0.5, 1) for _ in range(rng.integers(5, 9))), np.zeros(LENGTH, np.float32)
        )
        made = room(rng, made)
    else:
        made = sounds.made(rng, LENGTH)
    if rng.random() < 0.35:
        made = equalise(rng, np.asarray(made, np.float32))
    return np.asarray(made / max(level(np.asarray(made, np.float32)), 1e-6), np.float32)


def repeat(rng: Generator, pool: Pool, kind: str) -> Sound:
    """A recording, or several of the same kind; short ones again and again, at varying level and with pauses."""
    out = np.zeros(LENGTH, np.float32)
    at, again = 0, rng.random() < 0.7
    item = pool.pick(rng, kind)
    pause = rng.choice([0.0, 0.5, 2.0])
    while at < LENGTH:
        part, marks = pool.cut(rng, item, LENGTH)
        if rng.random() < 0.5:
            part, _ = speed(rng, part, marks if marks.shape[1] else np.zeros((2, 1), np.float32))
        part = part[: LENGTH - at] / max(level(part), 1e-5)
        fade = min(len(part) // 2, 240)
        part[:fade] *= np.linspace(0, 1, fade)
        if len(part) + at < LENGTH:
            part[len(part) - fade :] *= np.linspace(1, 0, fade)
        out[at : at + len(part)] += part * 10 ** (rng.uniform(-8, 0) / 20)
        at += max(len(part), 2400) + int(rng.exponential(pause) * RATE if pause else 0)
        if not again:
            item = pool.pick(rng, kind)
    return out


def line(rng: Generator, sound: Sound) -> Sound:
    """What a microphone, a device and a line do: clipping, compression, narrow bands, companding, 16 bits."""
    which = rng.random()
    if which < 0.10:
        limit = np.abs(sound).max() * rng.uniform(0.05, 0.6)
        sound = np.clip(sound, -limit, limit)
    elif which < 0.18:
        drive = rng.uniform(1, 8) / max(np.abs(sound).max(), 1e-6)
        sound = np.tanh(sound * drive) / drive
    elif which < 0.24:
        frames = np.convolve(sound**2, np.ones(2400) / 2400, "same")
        sound = np.asarray(sound / (np.sqrt(np.maximum(frames, 0)) + 1e-3) ** rng.uniform(0.2, 0.6), np.float32)
    peak = np.abs(sound).max()
    if peak > 0.999 and rng.random() < 0.5:
        sound = np.asarray(sound * (0.999 / peak), np.float32)
    sound = np.clip(sound, -1, 1).astype(np.float32)
    which = rng.random()
    if which < 0.2:
        sound = through(sound, 8000, rng.random() < 0.5)
    elif which < 0.45:
        sound = through(sound, 16000, False)
    if rng.random() < 0.8:
        sound = np.asarray(np.round(sound * 32767) / 32768, np.float32)
    return np.asarray(sound, np.float32)


def through(sound: Sound, rate: int, companded: bool) -> Sound:
    """Down to a rate, and up again as the engine does it."""
    narrow = np.asarray(soxr.resample(sound, RATE, rate, quality="HQ"), np.float32)
    samples = np.round(np.clip(narrow, -1, 1) * 32767).astype(np.int16)
    if companded:
        samples = ulaw_decode(ulaw_encode(samples))
    resampler = Resampler(rate, RATE, "file")
    wide = np.concatenate([resampler.process(samples.astype(np.float32) / np.float32(32768)), resampler.flush()])
    late = round(resampler.latency_ms * RATE / 1000)
    out = np.zeros(len(sound), np.float32)
    out[: len(wide[late : late + len(sound)])] = wide[late : late + len(sound)]
    return out


def scene(rng: Generator, pool: Pool) -> tuple[NDArray[np.float16], NDArray[np.uint8]]:
    """Features (HOPS, FEATURES) and labels (2, HOPS)."""
    labels = np.zeros((2, HOPS), np.float32)
    if rng.random() < 0.22:
        sound = noise(rng, pool)
    else:
        sound, labels = talk(rng, pool)
        if rng.random() < 0.42:
            sound = room(rng, sound)
        sound = sound / max(level(sound), 1e-6)
        if rng.random() < 0.8:
            snr = rng.uniform(-4, 30)
            sound = sound + noise(rng, pool) * 10 ** (-snr / 20)
    if rng.random() < 0.4:
        sound = equalise(rng, sound)
    if rng.random() < 0.3:
        drift = np.interp(np.arange(LENGTH), np.linspace(0, LENGTH, 6), rng.uniform(-8, 8, 6))
        sound = sound * (10 ** (drift / 20)).astype(np.float32)
    db = rng.uniform(-45, -3) if rng.random() < 0.8 else rng.uniform(-60, -45)
    sound = sound / max(level(np.asarray(sound, np.float32)), 1e-6) * 10 ** (db / 20)
    floor = 10 ** (rng.uniform(-105, -58 if db > -40 else -75) / 20)
    sound = sound + floor * rng.standard_normal(LENGTH).astype(np.float32)
    sound = line(rng, np.asarray(sound, np.float32))
    return features(sound).astype(np.float16), np.round(labels * 255).astype(np.uint8)


def shard(rng: Generator, pool: Pool) -> dict[str, Any]:
    """SCENES scenes."""
    made = [scene(rng, pool) for _ in range(SCENES)]
    return {"features": np.stack([f for f, _ in made]), "labels": np.stack([x for _, x in made])}


def main() -> None:
    """Write shards."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dev", action="store_true")
    parser.add_argument("--count", type=int, help="stop after so many")
    parser.add_argument("--keep", type=int, default=40, help="newest shards that are kept")
    arguments = parser.parse_args()
    pool = Pool(arguments.work, arguments.dev)
    folder = arguments.work / ("dev" if arguments.dev else "shards")
    folder.mkdir(exist_ok=True)
    for number in itertools.count() if arguments.count is None else range(arguments.count):
        rng = np.random.default_rng([arguments.seed, number, int(arguments.dev)])
        path = folder / f"{arguments.seed:03d}-{number:05d}.npz"
        temporary = folder / f"{path.stem}.part"
        with temporary.open("wb") as file:
            np.savez(file, **shard(rng, pool))
        temporary.replace(path)
        if not arguments.dev:
            for old in sorted(folder.glob(f"{arguments.seed:03d}-*.npz"))[: -arguments.keep]:
                old.unlink()


if __name__ == "__main__":
    main()
