"""Voice activity: two probabilities per 10 ms, whatever the rate, the level and the cutting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.audio import VoiceDetector, ulaw_decode, ulaw_encode
from engine.endpoints.wav import read_wav
from engine.errors import ConfigError
from tests.audio.sounds import Shorts, voice

RATES = [8000, 16000, 24000, 44100, 48000]
GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "vad.json"


def speech_between_pauses(rate: int) -> Shorts:
    """Half a second of a quiet room, half a second of speech, a second of the room again."""
    room = (np.random.default_rng(3).standard_normal(2 * rate) * 20).astype(np.int16)
    room[rate // 2 : rate] = voice(rate // 2, rate=rate)
    return room


@pytest.mark.parametrize("rate", RATES)
def test_speech_is_found_soon_and_let_go(rate: int) -> None:
    detector = VoiceDetector(rate)
    probability = detector.process(speech_between_pauses(rate))
    assert 198 <= len(probability) <= 200
    assert (probability[:50] < 0.5).all()
    assert (probability[58:100] >= 0.5).mean() > 0.9
    assert (probability[112:] < 0.5).all()
    assert ((probability >= 0) & (probability <= 1)).all()
    assert probability.dtype == detector.bridged.dtype == np.float32
    assert len(detector.bridged) == len(probability)
    assert 20 <= detector.latency_ms < 25


@given(st.sampled_from(RATES), st.lists(st.integers(0, 1200), min_size=1, max_size=10).filter(any))
@settings(max_examples=30, deadline=None)
def test_any_way_of_cutting_gives_the_same_probabilities(rate: int, sizes: list[int]) -> None:
    sound = speech_between_pauses(rate)
    whole = VoiceDetector(rate)
    exact = whole.process(sound)
    detector = VoiceDetector(rate)
    parts, bridged, at, turn = [], [], 0, 0
    while at < len(sound):
        parts.append(detector.process(sound[at : at + sizes[turn % len(sizes)]]))
        bridged.append(detector.bridged)
        at, turn = at + sizes[turn % len(sizes)], turn + 1
    assert (np.concatenate(parts) == exact).all()
    assert (np.concatenate(bridged) == whole.bridged).all()


@pytest.mark.parametrize("rate", RATES)
def test_float_and_int16_are_heard_alike(rate: int) -> None:
    sound = speech_between_pauses(rate)
    as_float = VoiceDetector(rate).process((sound / 32768).astype(np.float32))
    assert as_float == pytest.approx(VoiceDetector(rate).process(sound), abs=0.02)


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
    assert len(detector.bridged) == 0
    assert (detector.process(sound) == first).all()


def test_silence_and_nonsense_are_no_speech() -> None:
    detector = VoiceDetector()
    assert (detector.process(np.zeros(24000, np.float32)) == 0).all()
    assert (detector.bridged == 0).all()
    assert (detector.level_db, detector.floor_db) == pytest.approx((-100, -65), abs=0.1)
    assert (VoiceDetector().process(np.full(24000, np.nan, np.float32)) < 0.5).all()


def caller() -> tuple[Shorts, int]:
    """The caller's speech of the demo: 0.60-3.36 s and 6.96-9.45 s."""
    from engine import data

    wav = read_wav(f"{next(iter(data.__path__))}/caller.wav")
    return wav.samples, wav.rate


def found(probability: NDArray[np.float32]) -> tuple[float, float]:
    """Shares of the hops in the caller's speech, and of those well outside it, that are called speech."""
    inside = np.zeros(len(probability), bool)
    near = inside.copy()
    for begin, end in ((60, 336), (696, 945)):
        inside[begin + 5 : end] = True
        near[begin - 2 : end + 20] = True
    return float((probability[inside] >= 0.5).mean()), float((probability[~near] >= 0.5).mean())


def test_the_callers_speech_is_found_where_it_is() -> None:
    sound, rate = caller()
    detector = VoiceDetector(rate)
    probability = detector.process(sound)
    speech = np.flatnonzero(probability >= 0.5) / 100
    assert 0.59 < speech[0] < 0.70
    assert not ((speech > 3.5) & (speech < 6.9)).any()
    assert 9.3 < speech[-1] < 9.6
    hit, false = found(detector.bridged)
    assert hit > 0.8, "pauses between words are bridged"
    assert false < 0.05


