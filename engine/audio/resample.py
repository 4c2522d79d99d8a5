"""Streaming sample-rate conversion, live or for files (csrc/resample.h)."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.native import Block, address, lib, new

Sample = TypeVar("Sample", np.int16, np.float32)
Quality = Literal["live", "file"]

LOWEST_RATE = 8000
HIGHEST_RATE = 192000
MOST_PPM = 500.0

_QUALITIES: dict[str, int] = {"live": lib.RT_RESAMPLE_LIVE, "file": lib.RT_RESAMPLE_FILE}
_FLOAT32 = np.dtype(np.float32)
_INT16 = np.dtype(np.int16)


class Resampler:
    """One mono stream from one sample rate to another. Rates are whole numbers of Hz from 8000 to 192000.

    Quality "live" delays by 24 sample periods of the lower rate, is flat within 0.1 dB to 0.90 of the lower Nyquist
    frequency and 80 dB down from 1.10 of it on; "file" delays by 80, is flat to 0.95 and 115 dB down from 1.05 on.
    Every process() returns what is due by then: after n samples in, ceil(n * rate_out / rate_in) have come out, and
    they are the same whichever way the input was cut. A `tunable` one also follows a drifting clock, see `tune`.
    At most 192 kB. One thread at a time.

        resampler = Resampler(48000, 24000)
        for block in blocks:              # float32 in [-1, 1] or int16, shape (n,), any n
            send(resampler.process(block))
        send(resampler.flush())           # the last latency_ms

    Raises ConfigError for rates and qualities that there are not.
    """

    def __init__(self, rate_in: int, rate_out: int, quality: Quality = "live", *, tunable: bool = False) -> None:
        self.rate_in = _checked_rate("rate_in", rate_in)
        self.rate_out = _checked_rate("rate_out", rate_out)
        if quality not in _QUALITIES:
            raise ConfigError(f"quality is {quality!r}; use 'live' (short delay) or 'file' (longer filter)")
        self.quality = quality
        self.tunable = bool(tunable)
        config = new("rt_resample_config *", (self.rate_in, self.rate_out, _QUALITIES[quality], self.tunable))
        self._block = Block(lib.rt_resample_size_for(config))
        self._state: Any = self._block.pointer("rt_resample *")
        lib.rt_resample_init_for(self._state, config)
        self._dtype = _FLOAT32

    @property
    def latency_ms(self) -> float:
        """Group delay in milliseconds, exactly: the sound at input time t leaves at t + latency_ms. 0 for equal rates
        that are not tunable.
        """
        return float(lib.rt_resample_latency(self._state)) * 1000.0

    def tune(self, ppm: float) -> None:
        """Follow a clock: the input really runs at rate_in * (1 + ppm / 1e6), ppm from -500 to 500 in thousandths.

        Takes effect with the next sample, without a step in the sound; the count of samples stays exact. Raises
        ConfigError when ppm is outside or the resampler was not made tunable.
        """
        if not self.tunable:
            raise ConfigError("this Resampler is not tunable; make it with Resampler(rate_in, rate_out, tunable=True)")
        if not (isinstance(ppm, int | float | np.integer | np.floating) and math.fabs(ppm) <= MOST_PPM):
            raise ConfigError(f"ppm is {ppm!r}; use -{MOST_PPM:g} to {MOST_PPM:g}")
        lib.rt_resample_tune(self._state, float(ppm))

    def process(self, samples: NDArray[Sample]) -> NDArray[Sample]:
        """Take samples, shape (n,), float32 or int16, and return those now due in the same dtype, a new array.

        NaN counts as 0 and infinities are clamped; int16 output is rounded and clamped. Raises ConfigError for another
        dtype or shape.
        """
        source = _checked(samples)
        size = len(source)
        dtype = self._dtype = source.dtype
        state = self._state
        out: NDArray[Any] = np.empty(lib.rt_resample_out(state, size), dtype)
        if dtype is _INT16 or dtype == _INT16:
            taken, given = address(source, "int16_t *"), address(out, "int16_t *")
            lib.rt_resample_process_int16(state, taken, size, given, len(out))
        else:
            taken, given = address(source, "float *"), address(out, "float *")
            lib.rt_resample_process(state, taken, size, given, len(out))
        return out

    def flush(self) -> NDArray[Any]:
        """End the stream: return the tail still inside, latency_ms long, in the dtype last given, and start afresh."""
        out: NDArray[Any] = np.empty(lib.rt_resample_tail(self._state), self._dtype)
        if self._dtype == _INT16:
            lib.rt_resample_flush_int16(self._state, address(out, "int16_t *"), len(out))
        else:
            lib.rt_resample_flush(self._state, address(out, "float *"), len(out))
        return out

    def reset(self) -> None:
        """Forget the past, as if newly made; the tuning stays."""
        lib.rt_resample_reset(self._state)


def _checked_rate(name: str, rate: int) -> int:
    if isinstance(rate, bool) or not isinstance(rate, int | np.integer):
        raise ConfigError(f"{name} is {rate!r}; a whole number of Hz is wanted, e.g. 48000")
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise ConfigError(
            f"{name} is {rate} Hz; use {LOWEST_RATE} to {HIGHEST_RATE} Hz (soxr converts files at others)"
        )
    return int(rate)


def _checked(samples: NDArray[Any]) -> NDArray[Any]:
    """The array as C-contiguous memory (a copy only when it is strided), or a ConfigError that says what to do."""
    if not isinstance(samples, np.ndarray):
        raise ConfigError(f"samples is {type(samples).__name__}; a numpy array of float32 or int16 is wanted")
    dtype = samples.dtype
    if dtype is not _FLOAT32 and dtype is not _INT16 and dtype not in (_FLOAT32, _INT16):
        raise ConfigError(
            f"samples has dtype {dtype}; float32 in [-1, 1] or int16 is wanted: use samples.astype(np.float32)"
        )
    if samples.ndim != 1:
        raise ConfigError(
            f"samples has shape {samples.shape}; one channel is wanted, shape (n,): one Resampler per channel"
        )
    return samples if samples.flags.c_contiguous else np.ascontiguousarray(samples)
