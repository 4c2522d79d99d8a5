"""Captured sound that could not be sent in time: how old it may become."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError

RING_S = 5.0  # what the ring of captured sound holds; beyond it the newest is lost and counted there


def checked_oldest_s(oldest_s: float) -> float:
    """The value, or ConfigError when it is not from 1 to 5. Less would leave out speech that was held on purpose."""
    if isinstance(oldest_s, bool) or not isinstance(oldest_s, int | float) or not 1.0 <= oldest_s <= RING_S:
        raise ConfigError(f"oldest_s is {oldest_s!r}: use 1 to {RING_S:g} seconds")
    return oldest_s


def fresh(records: NDArray[Any], captured_s: float, oldest_s: float) -> NDArray[Any]:
    """The records captured less than `oldest_s` ago, when `captured_s` seconds have been captured in all."""
    oldest = (captured_s - oldest_s) * 24_000
    if oldest <= 0 or not len(records) or records["position"].min() >= oldest:
        return records
    return records[records["position"] >= oldest]


class Backlog:
    """Captured sound on its way from the ring to the wire, given out a little at a time, so that no piece of it becomes
    too old while the one before it is being sent. Holds `oldest_s` of sound at most: what is older is left out, and
    `left_out` counts its records of 10 ms. Belongs to the loop thread.
    """

    def __init__(self, oldest_s: float) -> None:
        self.left_out = 0
        self._oldest_s = oldest_s
        self._waiting: NDArray[Any] | None = None  # bounded by age

    @property
    def waiting(self) -> bool:
        """Whether `take` left something."""
        return self._waiting is not None

    def earliest(self, otherwise: int) -> int:
        """The first captured position that `take` left."""
        return int(self._waiting["position"].min()) if self._waiting is not None else otherwise

    def take(self, records: NDArray[Any], captured_s: float, most: int) -> NDArray[Any]:
        """Add what was read from the ring, and take out the oldest that may still be sent: at most `most` records."""
        if self._waiting is not None:
            records = np.concatenate([self._waiting, records])
        young = fresh(records, captured_s, self._oldest_s)
        self.left_out += len(records) - len(young)
        rest = young[most:]
        self._waiting = rest if len(rest) else None
        return young[:most]
