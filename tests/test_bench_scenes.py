"""The scorers of barge-in and truncation score what they say: small runs with known answers."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine import clock
from engine.audio import EventKind

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

if TYPE_CHECKING:
    from bench import bargein_events, bargein_peers, nearend, quiethour, sileropeers, soak, truncation
else:
    import bargein_events
    import bargein_peers
    import nearend
    import quiethour
    import sileropeers
    import soak
    import truncation


def good_morning() -> nearend.Sound:
    """0.6 s of the demo's caller, from the first moment on."""
    sound = nearend.load(Path(str(files("engine") / "data")) / "caller.wav")
    return sound[round(0.61 * nearend.RATE) : round(1.21 * nearend.RATE)]


def test_an_onset_is_scored_from_its_label_to_the_silence() -> None:
    voice = good_morning()
    lead = np.random.default_rng(1).standard_normal(12000).astype(np.float32) * 1e-4
    utterance = nearend.Utterance("made", "good morning", np.concatenate([lead, voice]), 12000)
    found = bargein_events.onset(utterance, bargein_events.SETTINGS, None, 0, 1)
    assert not found.early
    assert found.duck is not None
    assert found.confirm is not None
    assert found.silence is not None
    assert 10 < found.duck <= 80
    assert 70 <= found.confirm - found.duck <= 90
    assert found.silence - found.confirm == pytest.approx(20, abs=0.2)


@pytest.mark.parametrize("kind", ["noise", "cough", "rumble", "knocks", "bang"])
def test_a_burst_without_a_voice_is_no_interruption_and_a_word_is(kind: str) -> None:
    def ended(sound: nearend.Sound) -> bool:
        room = bargein_events.Room(bargein_events.SETTINGS, 3)
        quiet = np.zeros(nearend.RATE, np.float32)
        room.run(np.concatenate([quiet, nearend.level(sound, -26), quiet]))
        return bool(room.of(EventKind.CONFIRMED))

    assert not ended(nearend.bursts(kind, 0.2, 3))
    assert ended(good_morning())


def scripted(scores: list[float]) -> sileropeers.Silero:
    """A network that says these, window by window, then nothing."""
    network = sileropeers.Silero.__new__(sileropeers.Silero)
    said = iter(scores)
    network._run, network._reset = (lambda window: next(said, 0.0)), (lambda: None)
    return network


LOUD = np.full((60, sileropeers.WINDOW), 0.2, np.float32) * np.where(np.arange(sileropeers.WINDOW) % 2, 1, -1)


def test_livekit_sees_speech_after_two_windows_and_interrupts_half_a_second_later() -> None:
    seen = sileropeers.livekit(LOUD.astype(np.float32), scripted([0.0] * 10 + [1.0] * 4))
    assert seen.speech == pytest.approx([12 * 0.032])  # the first window is smoothed up to 0.65
    assert seen.interruptions == pytest.approx([26 * 0.032])  # though nobody has spoken for some time
    assert sileropeers.livekit(LOUD.astype(np.float32), scripted([0.0] * 10 + [1.0])).speech == []


def test_pipecat_waits_for_a_fifth_of_a_second_without_a_gap_and_for_a_volume() -> None:
    loud = LOUD.astype(np.float32)
    assert sileropeers.pipecat(loud, scripted([0.0] * 30 + [1.0] * 20)).speech == pytest.approx([36 * 0.032])
    assert sileropeers.pipecat(loud, scripted([0.0] * 30 + ([1.0] * 5 + [0.0]) * 4)).speech == []
    assert sileropeers.pipecat(loud * np.float32(1e-3), scripted([0.0] * 30 + [1.0] * 20)).speech == []


@pytest.mark.parametrize(("count", "low", "high"), [(0, 0, 3.689), (1, 0.0253, 5.572), (10, 4.795, 18.39)])
def test_the_interval_of_a_count_is_that_of_the_tables(count: int, low: float, high: float) -> None:
    assert bargein_peers.poisson(count) == pytest.approx((low, high), rel=1e-3, abs=1e-6)


def test_a_scene_of_noise_is_made_by_its_seed() -> None:
    first, again, other = (next(iter(quiethour.scenes(0.1, 2.0, seed))) for seed in (3, 3, 4))
    assert np.array_equal(first.sound, again.sound)
    assert not np.array_equal(first.sound, other.sound)
    made = {scene.kind: scene.sound for scene in quiethour.scenes(1.0, 10.0, 3)}
    assert {"coughs", "laughs", "knocks"} <= set(made)
    assert all(0.001 < np.abs(sound).max() <= 1 for sound in made.values())


def test_the_ledger_is_right_under_every_burst_and_stall() -> None:
    for name, cells in truncation.run(6, seed=5).items():
        _, most, refused = cells["bargein"]
        assert most <= 0.8, name  # what can be read from the sound
        assert refused == 0
    assert cells["agents"][0] > 100  # the last scene: two items in a burst


def test_two_minutes_of_soak_come_out_even() -> None:
    outcome, tally, _ = clock.run_virtual(soak.soak(2, 4))
    assert outcome.wrong == []
    assert outcome.turns > 2
    assert tally.reports["DUCKED"] > 0
