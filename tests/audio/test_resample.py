"""The live resampler from Python: promises as a table, soxr as the oracle, and any cutting the same."""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.audio.resample import Resampler
from engine.errors import ConfigError

# rate in, rate out, delay in ms at most
PROMISES = [
    (48000, 24000, 1.1),
    (24000, 48000, 1.1),
    (44100, 24000, 1.1),
    (24000, 44100, 1.1),
    (16000, 24000, 1.6),
    (24000, 16000, 1.6),
    (8000, 24000, 3.2),
    (24000, 8000, 3.2),
    (96000, 24000, 1.1),
    (8000, 44100, 3.2),
    (192000, 11025, 2.2),
]
PAIRS = pytest.mark.parametrize(("rate_in", "rate_out"), [promise[:2] for promise in PROMISES])


def noise(frames: int, seed: int = 1) -> NDArray[np.float32]:
    return (0.2 * np.random.default_rng(seed).standard_normal(frames)).astype(np.float32)


def tone(hertz: float, rate: int, seconds: float = 0.5, delay: float = 0.0) -> NDArray[np.float64]:
    return np.asarray(0.5 * np.sin(2 * np.pi * hertz * (np.arange(int(seconds * rate)) / rate - delay)))


def decibels(ratio: float) -> float:
    return float(10 * np.log10(max(ratio, 1e-30)))


def power(samples: NDArray[Any]) -> float:
    return float(np.mean(np.square(samples, dtype=np.float64)))


