"""A chirp, and where it is in what a microphone heard. Mono float at 24 kHz; numbers only, no device."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RATE = 24000
LENGTH_S, PERIOD_S = 0.2, 0.6
LOW_HZ, HIGH_HZ = 300.0, 7000.0
LEVEL_DB = -12.0
LEAST_LIKENESS = 0.12  # noise reaches 3 / sqrt(2 * 6700 Hz * 0.2 s) = 0.06
EDGE = 240

Sound = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Echo:
    """One chirp found: `lag` samples (fractions too) after it was played, `gain_db` against what was played, and
    `likeness` 0..1 of what was heard there to a chirp.
    """

    lag: float
    gain_db: float
    likeness: float


def chirp() -> Sound:
    """A sweep that rises evenly, with soft edges."""
    t = np.arange(round(LENGTH_S * RATE)) / RATE
    phase = 2 * np.pi * (LOW_HZ * t + (HIGH_HZ - LOW_HZ) / (2 * LENGTH_S) * t**2)
    edge = 0.5 - 0.5 * np.cos(np.pi * np.arange(EDGE) / EDGE)
    window = np.ones(len(t))
    window[:EDGE], window[-EDGE:] = edge, edge[::-1]
    return np.asarray(10 ** (LEVEL_DB / 20) * window * np.sin(phase))


def train(count: int) -> Sound:
    """So many chirps, one each PERIOD_S, with silence behind each."""
    one = np.zeros(round(PERIOD_S * RATE))
    sweep = chirp()
    one[: len(sweep)] = sweep
    return np.tile(one, count)


def find(heard: Sound, played_at: int, count: int) -> list[Echo | None]:
    """Each chirp of a train whose first sample is at `played_at` in the time of `heard`; None where it is not heard."""
    period = round(PERIOD_S * RATE)
    return [_one(heard, played_at + number * period, period) for number in range(count)]


def _one(heard: Sound, start: int, room: int) -> Echo | None:
    """The chirp that begins in `room` samples from `start` on."""
    sweep = chirp()
    begin = max(start, 0)
    part = heard[begin : start + room + len(sweep)]
    if len(part) < len(sweep) or not part.any():
        return None
    size = 1 << (len(part) + len(sweep) - 1).bit_length()
    product = np.fft.rfft(part, size) * np.conj(np.fft.rfft(sweep, size))
    match = np.fft.irfft(product, size)[: len(part) - len(sweep) + 1]
    energy = np.concatenate([[0.0], np.cumsum(part**2)])
    around = np.sqrt(np.maximum(energy[len(sweep) :] - energy[: -len(sweep)], 1e-12))
    power = float((sweep**2).sum())
    peak = int(np.abs(match).argmax())
    likeness = float(abs(match[peak]) / (around[peak] * math.sqrt(power)))
    if likeness < LEAST_LIKENESS:
        return None
    gain = abs(float(match[peak])) / power
    lag = begin - start + _summit(np.abs(match), peak)
    return Echo(lag, 20 * math.log10(max(gain, 1e-9)), min(likeness, 1.0))


def _summit(values: Sound, peak: int) -> float:
    """The highest point of a parabola through the peak and its neighbours."""
    if not 0 < peak < len(values) - 1:
        return float(peak)
    left, top, right = values[peak - 1 : peak + 2]
    bend = left - 2 * top + right
    return float(peak + (0.5 * (left - right) / bend if bend else 0.0))
