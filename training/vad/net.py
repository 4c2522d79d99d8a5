"""The network in torch: one layer over the features, two GRUs in a row, two outputs that see both.

    features (36) -> 32, ReLU -> GRU 48 -> GRU 24 -> (both, 72) -> exact, bridged

The output for a hop is judged against the label DELAY hops earlier: 20 ms to look ahead.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.recurrent import Recurrent

FEATURES, ENTRY, FIRST, SECOND = 36, 32, 48, 24
DELAY = 2
CEILING = 8.0  # of what leaves the first layer: the C core counts it in steps of 1 / 4096


class Net(Recurrent):
    """Logits (batch, hops, 2) of exact and of bridged speech."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__((FEATURES, ENTRY, FIRST, SECOND), 2, dropout)

    def bound(self, entered: Tensor) -> Tensor:
        """See `Recurrent`."""
        return torch.clamp(entered, 0.0, CEILING)
