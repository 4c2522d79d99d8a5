"""The simulated room does what physics says, and the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from engine.audio.imagesource import RATE, Sound, response
from engine.audio.room import DelayJump, Drop, Heard, Move, Resonance, Room, RoomConfig, active_rms, random_room
from engine.errors import ConfigError

OPEN = RoomConfig(t60_s=0, delay_s=0, noise_db=None)  # no walls, no delay, no noise
WAY = round(np.sqrt(0.08) / 343 * RATE)  # samples from its loudspeaker to its microphone


def noise(samples: int, seed: int = 1) -> Sound:
    return np.asarray(0.1 * np.random.default_rng(seed).standard_normal(samples), np.float32)


def changed(config: RoomConfig, **fields: object) -> RoomConfig:
    from dataclasses import replace

    return replace(config, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("delay", [0, 1, 1234, 24000])
def test_the_delay_is_right_to_the_sample(delay: int) -> None:
    click = np.zeros(RATE * 2, np.float32)
    click[100] = 0.5
    echo = Room(changed(OPEN, delay_s=delay / RATE)).process(click).echo
    assert np.flatnonzero(np.abs(echo) > 1e-4).tolist() == [100 + delay + WAY]
    assert echo.max() == pytest.approx(0.5, rel=1e-5)


def test_the_direct_sound_comes_after_the_way_through_the_air() -> None:
    taps = response((6, 5, 3), (1, 1, 1), (4, 5 - 0.01, 1), 0.3)
    assert np.flatnonzero(taps)[0] == round(np.hypot(3, 3.99) / 343 * RATE)
    assert (taps**2).sum() == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize("t60", [0.15, 0.3, 0.5, 0.8])
@pytest.mark.parametrize("size", [(3.0, 2.6, 2.4), (5.0, 4.0, 2.7), (8.0, 6.0, 3.5)])
def test_sound_falls_by_60_db_in_the_time_asked_for(t60: float, size: tuple[float, float, float]) -> None:
    taps = response(size, (1.0, 1.2, 0.9), (1.9, 2.0, 1.1), t60, seed=3)
    energy = np.cumsum(taps[::-1].astype(np.float64) ** 2)[::-1]
    db = 10 * np.log10(energy / energy[0] + 1e-20)
    first, last = np.argmax(db < -5), np.argmax(db < -25)
    assert 3 * (last - first) / RATE == pytest.approx(t60, rel=0.2)


@pytest.mark.parametrize("ppm", [-200.0, -100.0, 50.0, 200.0])
def test_the_microphones_clock_runs_faster_by_the_ppm_asked_for(ppm: float) -> None:
    hz = 1000.0
    tone = np.asarray(0.5 * np.sin(2 * np.pi * hz * np.arange(8 * RATE) / RATE), np.float32)
    echo = Room(changed(OPEN, delay_s=0.01, skew_ppm=ppm)).process(tone).echo
    turning = np.exp(-2j * np.pi * hz * np.arange(len(echo)) / RATE) * echo
    early, late = turning[RATE : 2 * RATE].sum(), turning[6 * RATE : 7 * RATE].sum()
    cycles = np.angle(late / early) / (2 * np.pi)  # behind: negative; at most half a cycle lost count of
    expected = -5 * hz * ppm * 1e-6
    assert (cycles - expected + 0.5) % 1 - 0.5 == pytest.approx(0, abs=0.002)
    steps = np.abs(echo[RATE : 7 * RATE])
    assert steps.max() == pytest.approx(0.5, rel=0.01)  # the interpolation keeps the level


def test_a_jump_moves_the_echo_at_its_sample() -> None:
    clicks = np.zeros(2 * RATE, np.float32)
    clicks[[6000, 30000]] = 0.5
    echo = Room(changed(OPEN, delay_s=0.1, events=(DelayJump(1.0, 0.15),))).process(clicks).echo
    assert np.flatnonzero(echo > 0.4).tolist() == [6000 + 2400 + WAY, 30000 + 3600 + WAY]


def test_dropped_pieces_are_silent_and_nothing_else_is() -> None:
    sound = np.full(RATE, 0.5, np.float32)
    echo = Room(changed(OPEN, events=(Drop(0.5, 0.02),))).process(sound).echo
    silent = np.flatnonzero(np.abs(echo[WAY:]) < 1e-3)
    assert silent.tolist() == list(range(12000, 12480))


def test_a_move_changes_the_path_without_a_step() -> None:
    low = np.asarray(0.5 * np.sin(2 * np.pi * 60 * np.arange(2 * RATE) / RATE), np.float32)
    room = changed(OPEN, events=(Move(1.0, microphone_m=(2.9, 2.5, 1.0)),))
    echo = Room(room).process(low, low).echo
    assert np.abs(np.diff(echo)).max() < 1.2 * np.abs(np.diff(low)).max()
    click = np.zeros(2 * RATE, np.float32)
    click[30000] = 0.5
    far = Room(room).process(click).echo
    assert int(np.argmax(far)) - 30000 == round(np.sqrt(0.9**2 + 1 + 0.01) / 343 * RATE)


def test_soft_clipping_makes_harmonics_and_the_band_ends_where_it_should() -> None:
    tone = np.asarray(0.8 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE), np.float32)

    def third(config: RoomConfig) -> float:
        spectrum = np.abs(np.fft.rfft(Room(config).process(tone).echo * np.hanning(RATE)))
        return float(spectrum[3000] / spectrum[1000])

    assert third(OPEN) < 1e-4
    assert 0.03 < third(changed(OPEN, drive=2.0)) < 0.3
    sound = noise(4 * RATE)
    heard = Room(changed(OPEN, band_hz=(300, 6000), resonances=(Resonance(1000, 9, 3),))).process(sound).echo
    power = np.abs(np.fft.rfft(heard)) ** 2 / np.abs(np.fft.rfft(sound)) ** 2
    db = 10 * np.log10([np.median(power[4 * hz - 80 : 4 * hz + 80]) for hz in (100, 300, 1000, 3000, 6000, 11000)])
    assert db == pytest.approx([-19.1, -3, 9, 0, -3, -11], abs=1.2)


def test_levels_are_what_was_asked_for() -> None:
    sound = noise(5 * RATE)
    config = RoomConfig(echo_db=-12, near_db=-6, noise_db=-50)
    heard = Room(config, seed=4).process(sound, noise(5 * RATE, 2))
    for part, level in ((heard.echo, -32), (heard.near, -26), (heard.noise, -50)):
        assert 10 * np.log10((part[RATE:] ** 2).mean()) == pytest.approx(level, abs=1.0)
    for ser in (-10.0, 0.0, 6.0):
        there = heard.at_ser(ser)
        assert 20 * np.log10(active_rms(there.near) / active_rms(there.echo)) == pytest.approx(ser, abs=0.01)
        assert np.array_equal(there.echo, heard.echo)
    assert Heard(sound, sound * 0, sound).at_ser(3).near.max() == 0


def test_the_microphone_is_the_sum_and_clips() -> None:
    heard = Room(RoomConfig(echo_db=30)).process(noise(RATE), noise(RATE, 2))
    assert np.abs(heard.microphone).max() == 1.0
    small = np.abs(heard.microphone) < 1
    assert np.allclose(heard.microphone[small], (heard.echo + heard.near + heard.noise)[small])


@pytest.mark.parametrize("seed", range(6))
def test_any_cut_gives_the_same_sound_and_so_does_the_seed(seed: int) -> None:
    config = random_room(seed, 3.0)
    config = changed(config, events=(*config.events, Move(0.7, talker_m=(1, 1, 1)), Drop(0.9, 0.05), DelayJump(2, 0.3)))
    reference, near = noise(3 * RATE), noise(3 * RATE, 2)
    whole = Room(config, seed).process(reference, near).microphone
    assert np.array_equal(whole, Room(config, seed).process(reference, near).microphone)
    assert not np.allclose(whole, Room(config, seed + 1).process(reference, near).microphone, atol=1e-3)
    rng, room, at, parts = np.random.default_rng(seed), Room(config, seed), 0, []
    while at < len(whole):
        upto = at + int(rng.choice([1, 7, 240, 6000, 20000]))
        parts.append(room.process(reference[at:upto], near[at:upto]).microphone)
        at = upto
    assert np.concatenate(parts) == pytest.approx(whole, abs=1e-5)


def test_rooms_drawn_by_seed_are_alike_by_seed_only() -> None:
    assert random_room(7) == random_room(7)
    rooms = [random_room(seed) for seed in range(200)]
    assert 0.2 < np.mean([room.skew_ppm != 0 for room in rooms]) < 0.4
    assert min(room.t60_s for room in rooms) < 0.1
    assert max(room.t60_s for room in rooms) > 0.6


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"t60_s": 3.0}, "t60_s is 3.0: give 0.05 to 1.5"),
        ({"delay_s": -0.1}, "delay_s is -0.1"),
        ({"skew_ppm": float("nan")}, "skew_ppm is nan"),
        ({"talker_m": (9.0, 1.0, 1.0)}, "talker_m.x is 9.0: the room is 5 m long"),
        ({"band_hz": (500.0, 100.0)}, r"band_hz\[1\] is 100.0: give 500"),
        ({"resonances": (Resonance(1000, 50, 1),)}, "resonances.gain_db is 50"),
        ({"events": (DelayJump(1, 2),)}, "delay_s is 2"),
        ({"events": (Move(1, microphone_m=(0, 0, 0)),)}, "microphone_m.x is 0"),
        ({"size_m": (0.1, 4.0, 3.0)}, "size_m.x is 0.1"),
    ],
)
def test_what_cannot_be_is_refused_by_name(fields: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        changed(RoomConfig(), **fields)


def test_sound_of_another_form_is_refused() -> None:
    with pytest.raises(ConfigError, match="near has 2 samples: give 3"):
        Room().process(np.zeros(3, np.float32), np.zeros(2, np.float32))
    with pytest.raises(ConfigError, match="reference has shape"):
        Room().process(np.zeros(3))  # type: ignore[arg-type]
    assert len(Room().process(np.zeros(0, np.float32)).microphone) == 0
