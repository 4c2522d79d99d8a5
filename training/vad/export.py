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
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.endpoints.wav import read_wav
from training.vad.features import features
from training.vad.net import Net

STEPS = 4096.0
PADDED = 40
Array = NDArray[np.float32]


def rounded(weights: Array) -> tuple[NDArray[np.int8], Array]:
    """Integers of -127 to 127 and the scale of each row."""
    scale = np.maximum(np.abs(weights).max(axis=1), 1e-6) / 127
    return np.round(weights / scale[:, None]).astype(np.int8), scale.astype(np.float32)


def matrices(net: Net) -> dict[str, tuple[Array, Array]]:
    """Weights and biases as the C core wants them."""
    w = {name: p.detach().numpy() for name, p in net.state_dict().items()}
    found = {"entry": (np.pad(w["entry.weight"], ((0, 0), (0, PADDED - w["entry.weight"].shape[1]))), w["entry.bias"])}
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
        copy.entry.weight.copy_(torch.from_numpy(found["entry"][:, : copy.entry.weight.shape[1]]))
        copy.exit.weight.copy_(torch.from_numpy(found["exit"]))
        for name in ("first", "second"):
            gru: Any = getattr(copy, name)
            inputs = gru.weight_ih_l0.shape[1]
            gru.weight_ih_l0.copy_(torch.from_numpy(found[name][:, :inputs]))
            gru.weight_hh_l0.copy_(torch.from_numpy(found[name][:, inputs:]))
    return copy


def header(net: Net, comment: str) -> str:
    """The text of vad_weights.h."""
    text = ["/* vad_weights.h - the weights of vad_net.c, made by training/vad/export.py: do not edit.", " *"]
    text += [f" * {line}".rstrip() for line in comment.splitlines()]
    text += [
        " * Four weights to a word, the first in its lowest byte; a row's sum, in steps of 1/4096, takes its scale.",
        " */",
    ]
    text += ["#ifndef RT_VAD_WEIGHTS_H", "#define RT_VAD_WEIGHTS_H", "", "#include <stdint.h>"]
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
    return ["", f"static const {kind} rt_vad_{name}[{len(cells)}] = {{", *rows, row, "};"]


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
    text = header(net, arguments.comment.read_text().strip() if arguments.comment else "")
    arguments.header.write_text(text)
    if arguments.golden:
        arguments.golden.write_text(json.dumps(golden(net), separators=(",", ":")) + "\n")
    print(f"{arguments.header}: {len(text)} bytes")


if __name__ == "__main__":
    main()
