"""The Python face of a stream's C callback, without any device."""

from __future__ import annotations

import pytest

from engine.audio import AudioEvent, DeviceCallback, Duplex, DuplexConfig, EventKind
from engine.audio.duplex import _signed
from engine.errors import ConfigError
from engine.native import lib, new


def test_pointers_are_c_and_figures_begin_at_zero() -> None:
    callback = DeviceCallback(Duplex(), "both", priority=0)
    assert "calling" not in repr(callback.callback)
    stats, stamps = callback.stats(), callback.stamps("capture")
    assert stats.callbacks == stats.frames == stats.missing_frames == stats.flagged == 0
    assert stats.realtime is None
    assert not stats.finished
    assert stats.missing_callbacks == 0.0
    assert stamps.gaps == 0


def test_a_call_passes_both_halves_and_counts() -> None:
    duplex = Duplex(DuplexConfig(capture_rate=24000, playback_rate=24000))
    callback = DeviceCallback(duplex)
    time = new("rt_device_time *", {"adc": 1.0, "now": 1.02, "dac": 1.05})
    silence = new("int16_t[480]")
    heard = new("int16_t[480]")
    for _ in range(3):
        assert lib.rt_device_callback(silence, heard, 480, time, lib.RT_OUTPUT_UNDERFLOW, callback.userdata) == 0
    stats = callback.stats()
    assert (stats.callbacks, stats.frames, stats.output_underflows, stats.flagged) == (3, 1440, 3, 3)
    assert stats.newest_s > 0
    assert duplex.capture_stats().frames == duplex.playback_stats().frames == 1440
    lib.rt_device_finished(callback.userdata)
    assert callback.stats().finished


def test_a_gap_is_an_event_with_its_sign() -> None:
    duplex = Duplex(DuplexConfig(capture_rate=48000, playback_rate=48000))
    lib.rt_capture_gap(duplex.pointer, 960)
    lib.rt_playback_gap(duplex.pointer, -480)
    assert duplex.read_events() == [
        AudioEvent(EventKind.CAPTURE_GAP, 480, 0),
        AudioEvent(EventKind.PLAYBACK_GAP, -240, 0),
    ]
    assert _signed(EventKind.DUCKED, 2**32 - 1) == 2**32 - 1


@pytest.mark.parametrize(
    ("config", "arguments", "complaint"),
    [
        (DuplexConfig(), {"direction": "sideways"}, "direction is 'sideways'"),
        (DuplexConfig(), {"priority": 100}, "priority 0 to 99"),
        (DuplexConfig(playback_rate=24000), {}, "equal rates"),
        (DuplexConfig(playback_channels=2), {"channels": [2]}, "channel is 2"),
        (DuplexConfig(playback_channels=2), {"channels": []}, "channels are empty"),
    ],
)
def test_what_cannot_be_is_refused(config: DuplexConfig, arguments: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        DeviceCallback(Duplex(config), **arguments)  # type: ignore[arg-type]
