"""The wait-free ring between two threads, as two handles: who writes and who reads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from engine.errors import ConfigError
from engine.native import Block, address, lib


class _Memory:
    """What both handles keep alive."""

    def __init__(self, dtype: np.dtype[Any], capacity: int) -> None:
        size = lib.rt_ring_size(dtype.itemsize, capacity) if 0 < capacity < 2**31 else 0
        if size == 0:
            raise ConfigError(
                f"ring capacity is {capacity} elements of {dtype.itemsize} bytes: give 1 to 2**28 bytes in all"
            )
        self.dtype = dtype
        self.block = Block(size)
        self.ring = self.block.pointer("rt_ring *")
        lib.rt_ring_init(self.ring, dtype.itemsize, capacity)
        self.capacity: int = lib.rt_ring_capacity(self.ring)


class RingWriter:
    """The writing end. One thread at a time; never waits."""

    def __init__(self, memory: _Memory) -> None:
        self._memory = memory

    @property
    def capacity(self) -> int:
        """Elements the ring holds: the asked capacity, rounded up to a power of two."""
        return self._memory.capacity

    @property
    def writable(self) -> int:
        """Elements there is room for now."""
        return int(lib.rt_ring_writable(self._memory.ring))

    def write(self, elements: NDArray[Any]) -> int:
        """Copy in as many leading elements of a 1-D array as fit; returns how many."""
        array = np.ascontiguousarray(elements, dtype=self._memory.dtype)
        if array.ndim != 1:
            raise ConfigError(f"elements has {array.ndim} dimensions: give a 1-D array")
        return int(lib.rt_ring_write(self._memory.ring, address(array, "void *"), len(array)))


class RingReader:
    """The reading end. One thread at a time; never waits."""

    def __init__(self, memory: _Memory) -> None:
        self._memory = memory

    @property
    def readable(self) -> int:
        """Elements waiting now."""
        return int(lib.rt_ring_readable(self._memory.ring))

    def read(self, count: int | None = None) -> NDArray[Any]:
        """Up to `count` elements (default: all that wait) as a new array, oldest first."""
        wanted = self.readable if count is None else max(0, min(count, self.readable))
        array = np.empty(wanted, dtype=self._memory.dtype)
        lib.rt_ring_read(self._memory.ring, address(array, "void *"), wanted)
        return array

    @property
    def pointer(self) -> Any:
        """The C ring, for blocks that write into it. Keep this handle alive while they do."""
        return self._memory.ring


def ring(dtype: DTypeLike, capacity: int) -> tuple[RingWriter, RingReader]:
    """A ring of at least `capacity` elements of `dtype`, as its two ends. When full, `write` takes less; nothing is
    overwritten.
    """
    memory = _Memory(np.dtype(dtype), capacity)
    return RingWriter(memory), RingReader(memory)
