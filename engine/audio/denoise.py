"""Steady noise taken down: the light suppressor behind a session's `noise_reduction` (csrc/denoise.h)."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.audio.resample import Resampler, Sample
from engine.errors import ConfigError
from engine.native import Block, address, lib

Preset = Literal["near_field", "far_field"]

MOST_STRENGTH = 2.0

_PRESETS: dict[str, int] = {"near_field": lib.RT_DENOISE_NEAR, "far_field": lib.RT_DENOISE_FAR}


class NoiseReducer:
    """Takes steady noise down and leaves speech, one mono stream at `rate` Hz (8000 to 48000).

    `preset` "near_field" is for a mouthpiece (by some 8 dB), "far_field" for a microphone across the room (by some
    12 dB); `strength` scales it, from 0 (none) through 1 to 2. Works at 24 kHz, so of sound at 48 kHz only what lies
    below 12 kHz comes out. Every process() returns what is due by then, whole hops of 10 ms; the same whichever way
    the input was cut. One thread at a time.

        reducer = NoiseReducer(16000, "far_field")
        for block in blocks:            # float32 in [-1, 1] or int16, shape (n,), any n
            send(reducer.process(block))
        send(reducer.flush())           # the last latency_ms, and a hop that was not full

    Raises ConfigError for a rate, preset or strength that there is not.
    """

    def __init__(self, rate: int = 24000, preset: Preset = "near_field", strength: float = 1.0) -> None:
        if not 8000 <= rate <= 48000:
            raise ConfigError(f"rate is {rate} Hz: give 8000 to 48000")
        self.rate = rate
        self._in = Resampler(rate, lib.RT_RATE)
        self._out = Resampler(lib.RT_RATE, rate)
        self._block = Block(lib.rt_denoise_size())
        self._state: Any = self._block.pointer("rt_denoise *")
        lib.rt_denoise_init(self._state, lib.RT_DENOISE_NEAR, 1.0)
        self._rest = np.empty(0, np.float32)
        self._taken = self._given = 0
        self.configure(preset, strength)

    def configure(self, preset: Preset, strength: float = 1.0) -> None:
        """Change both from the next hop on; what is known of the noise stays. Raises ConfigError."""
        if preset not in _PRESETS:
            raise ConfigError(f"preset is {preset!r}; use 'near_field' or 'far_field'")
        if not (isinstance(strength, int | float) and 0 <= strength <= MOST_STRENGTH):
            raise ConfigError(f"strength is {strength!r}; use 0 to {MOST_STRENGTH:g}")
        lib.rt_denoise_set(self._state, _PRESETS[preset], strength)
        self.preset: Preset = preset
        self.strength = float(strength)

    @property
    def latency_ms(self) -> float:
        """How much later sound leaves than it came, in milliseconds, the wait for a whole hop not counted."""
        return self._in.latency_ms + 1000 * int(lib.rt_denoise_latency(self._state)) / RATE + self._out.latency_ms

    @property
    def noise_db(self) -> float:
        """Level of the noise that it reckons with, dB re full scale; -120 before any."""
        return float(lib.rt_denoise_noise_db(self._state))

    def process(self, samples: NDArray[Sample]) -> NDArray[Sample]:
        """Take samples, shape (n,), and return those now due, in the same dtype. Raises ConfigError for another dtype
        or shape.
        """
        array = np.asarray(samples)
        self._taken += len(array) if array.ndim == 1 else 0
        result: NDArray[Sample] = self._run(array)
        self._given += len(result)
        return result

    def flush(self) -> NDArray[np.float32]:
        """What is left, as float32, so that latency_ms more comes out than went in. Then it is as new."""
        due = self._taken + math.ceil(self.latency_ms * self.rate / 1000) - self._given
        silence = np.zeros(due + self.rate // 50, np.float32)
        result = self._run(silence)[: max(due, 0)]
        self.reset()
        return result

    def reset(self) -> None:
        """Forget the stream so far, and the noise."""
        self._in.reset()
        self._out.reset()
        lib.rt_denoise_reset(self._state)
        self._rest = np.empty(0, np.float32)
        self._taken = self._given = 0

    def _run(self, array: NDArray[Any]) -> NDArray[Any]:
        resampled: NDArray[Any] = self._in.process(array)
        if array.dtype == np.int16:
            resampled = resampled.astype(np.float32) / np.float32(32768)
        sound = np.concatenate([self._rest, resampled])
        whole = len(sound) // HOP * HOP
        self._rest = sound[whole:].copy()
        done = sound[:whole]
        for start in range(0, whole, HOP):
            lib.rt_denoise_process(self._state, address(done[start:], "float *"))
        if array.dtype == np.int16:
            done = np.clip(np.rint(done * 32768), -32768, 32767).astype(np.int16)
        return self._out.process(done)


RATE = int(lib.RT_RATE)
HOP = int(lib.RT_HOP)
