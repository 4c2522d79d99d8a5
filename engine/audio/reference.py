"""The echo reference of a duplex: what the loudspeaker plays, beside what the microphone hears (csrc/reference.h)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio.checks import checked
from engine.errors import ConfigError
from engine.native import address, lib, new

PAIR = np.dtype([("position", "<u8"), ("microphone", "<f4", (240,)), ("reference", "<f4", (240,))])
"""10 ms of microphone and reference at 24 kHz, in [-1, 1], with the captured position of the first sample."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Where it comes from: `channel` of the microphone's own blocks (`rate` None), or of a second device with a clock
    of its own, at `rate` Hz (8000..192000) with so many `channels` (1..32).
    """

    channel: int = 0
    rate: int | None = None
    channels: int = 1


@dataclass(frozen=True, slots=True)
class ReferenceStats:
    """One snapshot. `starved` episodes in which nothing was there, `starved_samples` of silence in its place;
    `jumps` are moves of its delay, in which `left_out` frames of the device were passed over and `put_in` samples of
    silence filled in; `lost` frames found no room. `ppm` is how fast the second clock runs against the microphone's,
    `delay_ms` how long sound waits here, `age_ms` how much later than the reference the microphone's sound beside it
    was captured, None when that is not known. Samples are at 24 kHz; levels are of the last hop, 1 full scale.
    """

    hops: int
    starved: int
    starved_samples: int
    jumps: int
    left_out: int
    put_in: int
    lost: int
    ppm: float
    delay_ms: float
    age_ms: float | None
    level_peak: float
    level_rms: float
    flowing: bool


def fill_reference(c: Any, reference: Reference | None, capture: tuple[int, int, int]) -> None:
    """The C configuration; `capture` is the microphone's rate, channels and sample type. Raises `ConfigError`."""
    if reference is None:
        return
    rate, channels, sample = capture
    c.own_clock = reference.rate is not None
    c.rate_hz = rate if reference.rate is None else int(checked("reference.rate", reference.rate, 8000, 192000))
    c.channels = channels if reference.rate is None else int(checked("reference.channels", reference.channels, 1, 32))
    c.channel = int(checked("reference.channel", reference.channel, 0, c.channels - 1))
    c.sample = sample


def hear(duplex: Any, reference: Reference | None, dtype: type[Any], samples: NDArray[Any], end_s: float) -> None:
    """One block of the second device. Raises `ConfigError` where there is none, or for another shape."""
    if reference is None or reference.rate is None:
        raise ConfigError("the duplex hears no second device: give its configuration a reference with a rate")
    shape = (len(samples), reference.channels) if reference.channels > 1 else (len(samples),)
    if samples.dtype != dtype or samples.shape != shape:
        raise ConfigError(f"block is {samples.shape} {samples.dtype}: give {shape} {np.dtype(dtype)}")
    block = np.ascontiguousarray(samples)
    lib.rt_duplex_reference(duplex, address(block, "void *"), len(block), end_s)


def read_reference_stats(duplex: Any) -> ReferenceStats | None:
    """One snapshot; None where there is no reference."""
    raw = new("rt_reference_stats *")
    while (status := lib.rt_duplex_read_reference_stats(duplex, raw)) != lib.RT_OK:
        if status == lib.RT_BAD_ARGUMENT:
            return None
    return ReferenceStats(
        raw.hops,
        raw.starved,
        raw.starved_samples,
        raw.jumps,
        raw.left_out,
        raw.put_in,
        raw.lost,
        raw.ppm,
        raw.delay_ms,
        raw.age_ms or None,
        raw.level_peak,
        raw.level_rms,
        bool(raw.flowing),
    )


def read_pairs(duplex: Any, room: NDArray[Any]) -> NDArray[Any]:
    """All pairs that wait, as an array of PAIR, through `room`, which is one of some."""
    parts = [np.empty(0, dtype=PAIR)]
    while n := int(lib.rt_duplex_read_pairs(duplex, address(room, "rt_pair *"), len(room))):
        parts.append(room[:n].copy())
    return np.concatenate(parts)
