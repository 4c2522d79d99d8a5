"""What the two halves of a Duplex and the playout report of themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.native import lib

HOP = 240


@dataclass(frozen=True, slots=True)
class PlayoutStats:
    """One snapshot of the queue.

    `queued`, `played`, `faded`, `discarded` are source samples, all others samples at 24 kHz. `underruns` are
    episodes, `stalled_samples` their length. From `concealed_samples` on the names are those of WebRTC's getStats
    (concealedSamples and so on) in snake case; its delays in seconds are these sums / 24000, and its mean delay is
    jitter_buffer_delay / jitter_buffer_emitted_count.
    """

    state: str
    generation: int
    output: int
    queued: int
    played: int
    faded: int
    discarded: int
    underruns: int
    interruptions: int
    stalled_samples: int
    concealed_samples: int
    inserted_samples_for_deceleration: int
    removed_samples_for_acceleration: int
    jitter_buffer_delay: int
    jitter_buffer_target_delay: int
    jitter_buffer_emitted_count: int


STATES = {lib.RT_SILENT: "silent", lib.RT_PLAYING: "playing", lib.RT_STARVED: "starved", lib.RT_FADING: "fading"}


def playout_stats(raw: Any) -> PlayoutStats:
    """The C struct as a PlayoutStats."""
    return PlayoutStats(
        STATES[raw.state],
        raw.generation,
        raw.output,
        raw.queued,
        raw.played,
        raw.faded,
        raw.discarded,
        raw.underruns,
        raw.interruptions,
        raw.stalled_samples,
        raw.concealed_samples,
        raw.inserted_samples_for_deceleration,
        raw.removed_samples_for_acceleration,
        raw.jitter_buffer_delay,
        raw.jitter_buffer_target_delay,
        raw.jitter_buffer_emitted_count,
    )


@dataclass(frozen=True, slots=True)
class CaptureStats:
    """One snapshot of the capture half. Hops and records are 10 ms each; levels are linear, 1 full scale.

    `probability` is that of exact speech, `bridged` that of speech or a short pause in it, 0..1, both of the last hop.
    `held_hops` were held while a barge-in was undecided and then dropped. `muted` is of the last hop.
    """

    frames: int
    hops: int
    records: int
    lost_records: int
    lost_events: int
    probability: float
    bridged: float
    level_peak: float
    level_rms: float
    floor_db: float
    sound_hops: int
    silence_hops: int
    omitted_hops: int
    held_hops: int
    lost_hops: int
    gate_open: bool
    settled: int
    """Captured position, 24 kHz samples, before which nothing will still be sent but pre-roll of later speech."""
    muted: bool
    lost_pairs: int


@dataclass(frozen=True, slots=True)
class PlaybackStats:
    """One snapshot of the playback half."""

    frames: int
    hops: int
    lost_events: int
    limited_hops: int
    level_peak: float
    level_rms: float
    gain: float
    playout: PlayoutStats


def capture_stats(raw: Any) -> CaptureStats:
    """The C struct as CaptureStats."""
    gate = raw.gate
    return CaptureStats(
        raw.frames,
        raw.hops,
        raw.records,
        raw.lost_records,
        raw.lost_events,
        raw.probability,
        raw.bridged,
        raw.level_peak,
        raw.level_rms,
        raw.floor_db,
        gate.sound_hops,
        gate.silence_hops,
        gate.omitted_hops,
        gate.held_hops,
        gate.lost_hops,
        bool(gate.open),
        gate.settled * HOP,
        bool(raw.muted),
        raw.lost_pairs,
    )


def playback_stats(raw: Any) -> PlaybackStats:
    """The C struct as PlaybackStats."""
    return PlaybackStats(
        raw.frames,
        raw.hops,
        raw.lost_events,
        raw.limited_hops,
        raw.level_peak,
        raw.level_rms,
        raw.gain,
        playout_stats(raw.playout),
    )
