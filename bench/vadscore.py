"""How a voice-activity detector is scored: frames on a 10 ms grid against labels, and how long it takes to see.

A detector is heard as one score in [0, 1] per 10 ms. Delays of onsets and offsets charge everything: they end with the
frame that decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

GRID_S = 0.01
LEAST_PAUSE_S = 0.2

Scores = NDArray[np.float32]
Spans = list[tuple[float, float]]


def spans(path: Path) -> Spans:
    """Where somebody speaks, in seconds, joined over overlaps: of an .scv or .rttm file."""
    text = path.read_text().strip()
    if path.suffix == ".scv":
        cells = [float(cell) for cell in text.split(",")[1:]]
        found = [(a, b) for a, b, speech in zip(cells[::3], cells[1::3], cells[2::3], strict=False) if speech]
    else:
        rows = [row.split() for row in text.splitlines()]
        found = sorted((float(row[3]), float(row[3]) + float(row[4])) for row in rows)
    joined: Spans = []
    for begin, end in found:
        if joined and begin <= joined[-1][1] + 1e-6:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return joined


def truth(speech: Spans, hops: int) -> NDArray[np.bool_]:
    """The labels on the grid, each read in the middle of its 10 ms."""
    middle = (np.arange(hops) + 0.5) * GRID_S
    found = np.zeros(hops, bool)
    for begin, end in speech:
        found |= (middle >= begin) & (middle < end)
    return found


def auc(score: Scores, labels: NDArray[np.bool_]) -> float:
    """Area under the ROC curve; ties count half."""
    _, which, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[which]
    positive = int(labels.sum())
    return float((ranks[labels].sum() - positive * (positive + 1) / 2) / (positive * (len(labels) - positive)))


def balanced(score: Scores, labels: NDArray[np.bool_], threshold: float = 0.5) -> float:
    """Mean of the shares of speech and of the rest that are called what they are."""
    called = score >= threshold
    return float((called[labels].mean() + (~called[~labels]).mean()) / 2)


@dataclass
class Delays:
    """Milliseconds from labels to decisions. `early`: on before the onset; `never`: not let go in a pause."""

    onsets: list[float] = field(default_factory=list)
    offsets: list[float] = field(default_factory=list)
    early: int = 0
    missed: int = 0
    never: int = 0

    def add(self, score: Scores, speech: Spans, threshold: float = 0.5) -> None:
        """One file. The decision of hop k is known at its end, (k + 1) * 10 ms."""
        on, ends = score >= threshold, (np.arange(len(score)) + 1) * GRID_S
        length = len(score) * GRID_S
        for i, (begin, end) in enumerate(speech):
            first = int(np.searchsorted(ends, begin + 1e-9))
            if begin > GRID_S and first > 0:
                within = np.flatnonzero(on[first : int(np.searchsorted(ends, end))])
                if on[first - 1]:
                    self.early += 1
                elif not len(within):
                    self.missed += 1
                else:
                    self.onsets.append(1000 * (ends[first + within[0]] - begin))
            pause = (speech[i + 1][0] if i + 1 < len(speech) else length) - end
            if pause < LEAST_PAUSE_S:
                continue
            first, last = (int(np.searchsorted(ends, at + 1e-9)) for at in (end, end + pause))
            quiet = np.flatnonzero(~on[first : min(last, len(on))])
            if first > 0 and not on[min(first, len(on)) - 1]:
                self.offsets.append(0.0)
            elif len(quiet):
                self.offsets.append(1000 * (ends[first + quiet[0]] - end))
            else:
                self.never += 1


def quantiles(values: list[float]) -> str:
    """Median and 90th percentile."""
    return f"{np.median(values):.0f}/{np.percentile(values, 90):.0f}" if values else "-"


def mixed(
    sound: NDArray[np.float32], noise: NDArray[np.float32], labels: NDArray[np.bool_], snr_db: float, rate: int
) -> NDArray[np.float32]:
    """The noise, repeated, under the sound: its whole RMS against that of the samples labelled as speech."""
    under = np.resize(noise, len(sound))
    marked = np.repeat(labels, rate // 100)
    marked = np.pad(marked, (0, max(0, len(sound) - len(marked))))[: len(sound)]
    speech = np.sqrt((sound[marked] ** 2).mean()) if marked.any() else 0.1
    gain = speech * 10 ** (-snr_db / 20) / np.sqrt((under**2).mean() + 1e-12)
    return np.asarray(sound + gain * under, np.float32)
