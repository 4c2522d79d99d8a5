"""How much memory a process uses, and how fast that grows: for the soaks.

Two figures, since either alone misleads. *In use*: what the allocator has given out and has not got back, of all arenas
and large blocks, to the byte; run under PYTHONMALLOC=malloc, or Python's own memory grows in steps of a megabyte, one
of which in ten minutes looks like 5 MB per hour. *Resident*: the pages that the kernel counts, with everything that is
mapped past the allocator.
"""

from __future__ import annotations

import ctypes
import gc
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

STUDENT = 1.7  # one-sided 95 % of Student's t for 25 to 40 samples, rounded up
MB = 2.0**20


class _Mallinfo2(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"
        )
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sample:
    """At `hours`, in MB. `in_use` is None where the allocator cannot tell (it is glibc's word, 2.33 or newer)."""

    hours: float
    resident: float
    in_use: float | None


@dataclass(frozen=True, slots=True)
class Slope:
    """MB per hour by least squares, and the bounds that it keeps with a probability of 95 % each, the samples being
    independent.
    """

    mb_per_hour: float
    low: float
    high: float


def sample(hours: float) -> Sample:
    """Now; what is garbage is collected, and what the allocator keeps for later given back first."""
    gc.collect()
    libc: Any = ctypes.CDLL(None)
    with suppress(AttributeError):
        libc.malloc_trim(0)
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return Sample(hours, int(fields["VmRSS"].split()[0]) / 1024, _in_use(libc))


def _in_use(libc: Any) -> float | None:
    try:
        libc.mallinfo2.restype = _Mallinfo2
    except AttributeError:
        return None
    told = libc.mallinfo2()
    return float(told.uordblks + told.hblkhd) / MB


def slope(hours: Sequence[float], megabytes: Sequence[float]) -> Slope:
    """Of three samples at least."""
    x, y = np.asarray(hours) - np.mean(hours), np.asarray(megabytes)
    square = float((x**2).sum())
    steep = float((x * y).sum()) / square
    rest = y - y.mean() - steep * x
    error = STUDENT * math.sqrt(float((rest**2).sum()) / (len(x) - 2) / square)
    return Slope(steep, steep - error, steep + error)
