"""The input audio buffer: what the client appended and nobody committed yet, with turn detection over it.

Offsets count all audio ever written in the session, in milliseconds, across format changes. Audio is kept in wire
form, after noise reduction where there is any: what is detected and committed is the filtered sound, at the same
offsets. While turn detection is on and nobody speaks, only a short history is kept; while a turn is open, or with
detection off, everything is, up to `limit_bytes`: then the oldest goes, and `overflowed_bytes` counts it. Nothing
that was committed is handed out again: padding reaches back at most to the end of the previous commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from engine.audio import AudioFormat, Ear
from engine.server.cleaning import Cleaner
from engine.server.formats import Decoder, Samples, decode_all
from engine.server.turns import HOP_MS, Paused, Started, TurnDetector, TurnSettings

SLICE_MS = 100  # a large append is detected in slices of this length, so that memory does not grow with its size


class SpeechDetector(Protocol):
    """Gives one probability of speech per 10 ms of audio, whatever the size of the pieces."""

    def process(self, samples: Samples) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Probabilities of the hops completed by `samples`."""


class _Listener:
    """As `Ear`, with somebody else's detector."""

    def __init__(self, format: AudioFormat, detector: SpeechDetector) -> None:
        self._decoder = Decoder(format)
        self._detector = detector

    def process(self, wire: bytes) -> list[float]:
        found: list[float] = self._detector.process(self._decoder.process(wire)).tolist()
        return found


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """A turn opened; its audio begins at `start_ms`, padding included, the speech in it at `onset_ms`."""

    start_ms: int
    onset_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """A turn closed; `audio` is the whole of it, in wire form, from the start to `end_ms`."""

    end_ms: int
    audio: bytes


@dataclass(frozen=True, slots=True)
class SpeechPaused:
    """With semantic_vad: the open turn has been silent for `silence_ms`. `InputAudio.end_after` may end it earlier than
    the longest wait; `InputAudio.turn_so_far` has its sound.
    """

    silence_ms: int


Happening = SpeechStarted | SpeechStopped | SpeechPaused


