"""Finding devices by name, choosing streams, refusals: PortAudio is played by a few lines here, no sound is needed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import engine
from engine.clock import run_virtual
from engine.endpoints import SoundSettings, negotiate, portaudio
from engine.endpoints.negotiate import Pair, Wishes, pair
from engine.endpoints.portaudio import DeviceEntry, StreamPlan, find
from engine.errors import ConfigError, DeviceError, MissingExtraError

USB = DeviceEntry(0, "USB Audio: - (hw:1,0)", "ALSA", 2, 2, 48000, False, False)
HDMI = DeviceEntry(1, "HDMI 0: vc4 (hw:0,0)", "ALSA", 0, 8, 44100, False, False)
ARRAY = DeviceEntry(2, "ReSpeaker 4 Mic Array: USB Audio (hw:2,0)", "ALSA", 6, 0, 16000, False, False)
PULSE = DeviceEntry(3, "pulse", "ALSA", 32, 32, 44100, True, True)
ALL = [USB, HDMI, ARRAY, PULSE]
WISHES = Wishes(None, None, None, 10.0, None, None, None, None)


@pytest.mark.parametrize(
    ("wanted", "kind", "entry"),
    [
        (None, "input", PULSE),
        ("pulse", "output", PULSE),
        ("usb audio: -", "input", USB),  # exact, without the card number
        ("USB Audio: - (hw:1,0)", "output", USB),
        ("USB*", "input", USB),
        ("*mic array*", "input", ARRAY),
        ("hdmi", "output", HDMI),
        ("audio", "output", USB),  # the first that can
    ],
)
def test_a_device_is_found_by_name_pattern_or_part(wanted: str | None, kind: str, entry: DeviceEntry) -> None:
    assert find(ALL, wanted, kind) is entry


def test_a_replugged_device_has_the_same_stable_name() -> None:
    assert replace(USB, name="USB Audio: - (hw:3,0)").stable_name == USB.stable_name == "USB Audio: -"
    assert [each.hidden for each in ALL] == [False, False, False, True]


@pytest.mark.parametrize(
    ("entries", "wanted", "kind", "words"),
    [
        (ALL, "hdmi", "input", ["no 'hdmi' among the input devices", "'USB Audio: -'", "'pulse'"]),
        ([HDMI], None, "input", ["there are no input devices: none at all"]),
        ([], "x", "output", ["is a sound server running?"]),
    ],
)
def test_what_is_not_found_names_what_there_is(
    entries: list[DeviceEntry], wanted: str | None, kind: str, words: list[str]
) -> None:
    with pytest.raises(DeviceError) as caught:
        find(entries, wanted, kind)
    assert all(word in str(caught.value) for word in words), caught.value


def offers(
    monkeypatch: pytest.MonkeyPatch, can: Callable[[StreamPlan], bool], wishes: Wishes, found: Pair
) -> list[list[tuple[str, int, str, int, int]]]:
    """What would be tried, in order, of devices that can do so much."""
    monkeypatch.setattr(negotiate, "supported", lambda plan: None if can(plan) else "Invalid sample rate")
    return [
        [(plan.direction, plan.rate, plan.sample, plan.capture_channels, plan.playback_channels) for plan in plans]
        for plans in negotiate.negotiate(wishes, found)
    ]


def test_one_clock_is_one_stream_and_two_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    same = offers(monkeypatch, lambda plan: True, WISHES, Pair(USB, USB))
    assert same[0] == [("both", 48000, "int16", 1, 1)]
    assert same[-1][0][0] == "capture"  # should one stream not open
    apart = offers(monkeypatch, lambda plan: True, WISHES, Pair(USB, HDMI))
    assert apart[0] == [("capture", 48000, "int16", 1, 1), ("playback", 48000, "int16", 1, 1)]
    forced = offers(monkeypatch, lambda plan: True, replace(WISHES, one_stream=False), Pair(USB, USB))
    assert len(forced[0]) == 2
    assert Pair(PULSE, PULSE).one_clock


def test_the_format_falls_back_to_what_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A microphone of 16 kHz with six channels, a loudspeaker of 44.1 kHz stereo: each has its own rate."""

    def can(plan: StreamPlan) -> bool:
        heard = plan.microphone is None or (plan.rate, plan.capture_channels) == (16000, 6)
        return heard and (plan.loudspeaker is None or (plan.rate, plan.playback_channels) == (44100, 2))

    first = offers(monkeypatch, can, WISHES, Pair(ARRAY, HDMI))[0]
    assert [part[1] for part in first] == [16000, 44100]
    assert first[0][3] == 6
    assert first[1][4] == 2
    floats = offers(monkeypatch, lambda plan: plan.sample == "float32", WISHES, Pair(USB, USB))[0]
    assert floats[0][:3] == ("both", 48000, "float32")


