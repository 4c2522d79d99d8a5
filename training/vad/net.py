"""The network in torch: one layer over the features, two GRUs in a row, two outputs that see both.

    features (36) -> 32, ReLU -> GRU 48 -> GRU 24 -> (both, 72) -> exact, bridged

The output for a hop is judged against the label DELAY hops earlier: 20 ms to look ahead.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

FEATURES, ENTRY, FIRST, SECOND = 36, 32, 48, 24
DELAY = 2
CEILING = 8.0  # of what leaves the first layer: the C core counts it in steps of 1 / 4096

State = tuple[Tensor, Tensor]


class Net(nn.Module):
    """Logits (batch, hops, 2) of exact and of bridged speech."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.entry = nn.Linear(FEATURES, ENTRY)
        self.first = nn.GRU(ENTRY, FIRST, batch_first=True)
        self.second = nn.GRU(FIRST, SECOND, batch_first=True)
        self.exit = nn.Linear(FIRST + SECOND, 2)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """`state` carries on from the sound before."""
        first, second = state if state is not None else (None, None)
        x = torch.clamp(self.entry(features), 0.0, CEILING)
        a, first = self.first(self.dropout(x), first)
        b, second = self.second(self.dropout(a), second)
        return self.exit(torch.cat([a, b], -1)), (first, second)


def parameters(net: nn.Module) -> int:
    """How many numbers are learnt."""
    return sum(p.numel() for p in net.parameters())
