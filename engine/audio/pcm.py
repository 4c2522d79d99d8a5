"""int16 and float samples (csrc/pcm.h): one pass in C, where numpy takes four and as many arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.native import address, lib


def pcm_to_float(pcm: NDArray[np.int16]) -> NDArray[np.float32]:
    """Times 1 / 32768, exactly. Takes and gives one dimension."""
    source = np.ascontiguousarray(pcm, np.int16)
    out = np.empty(source.size, np.float32)
    lib.rt_pcm_to_float(address(source, "int16_t *"), address(out, "float *"), source.size)
    return out


def float_to_pcm(samples: NDArray[Any]) -> NDArray[np.int16]:
    """The nearest int16, halves to even; beyond [-1, 1) clamped, NaN as 0. Undoes `pcm_to_float` exactly."""
    source = np.ascontiguousarray(samples, np.float32)
    out = np.empty(source.size, np.int16)
    lib.rt_pcm_from_float(address(source, "float *"), address(out, "int16_t *"), source.size)
    return out
