"""What the networks of the C core have in common, and how they learn.

    features -> entry, bounded -> GRU -> GRU -> (both) -> logits

A network (`vad.net`, `echo.net`) says how wide each layer is and what bounds the first; its trainer says what is right.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

State = tuple[Tensor, Tensor]


class Recurrent(nn.Module):
    """Logits (batch, hops, outputs) of features (batch, hops, inputs)."""

    def __init__(self, sizes: tuple[int, int, int, int], outputs: int, dropout: float) -> None:
        super().__init__()
        features, entry, first, second = sizes
        self.entry = nn.Linear(features, entry)
        self.first = nn.GRU(entry, first, batch_first=True)
        self.second = nn.GRU(first, second, batch_first=True)
        self.exit = nn.Linear(first + second, outputs)
        self.dropout = nn.Dropout(dropout)

    def bound(self, entered: Tensor) -> Tensor:
        """What leaves the first layer, of what it made of the features."""
        raise NotImplementedError

    def forward(self, features: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """`state` carries on from the sound before."""
        first, second = state if state is not None else (None, None)
        a, first = self.first(self.dropout(self.bound(self.entry(features))), first)
        b, second = self.second(self.dropout(a), second)
        return self.exit(torch.cat([a, b], -1)), (first, second)


def parameters(net: nn.Module) -> int:
    """How many numbers are learnt."""
    return sum(p.numel() for p in net.parameters())


N = TypeVar("N", bound=Recurrent)


class Learner(Generic[N]):
    """A network, the running average of its weights, and what moves them."""

    def __init__(self, make: Callable[[float], N], dropout: float, resume: Path | None) -> None:
        self.net, self.mean = make(dropout), make(0.0)
        self.mean.load_state_dict(self.net.state_dict())
        if resume is not None:
            kept = torch.load(resume)
            self.net.load_state_dict(kept["net"])
            self.mean.load_state_dict(kept["mean"])
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=1e-3, weight_decay=1e-2)
        self.steps = 0

    def descend(self, loss: Tensor, rate: float, warm_up: int, average: float) -> None:
        """One step, `rate` reached after `warm_up` of them; the average keeps `average` of itself."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * min(1.0, (self.steps + 1) / warm_up)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        self.steps += 1
        keep = min(average, 1 - 1 / (1 + self.steps / 10))
        with torch.no_grad():
            for old, new in zip(self.mean.parameters(), self.net.parameters(), strict=True):
                old.lerp_(new, 1 - keep)

    def save(self, path: Path) -> None:
        """For --resume and for the exports."""
        torch.save({"net": self.net.state_dict(), "mean": self.mean.state_dict()}, path)
