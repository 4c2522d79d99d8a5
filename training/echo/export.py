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
from numpy.typing import NDArray

from training.echo.net import BANDS, FEATURES, Net
from training.vad.export import STEPS, rounded

PADDED = 160
Array = NDArray[np.float32]


def matrices(net: Net) -> dict[str, tuple[Array, Array]]:
    """Weights and biases as the C core wants them."""
    w = {name: p.detach().numpy() for name, p in net.state_dict().items()}
    found = {"entry": (np.pad(w["entry.weight"], ((0, 0), (0, PADDED - FEATURES))), w["entry.bias"])}
    for name in ("first", "second"):
        size = w[f"{name}.weight_hh_l0"].shape[1]
        a, b = w[f"{name}.bias_ih_l0"], w[f"{name}.bias_hh_l0"]
        bias = np.concatenate([a[: 2 * size] + b[: 2 * size], a[2 * size :], b[2 * size :]])
        found[name] = (np.concatenate([w[f"{name}.weight_ih_l0"], w[f"{name}.weight_hh_l0"]], axis=1), bias)
    found["exit"] = (w["exit.weight"], w["exit.bias"])
    return found


def as_rounded(net: Net) -> Net:
    """The same network with the weights it will have in C."""
    copy = Net()
    copy.load_state_dict(net.state_dict())
    found = {name: np.float32(1) * rounded(m)[0] * rounded(m)[1][:, None] for name, (m, _) in matrices(net).items()}
    with torch.no_grad():
        copy.entry.weight.copy_(torch.from_numpy(found["entry"][:, :FEATURES]))
        copy.exit.weight.copy_(torch.from_numpy(found["exit"]))
        for name in ("first", "second"):
            gru: Any = getattr(copy, name)
            inputs = gru.weight_ih_l0.shape[1]
            gru.weight_ih_l0.copy_(torch.from_numpy(found[name][:, :inputs]))
            gru.weight_hh_l0.copy_(torch.from_numpy(found[name][:, inputs:]))
    return copy.eval()


def header(net: Net, comment: str) -> str:
    """The text of echo_weights.h."""
    text = ["/* echo_weights.h - the weights of echo_net.c, made by training/echo/export.py: do not edit.", " *"]
    text += [f" * {line}".rstrip() for line in comment.splitlines()]
    text += [
        " * Four weights to a word, the first in its lowest byte; a row's sum, in steps of 1/4096, takes its scale.",
        " */",
    ]
    text += ["#ifndef RT_ECHO_WEIGHTS_H", "#define RT_ECHO_WEIGHTS_H", "", "#include <stdint.h>"]
    for name, (weights, bias) in matrices(net).items():
        integers, scale = rounded(weights)
        words = integers.reshape(-1).view("<u4")
        text += _table("uint32_t", f"{name}_weights", [f"0x{word:x}" for word in words])
        text += _table("float", f"{name}_scale", [f"{x:.6g}f" for x in scale / STEPS])
        text += _table("float", f"{name}_bias", [f"{x:#.5g}f" for x in bias])
    return "\n".join([*text, "", "#endif", ""])


def _table(kind: str, name: str, cells: list[str]) -> list[str]:
    rows, row = [], ""
    for cell in cells:
        if len(row) + len(cell) > 138:
            rows.append(row)
            row = ""
        row += cell + ","
    return ["", f"static const {kind} rt_echo_{name}[{len(cells)}] = {{", *rows, row, "};"]


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
    text = header(net, arguments.comment.read_text().strip() if arguments.comment else "")
    arguments.header.write_text(text)
    if arguments.golden:
        arguments.golden.write_text(json.dumps(golden(net), separators=(",", ":")) + "\n")
    print(f"{arguments.header}: {len(text)} bytes")


if __name__ == "__main__":
    main()
