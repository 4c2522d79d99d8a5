"""The pool as arrays that processes can share: sound.npy (int16, 24 kHz), near.npy (hops) and index.npy.

    python -m training.vad.teacher ../shared/audio/train build/echo         # first: what Silero hears
    python -m training.echo.prepare ../shared/audio/train build/echo

`near` is the teacher's probability that somebody speaks in each 10 ms, of 255, as `training.vad.labels.read` has it:
its lag removed. Music with a voice in it is kept apart, as `sung`: a loudspeaker plays it, nobody in the room sings.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from training.vad import labels
from training.vad.pool import RATE, clips, read

HOP = 240


def main() -> None:
    """Write them. Every clip begins on a hop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("work", type=Path)
    arguments = parser.parse_args()
    heard = np.load(arguments.work / "teacher.npz")
    sounds, marks, index, at = [], [], [], 0
    for clip in clips(arguments.folder):
        sound = read(arguments.folder, clip)
        sound = sound[: len(sound) // HOP * HOP]
        near = np.zeros(len(sound) // HOP, np.float32)
        if clip.kind == "speech":
            near = labels.probability(labels.read(heard[clip.name], len(near)))
        sounds.append(np.round(np.clip(sound, -1, 1) * 32767).astype(np.int16))
        marks.append(np.round(near * 255).astype(np.uint8))
        kind = "sung" if clip.sung else clip.kind
        index.append((kind, clip.group, clip.dev, at, at + len(sound)))
        at += len(sound)
    np.save(arguments.work / "sound.npy", np.concatenate(sounds))
    np.save(arguments.work / "near.npy", np.concatenate(marks))
    np.save(arguments.work / "index.npy", np.array(index, dtype=object))
    for kind in ("speech", "noise", "music", "sung"):
        for dev in (False, True):
            seconds = sum(row[4] - row[3] for row in index if row[0] == kind and row[2] == dev) / RATE
            print(f"{kind}{' held aside' if dev else ''}: {seconds / 60:.0f} min")


if __name__ == "__main__":
    main()
