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

from engine.audio.resample import Quality, Resampler
from engine.errors import ConfigError

# rate in, rate out, delay in ms at most of the live filter
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


# quality -> pass band's end and stop band's begin in parts of the lower Nyquist frequency, rejection in dB, half length
QUALITIES: dict[Quality, tuple[float, float, float, int]] = {
    "live": (0.90, 1.10, 80.0, 24),
    "file": (0.95, 1.05, 115.0, 80),
}


@pytest.mark.parametrize("quality", list(QUALITIES))
@pytest.mark.parametrize("rates", [(48000, 24000), (44100, 24000), (22050, 24000), (24000, 8000), (8000, 44100)])
def test_each_quality_keeps_its_promise(quality: Quality, rates: tuple[int, int]) -> None:
    passed, stopped, rejection, half = QUALITIES[quality]
    rate_in, rate_out = rates
    lower = min(rates)
    resampler = Resampler(rate_in, rate_out, quality)
    assert resampler.latency_ms == pytest.approx(1000 * half / lower, abs=1e-9)
    got = resampler.process(tone(passed * lower / 2, rate_in).astype(np.float32))[rate_out // 20 :]
    angle = 2 * np.pi * passed * lower / 2 * np.arange(len(got)) / rate_out
    basis = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    fit = np.linalg.lstsq(basis, got.astype(np.float64), rcond=None)[0]
    assert abs(20 * np.log10(np.hypot(*fit) / 0.5)) <= 0.1
    assert decibels(power(got - basis @ fit) / 0.125) <= -rejection
    if rate_in > rate_out:
        resampler.reset()
        left = resampler.process(tone(stopped * lower / 2, rate_in).astype(np.float32))[rate_out // 20 :]
        assert decibels(power(left) / 0.125) <= -rejection


@pytest.mark.parametrize("tunable", [False, True])
@pytest.mark.parametrize("quality", list(QUALITIES))
@PAIRS
def test_an_impulse_comes_out_centred_on_the_latency(
    rate_in: int, rate_out: int, quality: Quality, tunable: bool
) -> None:
    resampler = Resampler(rate_in, rate_out, quality, tunable=tunable)
    source = np.zeros(rate_in // 20, dtype=np.float32)
    source[rate_in // 90] = 1.0
    got = resampler.process(source).astype(np.float64)
    centre = np.dot(got, np.arange(len(got))) / got.sum()
    wanted = (rate_in // 90 / rate_in + resampler.latency_ms / 1000) * rate_out
    assert centre == pytest.approx(wanted, abs=1e-3)


@settings(max_examples=40, deadline=None)
@given(
    rates=st.tuples(st.integers(8000, 192000), st.integers(8000, 192000)) | st.just((24000, 24000)),
    ppb=st.integers(-500_000, 500_000),
    cuts=st.lists(st.integers(0, 2000), max_size=8),
)
def test_the_count_of_a_tuned_stream_is_that_of_the_corrected_rate(
    rates: tuple[int, int], ppb: int, cuts: list[int]
) -> None:
    resampler = Resampler(*rates, tunable=True)
    resampler.tune(ppb / 1000)
    nominal = Fraction(rates[1] * 10**9, rates[0] * (10**9 + ppb))
    taken = given_out = 0
    for cut in cuts:
        given_out += len(resampler.process(np.zeros(cut, np.float32)))
        taken += cut
        assert given_out == ceil(taken * nominal)


def test_retuning_every_10_ms_for_minutes_loses_no_sample() -> None:
    """The ledger: outputs lie where the sum of all steps says, to the thousandth of a ppm, and no rounding adds up."""
    rng = np.random.default_rng(5)
    resampler = Resampler(48000, 24000, tunable=True)
    silence = np.zeros(480, np.float32)
    step, position, written = Fraction(2), Fraction(0), 0  # the next output, in input samples
    for block in range(12000):
        ppb = int(rng.integers(-500_000, 500_001))
        resampler.tune(ppb / 1000)
        step = Fraction(2 * (10**9 + ppb), 10**9)
        due = max(0, ceil(((block + 1) * 480 - position) / step))
        assert len(resampler.process(silence)) == due
        position += due * step
        written += due
    assert abs(written - 12000 * 240) < 240  # the tunings' mean is 0


def sweep(seconds: NDArray[np.float64], top: float, length: float) -> NDArray[np.float64]:
    """A tone that rises from 100 Hz to `top` within `length` seconds; nothing before 0."""
    phase = 100 * seconds + (top - 100) / (2 * length) * seconds**2
    return np.where(seconds >= 0, 0.5 * np.sin(2 * np.pi * phase), 0.0)


@pytest.mark.parametrize("rates", [(24000, 24000), (48000, 24000), (16000, 24000), (8000, 24000), (44100, 48000)])
@pytest.mark.parametrize("retuned_ms", [None, 10])
def test_a_swept_tone_through_a_tuned_stream_has_no_artefacts(rates: tuple[int, int], retuned_ms: int | None) -> None:
    """Against the tone computed where each output lies, at a constant correction and at one that changes all the time:
    within 80 dB in every 20 ms, so that no click hides in the mean.
    """
    rate_in, rate_out = rates
    length = 2.0
    top = 0.84 * min(rates) / 2  # above, the filter's own gain moves within a piece; steady tones are tested to 0.90
    source = sweep(np.arange(int(length * rate_in)) / rate_in, top, length).astype(np.float32)
    resampler = Resampler(rate_in, rate_out, tunable=True)
    rng = np.random.default_rng(2)
    parts, where, position = [], [], 0.0
    size = rate_in * (retuned_ms or 2000) // 1000
    for begin in range(0, len(source), size):
        ppm = float(np.round(rng.uniform(-500, 500), 3)) if retuned_ms else 321.0
        resampler.tune(ppm)
        parts.append(resampler.process(source[begin : begin + size]))
        step = rate_in / rate_out * (1 + ppm / 1e6)
        where.append(position + step * np.arange(len(parts[-1])))
        position += step * len(parts[-1])
    got = np.concatenate(parts).astype(np.float64)
    wanted = sweep(np.concatenate(where) / rate_in - resampler.latency_ms / 1000, top, length)
    piece = rate_out // 50
    for begin in range(2 * piece, len(got) - piece, piece):
        window = slice(begin, begin + piece)
        assert decibels(power(got[window] - wanted[window]) / 0.125) <= -80


def test_tuning_needs_a_tunable_resampler_and_a_possible_correction() -> None:
    with pytest.raises(ConfigError, match="tunable=True"):
        Resampler(48000, 24000).tune(10)
    resampler = Resampler(48000, 24000, tunable=True)
    wrong: Any
    for wrong in (500.1, -501, float("nan"), float("inf"), "10", None):
        with pytest.raises(ConfigError, match="ppm is"):
            resampler.tune(wrong)


def test_reset_keeps_the_tuning() -> None:
    resampler = Resampler(24000, 24000, tunable=True)
    resampler.tune(-500)
    counts = []
    for _ in range(2):
        counts.append(len(resampler.process(np.zeros(24000, np.float32))))
        resampler.reset()
    assert counts == [24013, 24013]


def test_an_unknown_quality_is_a_config_error_that_names_it() -> None:
    wrong: Any = "best"
    with pytest.raises(ConfigError, match="quality is 'best'"):
        Resampler(48000, 24000, wrong)


rates = st.one_of(st.sampled_from([8000, 11025, 16000, 22050, 24000, 44100, 48000]), st.integers(8000, 192000))


@settings(max_examples=60, deadline=None)
@given(
    rate_in=rates,
    rate_out=rates,
    quality=st.sampled_from(list(QUALITIES)),
    cuts=st.lists(st.integers(0, 900), max_size=12),
    seed=st.integers(0, 9999),
)
def test_any_cutting_gives_the_same_samples_and_the_nominal_count(
    rate_in: int, rate_out: int, quality: Quality, cuts: list[int], seed: int
) -> None:
    source = noise(sum(cuts), seed)
    whole, pieces = Resampler(rate_in, rate_out, quality), Resampler(rate_in, rate_out, quality)
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


@pytest.mark.parametrize("quality", list(QUALITIES))
def test_int16_is_the_float_path_rounded(quality: Quality) -> None:
    source = (noise(4410) * 32767).astype(np.int16)
    whole, real = Resampler(44100, 24000, quality), Resampler(44100, 24000, quality)
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
        ((0, 24000), "rate_in is 0"),
        ((1, 24000), "rate_in is 1"),
        ((24000, 10**9), "rate_out is 1000000000"),
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


@pytest.mark.parametrize("frames", [0, 1_000_000])
def test_empty_and_huge_blocks(frames: int) -> None:
    wanted = ceil(Fraction(frames * 24000, 44100))
    resampler = Resampler(44100, 24000, tunable=True)
    assert len(resampler.process(np.zeros(frames, np.float32))) == wanted
    resampler.reset()
    assert len(resampler.process(np.zeros(frames, np.int16))) == wanted