@pytest.mark.parametrize(("rate_in", "rate_out", "most_ms"), PROMISES)
@pytest.mark.parametrize("part", [0.05, 0.5, 0.9])
def test_a_tone_comes_through_at_its_level_after_the_promised_delay(
    rate_in: int, rate_out: int, most_ms: float, part: float
) -> None:
    hertz = part * min(rate_in, rate_out) / 2
    resampler = Resampler(rate_in, rate_out)
    assert resampler.latency_ms <= most_ms
    got = resampler.process(tone(hertz, rate_in).astype(np.float32))
    wanted = tone(hertz, rate_out, 1.0, delay=resampler.latency_ms / 1000)[: len(got)]
    settled = slice(rate_out // 50, None)
    gain = np.dot(got[settled], wanted[settled]) / np.dot(wanted[settled], wanted[settled])
    assert abs(20 * np.log10(gain)) <= 0.1
    error = got[settled] - gain * wanted[settled]
    assert decibels(power(error) / power(wanted[settled])) <= -80


@pytest.mark.parametrize(("rate_in", "rate_out"), [(a, b) for a, b, _ in PROMISES if a > b])
@pytest.mark.parametrize("part", [1.1, 1.3, 1.36])
def test_what_could_alias_is_80_db_down(rate_in: int, rate_out: int, part: float) -> None:
    source = tone(part * rate_out / 2, rate_in).astype(np.float32)
    got = Resampler(rate_in, rate_out).process(source)[rate_out // 50 :]
    assert decibels(power(got) / power(source)) <= -80


@PAIRS
def test_content_equals_soxr(rate_in: int, rate_out: int) -> None:
    """Speech-like noise below 0.8 of Nyquist, through ours and through soxr's best, compared where both are settled."""
    lower = min(rate_in, rate_out)
    shaped = soxr.resample(soxr.resample(noise(lower), lower, 0.8 * lower, quality="VHQ"), 0.8 * lower, rate_in, "VHQ")
    source = shaped.astype(np.float32)
    resampler = Resampler(rate_in, rate_out)
    got = np.concatenate([resampler.process(source), resampler.flush()]).astype(np.float64)
    # The delay is not whole output frames for every pair: give soxr's result the same delay by a phase ramp.
    wanted = delayed(soxr.resample(source.astype(np.float64), rate_in, rate_out, quality="VHQ"), resampler, rate_out)
    middle = slice(rate_out // 10, min(len(got), len(wanted)) - rate_out // 10)
    assert decibels(power(got[middle] - wanted[middle]) / power(wanted[middle])) <= -70


def delayed(samples: NDArray[np.float64], resampler: Resampler, rate: int) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(samples)
    turns = np.fft.rfftfreq(len(samples), 1 / rate) * resampler.latency_ms / 1000
    return np.asarray(np.fft.irfft(spectrum * np.exp(-2j * np.pi * turns), len(samples)))


rates = st.one_of(st.sampled_from([8000, 11025, 16000, 22050, 24000, 44100, 48000]), st.integers(8000, 192000))


@settings(max_examples=60, deadline=None)
@given(rate_in=rates, rate_out=rates, cuts=st.lists(st.integers(0, 900), max_size=12), seed=st.integers(0, 9999))
def test_any_cutting_gives_the_same_samples_and_the_nominal_count(
    rate_in: int, rate_out: int, cuts: list[int], seed: int
) -> None:
    source = noise(sum(cuts), seed)
    whole, pieces = Resampler(rate_in, rate_out), Resampler(rate_in, rate_out)
    at_once = np.concatenate([whole.process(source), whole.flush()])
    parts, taken, given_out = [], 0, 0
    for cut in cuts:
        parts.append(pieces.process(source[taken : taken + cut]))
        taken += cut
        given_out += len(parts[-1])
        assert given_out == ceil(Fraction(taken * rate_out, rate_in))
    parts.append(pieces.flush())
    np.testing.assert_array_equal(np.concatenate(parts), at_once)


@PAIRS
def test_flush_loses_nothing_of_the_end_and_starts_afresh(rate_in: int, rate_out: int) -> None:
    resampler = Resampler(rate_in, rate_out)
    source = noise(rate_in // 7)
    padded = np.concatenate([source, np.zeros(rate_in // 10, dtype=np.float32)])
    first = np.concatenate([resampler.process(source), resampler.flush()])
    lasting = Resampler(rate_in, rate_out).process(padded)
    np.testing.assert_array_equal(first, lasting[: len(first)])
    beyond = np.sum(np.square(lasting[len(first) :])) / np.sum(np.square(lasting))
    assert decibels(float(beyond)) <= -20  # ringing of the cut itself; a missing tail of 24 samples would be -17
    again = np.concatenate([resampler.process(source), resampler.flush()])
    np.testing.assert_array_equal(first, again)


def test_reset_forgets_the_past() -> None:
    resampler = Resampler(16000, 24000)
    first = resampler.process(noise(100))
    resampler.reset()
    np.testing.assert_array_equal(resampler.process(noise(100)), first)


def test_int16_is_the_float_path_rounded() -> None:
    source = (noise(4410) * 32767).astype(np.int16)
    whole, real = Resampler(44100, 24000), Resampler(44100, 24000)
    got = np.concatenate([whole.process(source), whole.flush()])
    wanted = np.concatenate([real.process((source / np.float32(32768)).astype(np.float32)), real.flush()])
    assert got.dtype == np.int16
    np.testing.assert_array_equal(got, np.clip(np.round(wanted * np.float32(32768)), -32768, 32767).astype(np.int16))


def test_int16_overshoot_is_clamped_not_wrapped() -> None:
    square = np.where(np.arange(2400) // 40 % 2, 32767, -32768).astype(np.int16)
    real = Resampler(48000, 24000).process((square / np.float32(32768)).astype(np.float32))
    assert np.abs(real).max() > 1.05  # the filter rings at the edges
    got = Resampler(48000, 24000).process(square)
    assert (got[real > 1] == 32767).all()
    assert (got[real < -1] == -32768).all()


def test_equal_rates_copy_without_delay() -> None:
    resampler = Resampler(24000, 24000)
    source = noise(777)
    got = resampler.process(source)
    np.testing.assert_array_equal(got, source)
    assert got is not source
    assert resampler.latency_ms == 0
    assert len(resampler.flush()) == 0


def test_broken_samples_are_forgotten() -> None:
    resampler = Resampler(48000, 24000)
    resampler.process(np.array([np.nan, np.inf, -np.inf] * 50, dtype=np.float32))
    resampler.process(np.zeros(200, dtype=np.float32))
    assert not resampler.process(np.zeros(200, dtype=np.float32)).any()


@pytest.mark.parametrize(
    ("rates", "named"),
    [
        ((7999, 24000), "rate_in is 7999"),
        ((24000, 192001), "rate_out is 192001"),
        ((24000, -8000), "rate_out is -8000"),
        ((48000.5, 24000), "rate_in is 48000.5"),
        ((True, 24000), "rate_in is True"),
        (("48000", 24000), "rate_in is '48000'"),
    ],
)
def test_a_wrong_rate_is_a_config_error_that_names_it(rates: tuple[Any, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Resampler(*rates)


@pytest.mark.parametrize(
    ("samples", "named"),
    [
        ([0.0, 0.1], "list"),
        (np.zeros(4), "dtype float64"),
        (np.zeros((4, 2), dtype=np.float32), "shape"),
    ],
)
def test_a_wrong_array_is_a_config_error_that_names_it(samples: Any, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Resampler(48000, 24000).process(samples)
