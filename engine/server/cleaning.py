"""Noise reduction on the way into the input buffer: whole samples in wire form in, as many out, a little later.

What comes out stands for the same moments as what went in: the reducer's delay is left out at the start, so positions
in the buffer stay positions in what the client sent. Until `flush` the newest sound is still inside, `held` bytes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.audio import AudioFormat, NoiseReducer, alaw_decode, alaw_encode, ulaw_decode, ulaw_encode

Floats = np.ndarray[Any, np.dtype[np.float32]]
MOST_STRENGTH = 2.0
"""The protocol has no upper limit; the reducer has: more is this."""


class Cleaner:
    """One stream of wire audio through the noise reducer."""

    def __init__(self, format: AudioFormat, wanted: Mapping[str, Any]) -> None:
        """`wanted` is a session's `noise_reduction` object."""
        self._format = format
        self._rate = format.rate
        self._reducer = NoiseReducer(self._rate, *_preset(wanted))
        self._delay = math.ceil(self._reducer.latency_ms * self._rate / 1000)
        self._recent = np.zeros(0, np.float32)  # what a flush needs: at most two delays and a hop
        self._taken = self._given = 0  # samples of the client's
        # Spans of the reducer's output that nobody said, as first and past-the-last sample of it: its delay, and what
        # flushes put in. At most the few that a delay can hold.
        self._skip = deque([(0, self._delay)])
        self._fed = self._out = 0  # samples into the reducer, and out of it

    @staticmethod
    def wanted(config: Mapping[str, Any]) -> bool:
        """Whether this `noise_reduction` changes anything: strength 0 leaves every byte as it is."""
        return _preset(config)[1] > 0

    @property
    def held(self) -> int:
        """Bytes taken and not given yet."""
        return (self._taken - self._given) * self._format.sample_bytes

    def configure(self, wanted: Mapping[str, Any]) -> None:
        """Another preset or strength from the next hop on; what is known of the noise stays."""
        self._reducer.configure(*_preset(wanted))

    def process(self, data: bytes) -> bytes:
        """The bytes now due."""
        samples = self._decode(data)
        self._taken += samples.size
        self._recent = np.concatenate([self._recent, samples])[-(2 * self._delay + self._rate // 100) :]
        return self._encode(self._feed(samples))

    def flush(self) -> bytes:
        """What is still inside. The stream may go on after it.

        The reducer needs sound to go on with: it is given the newest sound backwards, which is as loud and as noisy,
        and what becomes of that is left out.
        """
        parts: list[Floats] = []
        while self._given < self._taken:
            more = self._recent[::-1]
            self._skip.append((self._delay + self._fed, self._delay + self._fed + more.size))
            parts.append(self._feed(more))
        return self._encode(np.concatenate(parts)) if parts else b""

    def _feed(self, samples: Floats) -> Floats:
        self._fed += samples.size
        kept = self._without_skipped(self._reducer.process(samples))
        self._given += kept.size
        return kept

    def _without_skipped(self, out: Floats) -> Floats:
        begin, self._out = self._out, self._out + out.size
        if not self._skip or self._skip[0][0] >= self._out:
            return out
        keep = np.ones(out.size, bool)
        for first, past in self._skip:
            keep[max(first - begin, 0) : max(past - begin, 0)] = False
        while self._skip and self._skip[0][1] <= self._out:
            self._skip.popleft()
        return out[keep]

    def _decode(self, data: bytes) -> Floats:
        if self._format is AudioFormat.PCM:
            return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768)
        decode = ulaw_decode if self._format is AudioFormat.PCMU else alaw_decode
        return decode(np.frombuffer(data, np.uint8)).astype(np.float32) / np.float32(32768)

    def _encode(self, samples: Floats) -> bytes:
        whole = np.clip(np.rint(samples * np.float32(32768)), -32768, 32767).astype(np.int16)
        if self._format is AudioFormat.PCM:
            return bytes(whole.astype("<i2", copy=False).tobytes())
        encode = ulaw_encode if self._format is AudioFormat.PCMU else alaw_encode
        return bytes(encode(whole).tobytes())


def _preset(wanted: Mapping[str, Any]) -> tuple[Any, float]:
    strength = wanted.get("strength")
    return wanted["type"], 1.0 if strength is None else min(float(strength), MOST_STRENGTH)
