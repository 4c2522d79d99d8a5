"""Learn from the shards, and keep a running average of the weights.

    python -m training.vad.train build/vad --minutes 60 --name a          # --resume goes on from its checkpoint

Every batch is the next 5 s of BATCH scenes, with the state carried along each scene. Losses are binary cross-entropies
against the teacher's soft labels. The score that counts is that of the averaged weights on the scenes held aside.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.recurrent import Learner, State, parameters
from training.vad.net import DELAY, Net

BATCH, CHUNK = 96, 500
AVERAGE = 0.9985
BRIDGED = 0.6  # weight of its loss
NOISE = 1.6  # weight of scenes without speech
LEVELS, LEAST = 34, -2.2  # the features that are levels, and what is above their floor


def load(path: Path) -> tuple[Tensor, Tensor]:
    """A shard as float features (scenes, hops, features) and labels (scenes, hops, 2), delayed."""
    with np.load(path) as data:
        x = torch.from_numpy(data["features"]).float()
        y = torch.from_numpy(data["labels"]).float().div_(255).transpose(1, 2)
    late = torch.cat([y[:, :1].expand(-1, DELAY, -1), y[:, :-DELAY]], 1)
    return x, late.contiguous()


def loss_of(logits: Tensor, labels: Tensor, weight: Tensor | float = 1.0) -> Tensor:
    """Both cross-entropies. `weight` (scenes, 1, 1)."""
    each = nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    mean = (each * weight).mean((0, 1))
    return mean[0] + BRIDGED * mean[1]


def auc(score: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    """Area under the ROC curve, ties counted half."""
    order = np.argsort(score, kind="stable")
    ranks = np.empty(len(score))
    ranks[order] = np.arange(1, len(score) + 1)
    positive = int(truth.sum())
    return float((ranks[truth].sum() - positive * (positive + 1) / 2) / (positive * (len(truth) - positive)))


def evaluate(net: Net, sets: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """Loss and AUC on the scenes held aside."""
    net.eval()
    with torch.no_grad():
        found = [(net(x)[0], y) for x, y in sets]
    net.train()
    logits, labels = torch.cat([f[0] for f in found]), torch.cat([f[1] for f in found])
    told = {"loss": float(loss_of(logits, labels))}
    for i, name in enumerate(("exact", "bridged")):
        sure = (labels[..., i] > 0.8) | (labels[..., i] < 0.2)
        told[name] = auc(logits[..., i][sure].numpy(), (labels[..., i][sure] > 0.5).numpy())
    return told


class Scenes:
    """The newest shards, in random order; waits for the first."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.rng = folder, np.random.default_rng(seed)
        self.used: dict[str, int] = {}

    def next(self) -> tuple[Tensor, Tensor]:
        """BATCH scenes from two shards, those used least first."""
        while len(paths := sorted(self.folder.glob("*.npz"))) < 4:
            time.sleep(5)
        order = sorted(paths, key=lambda p: (self.used.get(p.name, 0), self.rng.random()))
        found = []
        for path in order:
            try:
                found.append(load(path))
            except FileNotFoundError:
                continue
            self.used[path.name] = self.used.get(path.name, 0) + 1
            if len(found) == BATCH // 48:
                break
        return torch.cat([f[0] for f in found]), torch.cat([f[1] for f in found])


class SpeechLearner(Learner[Net]):
    """How it learns from scenes."""

    def __init__(self, dropout: float, resume: Path | None) -> None:
        super().__init__(Net, dropout, resume)
        self.loss = 0.0

    def step(self, x: Tensor, y: Tensor, weight: Tensor, state: State | None, rate: float) -> State:
        """Learn from one chunk of every scene; returns the state at its end."""
        logits, state = self.net(x, state)
        loss = loss_of(logits, y, weight)
        self.descend(loss, rate, warm_up=50, average=AVERAGE)
        self.loss += 0.02 * (float(loss.detach()) - self.loss)
        return state[0].detach(), state[1].detach()

    def scenes(self, x: Tensor, y: Tensor, rate: float) -> None:
        """Learn from some scenes, from their beginning to their end."""
        weight = 1 + (NOISE - 1) * (y.amax((1, 2)) < 0.1).float()[:, None, None]
        louder = torch.randn(len(x), 1, 1) * 0.1
        state = None
        for at in range(0, x.shape[1], CHUNK):
            chunk = x[:, at : at + CHUNK].clone()
            chunk[..., :LEVELS] += louder * (chunk[..., :LEVELS] > LEAST)
            state = self.step(chunk, y[:, at : at + CHUNK], weight, state, rate)


def main() -> None:
    """Train for so many minutes, or go on."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("--name", default="net")
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--last-rate", type=float, default=3e-5)
    parser.add_argument("--dropout", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    learner = SpeechLearner(arguments.dropout, arguments.resume)
    print(f"{parameters(learner.net)} parameters", flush=True)
    path = arguments.work / f"{arguments.name}.pt"
    aside = [load(part) for part in sorted((arguments.work / "dev").glob("*.npz"))]
    scenes = Scenes(arguments.work / "shards", arguments.seed)
    begin = told = time.monotonic()
    while (spent := (time.monotonic() - begin) / 60) < arguments.minutes:
        fall = 0.5 * (1 + math.cos(math.pi * spent / arguments.minutes))
        rate = arguments.last_rate + (arguments.rate - arguments.last_rate) * fall
        learner.scenes(*scenes.next(), rate)
        if time.monotonic() - told > 120:
            told = time.monotonic()
            scores = {key: round(value, 4) for key, value in evaluate(learner.mean, aside).items()}
            print(
                f"{spent:.1f} min, step {learner.steps}, rate {rate:.1e}, loss {learner.loss:.4f}, {scores}", flush=True
            )
            learner.save(path)
    learner.save(path)


if __name__ == "__main__":
    main()
