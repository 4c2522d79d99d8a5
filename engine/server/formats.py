"""Audio as it travels: pcm, pcmu and pcma, their arithmetic, and streams between them and the inner float32 at 24 kHz.

G.711 runs at 8 kHz, so both ways pass a resampler. Encoding and decoding are streams: feed pieces of any size, the
output is that of one large piece.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.audio import (
    AudioFormat,
    Resampler,
    alaw_decode,
    alaw_encode,
    float_to_pcm,
    pcm_to_float,
    ulaw_decode,
    ulaw_encode,
)

RATE = 24_000
"""Samples per second of everything inside the server: voices, brains, turn detection."""
Samples = np.ndarray[Any, np.dtype[np.float32]]
"""Mono sound in [-1, 1] at RATE."""


def format_object(format: AudioFormat) -> dict[str, Any]:
    """The `format` object of a session."""
    return {"type": format.value, "rate": format.rate} if format is AudioFormat.PCM else {"type": format.value}


class Decoder:
    """Wire bytes to float32 at 24 kHz. A sample cut in two by a message is kept until its other half comes."""

    def __init__(self, format: AudioFormat) -> None:
        self.format = format
        self._odd = b""
        self._resampler = Resampler(format.rate, RATE) if format.rate != RATE else None

    def process(self, data: bytes) -> Samples:
        """The samples of the next bytes; G.711 comes out about 3 ms late."""
        if self.format is AudioFormat.PCM:
            if self._odd:
                data = self._odd + data
            whole = len(data) & ~1
            self._odd = data[whole:]
            return pcm_to_float(np.frombuffer(data, "<i2", whole // 2))
        decode = ulaw_decode if self.format is AudioFormat.PCMU else alaw_decode
        samples = pcm_to_float(decode(np.frombuffer(data, np.uint8)))
        assert self._resampler is not None
        return np.asarray(self._resampler.process(samples), np.float32)

    def flush(self) -> Samples:
        """What the resampler still holds. Ends the stream."""
        return np.zeros(0, np.float32) if self._resampler is None else self._resampler.flush()


class Encoder:
    """Float32 at 24 kHz to wire bytes; values beyond [-1, 1] are clipped.

    The resampler's delay is left out at the beginning and its tail comes with `flush`, so a whole stream keeps its
    length.
    """

    def __init__(self, format: AudioFormat) -> None:
        self.format = format
        self._resampler = Resampler(RATE, format.rate) if format.rate != RATE else None
        self._skip = round(self._resampler.latency_ms * format.rate / 1000) if self._resampler is not None else 0

    def process(self, samples: Samples) -> bytes:
        """The bytes of the next samples; with G.711 the newest 3 ms are kept for the next call."""
        return self._encode(samples if self._resampler is None else self._resampler.process(samples))

    def flush(self) -> bytes:
        """The bytes of what the resampler still holds. Ends the stream."""
        return b"" if self._resampler is None else self._encode(self._resampler.flush())

    def _encode(self, samples: Samples) -> bytes:
        skipped = min(self._skip, samples.size)
        self._skip -= skipped
        whole = float_to_pcm(samples[skipped:])
        if self.format is AudioFormat.PCM:
            return bytes(whole.astype("<i2", copy=False).tobytes())
        encode = ulaw_encode if self.format is AudioFormat.PCMU else alaw_encode
        return bytes(encode(whole).tobytes())


def decode_all(data: bytes, format: AudioFormat) -> Samples:
    """One whole recording as float32 at 24 kHz, without the resampler's delay."""
    decoder = Decoder(format)
    samples = decoder.process(data)
    if format.rate == RATE:
        return samples
    samples = np.concatenate([samples, decoder.flush()])
    delay = samples.size - len(data) // format.sample_bytes * RATE // format.rate
    return samples[max(delay, 0) :]
