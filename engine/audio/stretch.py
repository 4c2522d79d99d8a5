"""Slower and faster with the pitch kept, for sound that is at hand (csrc/stretch.h)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.native import Block, address, lib, new

SLOWEST, FASTEST = 0.25, 4.0
_STAGE_SLOWEST, _STAGE_FASTEST = 0.5, 2.0  # of one C block
_HOP_MS = 10
_SHOWN_MS = 35  # what the C block looks at; with less of it at hand, the output would depend on how the input was cut

Samples = NDArray[np.float32]


class TimeStretch:
    """One mono stream played at `speed` times its own, 0.25 to 4, by WSOLA: half the length at 2, the same pitch.

    Sound is cut out, or repeated, by whole pitch periods of 10 to 20 ms under cross-fades; speeds below 0.5 and above
    2 take two stages. What has come out never differs from its share by more than 30 ms of each stage's source, and
    it is the same whichever way the input was cut. The newest 35 ms (of each stage) are kept back until more comes or
    `drain` is called. Speed 1 gives the samples back as they are, at once. One thread at a time.

        stretch = TimeStretch(0.8)
        for block in blocks:              # float32, shape (n,), any n
            play(stretch.process(block))
        play(stretch.flush())

    `rate` is 24000 or 8000 Hz. Raises ConfigError for speeds and rates that there are not.
    """

    def __init__(self, speed: float, rate: int = 24000) -> None:
        wrong_kind = isinstance(speed, bool) or not isinstance(speed, int | float | np.integer | np.floating)
        if wrong_kind or not SLOWEST <= speed <= FASTEST:
            raise ConfigError(f"speed is {speed!r}; use {SLOWEST:g} to {FASTEST:g}")
        if rate not in (8000, 24000):
            raise ConfigError(f"rate is {rate!r}; use 24000 or 8000 Hz (a Resampler converts others)")
        self.speed = float(speed)
        self.rate = int(rate)
        if self.speed == 1:
            self._stages: list[_Stage] = []
        elif _STAGE_SLOWEST <= self.speed <= _STAGE_FASTEST:
            self._stages = [_Stage(self.speed, rate)]
        else:
            self._stages = [_Stage(math.sqrt(self.speed), rate) for _ in range(2)]

    def process(self, samples: Samples) -> Samples:
        """Take samples, shape (n,), float32, and return those that are sure by now: a new array."""
        sound = _checked(samples)
        for stage in self._stages:
            sound = stage.process(sound)
        return sound

    def drain(self) -> Samples:
        """Return all that is kept back; the stream goes on. Where it was drained no sound is cut out or repeated, and
        what is owed to the speed is made up for later.
        """
        sound = np.zeros(0, np.float32)
        for stage in self._stages:
            sound = np.concatenate([stage.process(sound), stage.drain()])
        return sound

    def flush(self) -> Samples:
        """End the stream: return all that is kept back, and start afresh."""
        sound = self.drain()
        self.reset()
        return sound

    def reset(self) -> None:
        """Forget the past, as if newly made."""
        for stage in self._stages:
            stage.reset()


class _Stage:
    """One C block with the source that it has not consumed yet: at most what it is shown, and one input."""

    def __init__(self, speed: float, rate: int) -> None:
        self._speed = speed
        self._hop = rate * _HOP_MS // 1000
        self._shown = rate * _SHOWN_MS // 1000
        self._block = Block(lib.rt_stretch_size())
        self._state: Any = self._block.pointer("rt_stretch *")
        self._step = new("rt_stretch_step *")
        lib.rt_stretch_init(self._state, rate)
        self._source = np.zeros(0, np.float32)

    def process(self, samples: Samples) -> Samples:
        return self._run(np.concatenate([self._source, samples]) if self._source.size else samples, self._shown)

    def drain(self) -> Samples:
        return self._run(self._source, 0)

    def reset(self) -> None:
        lib.rt_stretch_reset(self._state)
        self._source = np.zeros(0, np.float32)

    def _run(self, source: Samples, least: int) -> Samples:
        """Stretch for as long as `least` samples are at hand."""
        # The block may write 30 ms more than its share, and in the last call a hop.
        out = np.empty(math.ceil(source.size / self._speed) + 4 * self._shown, np.float32)
        given, taken = address(source, "float *") if source.size else None, address(out, "float *")
        step, process = self._step, lib.rt_stretch_process
        at = made = 0
        size = source.size
        while size - at >= least:
            shown = given + at if given is not None else taken  # of nothing, no address is read
            process(self._state, shown, min(size - at, self._shown), self._speed, taken + made, self._hop, step)
            if not step.made:
                break
            at += step.consumed
            made += step.made
        self._source = source[at:].copy()
        return out[:made].copy()


def _checked(samples: NDArray[Any]) -> Samples:
    if not isinstance(samples, np.ndarray) or samples.dtype != np.float32 or samples.ndim != 1:
        what = (
            f"{samples.dtype} of shape {samples.shape}" if isinstance(samples, np.ndarray) else type(samples).__name__
        )
        raise ConfigError(f"samples is {what}; a numpy array of float32 of shape (n,) is wanted")
    return np.ascontiguousarray(samples)
