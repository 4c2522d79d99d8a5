"""The clips that scenes are made of: read once, at 24 kHz, and divided into those to learn from and those held aside.

A clip is held aside by the name of its source, so that no speaker or recording is on both sides: `DEV_SHARE` of the
sources of each kind, chosen by a hash of the name, which neither the order of the files nor a seed can change.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

RATE = 24000
DEV_SHARE = 0.08
SINGING = ("with-singing", "solo-singing", "sung-notes", "choir", "?")

Sound = NDArray[np.float32]


@dataclass(frozen=True)
class Clip:
    """One file of the pool. `kind` is speech, noise or music; `group` the repository it came from."""

    name: str
    kind: str
    detail: str
    group: str
    rate: int
    dev: bool

    @property
    def sung(self) -> bool:
        """Whether a voice sings in it, or may."""
        return self.kind == "music" and any(word in self.detail for word in SINGING)


def clips(folder: Path) -> list[Clip]:
    """What the manifest lists, in its order."""
    found = []
    with (folder / "manifest.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            speaker = _speaker(row)
            dev = int(hashlib.sha256(speaker.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF < DEV_SHARE
            found.append(
                Clip(row["file"], row["kind"], row["detail"], row["source"].split("@")[0], int(row["rate"]), dev)
            )
    return found


def _speaker(row: dict[str, str]) -> str:
    """What must not be on both sides: for speech the folder it lay in, for the rest the recording."""
    source = row["source"].split(" ")[0]
    return source.rsplit("/", 1)[0] if row["kind"] == "speech" else source.rsplit(".", 1)[0].rstrip("0123456789-_")


def read(folder: Path, clip: Clip, rate: int = RATE) -> Sound:
    """The clip at `rate`, as it is: no change of level."""
    sound, native = soundfile.read(folder / clip.name, dtype="float32", always_2d=True)
    mono = sound.mean(axis=1, dtype=np.float32)
    return mono if native == rate else np.asarray(soxr.resample(mono, native, rate, quality="HQ"), np.float32)
