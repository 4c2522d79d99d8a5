"""The network in torch: one layer over the features, two GRUs in a row, outputs that see both.

    features (154) -> 48, tanh -> GRU 64 -> GRU 32 -> (both, 96) -> 22 gains, 1 probability, all as logits

Nothing looks ahead: an output is of the hop it is made in.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

FEATURES, ENTRY, FIRST, SECOND, BANDS = 154, 48, 64, 32, 22

State = tuple[Tensor, Tensor]


class Net(nn.Module):
    """Logits (batch, hops, BANDS + 1): of a gain per band, and of somebody near speaking."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.entry = nn.Linear(FEATURES, ENTRY)
        self.first = nn.GRU(ENTRY, FIRST, batch_first=True)
        self.second = nn.GRU(FIRST, SECOND, batch_first=True)
        self.exit = nn.Linear(FIRST + SECOND, BANDS + 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """`state` carries on from the sound before."""
        first, second = state if state is not None else (None, None)
        a, first = self.first(self.dropout(torch.tanh(self.entry(features))), first)
        b, second = self.second(self.dropout(a), second)
        return self.exit(torch.cat([a, b], -1)), (first, second)


def parameters(net: nn.Module) -> int:
    """How many numbers are learnt."""
    return sum(p.numel() for p in net.parameters())
