"""Captured sound that could not be sent in time: how old it may become."""

from __future__ import annotations

from typing import Any

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
