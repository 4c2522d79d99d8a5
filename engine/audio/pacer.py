"""A clock in place of a sound device: the halves run on a C thread at absolute deadlines."""

from __future__ import annotations

import atexit
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio.duplex import Duplex
from engine.audio.ring import ring
from engine.errors import ConfigError, EngineError
from engine.native import Block, address, lib, new, status_text

RECORDED_S = 30
"""Seconds of both directions the recording ring holds; a loop that stalls longer loses the rest, counted."""


@dataclass(frozen=True, slots=True)
class PacerStats:
    """One snapshot: frames done, frames not recorded, gaps of more than a second, latest start in ms, busy seconds
    of the thread.
    """

    frames: int
    lost_frames: int
    gaps: int
    latest_ms: float
    busy_s: float


class Pacer:
    """Runs a mono int16 `Duplex` in real time (times `speed`): `samples` is the microphone, then silence.

    `start` and `stop` belong to one thread; `stop` returns within a block of 10 ms. What was heard and played is
    read with `recorded`: an array of shape (frames, 2), microphone and loudspeaker.
    """

    def __init__(self, duplex: Duplex, samples: NDArray[np.int16], *, speed: float = 1.0) -> None:
        rate = duplex.config.capture_rate
        self._duplex = duplex
        self._input = np.ascontiguousarray(samples, dtype=np.int16)
        self._writer, self._reader = ring(np.dtype((np.int16, 2)), RECORDED_S * rate)
        config = new("rt_pacer_config *")
        config.duplex = duplex.pointer
        config.input = address(self._input, "int16_t *")
        config.input_frames = len(self._input)
        config.block_frames = min(rate // 100, 480)
        config.speed = speed
        config.recording = self._reader.pointer
        self._block = Block(lib.rt_pacer_size())
        self._pacer = self._block.pointer("rt_pacer *")
        if (status := lib.rt_pacer_init(self._pacer, config)) != lib.RT_OK:
            raise ConfigError(
                f"pacer refused ({status_text(status)}): give a mono int16 duplex of equal rates and speed 0.1 to 100"
            )

    def start(self) -> None:
        """Start the thread. Raises `EngineError` when the system refuses one."""
        if (status := lib.rt_pacer_start(self._pacer)) != lib.RT_OK:
            raise EngineError(f"the audio thread did not start: {status_text(status)}")
        _running.add(self)

    def stop(self) -> None:
        """End the thread and wait for it. Harmless when none runs."""
        lib.rt_pacer_stop(self._pacer)
        _running.discard(self)
        self._duplex.settle_stages()

    def __del__(self) -> None:
        if hasattr(self, "_pacer"):
            lib.rt_pacer_stop(self._pacer)  # the thread uses this object's memory

    def recorded(self) -> NDArray[Any]:
        """What was heard and played since the last call, int16 of shape (frames, 2)."""
        return self._reader.read()

    def stats(self) -> PacerStats:
        """One snapshot."""
        raw = new("rt_pacer_stats *")
        while lib.rt_pacer_read_stats(self._pacer, raw) != lib.RT_OK:
            pass
        return PacerStats(raw.frames, raw.lost_frames, raw.gaps, raw.latest_ns / 1e6, raw.busy_ns / 1e9)


_running: weakref.WeakSet[Pacer] = weakref.WeakSet()


@atexit.register
def _stop_all() -> None:
    """The interpreter must not tear memory down under a running audio thread."""
    for pacer in list(_running):
        pacer.stop()
