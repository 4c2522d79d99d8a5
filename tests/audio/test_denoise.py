"""Noise taken down, speech and time kept, at every rate and however the sound is cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.audio import NoiseReducer
from engine.errors import ConfigError

RATES = (8000, 11025, 16000, 24000, 44100, 48000)


def white(seconds: float, rate: int, level: float = 0.01) -> np.ndarray:
    return (np.random.default_rng(3).standard_normal(int(seconds * rate)) * level).astype(np.float32)


def syllables(seconds: float, rate: int) -> np.ndarray:
    """A buzz of 120 Hz in beats of 5 Hz: what speech looks like to a suppressor."""
    t = np.arange(int(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * 120 * n * t) / n for n in range(1, 20))
    return (0.1 * buzz * np.maximum(np.sin(2 * np.pi * 2.5 * t), 0)).astype(np.float32)


def whole(reducer: NoiseReducer, sound: np.ndarray) -> np.ndarray:
    return np.concatenate([reducer.process(sound), reducer.flush()])


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(("preset", "least", "most"), [("near_field", 7, 13), ("far_field", 10, 19)])
def test_steady_noise_is_taken_down(rate: int, preset: str, least: float, most: float) -> None:
    sound = white(3, rate)
    out = whole(NoiseReducer(rate, preset), sound)  # type: ignore[arg-type]
    taken = 20 * np.log10(sound[rate:].std() / out[2 * rate : 3 * rate].std())
    assert least < taken < most + (3 if rate > 24000 else 0)  # above 12 kHz nothing is left


@pytest.mark.parametrize("rate", RATES)
def test_the_delay_is_what_it_says(rate: int) -> None:
    reducer = NoiseReducer(rate, strength=0)
    click = np.zeros(rate, np.float32)
    click[rate // 2] = 1
    out = whole(reducer, click)
    assert abs(int(np.argmax(np.abs(out))) - rate // 2 - reducer.latency_ms * rate / 1000) <= 1
    assert len(out) == rate + -(-reducer.latency_ms * rate // 1000)


@pytest.mark.parametrize("preset", ["near_field", "far_field"])
def test_speech_comes_out_of_noise_clearer(preset: str) -> None:
    speech, noise = syllables(4, 24000), white(4, 24000, 0.02)
    out = whole(NoiseReducer(24000, preset), speech + noise)[240:][: len(speech)]  # type: ignore[arg-type]
    loud = np.abs(speech) > 0
    later = np.arange(len(speech)) > 24000
    quieter = 20 * np.log10(noise[~loud & later].std() / out[~loud & later].std())
    kept = float(np.dot(out[loud & later], speech[loud & later]) / np.dot(speech[loud & later], speech[loud & later]))
    assert quieter > 6
    assert kept > 0.9


@settings(max_examples=25, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 5000), max_size=12), rate=st.sampled_from(RATES), dtype=st.sampled_from(["f4", "i2"])
)
def test_however_it_is_cut(cuts: list[int], rate: int, dtype: str) -> None:
    sound = white(0.5, rate, 0.1)
    if dtype == "i2":
        sound = (sound * 32767).astype(np.int16)
    pieces = np.split(sound, sorted(min(cut, len(sound)) for cut in cuts))
    one, many = NoiseReducer(rate), NoiseReducer(rate)
    at_once = one.process(sound)
    np.testing.assert_array_equal(np.concatenate([many.process(piece) for piece in pieces]), at_once)
    assert at_once.dtype == sound.dtype


def test_reset_forgets_the_noise() -> None:
    reducer = NoiseReducer()
    first = reducer.process(white(1, 24000))
    assert reducer.noise_db == pytest.approx(-40, abs=1)
    reducer.reset()
    assert reducer.noise_db == -120
    np.testing.assert_array_equal(reducer.process(white(1, 24000)), first)


def test_strength_changes_while_sound_runs() -> None:
    reducer = NoiseReducer(24000, strength=0)
    sound = white(3, 24000)
    loud = reducer.process(sound[:48000])[24000:].std()
    reducer.configure("near_field", 1.0)
    assert reducer.process(sound[48000:])[2400:].std() < loud / 2  # at once: the noise was known


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((7999,), "rate is 7999"),
        ((96000,), "rate is 96000"),
        ((16000, "close"), "'close'"),
        ((16000, "near_field", 3), "3"),
    ],
)
def test_refuses(arguments: tuple[object, ...], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        NoiseReducer(*arguments)  # type: ignore[arg-type]
