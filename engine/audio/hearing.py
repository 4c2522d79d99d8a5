"""What the microphone's sound goes through before it is sent: the Python face of csrc/hearing.h."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from engine.audio.checks import checked
from engine.errors import ConfigError
from engine.native import lib, new

EchoMode = Literal["auto", "aec", "half_duplex", "off"]
NoiseReduction = Literal["near_field", "far_field"]

ECHO_MODES: dict[str, int] = {
    "auto": lib.RT_ECHO_MODE_AUTO,
    "aec": lib.RT_ECHO_MODE_AEC,
    "half_duplex": lib.RT_ECHO_MODE_HALF_DUPLEX,
    "off": lib.RT_ECHO_MODE_OFF,
}
IN_FORCE: dict[int, EchoMode] = {
    lib.RT_ECHO_MODE_OFF: "off",
    lib.RT_ECHO_MODE_AEC: "aec",
    lib.RT_ECHO_MODE_HALF_DUPLEX: "half_duplex",
}
NOISE_REDUCTION = {
    None: lib.RT_NOISE_REDUCTION_OFF,
    "near_field": lib.RT_NOISE_REDUCTION_NEAR,
    "far_field": lib.RT_NOISE_REDUCTION_FAR,
}


@dataclass(frozen=True, slots=True)
class Hearing:
    """What is done to the microphone's sound, in the order high-pass, echo, noise, level.

    `echo` says what becomes of the loudspeaker's sound in the microphone:

    - "aec" takes it away (5 ms of delay). While the loudspeaker sounds, speech interrupts only where the canceller
      finds somebody near, or does not rule it out for 200 ms of clear speech; until it has learnt the room only from
      a probability of `unsure_threshold` (0..1) on.
      `comfort_noise` is for people: noise like the room's in place of what is suppressed, and nothing is cut off
      hard. Without it silence is: a recogniser hears speech better against it.
    - "half_duplex" is the last resort: silence is sent while a reply plays and as long after it as its echo is on its
      way, and nobody can interrupt.
    - "off" does nothing: headphones.
    - "auto" is "aec", and "half_duplex" in its place from when an echo was heard for 10 s of playing without the
      canceller learning to take it away, until it has. Where there is no echo, as with headphones, three seconds of
      playing show that, and then interruptions are as easy as with "off".

    The rest is left out where it is None. `highpass_hz`, 20 to 400, takes away what lies below: rumble, wind, hum.
    `noise_reduction` takes steady noise down: "near_field" for a mouthpiece (by some 8 dB), "far_field" for a
    microphone across the room (by some 12 dB); `noise_strength`, 0 to 2, scales it; it holds sound back for 10 ms.
    `agc_dbfs`, -40 to -6, is the level that speech is brought to (root mean square), by at most `agc_most_db` (0 to 40)
    up or down. The voice detector hears the sound before noise reduction and level: those shape only what is sent.
    """

    echo: EchoMode = "off"
    comfort_noise: bool = True
    unsure_threshold: float = 0.8
    highpass_hz: float | None = None
    noise_reduction: NoiseReduction | None = None
    noise_strength: float = 1.0
    agc_dbfs: float | None = None
    agc_most_db: float = 30.0


@dataclass(frozen=True, slots=True)
class HearingStats:
    """One snapshot. `echo` is the mode in force ("auto" is what it came to), `changes` how often that changed, and
    `closed_hops` are those of 10 ms in which half duplex sent silence.

    Of the canceller: `converged`, whether it knows the room, or that there is no echo; `playing`, whether the
    loudspeaker sounds, or its echo does; `near`, the probability that somebody near speaks, 0..1; `erle_db`, by how
    much its filter takes the echo down, over the last second or so of it; `delay_ms` from the reference to the echo,
    None while none is known. `noise_db` is the level of the noise that is reckoned with (dBFS), None when none is known
    or nothing reduces it; `agc_db` the gain at the end of the last hop.
    """

    echo: EchoMode
    changes: int
    closed_hops: int
    converged: bool
    playing: bool
    near: float
    erle_db: float
    delay_ms: float | None
    noise_db: float | None
    agc_db: float


def fill_hearing(c: Any, hearing: Hearing) -> None:
    """The C configuration. Raises `ConfigError` naming the field."""
    if hearing.echo not in ECHO_MODES:
        raise ConfigError(f"echo is {hearing.echo!r}: use auto, aec, half_duplex or off")
    c.echo = ECHO_MODES[hearing.echo]
    c.comfort_noise = bool(hearing.comfort_noise)
    c.unsure_threshold = checked("unsure_threshold", hearing.unsure_threshold, 0, 1)
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
    return HearingStats(
        IN_FORCE[raw.echo],
        raw.changes,
        raw.closed_hops,
        bool(raw.converged),
        bool(raw.playing),
        raw.near,
        raw.erle_db,
        raw.delay_ms if raw.delay_ms >= 0.0 else None,
        raw.noise_db if raw.noise_db > -120.0 else None,
        raw.agc_db,
    )
