"""Fits the prosody model of semantic_vad (engine/server/turnend.py) and writes its weights.

    python -m training.turnend.fit --recorded FOLDER       # writes engine/server/turnend_weights.py; some 10 minutes
    python -m training.turnend.fit --scenes 600 --dry      # only says how well it does

Three fits, averaged, of one hidden layer of tanh units over the standardised features, binary cross-entropy, Adam,
numpy only. Training has two scenes that are over for one of each other kind, and noise on the inputs, or a few
sentences' last words would be learnt.
"""

from __future__ import annotations

import argparse
import os
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # matrices are small: threads only cost

import numpy as np
from numpy.typing import NDArray

from engine.server import prosody
from training.turnend.scenes import KINDS, scene
from training.turnend.talk import RATE, Talker

WEIGHTS = Path(__file__).resolve().parents[2] / "engine" / "server" / "turnend_weights.py"
SHARES = {"whole": 1.0, "cut": 2.0, "comma": 0.0, "filler": 0.9}
"""How much each kind counts. espeak-ng speaks the part before a comma nearly like a question: it is left out."""
RECORDED_SHARE = 0.12
"""How much of all weight recorded utterances have. More helps them and costs the made ones (dev: 0.5 takes the area on
recorded talk from .87 to .90, on made talk from .97 to .95).
"""

VARIANTS = 6
"""How often each recorded utterance is learnt, changed each time."""

Floats = NDArray[np.float64]


@dataclass
class Data:
    """Features, one row per scene, and the kinds."""

    features: Floats
    kinds: NDArray[np.str_]
    recorded: int = 0
    """How many rows, the last ones, are of recorded talk."""

    @property
    def over(self) -> NDArray[np.bool_]:
        return np.asarray(self.kinds == "whole")


@dataclass
class Model:
    """What the weights file holds."""

    mean: Floats
    scale: Floats
    hidden: Floats
    hidden_bias: Floats
    out: Floats
    out_bias: float

    def __call__(self, features: Floats) -> Floats:
        inputs = np.clip((features - self.mean) / self.scale, -4, 4)
        return np.asarray(np.tanh(inputs @ self.hidden + self.hidden_bias) @ self.out + self.out_bias)


