"""Voice activity: two probabilities of speech per 10 ms."""

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

    `rate` in Hz, 8000 to 192000; sound of other rates than 24 kHz is resampled first. One stream, one thread. A
    probability is of the sound 20 ms before the end of its hop, plus the resampler's delay (`latency_ms`).
    """

    def __init__(self, rate: int = 24000) -> None:
        if not 8000 <= rate <= 192000:
            raise ConfigError(f"rate is {rate} Hz: give 8000 to 192000")
        self._resampler = Resampler(rate, lib.RT_RATE)
        self._block = Block(lib.rt_vad_size())
        self._vad = self._block.pointer("rt_vad *")
        lib.rt_vad_init(self._vad)
        self._rest = np.empty(0, dtype=np.float32)
        self._bridged = np.empty(0, dtype=np.float32)

    @property
    def latency_ms(self) -> float:
        """How far, in milliseconds, a decision lags the sound."""
        return float(self._resampler.latency_ms) + 1000.0 * int(lib.rt_vad_latency(self._vad)) / int(lib.RT_RATE)

    @property
    def bridged(self) -> NDArray[np.float32]:
        """Of the last `process`, one per hop like what it returned: the probability that it is speech or a pause of
        less than half a second in speech. `process` itself returns exact speech, small in those pauses.
        """
        return self._bridged

    @property
    def level_db(self) -> float:
        """Level of the last 20 ms in the telephone band (200 to 3800 Hz), dBFS."""
        return float(lib.rt_vad_level_db(self._vad))

    @property
    def floor_db(self) -> float:
        """The least level of the last 1.5 s in that band, dBFS, not below -65."""
        return float(lib.rt_vad_floor_db(self._vad))

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
        exact, self._bridged = np.empty(hops, dtype=np.float32), np.empty(hops, dtype=np.float32)
        if hops:
            lib.rt_vad_many(
                self._vad, address(sound, "float *"), hops, address(exact, "float *"), address(self._bridged, "float *")
            )
        return exact

    def reset(self) -> None:
        """Forget the stream so far."""
        self._resampler.reset()
        lib.rt_vad_reset(self._vad)
        self._rest = self._bridged = np.empty(0, dtype=np.float32)
