"""int16 and float: there and back exactly, and what is beyond the range."""

from __future__ import annotations

import numpy as np

from engine.audio import float_to_pcm, pcm_to_float


def test_every_value_there_and_back() -> None:
    every = np.arange(-32768, 32768).astype(np.int16)
    there = pcm_to_float(every)
    assert there.dtype == np.float32
    assert np.array_equal(there * 32768, every.astype(np.float32))
    assert np.array_equal(float_to_pcm(there), every)
    assert np.array_equal(pcm_to_float(every[::2]), there[::2])
    assert float_to_pcm(np.zeros(0, np.float32)).size == pcm_to_float(np.zeros(0, np.int16)).size == 0


def test_as_numpy_rounds_and_clamps() -> None:
    samples = np.random.default_rng(1).normal(0, 0.5, 10_000).astype(np.float32)
    samples[:6] = [1.0, -1.0, 2.0, -2.0, 0.5 / 32768, 1.5 / 32768]
    expected = np.clip(np.rint(samples * np.float32(32768)), -32768, 32767).astype(np.int16)
    assert np.array_equal(float_to_pcm(samples), expected)
    assert float_to_pcm(np.array([np.nan, np.inf, -np.inf])).tolist() == [0, 32767, -32768]
