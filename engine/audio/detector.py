"""Voice activity: one probability of speech per 10 ms."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio.resample import Resampler
from engine.errors import ConfigError
from engine.native import Block, address, lib


class VoiceDetector:
    """Probability of speech, 0 to 1, for each 10 ms of a stream. 0.5 is the balanced decision (the API's
    `threshold`).

    `rate` in Hz, 8000 to 192000; sound of other rates than 24 kHz is resampled first. One stream, one thread. The
    decision lags an onset by at most 20 ms plus the resampler's delay (`latency_ms`).
    """

    def __init__(self, rate: int = 24000) -> None:
        if not 8000 <= rate <= 192000:
            raise ConfigError(f"rate is {rate} Hz: give 8000 to 192000")
        self._resampler = Resampler(rate, lib.RT_RATE)
        self._block = Block(lib.rt_vad_size())
        self._vad = self._block.pointer("rt_vad *")
        lib.rt_vad_init(self._vad)
        self._rest = np.empty(0, dtype=np.float32)

    @property
    def latency_ms(self) -> float:
        """How far, in milliseconds, a decision lags the sound at most."""
        return float(self._resampler.latency_ms) + 1000.0 * int(lib.rt_vad_latency(self._vad)) / int(lib.RT_RATE)

    def process(self, samples: NDArray[Any]) -> NDArray[np.float32]:
        """Take mono float32 in [-1, 1] or int16 samples, any number; returns one float32 probability per finished
        10 ms.
        """
        array = np.asarray(samples)
        if array.ndim != 1:
            raise ConfigError(f"samples has {array.ndim} dimensions: give one channel as a 1-D array")
        if array.dtype == np.int16:
            array = array.astype(np.float32) / np.float32(32768)
        elif array.dtype != np.float32:
            raise ConfigError(f"samples has dtype {array.dtype}: give float32 in [-1, 1] or int16")
        sound = np.concatenate([self._rest, self._resampler.process(array)])
        hops = len(sound) // lib.RT_HOP
        self._rest = sound[hops * lib.RT_HOP :].copy()
        out = np.empty(hops, dtype=np.float32)
        for i in range(hops):
            out[i] = lib.rt_vad_process(self._vad, address(sound[i * lib.RT_HOP :], "float *"))
        return out

    def reset(self) -> None:
        """Forget the stream so far."""
        self._resampler.reset()
        lib.rt_vad_reset(self._vad)
        self._rest = np.empty(0, dtype=np.float32)
