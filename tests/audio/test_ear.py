"""The ear: what decoder, resampler and detector say one after the other, for any cut of the bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from engine.audio import AudioFormat, Ear, VoiceDetector
from engine.server.formats import Decoder, Encoder
from engine.server.voices.tone import render


def recording(format: AudioFormat) -> bytes:
    quiet = np.random.default_rng(1).normal(0, 1e-3, 24_000).astype(np.float32)
    encoder = Encoder(format)
    return encoder.process(np.concatenate([quiet, render("good morning to you"), quiet])) + encoder.flush()


@pytest.mark.parametrize("format", list(AudioFormat))
@pytest.mark.parametrize("sizes", [(1, 2, 3, 959, 961), (160,), (33_333,), (10**9,)])
def test_any_cut_is_the_same_as_the_long_way(format: AudioFormat, sizes: Sequence[int]) -> None:
    wire = recording(format)
    expected = VoiceDetector(24_000).process(Decoder(format).process(wire)).tolist()
    assert max(expected) > 0.9
    assert min(expected) < 0.1
    ear, found, at, turn = Ear(format), [], 0, 0
    while at < len(wire):
        size = sizes[turn % len(sizes)]
        found += ear.process(wire[at : at + size])
        at, turn = at + size, turn + 1
    assert found == expected
    ear.reset()
    assert ear.process(wire) == expected
    assert ear.process(b"") == []


def test_latency_has_the_resampler_in_it() -> None:
    assert Ear(AudioFormat.PCMA).latency_ms == pytest.approx(Ear(AudioFormat.PCM).latency_ms + 3.0)
