"""The input audio buffer: what the client appended and nobody committed yet, with turn detection over it.

Offsets count all audio ever written in the session, in milliseconds, across format changes. Audio is kept in wire
form. While turn detection is on and nobody speaks, only a short history is kept; while a turn is open, or with
detection off, everything is, up to `limit_bytes`: then the oldest goes, and `overflowed_bytes` counts it. Nothing
that was committed is handed out again: padding reaches back at most to the end of the previous commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from engine.audio import AudioFormat, Ear
from engine.server.formats import Decoder, Samples
from engine.server.turns import HOP_MS, Started, TurnDetector, TurnSettings

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
    """A turn opened; its audio begins at `start_ms`, padding included."""

    start_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """A turn closed; `audio` is the whole of it, in wire form, from the start to `end_ms`."""

    end_ms: int
    audio: bytes


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
        self._limit_bytes = limit_bytes
        self._history_ms = history_ms
        self._data = bytearray()  # at most limit_bytes; when full the oldest is dropped and counted
        self._first = 0  # position of _data[0] in bytes since the format was set
        self._origin_ms = 0  # offset of position 0
        self._turn_start = 0  # position where the open turn's audio begins
        self._turns: TurnDetector | None = None
        self.configure(settings)

    @property
    def now_ms(self) -> int:
        """Offset of the end of the buffer: all audio ever written."""
        return self._to_ms(self._end)

    @property
    def buffered_ms(self) -> float:
        """Audio that a commit would take, in milliseconds."""
        return len(self._data) // self.format.sample_bytes * self.format.sample_bytes / self.format.bytes_per_ms

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
        self._first = 0
        self.format = format
        self._listen_from_here()

    def append(self, data: bytes) -> Iterator[SpeechStarted | SpeechStopped]:
        """Write audio. Handle each happening before asking for the next: any size of append gives the same ones.

        The iterator must be run to its end.
        """
        size = SLICE_MS * self.format.bytes_per_ms
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            self._data += piece
            if self._turns is not None:
                yield from self._detect(self._turns, piece)
            self._trim()

    def take(self) -> bytes:
        """Commit everything in the buffer, whole samples only. Ends an open turn without a SpeechStopped."""
        if self._turns is not None:
            self._turns.reset()
        return self._take(self._first, self._end - len(self._data) % self.format.sample_bytes)

    def take_from(self, start_ms: int) -> bytes:
        """Commit what was written since `start_ms`."""
        start = max(self._first, (start_ms - self._origin_ms) * self.format.bytes_per_ms)
        return self._take(min(start, self._end), self._end - len(self._data) % self.format.sample_bytes)

    def clear(self) -> None:
        """Throw the buffer away, an open turn and half a sample included. Offsets go on."""
        self._first = self._end - len(self._data) % self.format.sample_bytes
        self._data.clear()
        self._listen_from_here()

    @property
    def _end(self) -> int:
        return self._first + len(self._data)

    def _to_ms(self, position: int) -> int:
        return self._origin_ms + position // self.format.bytes_per_ms

    def _listen_from_here(self) -> None:
        if self._turns is not None:
            self._turns.reset()
            detector = self._make_detector
            self._ear = Ear(self.format) if detector is None else _Listener(self.format, detector())
            if self.format is AudioFormat.PCM and len(self._data) % 2:
                self._ear.process(bytes(self._data[-1:]))  # the first half of a sample whose rest is still to come
            # The position up to which hops were judged.
            self._heard = self._end - len(self._data) % self.format.sample_bytes

    def _detect(self, turns: TurnDetector, piece: bytes) -> Iterator[SpeechStarted | SpeechStopped]:
        for probability in self._ear.process(piece):
            self._heard += HOP_MS * self.format.bytes_per_ms
            change = turns.step(probability, self._to_ms(self._heard))
            if change is None:
                continue
            if isinstance(change, Started):
                start_ms = change.onset_ms - turns.settings.prefix_ms
                position = (start_ms - self._origin_ms) * self.format.bytes_per_ms
                self._turn_start = max(position, self._first)
                yield SpeechStarted(self._to_ms(self._turn_start))
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
        position -= position % self.format.sample_bytes
        if position > self._first:
            del self._data[: position - self._first]
            self._first = position
