"""G.711 mu-law and A-law on numpy arrays, bit for bit as ITU-T G.191 (csrc/g711.h).

Linear samples are int16 at full scale, codes are uint8 as they travel on the wire. A code is one sample, so shapes are
kept. Pure functions: any thread, any size, no delay.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.native import address, lib

ULAW_SILENCE = 0xFF
"""The mu-law code of 0."""

ALAW_SILENCE = 0xD5
"""The A-law code of 0. A-law has no zero: it decodes to 8."""


def ulaw_encode(samples: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Code int16 samples, shape (n,), as mu-law bytes, shape (n,). Raises ConfigError for another dtype or shape."""
    source = _checked("samples", samples, _INT16)
    codes = np.empty(source.size, dtype=np.uint8)
    lib.rt_ulaw_encode(address(source, "int16_t *"), address(codes, "uint8_t *"), source.size)
    return codes


def ulaw_decode(codes: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Decode mu-law bytes, shape (n,), to int16 samples, shape (n,). Raises ConfigError for another dtype or shape."""
    source = _checked("codes", codes, _UINT8)
    samples = np.empty(source.size, dtype=np.int16)
    lib.rt_ulaw_decode(address(source, "uint8_t *"), address(samples, "int16_t *"), source.size)
    return samples


def alaw_encode(samples: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Code int16 samples, shape (n,), as A-law bytes, shape (n,). Raises ConfigError for another dtype or shape."""
    source = _checked("samples", samples, _INT16)
    codes = np.empty(source.size, dtype=np.uint8)
    lib.rt_alaw_encode(address(source, "int16_t *"), address(codes, "uint8_t *"), source.size)
    return codes


def alaw_decode(codes: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Decode A-law bytes, shape (n,), to int16 samples, shape (n,). Raises ConfigError for another dtype or shape."""
    source = _checked("codes", codes, _UINT8)
    samples = np.empty(source.size, dtype=np.int16)
    lib.rt_alaw_decode(address(source, "uint8_t *"), address(samples, "int16_t *"), source.size)
    return samples


_INT16 = np.dtype(np.int16)
_UINT8 = np.dtype(np.uint8)

_REMEDY = {
    _INT16: "int16 samples are wanted: for floats in [-1, 1] use np.clip(x * 32768, -32768, 32767).astype(np.int16), "
    "for bytes np.frombuffer(data, '<i2')",
    _UINT8: "uint8 codes are wanted: for bytes use np.frombuffer(data, np.uint8)",
}


def _checked(name: str, array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The array as C-contiguous memory (a copy only when it is strided), or a ConfigError that says what to do."""
    if not isinstance(array, np.ndarray):
        raise ConfigError(f"{name} is {type(array).__name__}, not a numpy array; {_REMEDY[dtype]}")
    if array.dtype != dtype:
        raise ConfigError(f"{name} has dtype {array.dtype}; {_REMEDY[dtype]}")
    if array.ndim != 1:
        raise ConfigError(f"{name} has shape {array.shape}; one channel is wanted, shape (n,): call once per channel")
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)
