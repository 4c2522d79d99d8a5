"""The C callback of one sound stream: the Python face of csrc/device.h."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from engine.audio.duplex import Duplex
from engine.errors import ConfigError
from engine.native import Block, function, lib, new, status_text

DIRECTIONS = {
    "capture": lib.RT_DEVICE_CAPTURE,
    "playback": lib.RT_DEVICE_PLAYBACK,
    "both": lib.RT_DEVICE_BOTH,
    "reference": lib.RT_DEVICE_REFERENCE,
}


@dataclass(frozen=True, slots=True)
class StreamStats:
    """One snapshot of a stream. The flags count callbacks that carried them; `missing_frames` were due by the clock and
    never came, flagged or not. `newest_s` is when the newest callback began, on `time.monotonic`. `realtime` is None
    when no priority was asked for, 0 when it was granted, else the error number.
    """

    callbacks: int
    frames: int
    input_underflows: int
    input_overflows: int
    output_underflows: int
    output_overflows: int
    priming: int
    missing_frames: int
    longest_gap_ms: float
    newest_s: float
    busy_s: float
    slowest_ms: float
    realtime: int | None
    finished: bool

    @property
    def missing_callbacks(self) -> float:
        """`missing_frames` in callbacks of the mean size."""
        return self.missing_frames * self.callbacks / self.frames if self.frames else 0.0

    @property
    def flagged(self) -> int:
        """Flags of lost sound, all kinds."""
        return self.input_underflows + self.input_overflows + self.output_underflows + self.output_overflows


@dataclass(frozen=True, slots=True)
class Stamps:
    """One direction's time stamps, filtered. `latency_ms` from a sample's capture to its callback, or from callback to
    loudspeaker; `ppm` how fast the device runs against the clock, give or take `ppm_error`; `gap_frames` what was lost
    (or put in, if negative) in `gaps` places. Not believed were `strange` stamps; `substituted` by the clock.
    """

    latency_ms: float
    deviation_ms: float
    ppm: float
    ppm_error: float
    gap_frames: int
    gaps: int
    clock_steps: int
    strange: int
    substituted: int


class DeviceCallback:
    """What a stream of PortAudio is opened with: `callback`, `finished` and `userdata`, all C.

    `direction` is "capture", "playback", "both" (which needs equal rates) or "reference" (the second device of a duplex
    that has one); `priority` 1..99 asks for SCHED_FIFO on
    the first call, for that thread alone; only `channels` of the loudspeaker sound, all without it. Keep this object
    until the stream is closed; it keeps the duplex. Figures may be read by any thread.
    """

    def __init__(
        self, duplex: Duplex, direction: str = "both", *, priority: int = 0, channels: Iterable[int] | None = None
    ) -> None:
        if direction not in DIRECTIONS:
            raise ConfigError(f"direction is {direction!r}: use capture, playback, both or reference")
        self.duplex = duplex
        self.direction = direction
        config = new("rt_device_config *")
        config.duplex = duplex.pointer
        config.direction = DIRECTIONS[direction]
        config.priority = priority
        config.playback_mask = _mask(channels, duplex.config.playback_channels)
        self._block = Block(lib.rt_device_size())
        self._device = self._block.pointer("rt_device *")
        if (status := lib.rt_device_init(self._device, config)) != lib.RT_OK:
            raise ConfigError(
                f"device callback refused ({status_text(status)}): give priority 0 to 99, equal rates for both, and "
                "for a reference a duplex that has one with a rate"
            )
        self.callback: Any = function("rt_device_callback")
        self.finished: Any = function("rt_device_finished")
        self.userdata: Any = self._block.pointer("void *")

    def stats(self) -> StreamStats:
        """One snapshot."""
        raw = new("rt_device_stats *")
        while lib.rt_device_read_stats(self._device, raw) != lib.RT_OK:
            pass
        return StreamStats(
            raw.callbacks,
            raw.frames,
            raw.input_underflows,
            raw.input_overflows,
            raw.output_underflows,
            raw.output_overflows,
            raw.priming,
            raw.missing_frames,
            raw.longest_ns / 1e6,
            raw.newest_ns / 1e9,
            raw.busy_ns / 1e9,
            raw.slowest_ns / 1e6,
            {0: None, 1: 0}.get(raw.realtime, -raw.realtime),
            bool(raw.finished),
        )

    def stamps(self, direction: str) -> Stamps:
        """One snapshot of "capture", "playback" or "reference"."""
        raw = new("rt_stamps_stats *")
        side = lib.RT_DEVICE_PLAYBACK if direction == "playback" else lib.RT_DEVICE_CAPTURE
        while lib.rt_device_read_stamps(self._device, side, raw) != lib.RT_OK:
            pass
        return Stamps(
            abs(raw.latency) * 1e3,
            raw.deviation * 1e3,
            raw.ppm,
            raw.ppm_error,
            raw.gap_frames,
            raw.gaps,
            raw.clock_steps,
            raw.strange,
            raw.substituted,
        )


def _mask(channels: Iterable[int] | None, count: int) -> int:
    mask = 0
    for channel in channels if channels is not None else ():
        if not 0 <= channel < count:
            raise ConfigError(f"loudspeaker channel is {channel}: the device is open with channels 0 to {count - 1}")
        mask |= 1 << channel
    if channels is not None and mask == 0:
        raise ConfigError("loudspeaker channels are empty: name one at least, or leave them out for all")
    return mask
