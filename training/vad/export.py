"""A checkpoint's averaged weights as csrc/vad_weights.h: 8-bit integers, one scale a row.

    python -m training.vad.export build/vad/net.pt csrc/vad_weights.h --exact -0.3 --bridged 0.1

`--exact` and `--bridged` are added to the biases of the outputs, so that logit 0 is the balanced decision on the scenes
held aside (training.vad.calibrate finds them).
"""

from __future__ import annotations

import argparse
import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch

from engine.endpoints.wav import read_wav
from training.vad.features import features
from training.vad.net import Net
from training.weights import as_rounded, header

PADDED = 40


def golden(net: Net) -> dict[str, list[float]]:
    """What the network with rounded weights says of every tenth hop of the demo's caller: the C core is held to it."""
    wav = read_wav(str(files("engine") / "data" / "caller.wav"))
    seen = features(wav.samples.astype(np.float32) / np.float32(32768))
    with torch.no_grad():
        logits = as_rounded(net)(torch.from_numpy(seen)[None])[0][0]
    hops = list(range(9, len(seen), 10))
    loud = [k for k in hops if np.abs(wav.samples[240 * (k - 2) : 240 * (k + 1)]).max() > 1]  # silence is 0 by rule
    probability = torch.sigmoid(logits[loud]).numpy().astype(float).round(4)
    return {"hops": loud, "exact": probability[:, 0].tolist(), "bridged": probability[:, 1].tolist()}


def main() -> None:
    """Write the header, and what a test compares."""
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("header", type=Path)
    parser.add_argument("--exact", type=float, default=0.0)
    parser.add_argument("--bridged", type=float, default=0.0)
    parser.add_argument("--golden", type=Path, help="tests/data/golden/vad.json")
    parser.add_argument("--comment", type=Path, help="what was learnt from, and how it scores")
    arguments = parser.parse_args()
    net = Net()
    net.load_state_dict(torch.load(arguments.checkpoint)["mean"])
    with torch.no_grad():
        net.exit.bias += torch.tensor([arguments.exact, arguments.bridged])
    text = header(net, "vad", PADDED, arguments.comment.read_text().strip() if arguments.comment else "")
    arguments.header.write_text(text)
    if arguments.golden:
        arguments.golden.write_text(json.dumps(golden(net), separators=(",", ":")) + "\n")
    print(f"{arguments.header}: {len(text)} bytes")


if __name__ == "__main__":
    main()
