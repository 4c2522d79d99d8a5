"""The twins of `engine.audio.g711` in numba: for code that numba compiles, such as sound stages written in Python,
which cannot call the C core.

The scalar functions `*_code` and `*_value` may be called from any compiled code; the array functions take int16 or
uint8 arrays, shape (n,), and give new ones. Equal to the C core on every input. The first call of each compiles it (a
second or two). Needs the extra: pip install "bargein[stages]".
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError

try:
    import numba
except ImportError as absent:
    raise ConfigError(
        'engine.audio.g711_numba needs numba, which is not installed: pip install "bargein[stages]"'
    ) from absent

Samples = NDArray[np.int16]
Codes = NDArray[np.uint8]

_compiled: Any = numba.njit(error_model="numpy", nogil=True)
_inlined: Any = numba.njit(error_model="numpy", nogil=True, inline="always")


def _ulaw_code(sample: int) -> int:
    """The mu-law code of one int16 sample, 0 to 255."""
    negative = sample >> 31  # -1 below 0, else 0
    magnitude = min(((sample ^ negative) >> 2) + 33, 8191)  # one's complement, as G.191 does; 33 to 8191
    segment = (
        (magnitude >= 64)
        + (magnitude >= 128)
        + (magnitude >= 256)
        + (magnitude >= 512)
        + (magnitude >= 1024)
        + (magnitude >= 2048)
        + (magnitude >= 4096)
    )
    return (((segment << 4) | ((magnitude >> (segment + 1)) & 15)) ^ 0xFF) ^ (negative & 0x80)


def _ulaw_value(code: int) -> int:
    """The int16 sample of one mu-law code."""
    inverted = code ^ 0xFF
    magnitude = ((((inverted & 15) << 1) + 33) << ((inverted >> 4) & 7)) - 33
    return (magnitude if inverted < 128 else -magnitude) << 2


def _alaw_code(sample: int) -> int:
    """The A-law code of one int16 sample, 0 to 255."""
    negative = sample >> 31
    magnitude = (sample ^ negative) >> 4  # 0 to 2047
    segment = (
        (magnitude >= 32)
        + (magnitude >= 64)
        + (magnitude >= 128)
        + (magnitude >= 256)
        + (magnitude >= 512)
        + (magnitude >= 1024)
    )
    return (((segment << 4) + (magnitude >> segment)) ^ 0xD5) ^ (negative & 0x80)


def _alaw_value(code: int) -> int:
    """The int16 sample of one A-law code."""
    plain = code ^ 0x55
    segment = (plain >> 4) & 7
    low = ((plain & 15) << 1) + 1
    magnitude = low if segment == 0 else (low + 32) << (segment - 1)
    return (magnitude if plain >= 128 else -magnitude) << 3


ulaw_code = _inlined(_ulaw_code)
ulaw_value = _inlined(_ulaw_value)
alaw_code = _inlined(_alaw_code)
alaw_value = _inlined(_alaw_value)


@_compiled  # type: ignore[untyped-decorator]
def ulaw_encode(samples: Samples) -> Codes:
    """Code int16 samples as mu-law bytes."""
    codes = np.empty(len(samples), np.uint8)
    for i in range(len(samples)):
        codes[i] = ulaw_code(np.int32(samples[i]))
    return codes


@_compiled  # type: ignore[untyped-decorator]
def ulaw_decode(codes: Codes) -> Samples:
    """Decode mu-law bytes to int16 samples."""
    samples = np.empty(len(codes), np.int16)
    for i in range(len(codes)):
        samples[i] = ulaw_value(np.int32(codes[i]))
    return samples


@_compiled  # type: ignore[untyped-decorator]
def alaw_encode(samples: Samples) -> Codes:
    """Code int16 samples as A-law bytes."""
    codes = np.empty(len(samples), np.uint8)
    for i in range(len(samples)):
        codes[i] = alaw_code(np.int32(samples[i]))
    return codes


@_compiled  # type: ignore[untyped-decorator]
def alaw_decode(codes: Codes) -> Samples:
    """Decode A-law bytes to int16 samples."""
    samples = np.empty(len(codes), np.int16)
    for i in range(len(codes)):
        samples[i] = alaw_value(np.int32(codes[i]))
    return samples


@_compiled  # type: ignore[untyped-decorator]
def ulaw_to_alaw(codes: Codes) -> Codes:
    """Turn mu-law bytes into A-law bytes, as alaw_encode(ulaw_decode(codes)) does."""
    result = np.empty(len(codes), np.uint8)
    for i in range(len(codes)):
        result[i] = alaw_code(ulaw_value(np.int32(codes[i])))
    return result


@_compiled  # type: ignore[untyped-decorator]
def alaw_to_ulaw(codes: Codes) -> Codes:
    """Turn A-law bytes into mu-law bytes, as ulaw_encode(alaw_decode(codes)) does."""
    result = np.empty(len(codes), np.uint8)
    for i in range(len(codes)):
        result[i] = ulaw_code(alaw_value(np.int32(codes[i])))
    return result
