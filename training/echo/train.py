"""Learn from the shards, and keep a running average of the weights.

    python -m training.echo.train build/echo --minutes 30 --name a          # --resume goes on from its checkpoint

Every batch is the next 4 s of BATCH scenes, with the state carried along each. The loss is the binary cross-entropy
against the teacher's probability, with hops in which nobody speaks counted more, and the squared error of the square
roots of the gains, counted where there is sound. Scores are of the averaged weights on the scenes held aside, at a
probability of .3: the share of the teacher's speech that is found (hit), the share of the rest that is taken for speech
(fa), and runs of 120 ms per minute in which nobody speaks.
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

from training.echo.net import BANDS, Net
from training.recurrent import Learner, State, parameters

BATCH, CHUNK = 64, 400
AVERAGE = 0.998
GAINS = 4.0  # weight of their loss
QUIET = 1.5  # weight of hops in which nobody near speaks
DUCK = 0.3
ABOVE_FLOOR = -2.0  # of the powers' features: what is lower is no sound
CONFIRM = 12  # hops


def load(path: Path) -> tuple[NDArray[np.float16], NDArray[np.uint8]]:
    """A shard: features (scenes, hops, FEATURES); gains, probability, weights (scenes, hops, 2 BANDS + 1)."""
    with np.load(path) as data:
        return data["features"], data["told"]


def losses(logits: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
    """Of the probability and of the gains. `told` in 0..1."""
    speech, counts = told[..., BANDS], told[..., BANDS + 1 :]
    each = nn.functional.binary_cross_entropy_with_logits(logits[..., BANDS], speech, reduction="none")
    near = (each * (1 + (QUIET - 1) * (1 - speech))).mean()
    roots = torch.sqrt(torch.sigmoid(logits[..., :BANDS]) + 1e-6)
    away = (roots - torch.sqrt(told[..., :BANDS])) ** 2
    return near, (away * counts).sum() / counts.sum().clamp(min=1.0)


def events(speaks: NDArray[np.bool_]) -> int:
    """Runs of at least CONFIRM hops."""
    edges = np.diff(np.concatenate([[0], speaks.astype(np.int8), [0]]))
    return int(((np.flatnonzero(edges < 0) - np.flatnonzero(edges > 0)) >= CONFIRM).sum())


def evaluate(net: Net, sets: list[tuple[NDArray[np.float16], NDArray[np.uint8]]]) -> dict[str, float]:
    """On the scenes held aside; the first 3 s of each do not count for hits and alarms."""
    net.eval()
    total, found, alarms, minutes = np.zeros(2), [], 0, 0.0
    for x, y in sets:
        told = torch.from_numpy(y.astype(np.float32) / 255)
        with torch.no_grad():
            logits = torch.cat([net(torch.from_numpy(part.astype(np.float32)))[0] for part in np.array_split(x, 6)])
        total += [float(loss) for loss in losses(logits, told)]
        p, speech = torch.sigmoid(logits[:, 300:, BANDS]).numpy(), told[:, 300:, BANDS].numpy()
        found.append((p.ravel(), speech.ravel()))
        for row, truth in zip(p, speech, strict=True):
            near = np.convolve(truth > 0.15, np.ones(61), "same") > 0
            alarms += events((row > DUCK) & ~near)
            minutes += float((~near).sum()) / 6000
    net.train()
    p, truth = np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found])
    return {
        "near": float(total[0]) / len(sets),
        "gains": float(total[1]) / len(sets),
        "hit": float((p[truth > 0.7] > DUCK).mean()),
        "fa": float((p[truth < 0.1] > DUCK).mean()),
        "false/min": alarms / max(minutes, 1e-9),
    }


def coloured(scenes: int) -> Tensor:
    """Other levels and other colours, of the microphone's sounds and of the reference, to be added to the powers: one
    stands for 15 dB. (scenes, 1, 4 BANDS)
    """
    tilt = torch.linspace(-1, 1, BANDS)
    microphone = torch.randn(scenes, 1, 1) * 0.15 + torch.randn(scenes, 1, 1) * 0.15 * tilt
    reference = torch.randn(scenes, 1, 1) * 0.25 + torch.randn(scenes, 1, 1) * 0.2 * tilt
    return torch.cat([microphone.expand(-1, -1, BANDS)] * 3 + [reference.expand(-1, -1, BANDS)], -1)


class Scenes:
    """Shards in random order, those used least first; waits for the first."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.rng = folder, np.random.default_rng(seed)
        self.used: dict[str, int] = {}

    def next(self) -> tuple[NDArray[np.float16], NDArray[np.uint8]]:
        """BATCH scenes from two shards."""
        while len(paths := sorted(self.folder.glob("*.npz"))) < 2:
            time.sleep(5)
        order = sorted(paths, key=lambda p: (self.used.get(p.name, 0), self.rng.random()))[:2]
        parts = []
        for path in order:
            self.used[path.name] = self.used.get(path.name, 0) + 1
            x, y = load(path)
            chosen = self.rng.permutation(len(x))[: BATCH // 2]
            parts.append((x[chosen], y[chosen]))
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


class NearLearner(Learner[Net]):
    """How it learns from scenes."""

    def __init__(self, dropout: float, resume: Path | None) -> None:
        super().__init__(Net, dropout, resume)
        self.loss = np.zeros(2)

    def step(self, x: Tensor, y: Tensor, state: State | None, rate: float) -> State:
        """Learn from one chunk of every scene; returns the state at its end."""
        logits, state = self.net(x, state)
        near, gains = losses(logits, y)
        self.descend(near + GAINS * gains, rate, warm_up=40, average=AVERAGE)
        self.loss += 0.02 * (np.array([float(near.detach()), float(gains.detach())]) - self.loss)
        return state[0].detach(), state[1].detach()

    def scenes(self, x: NDArray[np.float16], y: NDArray[np.uint8], rate: float) -> None:
        """Learn from some scenes, from their beginning to their end."""
        louder = coloured(len(x))
        state = None
        for at in range(0, x.shape[1], CHUNK):
            chunk = torch.from_numpy(x[:, at : at + CHUNK].astype(np.float32))
            levels = chunk[..., : 4 * BANDS]
            levels += louder * (levels > ABOVE_FLOOR)
            told = torch.from_numpy(y[:, at : at + CHUNK].astype(np.float32) / 255)
            state = self.step(chunk, told, state, rate)


def main() -> None:
    """Train for so many minutes of the processor's time, or go on."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("--name", default="net")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--last-rate", type=float, default=6e-5)
    parser.add_argument("--dropout", type=float, default=0.03)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    learner = NearLearner(arguments.dropout, arguments.resume)
    print(f"{parameters(learner.net)} parameters", flush=True)
    path = arguments.work / f"{arguments.name}.pt"
    aside = [load(part) for part in sorted((arguments.work / "dev").glob("*.npz"))]
    scenes = Scenes(arguments.work / "shards", arguments.seed)
    begin = told = time.process_time()
    while (spent := (time.process_time() - begin) / 60) < arguments.minutes:
        fall = 0.5 * (1 + math.cos(math.pi * spent / arguments.minutes))
        rate = arguments.last_rate + (arguments.rate - arguments.last_rate) * fall
        learner.scenes(*scenes.next(), rate)
        if time.process_time() - told > 60:
            told = time.process_time()
            scores = {key: round(value, 4) for key, value in evaluate(learner.mean, aside).items()}
            print(
                f"{spent:.1f} min, step {learner.steps}, rate {rate:.1e}, {learner.loss.round(4)}, {scores}", flush=True
            )
            learner.save(path)
    learner.save(path)
    print({key: round(value, 4) for key, value in evaluate(learner.mean, aside).items()})


if __name__ == "__main__":
    main()
