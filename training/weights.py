"""Networks as headers of the C core: 8-bit integers, one scale a row."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from training.recurrent import Recurrent

STEPS = 4096.0
Array = NDArray[np.float32]
N = TypeVar("N", bound=Recurrent)


def rounded(weights: Array) -> tuple[NDArray[np.int8], Array]:
    """Integers of -127 to 127 and the scale of each row."""
    scale = np.maximum(np.abs(weights).max(axis=1), 1e-6) / 127
    return np.round(weights / scale[:, None]).astype(np.int8), scale.astype(np.float32)


def matrices(net: Recurrent, padded: int) -> dict[str, tuple[Array, Array]]:
    """Weights and biases as the C core wants them, rows of the first layer `padded` long."""
    w = {name: p.detach().numpy() for name, p in net.state_dict().items()}
    found = {"entry": (np.pad(w["entry.weight"], ((0, 0), (0, padded - w["entry.weight"].shape[1]))), w["entry.bias"])}
    for name in ("first", "second"):
        size = w[f"{name}.weight_hh_l0"].shape[1]
        a, b = w[f"{name}.bias_ih_l0"], w[f"{name}.bias_hh_l0"]
        bias = np.concatenate([a[: 2 * size] + b[: 2 * size], a[2 * size :], b[2 * size :]])
        found[name] = (np.concatenate([w[f"{name}.weight_ih_l0"], w[f"{name}.weight_hh_l0"]], axis=1), bias)
    found["exit"] = (w["exit.weight"], w["exit.bias"])
    return found


def as_rounded(net: N) -> N:
    """The same network with the weights it will have in C."""
    copy = deepcopy(net)
    kept = matrices(net, net.entry.weight.shape[1])
    found = {name: np.float32(1) * rounded(m)[0] * rounded(m)[1][:, None] for name, (m, _) in kept.items()}
    with torch.no_grad():
        copy.entry.weight.copy_(torch.from_numpy(found["entry"]))
        copy.exit.weight.copy_(torch.from_numpy(found["exit"]))
        for name in ("first", "second"):
            gru: Any = getattr(copy, name)
            inputs = gru.weight_ih_l0.shape[1]
            gru.weight_ih_l0.copy_(torch.from_numpy(found[name][:, :inputs]))
            gru.weight_hh_l0.copy_(torch.from_numpy(found[name][:, inputs:]))
    return copy.eval()


def header(net: Recurrent, prefix: str, padded: int, comment: str) -> str:
    """The text of `prefix`_weights.h, for `prefix`_net.c."""
    made = f"the weights of {prefix}_net.c, made by training/{prefix}/export.py: do not edit."
    text = [f"/* {prefix}_weights.h - {made}", " *"]
    text += [f" * {line}".rstrip() for line in comment.splitlines()]
    text += [
        " * Four weights to a word, the first in its lowest byte; a row's sum, in steps of 1/4096, takes its scale.",
        " */",
    ]
    guard = f"RT_{prefix.upper()}_WEIGHTS_H"
    text += [f"#ifndef {guard}", f"#define {guard}", "", "#include <stdint.h>"]
    for name, (weights, bias) in matrices(net, padded).items():
        integers, scale = rounded(weights)
        words = integers.reshape(-1).view("<u4")
        text += _table("uint32_t", f"rt_{prefix}_{name}_weights", [f"0x{word:x}" for word in words])
        text += _table("float", f"rt_{prefix}_{name}_scale", [f"{x:.6g}f" for x in scale / STEPS])
        text += _table("float", f"rt_{prefix}_{name}_bias", [f"{x:#.5g}f" for x in bias])
    return "\n".join([*text, "", "#endif", ""])


def _table(kind: str, name: str, cells: list[str]) -> list[str]:
    rows, row = [], ""
    for cell in cells:
        if len(row) + len(cell) > 138:
            rows.append(row)
            row = ""
        row += cell + ","
    return ["", f"static const {kind} {name}[{len(cells)}] = {{", *rows, row, "};"]
