"""The loudspeaker taken out of the microphone, the talker left in, at every rate and however the sound is cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.audio import EchoCanceller, Resampler
from engine.audio.echo import EchoWay
from engine.audio.room import DelayJump, Room, RoomConfig
from engine.endpoints.wav import read_wav
from engine.errors import ConfigError
from tests.conftest import shared_path

RATES = (8000, 11025, 16000, 24000, 44100, 48000)
Sound = np.ndarray


def voice(seconds: float, rate: int, hz: float, seed: int, begins_s: float = 0.0) -> Sound:
    """A buzz at `hz` and noise below 3 kHz, in syllables, with pauses: what speech looks like to a canceller."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * hz * n * t) / n for n in range(1, int(3000 / hz)))
    hiss = np.convolve(rng.standard_normal(len(t)), np.hanning(max(4, rate // 3000)), "same")
    swell = np.maximum(np.sin(2 * np.pi * 2.3 * t + seed), 0) * (np.sin(2 * np.pi * 0.31 * t + seed) > -0.6)
    sound = (buzz + hiss / hiss.std()) * swell * (t >= begins_s)
    return np.asarray(0.1 * sound / sound.std(), np.float32)


def echo_of(sound: Sound, rate: int, delay_ms: float, gain: float = 1.0, seed: int = 5) -> Sound:
    """In a room of 100 ms, `delay_ms` later."""
    length = rate // 10
    room = np.random.default_rng(seed).standard_normal(length) * np.exp(-np.arange(length) / (0.02 * rate))
    room *= gain / np.sqrt((room**2).sum())
    late = np.concatenate([np.zeros(round(delay_ms * rate / 1000)), np.convolve(sound, room)])
    return late[: len(sound)].astype(np.float32)


def room_noise(samples: int, level: float = 0.0005) -> Sound:
    return (np.random.default_rng(9).standard_normal(samples) * level).astype(np.float32)


def whole(canceller: EchoCanceller, mic: Sound, reference: Sound | None) -> Sound:
    """What comes out beside what went in."""
    out = np.concatenate([canceller.process(mic, reference), canceller.flush()])
    late = round(canceller.latency_ms * canceller.rate / 1000)
    return out[late : late + len(mic)]


def gained(mic: Sound, out: Sound, rate: int) -> float:
    """dB by which it is less, after 3 s."""
    return 20 * float(np.log10(mic[3 * rate :].std() / out[3 * rate :].std()))


def likeness(out: Sound, sound: Sound) -> float:
    """How much of what came out is the sound."""
    return float(np.dot(out, sound) / np.sqrt(np.dot(out, out) * np.dot(sound, sound)))


@pytest.mark.parametrize("rate", RATES)
def test_an_echo_goes_and_a_talker_stays(rate: int) -> None:
    far, near = voice(8, rate, 110, 1), voice(8, rate, 170, 2, 5.0)
    echo = echo_of(far, rate, 60) + room_noise(len(far))
    out = whole(EchoCanceller(rate, comfort_noise=False), echo, far)
    assert gained(echo, out, rate) > 24
    both = whole(EchoCanceller(rate, comfort_noise=False), echo + near, far)
    talks = slice(int(5.5 * rate), None)
    assert likeness(both[talks], near[talks]) > 0.93
    assert likeness((echo + near)[talks], near[talks]) < 0.93  # it was not so before


@pytest.mark.parametrize("rate", RATES)
def test_the_near_end_is_as_late_as_it_says(rate: int) -> None:
    canceller = EchoCanceller(rate)
    click = np.zeros(rate, np.float32)
    click[rate // 2] = 1
    out = np.concatenate([canceller.process(click, None), canceller.flush()])
    assert abs(int(np.argmax(np.abs(out))) - rate // 2 - canceller.latency_ms * rate / 1000) <= 1
    assert len(out) == rate + -(-canceller.latency_ms * rate // 1000)
    assert canceller.latency_ms <= (10 if rate > 11025 else 11.1)


@pytest.mark.parametrize("delay_ms", [0, 90, 250, 430])
def test_delays_alike(delay_ms: int) -> None:
    far = voice(7, 16000, 110, 1)
    mic = echo_of(far, 16000, delay_ms) + room_noise(len(far))
    canceller = EchoCanceller(16000, comfort_noise=False)
    out = canceller.process(mic, far)
    assert gained(mic, out[: len(mic)], 16000) > 24
    assert canceller.delay_ms == pytest.approx(delay_ms, abs=20)
    assert canceller.converged
    assert canceller.erle_db > 12


def test_a_delay_that_jumps_is_followed() -> None:
    far = voice(10, 16000, 110, 1)
    early, late = echo_of(far, 16000, 60), echo_of(far, 16000, 160)
    at = 5 * 16000
    mic = np.concatenate([early[:at], late[at:]]) + room_noise(len(far))
    canceller = EchoCanceller(16000, comfort_noise=False)
    out = canceller.process(mic, far)
    assert canceller.delay_ms == pytest.approx(160, abs=20)
    assert gained(mic[at:], out[at:], 16000) > 24


def test_an_echo_later_than_half_a_second_is_not_found_and_nothing_breaks() -> None:
    far = voice(6, 16000, 110, 1)
    mic = echo_of(far, 16000, 900) + room_noise(len(far))
    canceller = EchoCanceller(16000)
    out = canceller.process(mic, far)
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= 2 * np.abs(mic).max()


def test_a_headset_leaves_the_talker_alone() -> None:
    far, near = voice(9, 16000, 110, 1), voice(9, 16000, 170, 2, 4.0)
    mic = near + room_noise(len(near))
    canceller = EchoCanceller(16000)
    out = whole(canceller, mic, far)
    assert likeness(out[4 * 16000 :], near[4 * 16000 :]) > 0.95


def test_without_a_reference_all_comes_through() -> None:
    mic = voice(3, 24000, 170, 2)
    for reference in (None, np.zeros_like(mic)):
        canceller = EchoCanceller(24000)
        np.testing.assert_allclose(whole(canceller, mic, reference), mic, atol=1e-5)
        assert not canceller.playing
        assert not canceller.converged


def test_comfort_noise_is_at_the_level_of_the_room() -> None:
    far = voice(8, 16000, 110, 1)
    far[: 2 * 16000] = 0
    noise = room_noise(len(far), 0.003)
    canceller = EchoCanceller(16000)
    out = whole(canceller, echo_of(far, 16000, 60) + noise, far)
    assert abs(20 * np.log10(out[4 * 16000 :].std() / noise.std())) < 2
    canceller.process(noise[:1600], None)
    silent = whole(EchoCanceller(16000, comfort_noise=False), echo_of(far, 16000, 60) + noise, far)
    assert silent[4 * 16000 :].std() < 0.8 * noise.std()


def test_half_duplex_lets_nothing_through_while_the_loudspeaker_sounds() -> None:
    far, near = voice(5, 24000, 110, 1), voice(5, 24000, 170, 2)
    canceller = EchoCanceller(24000, way="half_duplex", comfort_noise=False)
    mic = echo_of(far, 24000, 60) + near
    out = canceller.process(mic, far)
    playing = np.repeat(canceller.results["playing"].astype(bool), 240)
    settled = playing & np.roll(playing, 240)
    assert out[settled].std() < 0.01 * mic[settled].std()
    assert settled.mean() > 0.7


def test_the_linear_filter_alone_leaves_some() -> None:
    far, near = voice(8, 16000, 110, 1), voice(8, 16000, 170, 2, 5.0)
    mic = echo_of(far, 16000, 60) + near + room_noise(len(far))
    out = whole(EchoCanceller(16000, way="linear"), mic, far)
    assert likeness(out[5 * 16000 :], near[5 * 16000 :]) > 0.97
    canceller = EchoCanceller(16000, comfort_noise=False)
    canceller.process(mic[: 4 * 16000], far[: 4 * 16000])
    canceller.configure("linear")  # the room stays known
    assert canceller.converged
    with pytest.raises(ConfigError, match="'off'"):
        canceller.configure("off")  # type: ignore[arg-type]


@pytest.mark.parametrize("ppm", [-200, 125])
def test_the_skew_of_two_clocks_is_taken_out(ppm: float) -> None:
    far = voice(20, 16000, 110, 1)
    mic = echo_of(far, 16000, 60) + room_noise(len(far))
    at = np.arange(len(far)) / (1 + ppm * 1e-6)  # the reference's clock is that much faster: its samples lie closer
    own = np.interp(at, np.arange(len(far)), far).astype(np.float32)
    gains = []
    for skew in (0.0, float(ppm)):
        canceller = EchoCanceller(16000, way="linear", skew_ppm=skew)
        out = whole(canceller, mic, own)
        gains.append(20 * np.log10(mic[10 * 16000 :].std() / out[10 * 16000 :].std()))
    assert gains[1] > gains[0] + 3
    assert gains[1] > 15


@settings(max_examples=15, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 8000), max_size=12),
    rate=st.sampled_from(RATES),
    dtype=st.sampled_from(["f4", "i2"]),
    skew=st.sampled_from([0.0, 100.0, -100.0]),
)
def test_however_it_is_cut(cuts: list[int], rate: int, dtype: str, skew: float) -> None:
    far = voice(0.6, rate, 110, 1)
    mic = echo_of(far, rate, 20)
    if dtype == "i2":
        far, mic = (far * 8000).astype(np.int16), (mic * 8000).astype(np.int16)
    edges = sorted(min(cut, len(mic)) for cut in cuts)
    one, many = EchoCanceller(rate, skew_ppm=skew), EchoCanceller(rate, skew_ppm=skew)
    at_once = one.process(mic, far)
    pieces = [many.process(m, f) for m, f in zip(np.split(mic, edges), np.split(far, edges), strict=True)]
    np.testing.assert_array_equal(np.concatenate(pieces), at_once)
    assert at_once.dtype == mic.dtype
    np.testing.assert_array_equal(one.flush(), many.flush())


def test_reset_forgets_the_room() -> None:
    far = voice(3, 24000, 110, 1)
    mic = echo_of(far, 24000, 60)
    canceller = EchoCanceller()
    assert canceller.delay_ms is None
    assert (canceller.erle_db, canceller.noise_db, canceller.near_probability) == (0, -120, 0)
    first = canceller.process(mic, far)
    assert canceller.delay_ms is not None
    canceller.reset()
    assert canceller.delay_ms is None
    np.testing.assert_array_equal(canceller.process(mic, far), first)


def test_what_is_no_sound_is_survived() -> None:
    far = voice(8, 16000, 110, 1)
    mic = echo_of(far, 16000, 60) + room_noise(len(far))
    broken = mic.copy()
    broken[16000:16100] = np.nan
    broken[16100:16200] = np.inf
    far[16050:16150] = -np.inf
    canceller = EchoCanceller(16000, comfort_noise=False)
    out = whole(canceller, broken, far)
    assert np.isfinite(out).all()
    assert 20 * np.log10(mic[6 * 16000 :].std() / out[6 * 16000 :].std()) > 20
    assert len(canceller.process(mic[:0], far[:0])) == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"rate": 7999}, "rate is 7999"),
        ({"rate": 96000}, "rate is 96000"),
        ({"way": "auto"}, "'auto'"),
        ({"skew_ppm": 501.0}, "501"),
        ({"skew_ppm": float("nan")}, "nan"),
    ],
)
def test_refuses(arguments: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        EchoCanceller(**arguments)  # type: ignore[arg-type]


def test_refuses_what_does_not_lie_side_by_side() -> None:
    canceller = EchoCanceller(16000)
    mic = np.zeros(160, np.float32)
    with pytest.raises(ConfigError, match=r"reference has 159 samples and mic has 160"):
        canceller.process(mic, mic[1:])
    with pytest.raises(ConfigError, match=r"reference has shape \(160, 2\)"):
        canceller.process(mic, np.zeros((160, 2), np.float32))
    with pytest.raises(ConfigError, match="mic has dtype float64"):
        canceller.process(mic.astype(float), mic)
    assert len(canceller.process(mic, mic)) == len(EchoCanceller(16000).process(mic, mic))  # nothing was taken


def recorded(name: str) -> Sound:
    wav = read_wav(shared_path("audio", "echo", f"{name}.wav"))
    assert wav.rate == 16000
    return wav.samples.astype(np.float32) / np.float32(32768)


def at_once(mic: Sound, reference: Sound, way: EchoWay) -> Sound:
    size = min(len(mic), len(reference))
    return whole(EchoCanceller(16000, way=way, comfort_noise=False), mic[:size], reference[:size])


def erle(mic: Sound, out: Sound) -> float:
    size = min(len(mic), len(out))
    return 20 * float(np.log10(mic[:size].std() / out[:size].std()))


def test_an_echo_that_comes_at_once_is_not_lost_while_clocks_drift() -> None:
    far = voice(16, 24000, 110, 1)
    room = RoomConfig(t60_s=0.15, delay_s=0.0038, skew_ppm=100)  # over the border between no hop and one
    mic = Room(room).process(far).microphone
    left = whole(EchoCanceller(24000, way="linear"), mic, far)
    for second in range(6, 15):
        part = slice(second * 24000, (second + 2) * 24000)
        assert mic[part].std() / left[part].std() > 2


def test_an_echo_that_jumps_to_no_delay_is_found_again() -> None:
    far = voice(18, 24000, 110, 1)
    room = RoomConfig(t60_s=0.2, delay_s=0.0348, skew_ppm=-183, events=(DelayJump(11.5, 0.0),))
    mic = Room(room).process(far).microphone
    left = whole(EchoCanceller(24000, way="linear"), mic, far)
    for second in (13, 14, 15):  # the filter stands as near as it can, before and after
        part = slice(second * 24000, (second + 2) * 24000)
        assert mic[part].std() / left[part].std() > 3


def test_recorded_echoes_go() -> None:
    far, echo = recorded("farend_simple_talk"), recorded("echo_simple_talk")
    late = 4 * 16000
    assert erle(echo[late:], at_once(echo, far, "linear")[late:]) > 20
    assert erle(echo, at_once(echo, far, "cancel")) > 27
    name = "farend_singletalk-9mkQhVtzTEy2hDk-6u2Sww"
    far, echo = recorded(f"{name}_lpb"), recorded(f"{name}_mic")
    assert erle(echo[late:], at_once(echo, far, "linear")[late:]) > 14
    assert erle(echo, at_once(echo, far, "cancel")) > 20


def test_a_recorded_talker_stays() -> None:
    name = "nearend_singletalk-DLhjtuwiEkS-68TsUVvW5g"
    mic, far = recorded(f"{name}_mic"), recorded(f"{name}_lpb")
    size = min(len(mic), len(far))
    out = at_once(mic, far, "cancel")
    assert likeness(out, mic[:size]) > 0.98


def test_other_rates_of_one_recording_say_the_same() -> None:
    far, echo = recorded("farend_simple_talk")[: 8 * 16000], recorded("echo_simple_talk")[: 8 * 16000]
    gains = []
    for rate in (8000, 16000, 48000):
        up = [Resampler(16000, rate, "file").process(sound) for sound in (echo, far)]
        canceller = EchoCanceller(rate, comfort_noise=False)
        out = canceller.process(*up)
        gains.append(20 * np.log10(up[0][4 * rate : 7 * rate].std() / out[4 * rate : 7 * rate].std()))
    assert min(gains) > 20
