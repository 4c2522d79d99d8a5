"""One microphone and one loudspeaker: the Python face of csrc/duplex.h."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio import reference as echo
from engine.audio.checks import checked
from engine.audio.formats import AudioFormat
from engine.audio.hearing import Hearing, HearingStats, fill_hearing, read_hearing_stats
from engine.audio.playout import PlayoutPolicy, PlayoutQueue, fill_config
from engine.audio.stage import Stage, StageChain
from engine.audio.stats import CaptureStats, PlaybackStats, capture_stats, playback_stats
from engine.errors import ConfigError
from engine.native import Block, address, lib, new

RECORD = np.dtype([("position", "<u8"), ("bytes", "<u4"), ("flags", "<u4"), ("payload", "u1", (480,))])
"""10 ms of sent sound: captured position (24 kHz samples), payload length, flags (1 silence, 2 late), payload in
wire form.
"""

EVENT = np.dtype([("kind", "<u4"), ("value", "<u4"), ("position", "<u8")])

SILENCE, LATE = 1, 2


class EventKind(enum.IntEnum):
    """What the audio threads report. Up to RELEASED positions are captured time, from PLAYING on played time, 24
    kHz samples.
    """

    SPEECH_STARTED = 1
    SPEECH_STOPPED = 2
    DUCKED = 3
    CONFIRMED = 4
    RESTORED = 5
    RELEASED = 6
    CAPTURE_GAP = 7
    PLAYING = 16
    STARVED = 17
    FADING = 18
    SILENT = 19
    PLAYBACK_GAP = 20


@dataclass(frozen=True, slots=True)
class AudioEvent:
    """One report: `value` is the generation (DUCKED to RELEASED), the ledger's item number (PLAYING to SILENT), or
    samples at 24 kHz: what the device lost of the microphone (CAPTURE_GAP), silence it put into the loudspeaker's
    sound, or dropped of it if negative (PLAYBACK_GAP).
    """

    kind: EventKind
    value: int
    position: int


class Policy(enum.Enum):
    """Who decides that a barge-in is one: EITHER, the first of both; LOCAL, the C core alone; SERVER, its
    speech_started alone (this side ducks, and holds nothing back, since the server must hear it); NEVER, nobody.
    """

    EITHER = "either"
    LOCAL = "local"
    SERVER = "server"
    NEVER = "never"


class GateMode(enum.Enum):
    """What is sent while nobody speaks: everything, digital silence, or nothing."""

    OFF = "off"
    SILENCE = "silence"
    PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class BargeIn:
    """When speech over a reply ducks it, and when it ends it. `threshold` 0..1, `duck_db` -60..0.

    What may be speech, with a probability of `threshold`, ducks in the same hop of 10 ms, along a ramp of `ramp_ms`
    (10..1000, also that of volume and hold). `confirm_ms` (10..1000) of it end the reply under a fade of `fade_ms`
    (1..200). A hop counts wholly from a probability of `sure` (0..1) on, and in proportion between the two; with `sure`
    up to `threshold` every hop of speech counts wholly. A hop without speech takes half a hop away. `restore_ms`
    (10..2000) of continuous non-speech take it all back. The probability is weighed by how far the level stands out of
    the room: nothing up to 1 dB above its floor, twice from 25 dB on.

    So a cough or a knock makes a reply quieter for a moment, and a spoken "mhm" longer than `confirm_ms` ends it: for
    more patience give a longer one.
    """

    policy: Policy = Policy.EITHER
    threshold: float = 0.3
    duck_db: float = -18.0
    confirm_ms: int = 80
    restore_ms: int = 200
    fade_ms: int = 20
    ramp_ms: int = 10
    sure: float = 0.5


@dataclass(frozen=True, slots=True)
class Gate:
    """What is held back while nobody speaks. `hold_ms` 0..10000, `preroll_ms` 0..500, `linger_ms` 0..60000 (PAUSE
    only).
    """

    mode: GateMode = GateMode.OFF
    threshold: float = 0.2  # low: what passes for nothing costs little, a soft talker's first word is gone for good
    close_threshold: float = 0.15
    hold_ms: int = 400
    preroll_ms: int = 300
    linger_ms: int = 1000


@dataclass(frozen=True, slots=True)
class DuplexConfig:
    """All that is fixed for the life of a Duplex. Rates in Hz (8000..192000), channels 1..32, blocks up to
    `max_block` frames. `pairs_ms` (0, or 100..10000) of microphone and echo reference are kept for `read_pairs`: the
    reference is `reference`'s, or without one what this side plays, `max_block` (in whole hops) before. So that must be
    no longer than the way from loudspeaker to microphone. `two_clocks`: microphone and loudspeaker have clocks and
    threads of their own; the reference then follows the drift between them. `follow_gaps`: a gap that a device reports
    moves what this side plays beside the microphone by as much; not where gaps are a sound server's guesses.

    The events of speech (SPEECH_STARTED and _STOPPED): it begins with `speech_ms` (10..1000) in a row at a probability
    of `speech_threshold`, and ends with `pause_ms` (10..10000) in a row below `speech_release` (at most the threshold).
    """

    capture_rate: int = 48000
    playback_rate: int = 48000
    capture_channels: int = 1
    playback_channels: int = 1
    capture_channel: int = 0
    sample: str = "int16"
    max_block: int = 9600
    send_format: AudioFormat = AudioFormat.PCM
    receive_format: AudioFormat = AudioFormat.PCM
    records_ms: int = 5000
    queue_s: float = 120.0
    start_ms: int = 0
    refill_ms: int = 300
    playout_policy: PlayoutPolicy = PlayoutPolicy.BURST
    max_delay_ms: int = 2000
    patience: float = 1.0
    speech_threshold: float = 0.5
    speech_release: float = 0.35
    speech_ms: int = 20
    pause_ms: int = 150
    barge_in: BargeIn = field(default_factory=BargeIn)
    gate: Gate = field(default_factory=Gate)
    hearing: Hearing = field(default_factory=Hearing)
    wakeup_descriptor: int = -1
    wakeup_records: int = 2
    reference: echo.Reference | None = None
    pairs_ms: int = 0
    two_clocks: bool = False
    follow_gaps: bool = True


GAPS = (EventKind.CAPTURE_GAP, EventKind.PLAYBACK_GAP)
SAMPLES: dict[str, tuple[type[Any], int]] = {"int16": (np.int16, lib.RT_INT16), "float32": (np.float32, lib.RT_FLOAT32)}
POLICIES = {
    Policy.EITHER: lib.RT_POLICY_EITHER,
    Policy.LOCAL: lib.RT_POLICY_LOCAL,
    Policy.SERVER: lib.RT_POLICY_SERVER,
    Policy.NEVER: lib.RT_POLICY_NEVER,
}
MODES = {GateMode.OFF: lib.RT_GATE_OFF, GateMode.SILENCE: lib.RT_GATE_SILENCE, GateMode.PAUSE: lib.RT_GATE_PAUSE}


def _c_config(config: DuplexConfig) -> Any:
    """The checked C configuration. Raises `ConfigError` naming the field."""
    if config.sample not in SAMPLES:
        raise ConfigError(f"sample is {config.sample!r}: use int16 or float32")
    c = new("rt_duplex_config *")
    c.capture_rate_hz = int(checked("capture_rate", config.capture_rate, 8000, 192000))
    c.playback_rate_hz = int(checked("playback_rate", config.playback_rate, 8000, 192000))
    c.capture_channels = int(checked("capture_channels", config.capture_channels, 1, 32))
    c.playback_channels = int(checked("playback_channels", config.playback_channels, 1, 32))
    c.capture_channel = int(checked("capture_channel", config.capture_channel, 0, config.capture_channels - 1))
    c.sample = SAMPLES[config.sample][1]
    c.max_block_frames = int(checked("max_block", config.max_block, 1, 96000))
    c.send_format = config.send_format.code
    c.records_ms = int(checked("records_ms", config.records_ms, 2000, 60000))
    c.speech_threshold = checked("speech_threshold", config.speech_threshold, 0, 1)
    c.speech_release = min(checked("speech_release", config.speech_release, 0, 1), c.speech_threshold)
    c.speech_ms = int(checked("speech_ms", config.speech_ms, 10, 1000))
    c.pause_ms = int(checked("pause_ms", config.pause_ms, 10, 10000))
    c.wakeup_descriptor = config.wakeup_descriptor
    c.wakeup_records = int(checked("wakeup_records", config.wakeup_records, 1, 100))
    c.duck_gain = 10.0 ** (checked("barge_in.duck_db", config.barge_in.duck_db, -60, 0) / 20.0)
    c.ramp_ms = int(checked("barge_in.ramp_ms", config.barge_in.ramp_ms, 10, 1000))
    c.two_clocks = config.two_clocks
    c.follow_gaps = config.follow_gaps
    echo.fill_reference(c.reference, config.reference, (c.capture_rate_hz, c.capture_channels, c.sample))
    c.pairs_ms = int(checked("pairs_ms", config.pairs_ms, 100, 10000)) if config.pairs_ms else 0
    fill_hearing(c.hearing, config.hearing)
    _fill_interrupt(c.interrupt, config.barge_in)
    _fill_gate(c.gate, config.gate)
    fill_config(
        c.playout,
        config.receive_format,
        capacity_s=checked("queue_s", config.queue_s, 0.1, 600),
        fade_ms=checked("barge_in.fade_ms", config.barge_in.fade_ms, 1, 200),
        start_ms=config.start_ms,
        refill_ms=config.refill_ms,
        policy=config.playout_policy,
        max_delay_ms=config.max_delay_ms,
        patience=config.patience,
    )
    return c


def _fill_interrupt(c: Any, barge_in: BargeIn) -> None:
    c.policy = POLICIES[barge_in.policy]
    c.threshold = checked("barge_in.threshold", barge_in.threshold, 0, 1)
    c.confirm_ms = int(checked("barge_in.confirm_ms", barge_in.confirm_ms, 10, 1000))
    c.restore_ms = int(checked("barge_in.restore_ms", barge_in.restore_ms, 10, 2000))
    c.sure = checked("barge_in.sure", barge_in.sure, 0, 1)


def _fill_gate(c: Any, gate: Gate) -> None:
    c.mode = MODES[gate.mode]
    c.open_threshold = checked("gate.threshold", gate.threshold, 0, 1)
    c.close_threshold = checked("gate.close_threshold", gate.close_threshold, 0, gate.threshold)
    c.hold_ms = int(checked("gate.hold_ms", gate.hold_ms, 0, 10000))
    c.preroll_ms = int(checked("gate.preroll_ms", gate.preroll_ms, 0, 500))
    c.linger_ms = int(checked("gate.linger_ms", gate.linger_ms, 0, 60000))


def _signed(kind: int, value: int) -> int:
    return value - 2**32 if kind in GAPS and value >= 2**31 else value


class Duplex:
    """The two halves in one memory. `capture`, `playback` and `process` belong to the audio threads (or a test);
    the rest to the loop.

    A pacer or a device callback calls the same C functions on `pointer`; keep this object alive until its thread
    has ended.
    """

    def __init__(self, config: DuplexConfig | None = None) -> None:
        self.config = config or DuplexConfig()
        c = _c_config(self.config)
        self._block = Block(lib.rt_duplex_size(c))
        self.pointer = self._block.pointer("rt_duplex *")
        lib.rt_duplex_init(self.pointer, c)
        self.queue = PlayoutQueue(lib.rt_duplex_playout(self.pointer), self.config.receive_format)
        self._chains = {
            "capture": StageChain(lib.rt_duplex_capture_stages(self.pointer)),
            "playback": StageChain(lib.rt_duplex_playback_stages(self.pointer)),
        }
        self._dtype = SAMPLES[self.config.sample][0]
        self._records = np.empty(64, dtype=RECORD)
        self._events = np.empty(64, dtype=EVENT)
        self._pairs = np.empty(16, dtype=echo.PAIR)
        self._reported: list[AudioEvent] = []  # a few while a device is away; emptied by each read_events

    # audio threads

    def capture(self, samples: NDArray[Any]) -> None:
        """Take one device block: frames (mono) or frames x channels of the configured sample type."""
        frames = self._checked_block(samples)
        block = np.ascontiguousarray(samples)
        lib.rt_capture_process(self.pointer, address(block, "void *"), frames)

    def playback(self, frames: int) -> NDArray[Any]:
        """The next `frames` device frames: shape (frames,) for one channel, else (frames, channels)."""
        if not 0 <= frames <= self.config.max_block:
            raise ConfigError(f"frames is {frames}: give 0 to max_block ({self.config.max_block})")
        channels = self.config.playback_channels
        out = np.empty((frames, channels) if channels > 1 else frames, dtype=self._dtype)
        lib.rt_playback_process(self.pointer, address(out, "void *"), frames)
        return out

    def hear_reference(self, samples: NDArray[Any], end_s: float = 0.0) -> None:
        """Take one block of the second device: frames, or frames x channels. `end_s`: when the frame after it is
        captured, 0 unknown. Its own thread's.
        """
        echo.hear(self.pointer, self.config.reference, self._dtype, samples, end_s)

    def process(self, samples: NDArray[Any]) -> NDArray[Any]:
        """One block of both directions, capture first, as a device callback runs them."""
        self.capture(samples)
        return self.playback(len(samples))

    def _checked_block(self, samples: NDArray[Any]) -> int:
        shape = (len(samples), self.config.capture_channels) if self.config.capture_channels > 1 else (len(samples),)
        if samples.dtype != self._dtype or samples.shape != shape:
            raise ConfigError(f"block is {samples.shape} {samples.dtype}: give {shape} {np.dtype(self._dtype)}")
        if len(samples) > self.config.max_block:
            raise ConfigError(f"block has {len(samples)} frames: give at most max_block ({self.config.max_block})")
        return len(samples)

    # loop thread

    def read_records(self) -> NDArray[Any]:
        """All sent sound that waits, as an array of RECORD, oldest first."""
        parts = []
        while n := int(
            lib.rt_duplex_read_records(self.pointer, address(self._records, "rt_record *"), len(self._records))
        ):
            parts.append(self._records[:n].copy())
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, dtype=RECORD), *parts])

    def read_events(self) -> list[AudioEvent]:
        """All reports that wait: the capture half's oldest first, then the playback half's."""
        for chain in self._chains.values():
            chain.release()
        events, self._reported = self._reported, []
        while n := int(lib.rt_duplex_read_events(self.pointer, address(self._events, "rt_event *"), len(self._events))):
            events += [
                AudioEvent(EventKind(kind), _signed(kind, value), position)
                for kind, value, position in self._events[:n].tolist()
            ]
        return events

    def report(self, event: AudioEvent) -> None:
        """Let the next `read_events` give this first: what the loop thread did in place of an audio thread."""
        self._reported.append(event)

    def arm(self) -> None:
        """Ask for one byte on the wake-up descriptor when there is something to read; look once more after arming."""
        lib.rt_duplex_arm(self.pointer)

    def set_volume(self, volume: float) -> None:
        """Linear, 0 to 4; above 1 the limiter holds the peaks."""
        lib.rt_duplex_set_volume(self.pointer, checked("volume", volume, 0, 4))

    @property
    def captured(self) -> int:
        """The captured position of the next sample from the microphone, 24 kHz samples in the records' time."""
        return int(lib.rt_capture_position(self.pointer))

    def set_mute(self, mute: bool, position: int = 0) -> None:
        """From captured `position` on (at once if that has passed) silence is heard and sent in place of the
        microphone, or the microphone again. Replaces a change whose position has not come yet.
        """
        lib.rt_duplex_set_mute(self.pointer, mute, int(checked("position", position, 0, 2**62)))

    def set_talk(self, talk: bool, position: int = 0) -> None:
        """From captured `position` on (at once if that has passed) somebody holds the button of push-to-talk, or no
        more: all of it is sent, whatever the gate thinks of it. Replaces a change whose position has not come yet.
        """
        lib.rt_duplex_set_talk(self.pointer, talk, int(checked("position", position, 0, 2**62)))

    def set_hold(self, hold: bool) -> None:
        """The queue stands still, faded out, until this is taken back."""
        lib.rt_duplex_set_hold(self.pointer, hold)

    def set_turn_open(self, turn_open: bool) -> None:
        """Tell the gate whether the server has a turn open (mode PAUSE)."""
        lib.rt_duplex_set_turn_open(self.pointer, turn_open)

    def set_stages(self, chain: str, stages: Sequence[Stage]) -> None:
        """Put up to 8 stages, in this order, in place of those of `chain`, at any time and without a click.

        "capture": after the voice detector, which hears the sound without them, before the gate: they shape what is
        sent. "playback": after the queue, before duck and volume. The sound crosses over within a hop (two for a stage
        that changes its place). A replaced stage is kept until the audio thread has passed a hop without it.
        """
        if chain not in self._chains:
            raise ConfigError(f"chain is {chain!r}: use capture or playback")
        other = self._chains["playback" if chain == "capture" else "capture"].kept
        for each in stages:
            if not isinstance(each, Stage):
                raise ConfigError(f"stages has {each!r:.60}: make it with engine.audio.stage")
            if each in other:
                raise ConfigError(
                    f"{each} is in the other chain, or still leaves it: make a second one (they may share state)"
                )
        self._chains[chain].replace(stages)

    def stages(self, chain: str) -> list[Stage]:
        """The stages set last in "capture" or "playback"."""
        return self._chains[chain].stages

    def bypass(self, stage: Stage, on: bool = True) -> None:
        """Leave a stage out, or take it back, without a click. Left out it still hears the sound; its latency does not
        count.
        """
        if not any(chain.set_bypass(stage, on) for chain in self._chains.values()):
            raise ConfigError(f"{stage} is in neither chain: set it with set_stages first")

    def settle_stages(self) -> None:
        """Take changes of stages over at once and let go of what they replaced. Only while no audio thread runs."""
        for chain in self._chains.values():
            chain.settle()

    def capture_latency_ms(self, block: int) -> float:
        """Delay from microphone to record for blocks of so many frames: filters, stages and re-blocking."""
        return 1000.0 * float(lib.rt_capture_latency(self.pointer, block)) / self.config.capture_rate

    def playback_latency_ms(self, block: int) -> float:
        """Delay from the queue to the loudspeaker for blocks of so many frames."""
        return 1000.0 * float(lib.rt_playback_latency(self.pointer, block)) / self.config.playback_rate

    def capture_stats(self) -> CaptureStats:
        """One snapshot."""
        raw = new("rt_capture_stats *")
        while lib.rt_capture_read_stats(self.pointer, raw) != lib.RT_OK:
            pass
        return capture_stats(raw)

    def hearing_stats(self) -> HearingStats:
        """One snapshot of what the microphone's sound goes through. Any thread."""
        return read_hearing_stats(self.pointer)

    def reference_stats(self) -> echo.ReferenceStats | None:
        """One snapshot of the echo reference; None where there is none, or where it is what this side plays and one
        callback has both halves. Any thread.
        """
        return echo.read_reference_stats(self.pointer)

    def read_pairs(self) -> NDArray[Any]:
        """All pairs of microphone and reference that wait, as an array of PAIR, oldest first."""
        return echo.read_pairs(self.pointer, self._pairs)

    def playback_stats(self) -> PlaybackStats:
        """One snapshot."""
        raw = new("rt_playback_stats *")
        while lib.rt_playback_read_stats(self.pointer, raw) != lib.RT_OK:
            pass
        return playback_stats(raw)
