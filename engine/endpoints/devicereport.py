"""What is told of a sound device: what was opened, and what happens to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.audio import DuplexConfig
from engine.endpoints.negotiate import Pair
from engine.endpoints.portaudio import Stream

MEND_REALTIME = (
    "give the user real-time priority: '@audio - rtprio 95' in /etc/security/limits.d/audio.conf, "
    "or LimitRTPRIO=95 in the service"
)
HIDDEN = ("the rate, format and channels of the hardware", "whether the server resamples", "the server's own delay")


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """What happened to the device. `kind`: "lost", "back", "silenced" (the reply was cut off since nobody could hear
    it), "resumed" (the machine slept), "rate" (it runs far from the rate it claims), "dead start" (a stream that died
    at once was reopened), "latency" (it lost sound and was reopened with more), "renewed" (it was reopened so that
    another device of the process could be found). `seconds`: how long it was away, or slept.
    """

    kind: str
    text: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Opened:
    """What was opened, as far as it is known: `unknown` names what a sound server hides. Latencies are the sound
    system's word, in ms; None when it is nonsense. `realtime` says what came of the priority, `reference` where
    the echo reference comes from.
    """

    microphone: str
    loudspeaker: str
    host_api: str
    streams: int
    sample: str
    capture_rate: int
    playback_rate: int
    capture_channels: int
    playback_channels: int
    block: int
    microphone_ms: float | None
    loudspeaker_ms: float | None
    unknown: tuple[str, ...]
    realtime: str
    reference: str | None = None


def report(found: Pair, streams: Sequence[Stream], config: DuplexConfig, priority: int) -> Opened:
    """What is open now."""
    latencies = {stream.plan.direction: stream.latency_ms for stream in streams}
    capture, playback = (latencies.get(half, latencies.get("both", (None, None))) for half in ("capture", "playback"))
    return Opened(
        microphone=found.microphone.name,
        loudspeaker=found.loudspeaker.name,
        host_api=found.microphone.host_api,
        streams=len(streams),
        sample=config.sample,
        capture_rate=config.capture_rate,
        playback_rate=config.playback_rate,
        capture_channels=config.capture_channels,
        playback_channels=config.playback_channels,
        block=streams[0].plan.block if streams else 0,
        microphone_ms=capture[0],
        loudspeaker_ms=playback[1],
        unknown=HIDDEN if found.hidden else (),
        realtime=_realtime(streams, priority),
        reference=_reference(found, config),
    )


def _reference(found: Pair, config: DuplexConfig) -> str | None:
    if config.reference is None:
        return None
    device = found.reference or found.microphone
    return f"channel {config.reference.channel} of {device.name}"


def _realtime(streams: Sequence[Stream], priority: int) -> str:
    if priority == 0:
        return "not asked for"
    answers = [stream.callback.stats() for stream in streams]
    if any(stats.realtime for stats in answers):
        return f"refused: {MEND_REALTIME}"
    if any(stats.callbacks and stats.realtime == 0 for stats in answers):
        return f"SCHED_FIFO {priority}"
    return "not known yet" if all(stats.callbacks == 0 for stats in answers) else "this system has none"
