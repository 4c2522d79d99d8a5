"""What the microphone's sound goes through, by its settings: each part acts, is counted, and keeps the time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.audio import BargeIn, DuplexConfig, Hearing, Policy
from engine.audio.duplex import Duplex
from engine.errors import ConfigError
from tests.audio.sounds import HOP, Bench, voice

QUIET = BargeIn(policy=Policy.NEVER)


def sent(bench: Bench) -> np.ndarray[Any, np.dtype[np.int16]]:
    """What was sent, by the positions at which it was captured."""
    records = bench.duplex.read_records()
    sound = np.zeros(int(records["position"].max()) + HOP, np.int16)
    for record in records:
        sound[record["position"] : record["position"] + HOP] = record["payload"].view(np.int16)
    return sound


def level_db(sound: np.ndarray[Any, Any]) -> float:
    return float(10 * np.log10(np.mean((sound.astype(float) / 32768) ** 2) + 1e-12))


def test_nothing_is_done_by_default() -> None:
    bench = Bench(QUIET)
    sound = voice(48000)
    bench.say(sound)
    assert np.array_equal(sent(bench), sound)
    stats = bench.duplex.hearing_stats()
    assert stats.noise_db is None
    assert stats.agc_db == 0.0


def test_a_soft_voice_is_brought_to_its_level() -> None:
    bench = Bench(QUIET, hearing=Hearing(agc_dbfs=-20.0))
    sound = voice(24000 * 12, level=0.04)
    bench.say(sound[: 24000 * 5])
    bench.duplex.read_records()
    bench.say(sound[24000 * 5 : 24000 * 10])
    assert bench.duplex.hearing_stats().agc_db > 6.0
    bench.duplex.read_records()
    bench.say(sound[24000 * 10 :])
    late = sent(bench)[-24000:]
    assert level_db(late) == pytest.approx(-20.0, abs=3.0)
    assert level_db(late) > level_db(sound[-24000:]) + 6.0


def test_noise_goes_down_and_the_voice_stays_where_it_was_captured() -> None:
    noise = np.random.default_rng(4).normal(0, 300, 24000 * 4).astype(np.int16)
    speech = voice(24000 * 4, level=0.5)
    speech[: 24000 * 2] = 0
    bench = Bench(QUIET, hearing=Hearing(noise_reduction="far_field"))
    bench.say((noise + speech).astype(np.int16))
    out = sent(bench)
    assert level_db(out[24000 : 24000 * 2]) < level_db(noise[24000 : 24000 * 2]) - 8.0
    assert bench.duplex.hearing_stats().noise_db == pytest.approx(level_db(noise), abs=4.0)
    heard, said = out[72000:90000].astype(float), speech[72000 - 400 : 90000 + 400].astype(float)
    match = np.correlate(said, heard, "valid")
    assert abs(int(np.argmax(match)) - 400) <= 24  # within a millisecond of where it was said


def test_what_is_held_back_is_in_the_latency_and_in_the_figures() -> None:
    plain, late = Duplex(DuplexConfig()), Duplex(DuplexConfig(hearing=Hearing(noise_reduction="near_field")))
    assert late.capture_latency_ms(480) - plain.capture_latency_ms(480) == pytest.approx(10.0)
    late.capture(np.zeros(4800, np.int16))
    assert late.capture_stats().hops == 10
    assert late.capture_stats().settled == 9 * HOP


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("highpass_hz", 10, "highpass_hz is 10: give 20 to 400"),
        ("noise_reduction", "far", "noise_reduction is 'far': use near_field, far_field or None"),
        ("noise_strength", 2.5, "noise_strength is 2.5: give 0 to 2"),
        ("noise_strength", float("nan"), "noise_strength is nan"),
        ("agc_dbfs", -3, "agc_dbfs is -3: give -40 to -6"),
        ("agc_most_db", 50, "agc_most_db is 50: give 0 to 40"),
    ],
)
def test_a_wrong_setting_is_named(field: str, value: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Duplex(DuplexConfig(hearing=replace(Hearing(), **{field: value})))
