"""Where the balanced decision lies: what to add to each output's bias, from the scenes held aside.

    python -m training.vad.calibrate build/vad build/vad/net.pt

For each output, the threshold at which the shares of speech found and of the rest left alone have the highest mean;
its negative is the shift that training.vad.export takes. Frames about which the teacher is not sure are left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from training.vad.net import Net
from training.vad.train import load
from training.weights import as_rounded


def balanced_at(logits: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """The threshold, the middle of those within .001 of the best, and the balanced accuracy there."""
    at = np.linspace(-4, 4, 161)
    yes, no = np.sort(logits[truth]), np.sort(logits[~truth])
    found = 0.5 * (1 - np.searchsorted(yes, at) / len(yes) + np.searchsorted(no, at) / len(no))
    good = at[found > found.max() - 0.001]
    return float(good.mean()), float(found.max())


def main() -> None:
    """Print both shifts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("checkpoint", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    net = Net()
    net.load_state_dict(torch.load(arguments.checkpoint)["mean"])
    net = as_rounded(net).eval()
    sets = [load(path) for path in sorted((arguments.work / "dev").glob("*.npz"))]
    with torch.no_grad():
        logits = torch.cat([net(x)[0] for x, _ in sets]).numpy()
    labels = torch.cat([y for _, y in sets]).numpy()
    for i, name in enumerate(("exact", "bridged")):
        sure = (labels[..., i] > 0.8) | (labels[..., i] < 0.2)
        threshold, accuracy = balanced_at(logits[..., i][sure], labels[..., i][sure] > 0.5)
        print(f"--{name} {-threshold:.2f}  # balanced accuracy {accuracy:.4f}")


if __name__ == "__main__":
    main()
