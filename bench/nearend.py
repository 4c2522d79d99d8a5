"""Near-end sounds for the scorer of barge-in: labelled onsets of speech, noises by class, and bursts.

Files come from $BARGEIN_SHARED or ../shared (audio/vad, audio/noise) where they are there; without them, the demo's
caller and made noises stand in, and the tables say so. Everything is mono float32 at 24 kHz.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio import Resampler
from engine.endpoints.wav import read_wav

RATE = 24000
GAP_S, LEAST_S, LEAD_S, MOST_S = 0.4, 0.3, 0.5, 3.0

Sound = NDArray[np.float32]

CLASSES = {
    "alley": "street", "cafe": "cafe", "dishes": "dishes", "carhorn": "car horn", "dog": "dog", "thunder": "thunder",
    "rub": "handling", "tap": "keyboard", "speechbrain": "steady",
}  # fmt: skip


@dataclass(frozen=True)
class Utterance:
    """Speech with a labelled onset: `onset` samples of what was before it come first."""

    group: str
    name: str
    sound: Sound
    onset: int


@dataclass(frozen=True)
class Noise:
    """A noise without anybody who interrupts in it."""

    kind: str
    name: str
    sound: Sound


def shared(*parts: str) -> Path | None:
    """A folder of the shared data, if it is there."""
    root = Path(os.environ.get("BARGEIN_SHARED") or Path(__file__).resolve().parents[2] / "shared")
    path = root.joinpath(*parts)
    return path if path.exists() else None


def load(path: Path) -> Sound:
    """A file at 24 kHz."""
    wav = read_wav(path)
    samples: Sound = wav.samples.astype(np.float32) * np.float32(1 / 32768)
    if wav.rate == RATE:
        return samples
    resampler = Resampler(wav.rate, RATE, "file")
    whole = np.concatenate([resampler.process(samples), resampler.flush()])
    return np.asarray(whole[round(resampler.latency_ms * RATE / 1000) :], np.float32)


def level(sound: Sound, db: float) -> Sound:
    """The sound at an RMS level in dBFS, measured over its loudest tenth of 20 ms frames."""
    frames = sound[: len(sound) // 480 * 480].reshape(-1, 480)
    power = np.sort((frames**2).mean(axis=1))[-max(1, len(frames) // 10) :].mean()
    return np.asarray(np.clip(sound * 10 ** (db / 20) / np.sqrt(power + 1e-12), -1, 1), np.float32)


def _spans(path: Path) -> list[tuple[float, float]]:
    """Where somebody speaks, in seconds, joined over overlaps."""
    text = path.read_text().strip()
    if path.suffix == ".scv":
        cells = [float(cell) for cell in text.split(",")[1:]]
        found = [(a, b) for a, b, speech in zip(cells[::3], cells[1::3], cells[2::3], strict=False) if speech]
    else:
        rows = [line.split() for line in text.splitlines()]
        found = sorted((float(row[3]), float(row[3]) + float(row[4])) for row in rows)
    spans: list[tuple[float, float]] = []
    for begin, end in found:
        if spans and begin <= spans[-1][1] + 1e-6:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((begin, end))
    return spans


def _cut(group: str, name: str, sound: Sound, spans: list[tuple[float, float]]) -> Iterator[Utterance]:
    before = 0.0
    for begin, end in spans:
        gap, before = begin - before, end
        if gap < GAP_S or end - begin < LEAST_S:
            continue
        lead = min(gap - 0.1, LEAD_S)  # what is said before has died away
        first, last = round((begin - lead) * RATE), round(min(end, begin + MOST_S) * RATE)
        yield Utterance(group, f"{name}@{begin:.2f}", sound[first:last], round(lead * RATE))


def utterances() -> list[Utterance]:
    """Onsets after at least 0.4 s of pause, of at least 0.3 s of speech."""
    folder = shared("audio", "vad")
    if folder is None:
        data = Path(str(files("engine") / "data"))
        spans = [(part["start_s"], part["end_s"]) for part in json.loads((data / "caller.json").read_text())["speech"]]
        return list(_cut("demo caller", "caller", load(data / "caller.wav"), spans))
    found: list[Utterance] = []
    for path in sorted(folder.glob("*.scv")) + sorted(folder.glob("*.rttm")):
        group = "read and spontaneous speech" if path.suffix == ".scv" else "meetings, far talkers"
        found += _cut(group, path.stem, load(path.with_suffix(".wav")), _spans(path))
    return found


def noises(seed: int = 1) -> list[Noise]:
    """Noises by class."""
    folder = shared("audio", "noise")
    if folder is not None:
        return [
            Noise(kind, path.stem, load(path))
            for path in sorted(folder.glob("*.wav"))
            for mark, kind in CLASSES.items()
            if re.search(mark, path.stem) and "voicebank" not in path.stem
        ]
    return [Noise(kind, kind, bursts(kind, 5.0, seed)) for kind in ("noise", "rumble", "knocks")]


BURSTS = ("noise", "cough", "rumble", "knocks", "bang", "tone", "vowel")


def bursts(kind: str, seconds: float, seed: int, hz: float = 150.0) -> Sound:
    """A sudden sound of a length. `tone` and `vowel` have a pitch: a short word would be like them."""
    rng = np.random.default_rng(seed)
    samples = round(seconds * RATE)
    time = np.arange(samples) / RATE
    white, fall = rng.standard_normal(samples), np.exp(-time / 0.06)
    made: dict[str, Any] = {
        "noise": lambda: white,
        "cough": lambda: white * fall,
        "rumble": lambda: np.convolve(white, np.ones(12) / 12**0.5, "same"),
        "knocks": lambda: np.where(np.arange(samples) % 1600 < 200, 2 * white, 0.01 * white),
        "bang": lambda: 2 * np.sign(white) * fall,
        "tone": lambda: np.sin(2 * np.pi * 2.5 * hz * time),
        "vowel": lambda: sum(np.cos(2 * np.pi * hz * k * time) / k for k in range(1, 20)),
    }
    return np.asarray(made[kind](), np.float32)
