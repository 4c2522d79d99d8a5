"""A checkpoint's averaged weights as csrc/echo_weights.h: 8-bit integers, one scale a row.

    python -m training.echo.export build/echo/net.pt csrc/echo_weights.h --golden tests/data/golden/echo_net.json

`--near` is added to the bias of the probability, so that .3 is where the gate and the interrupt policy want it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.echo.net import BANDS, FEATURES, Net
from training.weights import Array, as_rounded, header

PADDED = 160


def made_features(hops: int) -> Array:
    """Inputs that wander through the range features have: (hops, FEATURES), the same wherever they are made."""
    x = np.random.default_rng(1).standard_normal((hops, FEATURES))
    for hop in range(1, hops):
        x[hop] = 0.95 * x[hop - 1] + 0.3 * x[hop]
    x += np.repeat([2.5, 1.5, 2.5, 2.0, 1.0, 0.0, 0.0], BANDS)
    return np.asarray(x, np.float32)


def golden(net: Net) -> dict[str, Any]:
    """What the network with rounded weights says of every tenth hop of `made_features`: the C core is held to it."""
    seen = made_features(400)
    with torch.no_grad():
        out = torch.sigmoid(as_rounded(net)(torch.from_numpy(seen)[None])[0][0]).numpy().astype(float).round(4)
    hops = list(range(9, len(seen), 10))
    return {"hops": hops, "gains": out[hops, :BANDS].tolist(), "near": out[hops, BANDS].tolist()}


def main() -> None:
    """Write the header, and what a test compares."""
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("header", type=Path)
    parser.add_argument("--near", type=float, default=0.0)
    parser.add_argument("--golden", type=Path, help="tests/data/golden/echo_net.json")
    parser.add_argument("--comment", type=Path, help="what was learnt from, and how it scores")
    arguments = parser.parse_args()
    net = Net()
    net.load_state_dict(torch.load(arguments.checkpoint)["mean"])
    with torch.no_grad():
        net.exit.bias[BANDS] += arguments.near
    text = header(net, "echo", PADDED, arguments.comment.read_text().strip() if arguments.comment else "")
    arguments.header.write_text(text)
    if arguments.golden:
        arguments.golden.write_text(json.dumps(golden(net), separators=(",", ":")) + "\n")
    print(f"{arguments.header}: {len(text)} bytes")


if __name__ == "__main__":
    main()
