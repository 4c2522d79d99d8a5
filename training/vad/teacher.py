"""What the teacher hears in the clean clips: Silero's probability of speech every 8 ms.

    python -m training.vad.teacher ../shared/audio/train build/vad

Silero judges 32 ms at a time; run four times, 8 ms apart, it says so every 8 ms. Its logits are kept as float32 in
`teacher.npz`, one array for each speech clip: entry i is of the frame that ends (i + 1) * 8 ms after the beginning.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from silero_vad import load_silero_vad

from training.vad.pool import Sound, clips, read

RATE, FRAME, STEP = 16000, 512, 128
BATCH = 48


def logits(model: torch.nn.Module, sounds: list[Sound]) -> list[np.ndarray]:
    """Logits of some clips (16 kHz) of about the same length, at once. Every phase begins with digital silence."""
    steps = max(len(s) for s in sounds) // STEP + 4
    frames = steps // 4 + 1
    rows = np.zeros((len(sounds) * 4, frames * FRAME), np.float32)
    for i, sound in enumerate(sounds):
        for phase in range(4):
            lead = FRAME - (phase + 1) * STEP
            rows[4 * i + phase, lead : lead + len(sound)] = sound[: frames * FRAME - lead]
    model.reset_states()
    with torch.no_grad():
        heard = torch.cat(
            [model(torch.from_numpy(rows[:, k * FRAME : (k + 1) * FRAME]), RATE) for k in range(frames)], 1
        )
    p = heard.numpy().clip(1e-5, 1 - 1e-5).reshape(len(sounds), 4, frames)
    grid = np.log(p / (1 - p)).transpose(0, 2, 1).reshape(len(sounds), -1)
    return [grid[i, : -(-len(s) // STEP)].astype(np.float32) for i, s in enumerate(sounds)]


def main() -> None:
    """Write teacher.npz."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("work", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.work.mkdir(parents=True, exist_ok=True)
    model = load_silero_vad()
    heard: dict[str, Any] = {}
    sounds = [(c.name, read(arguments.folder, c, RATE)) for c in clips(arguments.folder) if c.kind == "speech"]
    sounds.sort(key=lambda item: len(item[1]))
    for at in range(0, len(sounds), BATCH):
        part = sounds[at : at + BATCH]
        for (name, _), found in zip(part, logits(model, [s for _, s in part]), strict=True):
            heard[name] = found
        print(f"{at + len(part)} of {len(sounds)}", flush=True)
    np.savez(arguments.work / "teacher.npz", **heard)


if __name__ == "__main__":
    main()
