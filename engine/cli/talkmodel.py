"""What is known of a running talk: follows events and reports, and gives one picture of it all when asked.

No terminal here: screen.py draws a `View`, lines.py writes what happened.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.audio import AudioEvent, EventKind, HearingStats, ItemKey
from engine.cli.main import plain
from engine.cli.trace import Trace
from engine.conversation import Conversation, Turn
from engine.endpoints import DeviceSound
from engine.realtime import events as ev
from engine.realtime.redaction import redacted, without
from engine.realtime.usage import Meter, Prices, Tally

QUIET_DB = -90.0
FALL_DB = 30.0  # per second: a meter that falls so slowly can be read
MOST_SAID = 200
MOST_LETTERS = 4000
MOST_COMPLAINTS = 10
LINE = {
    "reconnecting": "connection lost, opening it again",
    "reconnected": "connected again",
    "rotated": "the session was renewed",
    "gave_up": "connection lost for good",
}


@dataclass(slots=True)
class Said:
    """One line of the transcripts. `role` is "user" or "assistant"; `note` what became of it."""

    role: str
    text: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """Everything a screen shows, at one moment. Levels in dBFS, times in seconds unless named otherwise."""

    state: str = "connecting"
    server: str = ""
    seconds: float = 0.0
    microphone: str = ""
    loudspeaker: str = ""
    input_db: float = QUIET_DB
    output_db: float = QUIET_DB
    probability: float = 0.0
    gate_open: bool = True
    gate_mode: str = "off"
    queue_s: float = 0.0
    volume: float = 1.0
    gain_db: float = 0.0
    muted: bool = False
    on_hold: bool = False
    pressed: bool = False
    said: list[Said] = field(default_factory=list)
    latencies: list[tuple[float | None, bool]] = field(default_factory=list)
    device: str = ""
    xruns: int = 0
    missing_ms: float = 0.0
    underruns: int = 0
    lost_ms: int = 0
    drift_ppm: float | None = None
    echo: str = ""
    near: float | None = None
    usage: Tally = field(default_factory=Tally)
    notice: str = ""


class Model:
    """An `Observer` that remembers. Belongs to the loop thread."""

    def __init__(
        self, server: str, prices: Prices | None = None, trace: Trace | None = None, known: Sequence[str] = ()
    ) -> None:
        self.conversation: Conversation | None = None
        self.pressed = self.on_hold = False
        self.sounding = False
        self.on_complaint: Callable[[str], None] | None = None
        self.last: View | None = None
        self.complaints = 0
        self.turns: deque[Turn] = deque(maxlen=1000)  # full: the oldest is forgotten
        self.server = server
        self.trace = trace
        self._known = known  # secrets that a server may quote
        self._meter = Meter(prices)
        self._said: deque[tuple[str, Said]] = deque(maxlen=MOST_SAID)  # full: the oldest line goes
        self._hearing = self._thinking = self._ducked = False
        self._reconnecting = False
        self._notice, self._noticed_at = "", 0.0
        self._levels = [QUIET_DB, QUIET_DB]
        self._looked_at = self._begun = time.monotonic()
        self._probability = 0.0

    # ---- Observer

    def event(self, direction: str, message: bytes, event: ev.AnyEvent | None) -> None:
        """See `Observer.event`."""
        if self.trace is not None:
            self.trace.event(direction, message, event)
        if event is None or direction != "received":
            return
        self._meter.receive(event)
        match event:
            case ev.InputAudioBufferSpeechStarted():
                self._hearing, self._thinking = True, False
            case ev.InputAudioBufferSpeechStopped():
                self._hearing = False
            case ev.InputAudioBufferCommitted():
                self._hearing, self._thinking = False, True
                self._line(event.item_id, "user")
            case ev.ResponseCreated():
                self._thinking = True
            case ev.ResponseDone():
                self._thinking = False
            case ev.ResponseOutputAudioTranscriptDelta() | ev.ResponseOutputTextDelta():
                self._add(event.item_id, "assistant", event.delta)
            case ev.ConversationItemInputAudioTranscriptionDelta():
                self._add(event.item_id, "user", event.delta if isinstance(event.delta, str) else "")
            case ev.ConversationItemInputAudioTranscriptionCompleted():
                self._line(event.item_id, "user").text = event.transcript[:MOST_LETTERS]
            case ev.Error():
                self._complaint(redacted(event.message, self._known)[:500] or event.error_type)

    def sound(self, event: AudioEvent, item: ItemKey | None) -> None:
        """See `Observer.sound`."""
        if self.trace is not None:
            self.trace.sound(event, item)
        match event.kind:
            case EventKind.DUCKED:
                self._ducked = True
            case EventKind.CONFIRMED | EventKind.RESTORED:
                self._ducked = False
            case EventKind.PLAYING | EventKind.SILENT:
                self.sounding = event.kind is EventKind.PLAYING
                self._thinking = self._thinking and not self.sounding

    def _complaint(self, words: str) -> None:
        self.complaints += 1
        self.notice(f"the server reports: {words}")
        if self.on_complaint is not None and self.complaints <= MOST_COMPLAINTS:
            self.on_complaint(f"the server reports: {words}")

    # ---- what else happens

    def turn(self, turn: Turn) -> None:
        """A settled turn."""
        self.turns.append(turn)
        for key, said in self._said:
            if key in turn.item_ids and turn.role == said.role:
                said.text = said.text or turn.text[:MOST_LETTERS]
                said.note = note(turn)

    def notice(self, text: str) -> None:
        """Something the user should see."""
        self._notice, self._noticed_at = plain(redacted(text, self._known)), time.monotonic()

    def line_changed(self, what: str, fields: Mapping[str, Any]) -> None:
        """The connection: "reconnecting", "reconnected", "rotated" or "gave_up"; other reports are left out."""
        if what not in LINE:
            return
        reason = str(fields.get("reason") or "")
        self._reconnecting = what == "reconnecting"
        self.notice(LINE[what] + (f": {reason}" if reason else ""))
        if self.on_complaint is not None and what != "rotated":
            self.on_complaint(self._notice)

    def finish(self) -> None:
        """The conversation is over: remember how it was."""
        self.last = self.view()
        self.conversation = None

    def _line(self, item_id: str, role: str) -> Said:
        for key, said in reversed(self._said):
            if key == item_id:
                return said
        self._said.append((item_id, Said(role, "")))
        return self._said[-1][1]

    def _add(self, item_id: str, role: str, text: str) -> None:
        said = self._line(item_id, role)
        said.text = (said.text + text)[:MOST_LETTERS]

    # ---- the picture

    def look(self) -> None:
        """Follow the meters: some twenty times a second, so that a short sound is not missed."""
        if self.conversation is None:
            return
        now = time.monotonic()
        capture, playback = self.conversation.stats()
        fall = FALL_DB * (now - self._looked_at)
        for index, level in enumerate((capture.level_rms, playback.level_rms)):
            self._levels[index] = max(decibels(level), self._levels[index] - fall)
        self._probability = max(capture.probability, self._probability - 4.0 * (now - self._looked_at))
        self._looked_at = now

    def view(self) -> View:
        """Now."""
        seconds = time.monotonic() - self._begun
        notice = self._notice if time.monotonic() - self._noticed_at < 10.0 else ""
        said = [Said(each.role, plain(without(each.text, self._known)), each.note) for _, each in self._said]
        told: dict[str, Any] = {
            "server": self.server,
            "seconds": seconds,
            "said": said,
            "latencies": [(turn.latency_ms, turn.interrupted) for turn in self.turns if turn.role == "assistant"][-8:],
            "usage": self._meter.total,
            "notice": notice,
        }
        if self.conversation is None:
            return View(**told)
        capture, playback = self.conversation.stats()
        sound, config = self.conversation.sound, self.conversation.sound.duplex.config
        known = _device(sound) if isinstance(sound, DeviceSound) else {}
        return View(
            state=self._state(),
            input_db=self._levels[0],
            output_db=self._levels[1],
            probability=self._probability,
            gate_open=capture.gate_open,
            gate_mode=config.gate.mode.value,
            queue_s=sound.duplex.queue.waiting / sound.duplex.config.receive_format.rate,
            volume=self.conversation.volume,
            gain_db=config.barge_in.duck_db if self._ducked else 0.0,
            muted=self.conversation.muted,
            on_hold=self.on_hold,
            pressed=self.pressed,
            underruns=playback.playout.underruns,
            lost_ms=10 * capture.lost_records + self.conversation.left_out_ms,
            **echo_figures(sound.duplex.hearing_stats()),
            **told,
            **known,
        )

    def _state(self) -> str:
        assert self.conversation is not None
        if getattr(self.conversation.sound, "away", False):
            return "device lost"
        if self._reconnecting:
            return "reconnecting"
        if self.on_hold:
            return "on hold"
        if self._ducked:
            return "ducked"
        if self._hearing or self.pressed:
            return "hearing you"
        if self.sounding:
            return "speaking"
        if self._thinking:
            return "thinking"
        return "muted" if self.conversation.muted else "listening"


def _device(sound: DeviceSound) -> dict[str, Any]:
    """What the sound system says."""
    opened, rate = sound.opened, sound.duplex.config.capture_rate
    parts = [f"{opened.capture_rate / 1000:g} kHz {opened.sample}"]
    if opened.playback_rate != opened.capture_rate:
        parts[0] += f" (out {opened.playback_rate / 1000:g})"
    parts.append(f"blocks of {1000 * opened.block / rate:g} ms")
    if opened.microphone_ms and opened.loudspeaker_ms:
        parts.append(f"latency {opened.microphone_ms:.0f} + {opened.loudspeaker_ms:.0f} ms")
    if opened.realtime.startswith("refused"):
        parts.append("no real-time priority")
    if (reference := sound.reference()) is not None:
        level = decibels(reference.level_rms)
        parts.append(f"reference {level:.0f} dB" + (f", {reference.starved} gaps" if reference.starved else ""))
    stats = sound.stats()
    stamps = sound.stamps("capture") if stats else None
    return {
        "microphone": opened.microphone,
        "loudspeaker": opened.loudspeaker,
        "device": ", ".join(parts),
        "xruns": sum(each.flagged for each in stats),
        "missing_ms": 1000.0 * sum(each.missing_frames for each in stats) / rate,
        "drift_ppm": stamps.ppm if stamps is not None and 0 < stamps.ppm_error < 50 else None,
    }


def echo_figures(hearing: HearingStats) -> dict[str, Any]:
    """What becomes of the loudspeaker's sound in the microphone; while it sounds, whether somebody is near."""
    if hearing.echo == "off":
        return {}
    delay = "" if hearing.delay_ms is None else f" after {hearing.delay_ms:.0f} ms"
    if hearing.echo == "half_duplex":
        text = f"half duplex, echo{delay}" if delay else "half duplex"
    elif not hearing.converged:
        text = f"echo{delay}, learning the room" if delay else "listening for an echo"
    else:
        text = f"echo{delay} less {hearing.erle_db:.0f} dB" if delay else "no echo"
    return {"echo": text, "near": hearing.near if hearing.playing and hearing.echo == "aec" else None}


def note(turn: Turn) -> str:
    """What became of a turn, in a few words; "" when nothing did."""
    if turn.interrupted:
        return f"interrupted after {turn.played_ms} ms"
    if turn.status not in ("completed", "cancelled") and turn.role == "assistant":
        why = plain(str(turn.error.get("message") or turn.reason or ""))
        return f"{plain(turn.status)}{': ' + why if why else ''}"
    return ""


def decibels(level: float) -> float:
    """Of a linear level, not below QUIET_DB."""
    return max(20.0 * math.log10(level), QUIET_DB) if level > 0 else QUIET_DB
