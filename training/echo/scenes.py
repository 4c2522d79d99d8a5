"""Scenes of 20 s to learn from: something plays in a room, somebody speaks in it, or not.

    python -m training.echo.scenes build/echo --seed 1 --count 12       # shards of 48 scenes; without --count: for ever
    python -m training.echo.scenes build/echo --dev --count 2           # from the clips held aside, always the same

A scene goes through the simulated room (`engine.audio.room`) and the linear canceller of the C core. A shard holds the
network's features (float16) and, of 255, the gain in each band that would leave what is not echo, the teacher's
probability that somebody near speaks, and how much the gains count (bands without sound do not).
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from engine.audio.room import DelayJump, Heard, Room, RoomConfig, random_room
from training.echo import chain
from training.echo.sounds import Generator, Labels, Pool, far_end, filled, level, talk, unspoken
from training.vad.pool import RATE, Sound

SCENES = 48
HOPS = 2000
HOP = 240
EMPTY = 10**-9.5  # band power of no account, -95 dB


def room_of(rng: Generator) -> RoomConfig:
    """A hard room; a fifth with longer delays, as some devices have."""
    room = random_room(int(rng.integers(2**31)), HOPS / 100)
    if rng.random() < 0.2:
        late = rng.uniform(0.2, 0.44)
        events = tuple(e for e in room.events if not isinstance(e, DelayJump))
        room = replace(room, delay_s=late, events=events)
    if rng.random() < 0.1:
        room = replace(room, drive=rng.uniform(6, 15))
    return replace(room, noise_db=None, echo_db=0.0)


def near_end(rng: Generator, pool: Pool) -> tuple[Sound, Labels]:
    """Who speaks and when: nobody, or from the beginning, or once the canceller has had time."""
    if rng.random() < 0.42:
        return np.zeros(HOPS * HOP, np.float32), np.zeros(HOPS, np.float32)
    begin = int(rng.exponential(100) if rng.random() < 0.4 else rng.uniform(250, 1200))
    return talk(rng, pool, HOPS, begin, float(rng.choice([0.2, 0.8, 2.0, 5.0])))


def wandering(rng: Generator, sound: Sound) -> Sound:
    """Somebody turns the loudspeaker's own knob: steps of up to 12 dB."""
    steps = rng.integers(1, 4)
    at = np.sort(rng.uniform(0, len(sound), steps)).repeat(2) + np.tile([0, 1200], steps)
    db = np.concatenate([[0.0], np.clip(np.cumsum(rng.uniform(-12, 12, steps)), -15, 9)]).repeat(2)[1:-1]
    return np.asarray(sound * 10 ** (np.interp(np.arange(len(sound)), at, db) / 20), np.float32)


def surroundings(rng: Generator, pool: Pool, config: RoomConfig, echo: float) -> Sound:
    """What else the microphone hears: steady noise; in half of the scenes something that is no voice, from a place."""
    hops = HOPS * HOP
    steady = Room(replace(config, noise_db=-26.0), int(rng.integers(2**31))).process(np.zeros(hops, np.float32)).noise
    sound = steady / level(steady) * echo * 10 ** (-rng.uniform(12, 55) / 20)
    if rng.random() < 0.5:
        kind = rng.random()
        other = unspoken(rng, pool, HOPS) if kind < 0.7 else filled(rng, pool, "music", HOPS)
        place = Room(replace(config, events=()), 1).process(np.zeros_like(other), other).near
        sound = sound + place / max(level(place), 1e-5) * echo * 10 ** (-rng.uniform(-8, 30) / 20)
    return np.asarray(sound, np.float32)


def heard(rng: Generator, pool: Pool, silent: float) -> tuple[Sound, Heard, Labels]:
    """The reference, what the microphone hears of each, and who speaks."""
    config, (near, labels), far = room_of(rng), near_end(rng, pool), far_end(rng, pool, HOPS)
    far = far * (rng.random() >= silent) * 10 ** (rng.uniform(-42, -12) / 20)
    if rng.random() < 0.4:  # its line is not silent when nothing is played
        far += 10 ** (rng.uniform(-95, -58) / 20) * rng.standard_normal(len(far))
    far = np.clip(far, -1, 1).astype(np.float32)
    parts = Room(config, int(rng.integers(2**31))).process(far, near)
    echo = parts.echo
    if rng.random() < 0.1:
        echo = wandering(rng, echo)
    usual = level(echo) if np.any(echo) else 0.05
    if rng.random() < 0.1:  # headphones
        echo = echo * np.float32(10 ** (-rng.uniform(25, 70) / 20))
        near_db = rng.uniform(-20, 12)
    else:
        near_db = rng.uniform(-14, 12)
    near = parts.near / max(level(parts.near), 1e-4) * usual * 10 ** (near_db / 20) if near.any() else parts.near
    noise = surroundings(rng, pool, config, usual)
    gain = 10 ** (rng.uniform(-48, -5) / 20) / max(usual, level(near))
    return far, Heard(echo * np.float32(gain), (near * gain).astype(np.float32), noise * np.float32(gain)), labels


def narrow(sound: Sound, rate: int) -> Sound:
    """Through a line of a lower rate and back."""
    down = soxr.resample(sound, RATE, rate, quality="MQ")
    return np.resize(np.asarray(soxr.resample(down, rate, RATE, quality="MQ"), np.float32), len(sound))


def scene(rng: Generator, pool: Pool, silent: float = 0.0) -> tuple[NDArray[np.float16], NDArray[np.uint8]]:
    """Features (HOPS, FEATURES); gains, probability and weights (HOPS, 2 BANDS + 1), of 255."""
    far, parts, labels = heard(rng, pool, silent)
    microphone, near = parts.microphone, parts.near + parts.noise
    which = rng.random()
    if which < 0.3:
        rate = 8000 if which < 0.06 else 16000
        microphone, near = narrow(microphone, rate), narrow(near, rate)
    microphone = np.round(microphone * 32767) / np.float32(32768)
    left, echo, aligned = chain.linear(np.asarray(np.round(far * 32767) / 32768, np.float32), microphone)
    features, power = chain.features(left, echo, aligned)
    gains = np.sqrt(np.minimum(1.0, chain.powers(near) / np.maximum(power, EMPTY)))
    counts = np.clip((np.log10(np.maximum(power, 1e-12)) + 9.5) / 2, 0, 1)
    told = np.concatenate([gains, labels[:, None], counts], axis=1)
    return features.astype(np.float16), np.round(told * 255).astype(np.uint8)


def main() -> None:
    """Write shards."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dev", action="store_true")
    parser.add_argument("--silent", type=float, default=0.0, help="share of scenes in which nothing is made to play")
    parser.add_argument("--count", type=int, help="stop after so many")
    arguments = parser.parse_args()
    pool = Pool(arguments.work, arguments.dev)
    folder = arguments.work / ("dev" if arguments.dev else "shards")
    folder.mkdir(exist_ok=True)
    for number in itertools.count() if arguments.count is None else range(arguments.count):
        rng = np.random.default_rng([arguments.seed, number, int(arguments.dev)])
        made = [scene(rng, pool, arguments.silent) for _ in range(SCENES)]
        path = folder / f"{arguments.seed:03d}-{number:05d}.npz"
        temporary = folder / f"{path.stem}.part"
        with temporary.open("wb") as file:
            np.savez(file, features=np.stack([f for f, _ in made]), told=np.stack([t for _, t in made]))
        temporary.replace(path)
        print(path, flush=True)


if __name__ == "__main__":
    main()
