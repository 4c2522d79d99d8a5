"""Sound between the server's float32 at 24 kHz and what programs and services take and give: PCM and WAV of any
rate.
"""

from __future__ import annotations

import struct

import numpy as np

from engine.audio import Resampler
from engine.endpoints.wav import parse_wav
from engine.errors import MediaError
from engine.server.formats import RATE, Samples


def at_rate(samples: Samples, rate: int, given: int = RATE) -> Samples:
    """All the sound at another rate, without the resampler's delay; its length is kept."""
    if rate == given:
        return np.asarray(samples, np.float32)
    resampler = Resampler(given, rate, "file")
    whole = np.concatenate([resampler.process(np.ascontiguousarray(samples, np.float32)), resampler.flush()])
    delay = round(resampler.latency_ms * rate / 1000)
    return np.asarray(whole[delay : delay + -(-samples.size * rate // given)], np.float32)


def to_pcm(samples: Samples, rate: int) -> bytes:
    """Mono int16, little-endian."""
    scaled = at_rate(samples, rate) * np.float32(32768)
    return bytes(np.clip(np.rint(scaled), -32768, 32767).astype("<i2").tobytes())


def to_wav(samples: Samples, rate: int) -> bytes:
    """A whole WAV file, mono int16."""
    pcm = to_pcm(samples, rate)
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(pcm), b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16,
                       b"data", len(pcm))  # fmt: skip
    return head + pcm


def from_pcm(data: bytes, rate: int) -> Samples:
    """Mono int16, little-endian, as the server's samples."""
    if len(data) % 2:
        raise MediaError(f"{len(data)} bytes are no 16-bit samples: an odd number")
    return at_rate(np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768), RATE, rate)


def from_wav(data: bytes, where: str) -> Samples:
    """A WAV file of any kind that `endpoints.wav` reads. Raises MediaError."""
    wav = parse_wav(data, where)
    return at_rate(wav.samples.astype(np.float32) / np.float32(32768), RATE, wav.rate)


__all__ = ["at_rate", "from_pcm", "from_wav", "to_pcm", "to_wav"]
