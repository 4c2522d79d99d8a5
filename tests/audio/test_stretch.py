"""Slower and faster from Python: the length follows the speed, the pitch stays, and any cutting gives the same."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.audio import TimeStretch
from engine.errors import ConfigError

RATE = 24000
SPEEDS = [0.25, 0.3, 0.5, 0.75, 0.97, 1.03, 1.25, 1.5, 3.0]
Sound = NDArray[np.float32]


def voiced(hertz: float, seconds: float, rate: int = RATE) -> Sound:
    """A steady vowel: 12 harmonics, weaker upwards, none above 3 kHz."""
    times = np.arange(round(seconds * rate)) / rate
    parts = [np.cos(2 * np.pi * k * hertz * times + k * k) / k for k in range(1, 13) if k * hertz < 3000]
    return np.asarray(0.2 * sum(parts), np.float32)


def stretched(sound: Sound, speed: float, rate: int = RATE) -> Sound:
    stretch = TimeStretch(speed, rate)
    return np.concatenate([stretch.process(sound), stretch.flush()])


def pitch(sound: Sound, rate: int = RATE) -> float:
    """In hertz: the highest peak of the autocorrelation between 60 and 400 Hz, its place interpolated."""
    middle = sound[sound.size // 2 - rate // 10 : sound.size // 2 + rate // 10].astype(np.float64)
    found = np.correlate(middle, middle, "full")[middle.size - 1 :]
    least, most = rate // 400, rate // 60
    lag = least + int(np.argmax(found[least:most]))
    before, here, after = found[lag - 1 : lag + 2]
    return float(rate / (lag + 0.5 * (before - after) / (before - 2 * here + after)))


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("hertz", [80.0, 127.0, 211.0])
@pytest.mark.parametrize("rate", [24000, 8000])
def test_length_follows_the_speed_and_pitch_stays(speed: float, hertz: float, rate: int) -> None:
    source = voiced(hertz, 3.0, rate)
    got = stretched(source, speed, rate)
    assert got.size * speed == pytest.approx(source.size, rel=0.02)
    assert pitch(got, rate) == pytest.approx(hertz, rel=0.005)


@pytest.mark.parametrize("speed", [0.25, 0.5, 0.8, 1.25, 1.5])
@pytest.mark.parametrize("hertz", [80.0, 127.0, 211.0])
def test_a_steady_voice_stays_clean(speed: float, hertz: float) -> None:
    """What is not on the harmonics is 45 dB down, the level stays, and no jump is heard as a click."""
    source = voiced(hertz, 3.0)
    got = stretched(source, speed)[RATE // 10 : -RATE // 10].astype(np.float64)
    got = got[: got.size - got.size % RATE] if got.size > RATE else got
    spectrum = np.abs(np.fft.rfft(got * np.hanning(got.size))) ** 2
    hertz_of = np.fft.rfftfreq(got.size, 1 / RATE)
    near = np.abs(hertz_of / hertz - np.rint(hertz_of / hertz)) * hertz < 15
    assert 10 * np.log10(spectrum[near].sum() / spectrum[~near].sum()) > 45
    assert np.sqrt(np.mean(got**2)) == pytest.approx(np.sqrt(np.mean(source.astype(np.float64) ** 2)), rel=0.01)
    assert np.abs(np.diff(got)).max() < 1.05 * np.abs(np.diff(source)).max()


def test_speed_1_is_the_source_and_keeps_nothing_back() -> None:
    source = voiced(120, 0.5)
    assert np.array_equal(TimeStretch(1.0).process(source), source)


SOURCE = np.concatenate([voiced(100, 0.4), np.zeros(4000, np.float32), voiced(180, 0.4)])
WHOLE = {speed: stretched(SOURCE, speed) for speed in (0.25, 0.7, 1.5)}


@given(st.sampled_from(sorted(WHOLE)), st.lists(st.integers(1, 4000), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_any_cut_gives_the_same(speed: float, sizes: list[int]) -> None:
    stretch = TimeStretch(speed)
    cuts = [0, *(int(at) for at in np.cumsum(sizes) if at < SOURCE.size), SOURCE.size]
    parts = [stretch.process(SOURCE[a:b]) for a, b in pairwise(cuts)]
    assert np.array_equal(np.concatenate([*parts, stretch.flush()]), WHOLE[speed])
    # After flush the next stream is a new one.
    assert np.array_equal(np.concatenate([stretch.process(SOURCE), stretch.flush()]), WHOLE[speed])


@pytest.mark.parametrize("speed", [0.25, 0.5, 1.5])
def test_draining_keeps_nothing_back_and_owes_nothing_for_ever(speed: float) -> None:
    """A brain that gives a second at a time, drained after each, comes to the same length."""
    stretch = TimeStretch(speed)
    source = voiced(120, 5.0)
    made = 0
    for start in range(0, source.size, RATE):
        made += stretch.process(source[start : start + RATE]).size + stretch.drain().size
        assert stretch.drain().size == 0
        assert made * speed == pytest.approx(start + RATE, abs=0.07 * RATE)
    assert made * speed == pytest.approx(source.size, rel=0.02)


@pytest.mark.parametrize("wrong", [0.2, 4.1, float("nan"), True, "1"])
def test_speeds_there_are_not(wrong: float) -> None:
    with pytest.raises(ConfigError, match="speed is"):
        TimeStretch(wrong)


def test_what_is_no_sound_is_refused() -> None:
    with pytest.raises(ConfigError, match="24000 or 8000"):
        TimeStretch(0.5, 16000)
    with pytest.raises(ConfigError, match="float64 of shape"):
        TimeStretch(0.5).process(np.zeros((2, 2)))  # type: ignore[arg-type]