def gather(talker: Talker, scenes: int, part: str) -> Data:
    """Features of `scenes` scenes, taken 150 to 270 ms into the pause, as a detector would ask."""
    rows: list[Any] = []
    kinds: list[str] = []
    for number in range(scenes // 5):
        for kind in (*KINDS, "whole"):
            seed = number if len(kinds) % 5 < 4 else 10**6 + number
            made = scene(talker, kind, seed, part=part, tail_s=0.4)
            asked = made.end_s + 0.15 + 0.03 * (number % 5)
            rows.append(prosody.features(made.samples[: int(asked * RATE)]))
            kinds.append(kind)
    return Data(np.array(rows, np.float64), np.array(kinds))


def gather_recorded(folder: Path, part: str, variants: int) -> Data:
    """The same of recorded utterances."""
    from training.turnend import recorded

    rows, kinds = [], []
    for number, made in enumerate(recorded.scenes(folder, part, variants)):
        asked = made.end_s + 0.15 + 0.03 * (number % 5)
        rows.append(prosody.features(made.samples[: int(asked * RATE)]))
        kinds.append(made.kind)
    return Data(np.array(rows, np.float64), np.array(kinds))


def together(one: Data, other: Data) -> Data:
    """Both."""
    features, kinds = np.concatenate([one.features, other.features]), np.concatenate([one.kinds, other.kinds])
    return Data(features, kinds, len(other.kinds))


def fit(
    data: Data, *, units: int = 32, epochs: int = 20, decay: float = 1e-3, noise: float = 0.2, seed: int = 0
) -> Model:
    """Adam with a falling rate, batches of 128. Repeatable."""
    rng = np.random.default_rng([1, seed])
    mean, scale = data.features.mean(axis=0), data.features.std(axis=0) + 1e-6
    inputs = np.clip((data.features - mean) / scale, -4, 4)
    wanted, weights = data.over.astype(float), _weights(data)
    state: list[Any] = [
        rng.normal(0, 0.3, (inputs.shape[1], units)),
        np.zeros(units),
        rng.normal(0, 0.3, units),
        np.zeros(1),
    ]
    first, second = [np.zeros_like(each) for each in state], [np.zeros_like(each) for each in state]
    steps, step = epochs * (len(inputs) // 128), 0
    for _ in range(epochs):
        order = rng.permutation(len(inputs))
        for start in range(0, len(inputs) - 127, 128):
            step += 1
            batch = order[start : start + 128]
            given = inputs[batch] + rng.normal(0, noise, (128, inputs.shape[1]))
            hidden = np.tanh(given @ state[0] + state[1])
            wrong = weights[batch] * (1 / (1 + np.exp(-(hidden @ state[2] + state[3]))) - wanted[batch])
            back = wrong[:, None] * state[2] * (1 - hidden**2)
            slopes = [
                given.T @ back + decay * state[0],
                back.sum(axis=0),
                hidden.T @ wrong + decay * state[2],
                wrong.sum(),
            ]
            rate = 0.005 * (1 + np.cos(np.pi * step / steps))
            for index, slope in enumerate(slopes):
                first[index] = 0.9 * first[index] + 0.1 * slope
                second[index] = 0.999 * second[index] + 0.001 * slope**2
                move = first[index] / (1 - 0.9**step) / (np.sqrt(second[index] / (1 - 0.999**step)) + 1e-8)
                state[index] = state[index] - rate * move
    return Model(mean, scale, state[0], state[1], state[2], float(state[3][0]))


def several(data: Data, count: int = 3) -> Model:
    """The mean of fits from other beginnings, as one wide layer."""
    models = [fit(data, seed=seed) for seed in range(count)]
    hidden = np.concatenate([m.hidden for m in models], axis=1)
    bias = np.concatenate([m.hidden_bias for m in models])
    out = np.concatenate([m.out for m in models]) / count
    return Model(models[0].mean, models[0].scale, hidden, bias, out, float(np.mean([m.out_bias for m in models])))


def _weights(data: Data) -> Floats:
    weights = np.array([SHARES[str(kind)] for kind in data.kinds])
    recorded = np.arange(len(weights)) >= len(weights) - data.recorded
    for origin, share in ((recorded, RECORDED_SHARE), (~recorded, 1 - RECORDED_SHARE if data.recorded else 1.0)):
        for answer in (data.over, ~data.over):
            which = origin & answer
            weights[which] *= share / 2 / max(weights[which].sum(), 1e-9)
    return weights * len(weights) / 128


def report(name: str, model: Model, data: Data) -> str:
    """Area under the ROC curve, and what passes where nine of ten that are over do."""
    scores = model(data.features)
    over, counted = data.over, data.kinds != "comma"
    order = np.argsort(scores[counted])
    ranks = np.empty(order.size)
    ranks[order] = np.arange(order.size)
    positive = over[counted]
    area = (ranks[positive].sum() - positive.sum() * (positive.sum() - 1) / 2) / (positive.sum() * (~positive).sum())
    bar = float(np.percentile(scores[over], 10))
    kinds = [kind for kind in KINDS[1:] if (data.kinds == kind).any()]
    parts = [f"{kind} {np.mean(scores[data.kinds == kind] >= bar):.3f}" for kind in kinds]
    passing = f"at 90 % of whole (logit {bar:.2f}) pass: {', '.join(parts)}"
    return f"{name}: {len(scores)} scenes, AUC {area:.3f} (comma left out); {passing}"


def write(model: Model, path: Path, scenes: int) -> None:
    """The weights as a module."""
    lines = ['"""Made by training/turnend/fit.py: do not edit. Weights of `engine.server.turnend.Prosody`."""', ""]
    lines += ["from __future__ import annotations", "", "import numpy as np", "", "# fmt: off"]
    named = (model.mean, "MEAN"), (model.scale, "SCALE"), (model.hidden, "HIDDEN_WEIGHTS")
    for values, name in (*named, (model.hidden_bias, "HIDDEN_BIAS"), (model.out, "OUT_WEIGHTS")):
        numbers = ", ".join(f"{value:.4g}" for value in values.ravel())
        lines += [
            f"{name} = np.array(",
            *textwrap.wrap(f"[{numbers}],", 112, initial_indent="    ", subsequent_indent="    "),
        ]
        lines += [f"    np.float32,\n).reshape({', '.join(map(str, values.shape))})"]
    lines += [f"OUT_BIAS = {model.out_bias:.4g}", "# fmt: on", f"SCENES = {scenes}", ""]
    path.write_text("\n".join(lines), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit the prosody model of semantic_vad.")
    parser.add_argument("--scenes", type=int, default=39000, help="to train on (default: %(default)s)")
    parser.add_argument("--dev", type=int, default=1000, help="to judge it by (default: %(default)s)")
    parser.add_argument("--recorded", type=Path, help="a folder of recorded utterances (recorded.py), learnt as well")
    parser.add_argument("--dry", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    talker = Talker()
    parts = {"train": gather(talker, arguments.scenes, "train"), "dev": gather(talker, arguments.dev, "dev")}
    learnt = parts["train"]
    if arguments.recorded:
        parts["train, recorded"] = gather_recorded(arguments.recorded, "train", VARIANTS)
        parts["dev, recorded"] = gather_recorded(arguments.recorded, "dev", 1)
        learnt = together(learnt, parts["train, recorded"])
    model = several(learnt)
    for name, data in parts.items():
        print(report(name, model, data))
    if not arguments.dry:
        write(model, WEIGHTS, arguments.scenes)
        print(f"written: {WEIGHTS}")


if __name__ == "__main__":
    main()
