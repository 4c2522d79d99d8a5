"""Ids: unique in the process and across processes, and repeatable when a test hands in its own randomness."""

from __future__ import annotations

import random

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
STEM_LENGTH = 14


class Ids:
    """Makes `event_...`, `item_...`, `resp_...` and so on for one session.

    A random stem (83 bits) names the session, a counter the thing: cheaper than fresh randomness for every audio
    delta, and never the same twice. Ids are names, not secrets.
    """

    def __init__(self, rng: random.Random | None = None) -> None:
        self._stem = "".join((rng or random.SystemRandom()).choices(_ALPHABET, k=STEM_LENGTH))
        self._count = 0

    def new(self, kind: str) -> str:
        """The next id, e.g. new("event") -> "event_9fKq...0001"."""
        self._count += 1
        return f"{kind}_{self._stem}{self._count:05x}"