def test_named_channels_open_all_up_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    wishes = replace(WISHES, microphone_channel=4, loudspeaker_channels=(1,))
    first = offers(monkeypatch, lambda plan: True, wishes, Pair(ARRAY, HDMI))[0]
    assert (first[0][3], first[1][4]) == (5, 2)
    for wrong in (replace(WISHES, microphone_channel=6), replace(WISHES, loudspeaker_channels=(8,))):
        with pytest.raises(DeviceError, match="has channels 0 to"):
            offers(monkeypatch, lambda plan: True, wrong, Pair(ARRAY, HDMI))


def test_a_rate_that_nobody_offers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match="offer no format at 22050 Hz: Invalid sample rate"):
        offers(monkeypatch, lambda plan: plan.rate != 22050, replace(WISHES, rate=22050), Pair(USB, USB))


def test_behind_a_sound_server_latency_is_what_keeps_sound_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(negotiate, "supported", lambda plan: None)
    assert next(negotiate.negotiate(WISHES, Pair(PULSE, PULSE)))[0].latency_s == 0.1
    assert next(negotiate.negotiate(WISHES, Pair(USB, USB)))[0].latency_s is None
    assert next(negotiate.negotiate(replace(WISHES, latency_ms=40.0), Pair(PULSE, PULSE)))[0].latency_s == 0.04
    assert pair(WISHES, ALL) == Pair(PULSE, PULSE)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"microphone": 3}, "microphone is 3: give the device's name"),
        ({"loudspeaker": " "}, "loudspeaker is ' '"),
        ({"rate": 4000}, "rate is 4000"),
        ({"block_ms": 0}, "block_ms is 0"),
        ({"latency_ms": 0}, "latency_ms is 0"),
        ({"microphone_channel": 32}, "microphone_channel is 32"),
        ({"loudspeaker_channels": []}, "loudspeaker_channels is empty"),
        ({"loudspeaker_channels": [-1]}, "loudspeaker_channels is -1"),
        ({"priority": 100}, "priority is 100"),
        ({"hold_s": -1}, "hold_s is -1"),
    ],
)
def test_nonsense_is_refused_before_anything_opens(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        engine.Device(**arguments)


async def opening() -> None:
    async with engine.Device().open(SoundSettings()):
        raise AssertionError("it opened")


def test_a_virtual_clock_has_no_device() -> None:
    with pytest.raises(ConfigError, match="use WavFile or Memory on a virtual loop"):
        run_virtual(opening())


def test_without_sounddevice_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'bargein\[device\]'"):
        portaudio.library()


def test_without_portaudio_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(DeviceError, match="apt-get install libportaudio2"):
        portaudio.library()


@pytest.mark.parametrize(
    ("told", "remedy"),
    [
        ("Error opening Stream: Device unavailable [PaErrorCode -9985]", "busy or unplugged"),
        ("Error opening Stream: Invalid sample rate [PaErrorCode -9997]", "leave `rate` out"),
        ("Error opening Stream: Invalid number of channels [PaErrorCode -9998]", "fewer channels"),
        ("Illegal combination of I/O devices", "Illegal combination"),
    ],
)
def test_what_portaudio_says_comes_with_a_remedy(told: str, remedy: str) -> None:
    plan = StreamPlan("both", 0, 0, 1, 1, 48000, "int16", 480, None)
    assert remedy in portaudio._explained(RuntimeError(told), plan)


@pytest.mark.parametrize(
    ("seconds", "milliseconds"), [(0.03, 30.0), (89478.0, None), (0.0, None), (-1.0, None), (None, None)]
)
def test_nonsense_latency_is_not_passed_on(seconds: float | None, milliseconds: float | None) -> None:
    assert portaudio._sane(seconds) == milliseconds
