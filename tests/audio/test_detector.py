"""Voice activity: one probability per 10 ms, whatever the rate and the cutting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.audio import VoiceDetector
from engine.endpoints.wav import read_wav
from engine.errors import ConfigError
from tests.audio.sounds import babble

RATES = [8000, 16000, 24000, 48000]


def speech_between_pauses(rate: int) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """Half a second of a quiet room, half a second of speech, a second of the room again."""
    room = (np.random.default_rng(3).standard_normal(2 * rate) * 20).astype(np.int16)
    room[rate // 2 : rate] = babble(rate // 2, rate=rate)
    return room


@pytest.mark.parametrize("rate", RATES)
def test_speech_is_found_within_its_latency_and_let_go(rate: int) -> None:
    detector = VoiceDetector(rate)
    probability = detector.process(speech_between_pauses(rate))
    assert 198 <= len(probability) <= 200
    late = int(np.ceil(detector.latency_ms / 10))
    assert (probability[:50] < 0.5).all()
    assert (probability[50 + late : 100] >= 0.5).all()
    assert (probability[100 + late + 2 :] < 0.5).all()
    assert ((probability >= 0) & (probability <= 1)).all()
    assert probability.dtype == np.float32


@given(st.sampled_from(RATES), st.lists(st.integers(0, 1200), min_size=1, max_size=10).filter(any))
@settings(max_examples=30, deadline=None)
def test_any_way_of_cutting_gives_the_same_probabilities(rate: int, sizes: list[int]) -> None:
    sound = speech_between_pauses(rate)
    whole = VoiceDetector(rate).process(sound)
    detector = VoiceDetector(rate)
    parts, at, turn = [], 0, 0
    while at < len(sound):
        parts.append(detector.process(sound[at : at + sizes[turn % len(sizes)]]))
        at, turn = at + sizes[turn % len(sizes)], turn + 1
    assert (np.concatenate(parts) == whole).all()


@pytest.mark.parametrize("rate", RATES)
def test_float_and_int16_are_heard_alike(rate: int) -> None:
    sound = speech_between_pauses(rate)
    as_float = VoiceDetector(rate).process((sound / 32768).astype(np.float32))
    assert as_float == pytest.approx(VoiceDetector(rate).process(sound), abs=0.01)


def test_a_strided_array_is_heard_as_it_reads() -> None:
    sound = speech_between_pauses(24000)
    both = np.stack([sound, np.zeros_like(sound)], axis=1)
    assert (VoiceDetector().process(both[:, 0]) == VoiceDetector().process(sound)).all()


def test_reset_forgets_the_stream() -> None:
    sound = speech_between_pauses(16000)
    detector = VoiceDetector(16000)
    first = detector.process(sound)
    detector.process(sound[:777])
    detector.reset()
    assert (detector.process(sound) == first).all()


def test_silence_and_nonsense_are_no_speech() -> None:
    assert (VoiceDetector().process(np.zeros(24000, np.float32)) == 0).all()
    assert (VoiceDetector().process(np.full(24000, np.nan, np.float32)) < 0.5).all()


def test_the_callers_speech_is_found_where_it_is() -> None:
    wav = read_wav(caller())
    probability = VoiceDetector(wav.rate).process(wav.samples)
    speech = np.flatnonzero(probability >= 0.5) / 100
    assert 0.5 < speech[0] < 0.75
    assert not ((speech > 3.6) & (speech < 6.9)).any()
    assert 9.2 < speech[-1] < 9.7


def caller() -> str:
    """The caller's speech of the demo: 0.60-3.36 s and 6.96-9.45 s."""
    from engine import data

    return f"{next(iter(data.__path__))}/caller.wav"


@pytest.mark.parametrize("rate", [0, 7999, 192001])
def test_a_rate_out_of_range_is_refused(rate: int) -> None:
    with pytest.raises(ConfigError, match=f"{rate} Hz"):
        VoiceDetector(rate)


def test_wrong_samples_are_refused() -> None:
    with pytest.raises(ConfigError, match="2 dimensions"):
        VoiceDetector().process(np.zeros((2, 2), np.float32))
    with pytest.raises(ConfigError, match="float64"):
        VoiceDetector().process(np.zeros(10))
