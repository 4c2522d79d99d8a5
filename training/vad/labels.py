"""Soft labels of a clean clip on a 10 ms grid, from what the teacher heard in it: exact speech, and bridged speech.

Silero judges 32 ms at a time and holds on for a while, so its word for an instant is read later: from the mean of its
logits for the frames that end SOON_MS and LATER_MS after it. To make the pauses between words as short as they are,
exact speech is raised and lowered with the level: by BY_PEAK per dB against the loudest of the second around it, and by
BY_FLOOR per dB above the softest of the last and next 1.5 s. Bridged speech has pauses of less than BRIDGE_MS filled.
"""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.ndimage import grey_closing, maximum_filter1d, minimum_filter1d, uniform_filter1d
from scipy.signal import butter, sosfilt

HOP_MS = 10
SOON_MS, LATER_MS, LOWER = (32, 72), (80, 112), 0.7
BY_PEAK, BELOW_PEAK_DB = 0.05, 18.0
BY_FLOOR, ABOVE_FLOOR_DB = 0.05, 15.0
BRIDGE_MS = 500
RATE = 16000

Labels = NDArray[np.float32]


def band_db(sound: NDArray[np.float32], rate: int) -> Labels:
    """Level of the telephone band over 20 ms about the middle of every 10 ms, in dBFS."""
    if rate != RATE:
        sound = np.asarray(soxr.resample(sound, rate, RATE, quality="HQ"), np.float32)
    band = sosfilt(butter(2, (200, 3800), "bandpass", fs=RATE, output="sos"), sound)
    power = np.add.reduceat(np.pad(band, (0, -len(band) % 80)) ** 2, np.arange(0, len(band), 80)) / 80
    power = np.convolve(power, np.ones(4) / 4, "full")[2:]  # block i: the mean of 5 ms blocks i - 1 .. i + 2
    return np.asarray(10 * np.log10(power[: len(power) // 2 * 2 : 2] + 1e-10), np.float32)


def read(logits: NDArray[np.float32], hops: int, span_ms: tuple[int, int] = SOON_MS) -> Labels:
    """The teacher's logit for each 10 ms: the mean of what it says so long after."""
    grid = np.pad(logits, (0, 20), constant_values=-8.0)
    ends = (np.arange(len(grid)) + 1) * 8.0
    middle = (np.arange(hops) + 0.5) * HOP_MS
    return np.asarray(np.mean([np.interp(middle + ms, ends, grid) for ms in range(*span_ms, 8)], axis=0), np.float32)


def exact(logits: NDArray[np.float32], db: Labels) -> Labels:
    """Probability that somebody speaks in each 10 ms: mostly the lower of what the teacher says soon after, and what it
    says later still, since it sees a beginning sooner than an end.
    """
    soon, later = read(logits, len(db)), read(logits, len(db), LATER_MS)
    logit = (1 - LOWER) * soon + LOWER * np.minimum(soon, later)
    peak = uniform_filter1d(maximum_filter1d(db, 101), 31)
    floor = minimum_filter1d(uniform_filter1d(db, 3), 301)
    level = BY_PEAK * (db - peak + BELOW_PEAK_DB) + BY_FLOOR * (db - floor - ABOVE_FLOOR_DB)
    return probability(np.asarray(logit + level, np.float32))


def bridged(logits: NDArray[np.float32], hops: int) -> Labels:
    """Probability that it is speech or a short pause in speech."""
    return closed(probability(read(logits, hops)))


def closed(speech: Labels) -> Labels:
    """Pauses of less than BRIDGE_MS filled."""
    filled = grey_closing(np.pad(speech, 100), size=BRIDGE_MS // HOP_MS)
    return np.asarray(filled[100:-100], np.float32)


def probability(logit: Labels) -> Labels:
    """0 to 1."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logit, -12, 12))), np.float32)
