"""The pool as three arrays that processes can share: sound.npy (int16, 24 kHz), labels.npy (2, hops) and index.npy.

python -m training.vad.prepare ../shared/audio/train build/vad        # after training.vad.teacher
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from training.vad import labels
from training.vad.pool import RATE, clips, read

HOP = 240


def main() -> None:
    """Write them. Every clip begins on a hop. Music with a voice in it is left out: neither speech nor none."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("work", type=Path)
    arguments = parser.parse_args()
    heard = np.load(arguments.work / "teacher.npz")
    sounds, marks, index, at = [], [], [], 0
    for clip in clips(arguments.folder):
        if clip.sung:
            continue
        sound = read(arguments.folder, clip)
        sound = sound[: len(sound) // HOP * HOP]
        found = np.zeros((2, len(sound) // HOP), np.float32)
        if clip.kind == "speech":
            db = labels.band_db(sound, RATE)[: found.shape[1]]
            found[0, : len(db)] = labels.exact(heard[clip.name], db)
            found[1, : len(db)] = labels.bridged(heard[clip.name], len(db))
        sounds.append(np.round(np.clip(sound, -1, 1) * 32767).astype(np.int16))
        marks.append(np.round(found * 255).astype(np.uint8))
        index.append((clip.kind, clip.group, clip.dev, at, at + len(sound), clip.rate))
        at += len(sound)
    np.save(arguments.work / "sound.npy", np.concatenate(sounds))
    np.save(arguments.work / "labels.npy", np.concatenate(marks, axis=1))
    np.save(arguments.work / "index.npy", np.array(index, dtype=object))
    for kind in ("speech", "noise", "music"):
        for dev in (False, True):
            seconds = sum(row[4] - row[3] for row in index if row[0] == kind and row[2] == dev) / RATE
            print(f"{kind}{' held aside' if dev else ''}: {seconds / 60:.0f} min")


if __name__ == "__main__":
    main()
