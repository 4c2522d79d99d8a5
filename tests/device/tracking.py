"""Sound of which no two pieces are alike, and where in it a piece belongs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def noise(seed: int, rate: int, seconds: float) -> NDArray[np.int16]:
    """Noise below 4 kHz."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(int(rate * seconds)))
    spectrum[int(4000 * seconds) :] = 0
    made = np.fft.irfft(spectrum, int(rate * seconds))
    return np.asarray(9000 * made / np.abs(made).max(), np.int16)


def place(piece: NDArray[Any], played: NDArray[Any]) -> tuple[int, float]:
    """Where in `played` a piece comes from, and its correlation with what was there."""
    size = 1 << (len(played) + len(piece)).bit_length()
    across = np.fft.irfft(np.fft.rfft(played, size) * np.conj(np.fft.rfft(piece, size)), size)
    at = int(np.argmax(across[: len(played) - len(piece)]))
    return at, float(np.corrcoef(piece, played[at : at + len(piece)])[0, 1])


def steps(recorded: NDArray[np.int16], played: NDArray[Any], rate: int) -> list[float]:
    """What is missing (positive) or was put in (negative) between one found piece of 20 ms and the next, in ms; what is
    less than a quarter of a millisecond is none.
    """
    piece = rate // 50
    loud = np.flatnonzero(np.abs(recorded.astype(np.int32)) > 100)
    if not len(loud):
        return []
    found = []
    for at in range(int(loud[0]), int(loud[-1]) - piece, piece):
        if recorded[at : at + piece].any():
            where, fit = place(recorded[at : at + piece], played)
            found += [where - at] if fit > 0.9 else []
    moves = np.diff(found) * 1000.0 / rate
    return [float(move) for move in moves if abs(move) > 0.25]
