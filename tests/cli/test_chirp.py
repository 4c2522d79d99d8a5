"""The doctor's chirps are found where they are, in noise, in reverberation and against a clock that drifts."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace

import numpy as np
import pytest

from engine.cli import chirp, doctor, mend, probe
from engine.cli.chirp import RATE, Sound
from engine.cli.probe import Trial
from engine.endpoints import Opened

SEED = 7


def room(sent: Sound, delay: int, gain_db: float, noise_db: float = -200.0, seconds: float = 1.0) -> Sound:
    """What a microphone hears of it, and noise."""
    heard = np.concatenate([np.zeros(delay), 10 ** (gain_db / 20) * sent, np.zeros(round(seconds * RATE))])
    return heard + 10 ** (noise_db / 20) * np.random.default_rng(SEED).standard_normal(len(heard))


@pytest.mark.parametrize("delay", [0, 1, 960, 2928, 9600])
@pytest.mark.parametrize(("gain_db", "noise_db"), [(0.0, -200.0), (-20.0, -60.0), (-40.0, -50.0)])
def test_found_to_the_sample_with_its_level(delay: int, gain_db: float, noise_db: float) -> None:
    found = chirp.find(room(chirp.train(3), delay, gain_db, noise_db), 0, 3)
    assert all(echo is not None for echo in found)
    for echo in found:
        assert echo is not None
        assert abs(echo.lag - delay) <= 1.0
        assert echo.gain_db == pytest.approx(gain_db, abs=1.0)


def test_in_reverberation_the_direct_sound_counts() -> None:
    decay = np.random.default_rng(SEED).standard_normal(4800) * np.exp(-np.arange(4800) / 1200) * 0.05
    decay[0] = 1.0
    heard = np.convolve(room(chirp.train(2), 700, -10.0, -70.0), decay)
    assert [echo is not None and abs(echo.lag - 700) <= 1 for echo in chirp.find(heard, 0, 2)] == [True, True]


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_found_in_noise(seed: int) -> None:
    noise = 0.1 * np.random.default_rng(seed).standard_normal(4 * RATE)
    hum = np.sin(2 * np.pi * 440 * np.arange(4 * RATE) / RATE)
    for heard in (noise, noise + hum, np.zeros(4 * RATE)):
        assert chirp.find(heard, 0, 3) == [None, None, None]


def test_one_that_is_missing_is_missed_alone() -> None:
    sent = chirp.train(3)
    sent[round(chirp.PERIOD_S * RATE) : 2 * round(chirp.PERIOD_S * RATE)] = 0
    assert [echo is not None for echo in chirp.find(room(sent, 100, 0.0, -60.0), 0, 3)] == [True, False, True]


def test_lost_samples_show_as_a_shift() -> None:
    heard = room(chirp.train(3), 2000, 0.0)
    heard = np.delete(heard, slice(8_000, 8_240))  # 10 ms between two chirps
    lags = [echo.lag for echo in chirp.find(heard, 0, 3) if echo is not None]
    assert [round(lag) for lag in lags] == [2000, 1760, 1760]


@pytest.mark.parametrize("ppm", [-200.0, 0.0, 50.0])
def test_drift_between_two_clocks(ppm: float) -> None:
    heard = room(chirp.train(6), 500, -3.0)
    at = np.arange(0, len(heard) - 2, 1.0 / (1.0 + ppm * 1e-6))
    drifted = np.interp(at, np.arange(len(heard)), heard)
    assert probe._drift(chirp.find(drifted, 0, 6)) == pytest.approx(ppm, abs=10.0)


def test_the_chirp_spares_ears_and_loudspeakers() -> None:
    sound = chirp.chirp()
    assert np.abs(sound).max() <= 10 ** (chirp.LEVEL_DB / 20)
    assert abs(sound[0]) < 1e-3 and abs(sound[-1]) < 1e-3


# ---- what is wrong, and what mends it

OPENED = Opened("mic", "spk", "ALSA", 1, "int16", 48000, 48000, 1, 1, 480, 30.0, 30.0, (), "SCHED_FIFO 70")


def trial(hidden: bool = False, **changes: object) -> Trial:
    opened = replace(OPENED, unknown=("the rate of the hardware",) if hidden else ())
    figures: dict[str, object] = {
        "block_ms": 10.0, "latency_ms": None, "opened": opened, "played": 3, "found": 3, "delay_ms": 40.0,
        "round_trip_ms": 38.0, "echo_db": -20.0, "floor_db": -60.0, "peak_db": -12.0, "clipped": 0, "silent": False,
        "drift_ppm": 0.0, "shifts": 0, "xruns": 0, "missing_ms": 0.0, "underruns": 0,
    }  # fmt: skip
    return Trial(**{**figures, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "command"),
    [
        ({"silent": True, "found": 0}, "amixer sset Capture cap"),
        ({"silent": True, "found": 0, "hidden": True}, "pactl set-source-mute @DEFAULT_SOURCE@ 0"),
        ({"clipped": 90}, "amixer sset Capture 6dB-"),
        ({"clipped": 90, "hidden": True}, "pactl set-source-volume"),
    ],
)
def test_each_problem_comes_with_its_command(changes: dict[str, object], command: str) -> None:
    problems = mend.of(trial(**changes))  # type: ignore[arg-type]
    assert len(problems) == 1 and command in problems[0] and "'mic'" in problems[0]
    assert mend.of(trial()) == []


@pytest.mark.parametrize(
    ("changes", "clean"),
    [
        ({}, True),
        ({"found": 0}, True),  # headphones
        ({"found": 2}, False),
        ({"xruns": 1}, False),
        ({"shifts": 1}, False),
        ({"underruns": 1}, False),
        ({"missing_ms": 19.0}, True),
        ({"missing_ms": 30.0}, False),
    ],
)
def test_what_counts_as_whole(changes: dict[str, object], clean: bool) -> None:
    assert trial(**changes).clean is clean  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "changes", "latency"),
    [
        ("auto", {}, "auto"),  # the device's low one keeps sound whole: that is where auto begins
        ("auto", {"latency_ms": 40.0}, 40.0),
        ("auto", {"latency_ms": 100.0, "hidden": True}, "auto"),
        ("low", {"latency_ms": 100.0, "hidden": True}, "auto"),
        ("auto", {"latency_ms": 200.0, "hidden": True}, 200.0),
        (100.0, {"latency_ms": 100.0, "hidden": True}, 100.0),
    ],
)
def test_the_latency_that_is_recommended(asked: float | str, changes: dict[str, object], latency: float | str) -> None:
    assert doctor._latency_to_use(Namespace(latency_ms=asked), trial(**changes)) == latency  # type: ignore[arg-type]
