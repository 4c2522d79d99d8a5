"""Packets that come at the pace they are spoken (RTP, media streams), as the paced playout takes them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from engine.audio.checks import checked
from engine.errors import ConfigError
from engine.native import lib


class PacketKind(enum.Enum):
    """What a packet carries. SOUND: samples in the queue's format. NOISE: comfort noise (RTP payload type 13, RFC
    3389), the first byte its level in -dBov. EVENT: a telephone event (RFC 4733), no sound; its sequence number
    counts.
    """

    SOUND = lib.RT_JITTER_SOUND
    NOISE = lib.RT_JITTER_NOISE
    EVENT = lib.RT_JITTER_EVENT


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet. `timestamp` (32 bits, in samples of the queue's rate), `sequence` (16 bits) and `ssrc` (32 bits) are
    those of its RTP header; a media stream without them counts frames and packets itself. `arrival_us` is when it
    came, microseconds on any monotonic clock, the one `Playout.process` is told the time of.
    """

    payload: bytes | memoryview
    timestamp: int
    sequence: int
    arrival_us: int
    ssrc: int = 0
    kind: PacketKind = PacketKind.SOUND

    def header(self, frames: int) -> dict[str, int]:
        """The C struct's fields. Raises `ConfigError` naming the field out of range."""
        return {
            "arrival_us": int(checked("arrival_us", self.arrival_us, -(2**62), 2**62)),
            "ssrc": int(checked("ssrc", self.ssrc, 0, 2**32 - 1)),
            "timestamp": int(checked("timestamp", self.timestamp, 0, 2**32 - 1)),
            "frames": frames if self.kind is PacketKind.SOUND else 0,
            "sequence": int(checked("sequence", self.sequence, 0, 2**16 - 1)),
            "kind": self.kind.value,
        }

    def frames(self, sample_bytes: int) -> int:
        """Samples in the payload, or bytes of comfort noise. Raises `ConfigError` for half a sample, or for none."""
        if self.kind is not PacketKind.SOUND:
            return len(self.payload)
        frames, rest = divmod(len(self.payload), sample_bytes)
        if rest or frames == 0:
            raise ConfigError(
                f"payload has {len(self.payload)} bytes: give whole samples of {sample_bytes}, at least one"
            )
        return frames


@dataclass(frozen=True, slots=True)
class LinkStats:
    """What the paced playout knows of the link. `lost` counts sequence numbers that never came or are still to come;
    `jitter_ms` is the largest relative delay of the last half second, `target_ms` the delay aimed at, `drift_ppm` how
    much faster our clock runs than the sender's and `tuned_ppm` how much faster than nominal its samples are played
    to follow that.
    """

    packets: int
    doubled: int
    late: int
    reordered: int
    rebased: int
    lost: int
    jitter_ms: float
    drift_ppm: float
    target_ms: float
    tuned_ppm: float


def link_stats(raw: Any) -> LinkStats:
    """The C struct as a LinkStats."""
    return LinkStats(
        raw.packets,
        raw.doubled,
        raw.late,
        raw.reordered,
        raw.rebased,
        raw.lost,
        raw.jitter_ms,
        raw.drift_ppm,
        raw.target_ms,
        raw.tuned_ppm,
    )