class InputAudio:
    """One session's buffer. `detector` makes a fresh detector for a sample rate of 24000 Hz; None: the C core's."""

    def __init__(
        self,
        format: AudioFormat,
        detector: Callable[[], SpeechDetector] | None,
        *,
        settings: TurnSettings | None,
        limit_bytes: int,
        history_ms: int,
    ) -> None:
        self.format = format
        self.overflowed_bytes = 0
        self.hold_from_ms: int | None = None  # keep the history from here on (the idle timeout will commit it)
        self._make_detector = detector
        self._limit_bytes = limit_bytes & ~1
        self._history_ms = history_ms
        self._data = bytearray()  # whole samples, at most limit_bytes; when full the oldest is dropped and counted
        self._odd = b""  # the first half of a sample whose rest is still to come
        self._first = 0  # position of _data[0] in bytes since the format was set
        self._origin_ms = 0  # offset of position 0
        self._turn_start = 0  # position where the open turn's audio begins
        self._cleaner: Cleaner | None = None
        self._noise_reduction: Mapping[str, Any] | None = None
        self._turns: TurnDetector | None = None
        self.configure(settings)

    @property
    def now_ms(self) -> int:
        """Offset of the end of the buffer: all audio ever written."""
        return self._to_ms(self._end + self._held + len(self._odd))

    @property
    def first_ms(self) -> int:
        """Offset of the oldest audio that is still here."""
        return self._to_ms(self._first)

    @property
    def buffered_ms(self) -> float:
        """Audio that a commit would take, in milliseconds."""
        return (len(self._data) + self._held) / self.format.bytes_per_ms

    @property
    def speaking(self) -> bool:
        """Whether a turn is open."""
        return self._turns is not None and self._turns.speaking

    def configure(self, settings: TurnSettings | None) -> None:
        """Set turn detection, or switch it off with None: then the buffer is kept and an open turn is forgotten."""
        if settings is None:
            self._turns = None
        elif self._turns is not None:
            self._turns.configure(settings)
        else:
            self._turns = TurnDetector(settings)
            self._listen_from_here()

    def set_format(self, format: AudioFormat) -> None:
        """Take audio in another format from now on. What is in the buffer is dropped, offsets go on."""
        if format is self.format:
            return
        self._origin_ms = self.now_ms
        self._data.clear()
        self._odd = b""
        self._first = 0
        self.format = format
        wanted, self._cleaner, self._noise_reduction = self._noise_reduction, None, None
        self.reduce_noise(wanted)
        self._listen_from_here()

    def reduce_noise(self, wanted: Mapping[str, Any] | None) -> None:
        """Filter what is written from now on as this `noise_reduction` object of a session says; None: not at all."""
        if wanted == self._noise_reduction:
            return
        self._noise_reduction = wanted
        if wanted is None or not Cleaner.wanted(wanted):
            self._settle()
            self._cleaner = None
        elif self._cleaner is None:
            self._cleaner = Cleaner(self.format, wanted)
        else:
            self._cleaner.configure(wanted)

    def append(self, data: bytes) -> Iterator[Happening]:
        """Write audio. Handle each happening before asking for the next: any size of append gives the same ones.

        The iterator must be run to its end.
        """
        if self.format is AudioFormat.PCM and (self._odd or len(data) % 2):
            data = self._odd + data
            whole = len(data) & ~1
            data, self._odd = data[:whole], data[whole:]
        size = SLICE_MS * self.format.bytes_per_ms
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            if self._cleaner is not None:
                piece = self._cleaner.process(piece)
            self._data += piece
            if self._turns is not None:
                yield from self._detect(self._turns, piece)
            self._trim()

    def end_after(self, silence_ms: int) -> None:
        """Let the pause that a SpeechPaused told of end the turn once it has lasted `silence_ms`."""
        if self._turns is not None:
            self._turns.end_after(silence_ms)

    def turn_so_far(self, most_ms: int) -> Samples:
        """The newest `most_ms` of the open turn, up to what was detected by now."""
        start = max(self._turn_start, self._first, self._heard - most_ms * self.format.bytes_per_ms)
        return decode_all(bytes(self._data[start - self._first : self._heard - self._first]), self.format)

    def take(self) -> bytes:
        """Commit everything in the buffer, whole samples only. Ends an open turn without a SpeechStopped."""
        if self._turns is not None:
            self._turns.reset()
        self._settle()
        return self._take(self._first, self._end)

    def take_from(self, start_ms: int) -> bytes:
        """Commit what was written since `start_ms`."""
        self._settle()
        start = max(self._first, (start_ms - self._origin_ms) * self.format.bytes_per_ms)
        return self._take(min(start, self._end), self._end)

    def clear(self) -> None:
        """Throw the buffer away, an open turn and half a sample included. Offsets go on."""
        self._settle()
        self._first = self._end
        self._data.clear()
        self._odd = b""
        self._listen_from_here()

    @property
    def _end(self) -> int:
        return self._first + len(self._data)

    @property
    def _held(self) -> int:
        """Bytes that are still on their way through the noise reduction."""
        return self._cleaner.held if self._cleaner is not None else 0

    def _settle(self) -> None:
        """Take what the noise reduction still holds. The detector hears it too, or its positions would be wrong; these
        few milliseconds open and close no turn.
        """
        if self._cleaner is not None and (rest := self._cleaner.flush()):
            self._data += rest
            if self._turns is not None:
                self._heard += len(self._ear.process(bytes(rest))) * HOP_MS * self.format.bytes_per_ms

    def _to_ms(self, position: int) -> int:
        return self._origin_ms + position // self.format.bytes_per_ms

    def _listen_from_here(self) -> None:
        if self._turns is not None:
            self._turns.reset()
            detector = self._make_detector
            self._ear = Ear(self.format) if detector is None else _Listener(self.format, detector())
            self._heard = self._end  # the position up to which hops were judged

    def _detect(self, turns: TurnDetector, piece: bytes) -> Iterator[Happening]:
        for probability in self._ear.process(piece):
            self._heard += HOP_MS * self.format.bytes_per_ms
            change = turns.step(probability, self._to_ms(self._heard))
            if change is None:
                continue
            if isinstance(change, Started):
                start_ms = change.onset_ms - turns.settings.prefix_ms
                position = (start_ms - self._origin_ms) * self.format.bytes_per_ms
                self._turn_start = max(position, self._first)
                yield SpeechStarted(self._to_ms(self._turn_start), change.onset_ms)
            elif isinstance(change, Paused):
                yield SpeechPaused(change.silence_ms)
            else:
                yield SpeechStopped(change.end_ms, self._take(max(self._turn_start, self._first), self._heard))
            if self._turns is not turns:
                return  # the handler switched detection off or began anew

    def _take(self, start: int, end: int) -> bytes:
        audio = bytes(self._data[start - self._first : end - self._first])
        del self._data[: end - self._first]
        self._first = end
        return audio

    def _trim(self) -> None:
        turns = self._turns
        if turns is not None and not turns.speaking:
            window_ms = turns.settings.window_hops * HOP_MS
            keep_ms = max(self._history_ms, turns.settings.prefix_ms + window_ms)
            keep_from = self._end - keep_ms * self.format.bytes_per_ms
            if self.hold_from_ms is not None:
                keep_from = min(keep_from, (self.hold_from_ms - self._origin_ms) * self.format.bytes_per_ms)
            self._drop(keep_from)
        if len(self._data) > self._limit_bytes:
            excess = self._end - self._limit_bytes
            self.overflowed_bytes += excess - self._first
            self._drop(excess)

    def _drop(self, position: int) -> None:
        if position > self._first:
            del self._data[: position - self._first]
            self._first = position
