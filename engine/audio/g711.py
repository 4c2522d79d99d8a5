"""G.711 mu-law and A-law, bit for bit as ITU-T G.191 (csrc/g711.h).

Linear samples are int16 at full scale, codes are bytes as they travel on the wire. Everything here takes a numpy
array, shape (n,), and gives a new one, or takes bytes (also bytearray and memoryview; linear samples in the machine's
order) and gives bytes, which is quicker for short blocks. A code is one sample, so lengths are kept. Pure functions:
any thread, any size, no delay. Each raises ConfigError for another dtype or shape, or half a sample.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.native import buffer as view
from engine.native import content, lib, unfilled

Bytes: TypeAlias = bytes | bytearray | memoryview

ULAW_SILENCE = 0xFF
"""The mu-law code of 0."""

ALAW_SILENCE = 0xD5
"""The A-law code of 0. A-law has no zero: it decodes to 8."""


@overload
def ulaw_encode(samples: NDArray[np.int16]) -> NDArray[np.uint8]: ...
@overload
def ulaw_encode(samples: Bytes) -> bytes: ...
def ulaw_encode(samples: Any) -> Any:
    """Code int16 samples as mu-law bytes."""
    return _convert(_ULAW_ENCODE, samples, _LINEAR, _CODES)


@overload
def ulaw_decode(codes: NDArray[np.uint8]) -> NDArray[np.int16]: ...
@overload
def ulaw_decode(codes: Bytes) -> bytes: ...
def ulaw_decode(codes: Any) -> Any:
    """Decode mu-law bytes to int16 samples."""
    return _convert(_ULAW_DECODE, codes, _CODES, _LINEAR)


@overload
def alaw_encode(samples: NDArray[np.int16]) -> NDArray[np.uint8]: ...
@overload
def alaw_encode(samples: Bytes) -> bytes: ...
def alaw_encode(samples: Any) -> Any:
    """Code int16 samples as A-law bytes."""
    return _convert(_ALAW_ENCODE, samples, _LINEAR, _CODES)


@overload
def alaw_decode(codes: NDArray[np.uint8]) -> NDArray[np.int16]: ...
@overload
def alaw_decode(codes: Bytes) -> bytes: ...
def alaw_decode(codes: Any) -> Any:
    """Decode A-law bytes to int16 samples."""
    return _convert(_ALAW_DECODE, codes, _CODES, _LINEAR)


@overload
def ulaw_to_alaw(codes: NDArray[np.uint8]) -> NDArray[np.uint8]: ...
@overload
def ulaw_to_alaw(codes: Bytes) -> bytes: ...
def ulaw_to_alaw(codes: Any) -> Any:
    """Turn mu-law bytes into A-law bytes, as alaw_encode(ulaw_decode(codes)) does."""
    return _convert(_ULAW_TO_ALAW, codes, _CODES, _CODES)


@overload
def alaw_to_ulaw(codes: NDArray[np.uint8]) -> NDArray[np.uint8]: ...
@overload
def alaw_to_ulaw(codes: Bytes) -> bytes: ...
def alaw_to_ulaw(codes: Any) -> Any:
    """Turn A-law bytes into mu-law bytes, as ulaw_encode(alaw_decode(codes)) does."""
    return _convert(_ALAW_TO_ULAW, codes, _CODES, _CODES)


class _Form(NamedTuple):
    name: str
    dtype: np.dtype[Any]
    size: int  # bytes per sample
    remedy: str


_LINEAR = _Form(
    "samples",
    np.dtype(np.int16),
    2,
    "int16 samples are wanted: for floats in [-1, 1] use np.clip(x * 32768, -32768, 32767).astype(np.int16)",
)
_CODES = _Form("codes", np.dtype(np.uint8), 1, "uint8 codes are wanted")
_BYTES = (bytes, bytearray, memoryview)

_ULAW_ENCODE = int(lib.RT_G711_ULAW_ENCODE)
_ULAW_DECODE = int(lib.RT_G711_ULAW_DECODE)
_ALAW_ENCODE = int(lib.RT_G711_ALAW_ENCODE)
_ALAW_DECODE = int(lib.RT_G711_ALAW_DECODE)
_ULAW_TO_ALAW = int(lib.RT_G711_ULAW_TO_ALAW)
_ALAW_TO_ULAW = int(lib.RT_G711_ALAW_TO_ULAW)
_run: Callable[[int, Any, Any, int], None] = lib.rt_g711_convert


def _convert(which: int, source: Any, given: _Form, made: _Form) -> Any:
    """One conversion. Every line here is paid for each block of sound: what need not be looked at is not."""
    if type(source) is bytes:
        samples, odd = divmod(len(source), given.size)
        if odd:
            raise ConfigError(f"{given.name} has {len(source)} bytes, half a sample at the end: keep it for the next")
        result = unfilled(size := samples * made.size)
        _run(which, source, result, samples)
        return content(result, size)
    if not isinstance(source, np.ndarray):
        if isinstance(source, _BYTES):
            return _convert(which, bytes(source), given, made)
        raise ConfigError(f"{given.name} is {type(source).__name__}, neither a numpy array nor bytes; {given.remedy}")
    if source.dtype is not given.dtype or source.ndim != 1:
        _check(source, given)
    samples = len(source)
    out = np.empty(samples, made.dtype)
    try:
        taken = view(source)
    except ValueError:  # a strided array
        taken = view(np.ascontiguousarray(source))
    _run(which, taken, view(out), samples)
    return out


def _check(array: NDArray[Any], form: _Form) -> None:
    if array.dtype != form.dtype:
        raise ConfigError(f"{form.name} has dtype {array.dtype}; {form.remedy}")
    if array.ndim != 1:
        shape = array.shape
        raise ConfigError(f"{form.name} has shape {shape}; one channel is wanted, shape (n,): call once per channel")