@pytest.mark.parametrize("peak_db", [-44, -30, -12, 0, 12, 24])
def test_soft_loud_and_clipped_speech_is_found(peak_db: float) -> None:
    """-44: an active level of about -55 dBFS; 24: clipped in nearly every period."""
    sound, rate = caller()
    loud = sound.astype(np.float64) * (32767 / np.abs(sound).max() * 10 ** (peak_db / 20))
    hit, false = found(VoiceDetector(rate).process(np.clip(loud, -32768, 32767).astype(np.int16)))
    assert hit > (0.7 if peak_db > -40 else 0.55)
    assert false < 0.02


def test_a_telephone_line_is_heard() -> None:
    sound, rate = caller()
    assert rate == 24000
    narrow = np.convolve(sound, np.ones(3) / 3, "same")[::3].astype(np.int16)
    hit, false = found(VoiceDetector(8000).process(ulaw_decode(ulaw_encode(narrow))))
    assert hit > 0.65
    assert false < 0.02


def tones(rng: np.random.Generator) -> NDArray[np.float64]:
    """Eight beeps of a dialling telephone, then one that stays."""
    t = np.arange(24000 * 6) / 24000
    pair = np.sin(2 * np.pi * 697 * t) + np.sin(2 * np.pi * 1336 * t)
    return np.asarray(pair * ((t % 0.2 < 0.1) | (t > 2)) + 1e-4 * rng.standard_normal(len(t)))


def hum(rng: np.random.Generator) -> NDArray[np.float64]:
    """The mains with harmonics."""
    t = np.arange(24000 * 6) / 24000
    return np.asarray(
        sum(np.sin(2 * np.pi * 50 * k * t) / k for k in (1, 2, 3, 5, 7)) + 1e-3 * rng.standard_normal(len(t))
    )


def hiss(rng: np.random.Generator) -> NDArray[np.float64]:
    """White noise."""
    return rng.standard_normal(24000 * 6)


def rumble(rng: np.random.Generator) -> NDArray[np.float64]:
    """Brown noise."""
    return np.asarray(np.diff(np.convolve(np.cumsum(rng.standard_normal(24000 * 6 + 1)), np.ones(9) / 9, "same")))


def knocks(rng: np.random.Generator) -> NDArray[np.float64]:
    """A knock each 0.4 s."""
    t = np.arange(24000 * 6) / 24000
    return np.asarray(np.exp(-(t % 0.4) / 0.01) * rng.standard_normal(len(t)) + 1e-3 * rng.standard_normal(len(t)))


@pytest.mark.parametrize("peak", [0.01, 0.1, 0.9])
@pytest.mark.parametrize("make", [tones, hum, hiss, rumble, knocks], ids=lambda make: make.__name__)
def test_noise_and_tones_are_no_speech(make: Any, peak: float) -> None:
    sound = make(np.random.default_rng(5))
    sound = (sound * (peak / np.abs(sound).max())).astype(np.float32)
    probability = VoiceDetector().process(sound)
    assert (probability >= 0.5).mean() <= 0.02, "but for the first moments of a new sound"


def test_the_c_core_says_what_the_trained_network_says() -> None:
    """Every tenth hop of the caller, against the network in floating point with the same weights (training/vad)."""
    golden = json.loads(GOLDEN.read_text())
    sound, rate = caller()
    detector = VoiceDetector(rate)
    exact = detector.process(sound)
    at = np.array(golden["hops"])
    assert len(at) >= 100
    assert exact[at] == pytest.approx(np.array(golden["exact"]), abs=0.01)
    assert detector.bridged[at] == pytest.approx(np.array(golden["bridged"]), abs=0.01)


@pytest.mark.parametrize("rate", [0, 7999, 192001])
def test_a_rate_out_of_range_is_refused(rate: int) -> None:
    with pytest.raises(ConfigError, match=f"{rate} Hz"):
        VoiceDetector(rate)


def test_wrong_samples_are_refused() -> None:
    with pytest.raises(ConfigError, match="2 dimensions"):
        VoiceDetector().process(np.zeros((2, 2), np.float32))
    with pytest.raises(ConfigError, match="float64"):
        VoiceDetector().process(np.zeros(10))
