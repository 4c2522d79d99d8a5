"""Where client secrets are kept until they expire: under their hash, with what was attached to each.

`Registry` is what the doors need; `MemoryRegistry` is that of one process. Time is passed in, in Unix seconds. Not for
several threads.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from typing import Protocol

from engine.errors import ConfigError, EngineError

ENTRY_BYTES = 512
"""Counted for each entry beside its session."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a secret stands for."""

    owner: str
    """The name of the key that made it; empty on a server without keys."""
    created_at: float
    expires_at: int
    """It opens sessions while now < expires_at, in Unix seconds."""
    session: bytes = field(repr=False)
    """JSON of the attached session as it was asked for: an MCP server's authorization included."""
    temperature: float | None = None
    """Of a session in the older dialect that names one."""

    @property
    def size(self) -> int:
        """Bytes that the registry's bounds count."""
        return ENTRY_BYTES + len(self.session)


class RegistryFull(EngineError):
    """No room for another secret: nothing is forgotten early, since what was given out was promised."""

    def __init__(self, retry_after_s: int, *, shared: bool) -> None:
        whose = "This server holds" if shared else "This key has"
        super().__init__(f"{whose} as many client secrets as it may: retry in {retry_after_s} s, when one expires.")
        self.retry_after_s = retry_after_s
        """Until the next one expires; at least 1."""
        self.shared = shared
        """Whether all keys together have used up the room."""


class Registry(Protocol):
    """Keeps entries under the SHA-256 of their secrets."""

    def add(self, digest: bytes, entry: Entry, now: float) -> None:
        """Keep an entry until it expires. Raises RegistryFull."""

    def find(self, digest: bytes, now: float) -> Entry | None:
        """The entry, as often as it is asked for, until it expires."""

    def count(self, now: float) -> int:
        """Entries that have not expired."""


@dataclass(frozen=True, slots=True)
class RegistryLimits:
    """Bounds of a registry; an entry beyond one of them is refused. Raises ConfigError for a value out of range."""

    per_key: int = 1000
    """Secrets of one key that have not expired (1-1 000 000)."""
    per_key_bytes: int = 16 * 2**20
    """Their attached sessions together, with 512 bytes for each (at least 8 MiB, so that one always fits)."""
    total: int = 20_000
    """Secrets of all keys (1-1 000 000)."""
    total_bytes: int = 64 * 2**20
    """Likewise of all keys."""

    def __post_init__(self) -> None:
        for name in ("per_key", "total"):
            if not 1 <= getattr(self, name) <= 10**6:
                raise ConfigError(f"{name} is {getattr(self, name)!r}: use 1 to 1000000")
        for name in ("per_key_bytes", "total_bytes"):
            if not 2**23 <= getattr(self, name) <= 2**36:
                raise ConfigError(f"{name} is {getattr(self, name)!r}: use {2**23} to {2**36}")


@dataclass(slots=True)
class _Share:
    """What one key has used up."""

    expiries: list[int] = field(default_factory=list)  # a heap; at most `per_key`
    size: int = 0


class MemoryRegistry:
    """A registry in this process's memory: a restart forgets all secrets."""

    def __init__(self, limits: RegistryLimits | None = None) -> None:
        self._limits = limits or RegistryLimits()
        self._entries: dict[bytes, Entry] = {}  # at most `total`; `add` refuses more
        self._expiring: list[tuple[int, bytes]] = []  # a heap of the same entries
        self._shares: dict[str, _Share] = {}  # by owner; those with entries only
        self._size = 0

    def __repr__(self) -> str:
        return f"MemoryRegistry({len(self._entries)})"

    def add(self, digest: bytes, entry: Entry, now: float) -> None:
        """See `Registry.add`."""
        self._expire(now)
        if digest in self._entries:
            raise ConfigError("this secret is known already: draw another one")
        limits, share = self._limits, self._shares.get(entry.owner, _Share())
        if len(share.expiries) >= limits.per_key or share.size + entry.size > limits.per_key_bytes:
            raise RegistryFull(_wait(share.expiries[0], now), shared=False)
        if len(self._entries) >= limits.total or self._size + entry.size > limits.total_bytes:
            raise RegistryFull(_wait(self._expiring[0][0], now), shared=True)
        self._entries[digest] = entry
        heapq.heappush(self._expiring, (entry.expires_at, digest))
        self._shares[entry.owner] = share
        heapq.heappush(share.expiries, entry.expires_at)
        share.size += entry.size
        self._size += entry.size

    def find(self, digest: bytes, now: float) -> Entry | None:
        """See `Registry.find`."""
        self._expire(now)
        return self._entries.get(digest)

    def count(self, now: float) -> int:
        """See `Registry.count`."""
        self._expire(now)
        return len(self._entries)

    def _expire(self, now: float) -> None:
        while self._expiring and self._expiring[0][0] <= now:
            entry = self._entries.pop(heapq.heappop(self._expiring)[1])
            share = self._shares[entry.owner]
            heapq.heappop(share.expiries)  # the earliest of all is the earliest of its owner's
            share.size -= entry.size
            self._size -= entry.size
            if not share.expiries:
                del self._shares[entry.owner]


def _wait(expires_at: int, now: float) -> int:
    return max(1, math.ceil(expires_at - now))


__all__ = ["Entry", "MemoryRegistry", "Registry", "RegistryFull", "RegistryLimits"]
