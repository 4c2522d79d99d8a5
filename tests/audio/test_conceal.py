"""Concealment of real speech: what is made up is nearer to what was said than silence is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio import Resampler
from engine.native import Block, address, lib, new
from tests.conftest import shared_path

HOP = 240
NOTHING = new("float **")[0]  # NULL: a lost hop


def speech() -> NDArray[np.float32]:
    path: Path = shared_path() / "audio" / "plc" / "f2.le"
    return Resampler(8000, 24000).process((np.fromfile(path, "<i2") / 32768).astype(np.float32))


def heard(sound: NDArray[np.float32], lost: NDArray[np.bool_]) -> NDArray[np.float32]:
    memory = Block(lib.rt_conceal_size())
    block: Any = memory.pointer("rt_conceal *")
    assert lib.rt_conceal_init(block) == 0
    out = np.zeros_like(sound)
    for n in range(sound.size // HOP):
        hop, written = sound[n * HOP : (n + 1) * HOP].copy(), np.zeros(HOP, np.float32)
        given = NOTHING if lost[n] else address(hop, "float *")
        assert lib.rt_conceal_process(block, given, address(written, "float *")) == lost[n]
        out[n * HOP : (n + 1) * HOP] = written
    return out[lib.rt_conceal_latency(block) :]


def spectra(sound: NDArray[np.float32], lost: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Level in dB at 100 Hz to 3.9 kHz of each lost hop."""
    frames = sound[: sound.size // HOP * HOP].reshape(-1, HOP)[lost[: sound.size // HOP]]
    return 10 * np.log10(np.abs(np.fft.rfft(frames * np.hanning(HOP)))[:, 1:40] ** 2 + 1e-4)


def test_every_tenth_hop_lost_keeps_the_spectrum_of_speech() -> None:
    sound = speech()
    lost = np.arange(sound.size // HOP) % 10 == 9
    made_up = heard(sound, lost)
    whole = heard(sound, np.zeros_like(lost))
    assert np.array_equal(whole, sound[: whole.size])
    wanted, got = spectra(whole, lost), spectra(made_up, lost)
    silence = spectra(np.zeros_like(whole), lost)
    assert np.mean(np.abs(got - wanted)) < 0.3 * np.mean(np.abs(silence - wanted))
    assert np.mean(np.abs(got - wanted)) < 6.0  # dB
