"""Streaming sample-rate conversion for live sound (csrc/resample.h)."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.native import Block, address, lib

Sample = TypeVar("Sample", np.int16, np.float32)

LOWEST_RATE = 8000
HIGHEST_RATE = 192000


class Resampler:
    """One mono stream from one sample rate to another, with 24 sample periods of the lower rate as its delay.

    Rates are whole numbers of Hz from 8000 to 192000. Flat within 0.1 dB to 0.90 of the lower Nyquist frequency, 80 dB
    down from 1.10 of it on. Every process() returns what is due by then: after n samples in,
    ceil(n * rate_out / rate_in) have come out, and they are the same whichever way the input was cut. One thread at a
    time.

        resampler = Resampler(48000, 24000)
        for block in blocks:              # float32 in [-1, 1] or int16, shape (n,), any n
            send(resampler.process(block))
        send(resampler.flush())           # the last latency_ms
    """

    def __init__(self, rate_in: int, rate_out: int) -> None:
        self.rate_in = _checked_rate("rate_in", rate_in)
        self.rate_out = _checked_rate("rate_out", rate_out)
        self._block = Block(lib.rt_resample_size(self.rate_in, self.rate_out))
        self._state: Any = self._block.pointer("rt_resample *")
        lib.rt_resample_init(self._state, self.rate_in, self.rate_out)
        self._dtype: type[np.int16] | type[np.float32] = np.float32

    @property
    def latency_ms(self) -> float:
        """Group delay in milliseconds: the sound at input time t leaves at t + latency_ms. 0 for equal rates."""
        return float(lib.rt_resample_latency(self._state)) * 1000.0

    def process(self, samples: NDArray[Sample]) -> NDArray[Sample]:
        """Take samples, shape (n,), float32 or int16, and return those now due in the same dtype, a new array.

        NaN counts as 0 and infinities are clamped; int16 output is rounded and clamped. Raises ConfigError for another
        dtype or shape.
        """
        _check(samples)
        whole = samples.dtype == np.int16
        self._dtype = np.int16 if whole else np.float32
        source = _to_float(samples) if whole else np.ascontiguousarray(samples)
        out = np.empty(lib.rt_resample_out(self._state, source.size), dtype=np.float32)
        lib.rt_resample_process(self._state, address(source, "float *"), source.size, address(out, "float *"), out.size)
        return self._as_given(out)

    def flush(self) -> NDArray[Any]:
        """End the stream: return the tail still inside, latency_ms long, in the dtype last given, and start afresh."""
        out = np.empty(lib.rt_resample_tail(self._state), dtype=np.float32)
        lib.rt_resample_flush(self._state, address(out, "float *"), out.size)
        return self._as_given(out)

    def reset(self) -> None:
        """Forget the past, as if newly made."""
        lib.rt_resample_reset(self._state)

    def _as_given(self, out: NDArray[np.float32]) -> NDArray[Any]:
        if self._dtype is np.float32:
            return out
        rounded = np.empty(out.size, dtype=np.int16)
        lib.rt_pcm_from_float(address(out, "float *"), address(rounded, "int16_t *"), out.size)
        return rounded


def _checked_rate(name: str, rate: int) -> int:
    if isinstance(rate, bool) or not isinstance(rate, int | np.integer):
        raise ConfigError(f"{name} is {rate!r}; a whole number of Hz is wanted, e.g. 48000")
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise ConfigError(
            f"{name} is {rate} Hz; use {LOWEST_RATE} to {HIGHEST_RATE} Hz (soxr converts files at others)"
        )
    return int(rate)


def _check(samples: NDArray[Any]) -> None:
    if not isinstance(samples, np.ndarray):
        raise ConfigError(f"samples is {type(samples).__name__}; a numpy array of float32 or int16 is wanted")
    if samples.dtype not in (np.float32, np.int16):
        raise ConfigError(
            f"samples has dtype {samples.dtype}; float32 in [-1, 1] or int16 is wanted: use samples.astype(np.float32)"
        )
    if samples.ndim != 1:
        raise ConfigError(
            f"samples has shape {samples.shape}; one channel is wanted, shape (n,): one Resampler per channel"
        )


def _to_float(samples: NDArray[Any]) -> NDArray[np.float32]:
    source = np.ascontiguousarray(samples)
    out = np.empty(source.size, dtype=np.float32)
    lib.rt_pcm_to_float(address(source, "int16_t *"), address(out, "float *"), source.size)
    return out
