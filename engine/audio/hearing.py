"""What the microphone's sound goes through before it is sent: the Python face of csrc/hearing.h."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from engine.audio.checks import checked
from engine.errors import ConfigError
from engine.native import lib, new

NoiseReduction = Literal["near_field", "far_field"]

NOISE_REDUCTION = {
    None: lib.RT_NOISE_REDUCTION_OFF,
    "near_field": lib.RT_NOISE_REDUCTION_NEAR,
    "far_field": lib.RT_NOISE_REDUCTION_FAR,
}


@dataclass(frozen=True, slots=True)
class Hearing:
    """What is done to the microphone's sound, in this order; None leaves a part out, and all are left out by default.

    `highpass_hz`, 20 to 400, takes away what lies below: rumble, wind, hum. `noise_reduction` takes steady noise down:
    "near_field" for a mouthpiece (by some 8 dB), "far_field" for a microphone across the room (by some 12 dB);
    `noise_strength`, 0 to 2, scales it; it holds sound back for 10 ms. `agc_dbfs`, -40 to -6, is the level that speech
    is brought to (root mean square), by at most `agc_most_db` (0 to 40) up or down. The voice detector hears the sound
    before noise reduction and level: those shape only what is sent.
    """

    highpass_hz: float | None = None
    noise_reduction: NoiseReduction | None = None
    noise_strength: float = 1.0
    agc_dbfs: float | None = None
    agc_most_db: float = 30.0


@dataclass(frozen=True, slots=True)
class HearingStats:
    """One snapshot: `noise_db`, the level of the noise that is reckoned with (dBFS), None when none is known or nothing
    reduces it; `agc_db`, the gain at the end of the last hop.
    """

    noise_db: float | None
    agc_db: float


def fill_hearing(c: Any, hearing: Hearing) -> None:
    """The C configuration. Raises `ConfigError` naming the field."""
    if hearing.noise_reduction not in NOISE_REDUCTION:
        raise ConfigError(f"noise_reduction is {hearing.noise_reduction!r}: use near_field, far_field or None")
    c.noise_reduction = NOISE_REDUCTION[hearing.noise_reduction]
    c.noise_strength = checked("noise_strength", hearing.noise_strength, 0, 2)
    if hearing.highpass_hz is not None:
        c.highpass_hz = checked("highpass_hz", hearing.highpass_hz, 20, 400)
    if hearing.agc_dbfs is not None:
        c.agc_dbfs = checked("agc_dbfs", hearing.agc_dbfs, -40, -6)
    c.agc_most_db = checked("agc_most_db", hearing.agc_most_db, 0, 40)


def read_hearing_stats(duplex: Any) -> HearingStats:
    """One snapshot."""
    raw = new("rt_hearing_stats *")
    while lib.rt_duplex_read_hearing_stats(duplex, raw) != lib.RT_OK:
        pass
    return HearingStats(raw.noise_db if raw.noise_db > -120.0 else None, raw.agc_db)
