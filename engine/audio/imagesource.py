"""The response of a room shaped like a box to a click: image sources first, then noise that decays.

J. Allen, D. Berkley, "Image method for efficiently simulating small-room acoustics", JASA 1979; the walls absorb what
Eyring's formula says. numpy alone; a room of 30 m2 takes about a millisecond.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

RATE = 24000
SOUND_M_S = 343.0
EARLY_S = 0.05  # of image sources

Sound = NDArray[np.float32]
Point = tuple[float, float, float]
Vector = NDArray[np.float64]


def response(size_m: Point, source_m: Point, microphone_m: Point, t60_s: float, seed: int = 0) -> Sound:
    """What the microphone hears of a click at the source, with an energy of 1, to the end of its decay.

    The direct sound is at sample round(distance / 343 m/s * 24 kHz). `seed` is of the noise the decay is made of.
    """
    length = round((t60_s + EARLY_S) * RATE) + 1
    early = _images(np.array(size_m), np.array(source_m), np.array(microphone_m), t60_s)
    if t60_s:
        early = np.concatenate([early, np.zeros(max(0, length - len(early)))])
        rng = np.random.default_rng(seed)
        mixed, before = round(EARLY_S * RATE), round(0.015 * RATE)
        decay = np.exp(-math.log(1000) / (t60_s * RATE) * np.arange(len(early)))
        tail = rng.standard_normal(len(early)) * decay
        had = (early[mixed - before : mixed] ** 2).sum()
        would = (decay[mixed - before : mixed] ** 2).sum()
        early[mixed:] = tail[mixed:] * math.sqrt(had / would)
    return np.asarray(early / math.sqrt((early**2).sum()), np.float32)


def _images(size: Vector, source: Vector, at: Vector, t60_s: float) -> Vector:
    """The source and its mirror images within EARLY_S, each at its sample, the weaker the longer its way and the more
    walls it met.
    """
    direct = float(np.linalg.norm(source - at))
    samples = max(round(EARLY_S * RATE), round(direct / SOUND_M_S * RATE) + 1)
    out = np.zeros(samples)
    if not t60_s:
        out[samples - 1 if samples > round(EARLY_S * RATE) else round(direct / SOUND_M_S * RATE)] = 1.0
        return out
    surface = 2 * (size[0] * size[1] + size[1] * size[2] + size[0] * size[2])
    kept = math.exp(-0.161 * float(size.prod()) / (surface * t60_s))  # of the energy, at each wall
    far = samples / RATE * SOUND_M_S
    offsets, walls = [], []
    for axis in range(3):
        n = np.arange(-math.ceil(far / (2 * size[axis])) - 1, math.ceil(far / (2 * size[axis])) + 2)
        same, mirrored = source[axis] - at[axis], -source[axis] - at[axis]
        offsets.append(np.concatenate([same + 2 * n * size[axis], mirrored + 2 * n * size[axis]]))
        walls.append(np.concatenate([np.abs(2 * n), np.abs(2 * n - 1)]))
    square = [o**2 for o in offsets]
    way = np.sqrt(square[0][:, None, None] + square[1][None, :, None] + square[2][None, None, :])
    hits = walls[0][:, None, None] + walls[1][None, :, None] + walls[2][None, None, :]
    index = np.round(way / SOUND_M_S * RATE).astype(np.int64)
    heard = index < samples
    amplitude = kept ** (hits[heard] / 2) / np.maximum(way[heard], 0.05)
    return np.asarray(np.bincount(index[heard], amplitude, samples), np.float64)
