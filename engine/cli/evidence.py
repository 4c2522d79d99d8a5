"""What a watched conversation shows: times per turn, truncations against what really sounded, marks for the
picture.

All times are audio time: samples of the recording, so they do not depend on how quickly this program was told of
anything. A decision is dated to the end of the 10 ms hop that it needed, and what is played beside that hop sounds
after it, as at the block boundary of a sound device.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.audio import AudioEvent, EventKind, ItemKey, Resampler
from engine.cli.timeline import Mark, MarkKind, Timeline
from engine.conversation import Conversation, Turn
from engine.realtime import events as ev

INNER = 24000
HOP = 240  # samples
DUCK_RAMP = 240  # samples
FADE = 480  # samples, the default of BargeIn.fade_ms


@dataclass(frozen=True, slots=True)
class Labelled:
    """Known speech of the caller, in seconds of the file."""

    start_s: float
    end_s: float
    text: str


@dataclass(slots=True)
class _Heard:
    """One item as the loudspeaker gave it."""

    start_s: float
    end_s: float | None = None
    audio: bytearray = field(default_factory=bytearray)  # the whole reply, one conversation long


@dataclass(slots=True)
class _Cut:
    """One interruption, from the first near-end sound to silence."""

    duck_s: float
    confirmed_s: float | None = None
    fade_s: float | None = None
    silent_s: float | None = None


class Evidence:
    """Collects while the conversation runs (`event`, `sound`), then tells."""

    def __init__(self, rate: int, labels: list[Labelled]) -> None:
        self.rate = rate
        self.labels = labels
        self.turns: list[Turn] = []
        self._heard: dict[str, _Heard] = {}
        self._cuts: list[_Cut] = []
        self._speech: list[list[float | None]] = []
        self._server: list[list[float | None]] = []
        self._responses: dict[str, list[float | None]] = {}
        self._truncated: dict[str, tuple[float, int]] = {}
        self._server_offsets: list[tuple[str, int]] = []
        self._microphone: NDArray[np.int16] = np.empty(0, dtype=np.int16)
        self._loudspeaker: NDArray[np.int16] = np.empty(0, dtype=np.int16)

    # ---- while it runs

    def event(self, direction: str, event: ev.AnyEvent, seconds: float) -> None:
        """One protocol event, and the captured time at which it was handled."""
        match event:
            case ev.ResponseCreated():
                self._responses[event.response_id] = [seconds, None]
            case ev.ResponseDone() if event.response_id in self._responses:
                self._responses[event.response_id][1] = seconds
            case ev.ResponseOutputAudioDelta():
                self._heard.setdefault(event.item_id, _Heard(-1.0)).audio.extend(event.delta)
            case ev.InputAudioBufferSpeechStarted():
                self._server_offsets.append(("start", event.audio_start_ms))
            case ev.InputAudioBufferSpeechStopped():
                self._server_offsets.append(("stop", event.audio_end_ms))
            case ev.ConversationItemTruncate() if direction == "sent":
                self._truncated[event.item_id] = (seconds, event.audio_end_ms)

    def sound(self, event: AudioEvent, item: ItemKey | None) -> None:
        """One report of the audio threads."""
        seconds = (event.position + HOP) / INNER
        match event.kind:
            case EventKind.SPEECH_STARTED:
                self._speech.append([seconds, None])
            case EventKind.SPEECH_STOPPED if self._speech:
                self._speech[-1][1] = seconds
            case EventKind.DUCKED:
                self._cuts.append(_Cut(seconds))
            case EventKind.CONFIRMED if self._cuts:
                self._cuts[-1].confirmed_s = seconds
            case EventKind.RESTORED | EventKind.RELEASED if self._cuts:
                self._cuts[-1].silent_s = seconds
            case EventKind.PLAYING if item is not None:
                self._plays(item[0], seconds)
            case EventKind.FADING if self._cuts:
                self._cuts[-1].fade_s = seconds
            case EventKind.SILENT:
                self._silent(item, seconds)

    def _plays(self, item_id: str, seconds: float) -> None:
        heard = self._heard.setdefault(item_id, _Heard(seconds))
        if heard.start_s < 0:
            heard.start_s = seconds

    def _silent(self, item: ItemKey | None, seconds: float) -> None:
        # the report names the hop in which silence begins; that hop still holds the end of the sound
        end = seconds + 0.01
        if item is not None and item[0] in self._heard:
            self._heard[item[0]].end_s = end
        if self._cuts and self._cuts[-1].fade_s is not None and self._cuts[-1].silent_s is None:
            self._cuts[-1].silent_s = end

    # ---- when it is over

    def finish(self, conversation: Conversation, turns: list[Turn]) -> None:
        """Take the turns, and map the server's offsets to captured time."""
        self.turns = turns
        for kind, offset in self._server_offsets:
            captured = conversation.time_map.captured(offset, end=kind == "stop")
            if captured is None:
                continue
            if kind == "start":
                self._server.append([captured / 1000, None])
            elif self._server:
                self._server[-1][1] = captured / 1000

    def recording(self, microphone: NDArray[np.int16], loudspeaker: NDArray[np.int16]) -> None:
        """Take both channels of the recording, block beside block; the loudspeaker's are moved to when they sound."""
        self._microphone = microphone
        block = np.zeros(self.rate // 100, dtype=np.int16)
        self._loudspeaker = np.concatenate([block, loudspeaker])[: len(microphone)]

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        return max(len(self._microphone) / self.rate, 0.001)

    def _onset(self, duck_s: float) -> float:
        """When the caller really began: the label, else the first loud 5 ms of the 300 ms before the duck."""
        for label in self.labels:
            if label.start_s - 0.05 <= duck_s <= label.end_s:
                return label.start_s
        frame = max(self.rate // 200, 1)
        first = max(int((duck_s - 0.3) * self.rate), 0)
        piece = self._microphone[first : int(duck_s * self.rate) + 2 * frame].astype(np.float64)
        frames = piece[: len(piece) // frame * frame].reshape(-1, frame)
        if not len(frames):
            return duck_s
        levels = np.sqrt((frames**2).mean(axis=1)) + 1.0
        loud = np.nonzero(levels >= max(levels.max() / 10.0, levels.min() * 4.0))[0]
        return (first + int(loud[0]) * frame) / self.rate if len(loud) else duck_s

    def turn_table(self) -> tuple[list[str], list[list[str]]]:
        """Header and a row per reply."""
        rows = []
        for number, turn in enumerate((turn for turn in self.turns if turn.role == "assistant"), 1):
            latency = f"{turn.latency_ms:.0f} ms" if turn.latency_ms is not None else "-"
            ending = "interrupted" if turn.interrupted else "heard whole"
            rows.append([str(number), latency, f"{turn.received_ms} ms", f"{turn.played_ms} ms", ending])
        return ["reply", "speech end to first sound", "received", "played", ""], rows

    def cut_table(self) -> tuple[list[str], list[list[str]]] | None:
        """Header and a row per confirmed interruption; None without one."""
        rows = []
        for cut in self._cuts:
            if cut.confirmed_s is None or cut.silent_s is None:
                continue
            onset = self._onset(cut.duck_s)
            item_id = self._item_cut(cut)
            told = f"{self._truncated[item_id][1]} ms" if item_id in self._truncated else "-"
            sounded = self._sounded_ms(item_id, cut)
            rows.append(
                [
                    f"{onset:.2f} s",
                    f"{1000 * (cut.duck_s - onset):.0f} ms",
                    f"{1000 * (cut.confirmed_s - onset):.0f} ms",
                    f"{1000 * (cut.silent_s - onset):.0f} ms",
                    told,
                    f"{sounded:.1f} ms" if sounded is not None else "-",
                ]
            )
        if not rows:
            return None
        return ["interrupted at", "to duck", "to confirm", "to silence", "truncated at", "in the recording"], rows

    def _item_cut(self, cut: _Cut) -> str:
        """The item that sounded when the fade began."""
        at = cut.fade_s if cut.fade_s is not None else cut.duck_s
        begun = [(heard.start_s, item_id) for item_id, heard in self._heard.items() if 0 <= heard.start_s <= at]
        return max(begun)[1] if begun else ""

    def _sounded_ms(self, item_id: str, cut: _Cut) -> float | None:
        """How much of the reply the recording holds before the fade, found by comparing samples, not by asking the
        ledger.

        The loudspeaker is modelled as the reply at the ducked gain under a raised cosine that begins at an unknown
        sample; the sample that leaves the least squared error is taken. None when nothing was heard.
        """
        if item_id not in self._heard:
            return None
        heard = self._heard[item_id]
        reply = np.frombuffer(bytes(heard.audio), dtype="<i2").astype(np.float64)
        played = self._inner_loudspeaker()[round(heard.start_s * INNER) :]
        first = round((cut.duck_s - heard.start_s) * INNER) + DUCK_RAMP
        last = min(len(reply), len(played), first + INNER)
        if last - first < FADE:
            return None
        source, sound = reply[first:last], played[first:last]
        silent = int(np.nonzero(np.abs(sound) >= 1.0)[0].max(initial=0)) + 1
        steady = max(silent - 2 * FADE, 1)  # surely before the fade
        gain = float(source[:steady] @ sound[:steady]) / max(float(source[:steady] @ source[:steady]), 1.0)
        candidates = range(max(silent - 3 * FADE, 0), silent + 1)
        errors = [float(np.sum((gain * source * _fade(len(source), begin) - sound) ** 2)) for begin in candidates]
        return 1000.0 * (first + candidates[int(np.argmin(errors))]) / INNER

    def _inner_loudspeaker(self) -> NDArray[np.float64]:
        """The recording at 24 kHz; the delay of both resamplers, 24 periods of the lower rate each, taken out."""
        if self.rate == INNER:
            return self._loudspeaker.astype(np.float64)
        resampled = Resampler(self.rate, INNER).process(self._loudspeaker.astype(np.float32))
        delay = 2 * 24 * INNER // min(self.rate, INNER)
        return resampled[delay:].astype(np.float64)

    def timeline(self) -> Timeline:
        """Everything, for the picture."""
        marks = [Mark(MarkKind.CALLER, label.start_s, label.end_s, label.text) for label in self._caller()]
        marks += [Mark(MarkKind.LOCAL_SPEECH, a or 0.0, b) for a, b in self._speech]
        marks += [Mark(MarkKind.SERVER_SPEECH, a or 0.0, b) for a, b in self._server]
        marks += [Mark(MarkKind.RESPONSE, a or 0.0, b) for a, b in self._responses.values()]
        marks += self._answer_marks()
        for cut in self._cuts:
            marks.append(Mark(MarkKind.DUCK, cut.duck_s, cut.silent_s))
            if cut.confirmed_s is not None:
                marks.append(Mark(MarkKind.CONFIRMED, cut.confirmed_s))
            if cut.fade_s is not None:
                marks.append(Mark(MarkKind.FADE, cut.fade_s, cut.silent_s))
        return Timeline(self.rate, self._microphone, self._loudspeaker, marks)

    def _caller(self) -> list[Labelled]:
        """The caller's speech: as labelled, else as heard, from where it really began."""
        if self.labels:
            return self.labels
        return [Labelled(self._onset(a or 0.0), b if b is not None else self.seconds, "") for a, b in self._speech]

    def _answer_marks(self) -> list[Mark]:
        marks = []
        for turn in self.turns:
            heard = next((self._heard[item_id] for item_id in turn.item_ids if item_id in self._heard), None)
            if heard is None or heard.start_s < 0:
                continue
            marks.append(Mark(MarkKind.HEARD, heard.start_s, heard.end_s, turn.text))
            if turn.latency_ms is not None:
                marks.append(Mark(MarkKind.LATENCY, heard.start_s - turn.latency_ms / 1000, heard.start_s))
            for item_id in turn.item_ids:
                if item_id in self._truncated:
                    told = self._truncated[item_id][1]
                    marks.append(Mark(MarkKind.TRUNCATED, heard.start_s + told / 1000, text=f"{told} ms"))
        return marks


def _fade(length: int, begin: int) -> NDArray[np.float64]:
    """One, then a raised cosine to zero from sample `begin` on."""
    phase = np.clip((np.arange(length) - begin + 0.5) / FADE, 0.0, 1.0)
    return 0.5 + 0.5 * np.cos(np.pi * phase)
