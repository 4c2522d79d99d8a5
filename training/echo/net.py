"""The network in torch: one layer over the features, two GRUs in a row, outputs that see both.

    features (154) -> 48, tanh -> GRU 64 -> GRU 32 -> (both, 96) -> 22 gains, 1 probability, all as logits

Nothing looks ahead: an output is of the hop it is made in.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.recurrent import Recurrent

FEATURES, ENTRY, FIRST, SECOND, BANDS = 154, 48, 64, 32, 22


class Net(Recurrent):
    """Logits (batch, hops, BANDS + 1): of a gain per band, and of somebody near speaking."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__((FEATURES, ENTRY, FIRST, SECOND), BANDS + 1, dropout)

    def bound(self, entered: Tensor) -> Tensor:
        """See `Recurrent`."""
        return torch.tanh(entered)
