"""Probabilities of speech straight from bytes as they travel (csrc/ear.h)."""

from __future__ import annotations

from typing import Any

from engine.audio.formats import AudioFormat
from engine.native import Block, content, lib, new

_ROOM = 64  # probabilities that one call writes: longer pieces are cut


class Ear:
    """One probability of speech for each 10 ms of a stream in wire form.

    Equal to a decoder, a resampler for G.711 and a `VoiceDetector` one after the other, in one call of C: what a server
    does with every frame of every caller. Any cut of the bytes gives the same; half a sample waits for its other half.
    One stream, one thread.

        ear = Ear(AudioFormat.PCM)
        for frame in frames:                  # bytes, any number
            for probability in ear.process(frame): ...
    """

    def __init__(self, format: AudioFormat) -> None:
        self.format = format
        self._block = Block(lib.rt_ear_size(format.code))
        self._ear: Any = self._block.pointer("rt_ear *")
        lib.rt_ear_init(self._ear, format.code)
        self._out = new("float[]", _ROOM)
        self._most = _ROOM * 10 * format.bytes_per_ms - 1

    @property
    def latency_ms(self) -> float:
        """How far, in milliseconds, a decision lags the sound at most."""
        return float(lib.rt_ear_latency(self._ear)) * 1000.0

    def process(self, wire: bytes) -> list[float]:
        """The probabilities of the hops that these bytes complete, in [0, 1]."""
        size = len(wire)
        if size > self._most:
            pieces = (wire[at : at + self._most] for at in range(0, size, self._most))
            return [probability for piece in pieces for probability in self.process(piece)]
        count = lib.rt_ear_process(self._ear, wire, size, self._out, _ROOM)
        found: list[float] = content(self._out, count)
        return found

    def reset(self) -> None:
        """Forget the stream so far."""
        lib.rt_ear_reset(self._ear)
