"""The Python face of the echo reference: a channel beside the microphone, a second device, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.audio import DeviceCallback, Duplex, DuplexConfig, Reference, Resampler
from engine.errors import ConfigError


def noise(frames: int, channels: int = 1) -> Any:
    made = np.random.default_rng(3).integers(-20000, 20000, (frames, channels), dtype=np.int16)
    return made if channels > 1 else made[:, 0]


HOP = 240


def test_a_channel_stands_beside_the_microphone_to_the_sample() -> None:
    config = DuplexConfig(
        capture_rate=24000, capture_channels=2, capture_channel=1, reference=Reference(0), pairs_ms=1000
    )
    duplex = Duplex(config)
    heard = noise(24000, 2)
    for block in np.split(heard, 100):
        duplex.capture(block)
    pairs = duplex.read_pairs()
    assert pairs["position"].tolist() == [240 * k for k in range(100)]
    for name, channel in (("reference", 0), ("microphone", 1)):
        assert np.array_equal(pairs[name].ravel() * 32768, heard[:, channel])
    stats = duplex.reference_stats()
    assert stats is not None
    assert (stats.hops, stats.starved, stats.jumps, stats.lost, stats.age_ms) == (100, 0, 0, 0, None)
    assert stats.flowing and stats.level_rms > 0.3


def test_a_second_device_is_resampled_and_its_absence_counted() -> None:
    duplex = Duplex(DuplexConfig(capture_rate=24000, reference=Reference(1, rate=48000, channels=2), pairs_ms=3000))
    heard = noise(48000, 2)
    for number in range(100):
        duplex.hear_reference(heard[480 * number : 480 * number + 480])
        duplex.capture(np.zeros(240, np.int16))
    for _ in range(20):
        duplex.capture(np.zeros(240, np.int16))
    pairs, stats = duplex.read_pairs(), duplex.reference_stats()
    assert stats is not None
    assert len(pairs) == 120
    assert stats.starved == 1 and not stats.flowing
    assert stats.level_rms == 0.0
    wanted = np.fft.rfft(heard[:, 1] / 32768)
    got = np.fft.rfft(np.repeat(pairs["reference"][:100].ravel(), 2))
    lag = int(np.argmax(np.fft.irfft(got * np.conj(wanted))))
    assert 0 <= lag < 0.05 * 48000  # late by what waits, and what the filter takes


def test_without_a_reference_there_is_nothing() -> None:
    duplex = Duplex(DuplexConfig(pairs_ms=100))
    assert duplex.reference_stats() is None
    for _ in range(30):
        duplex.capture(np.zeros(480, np.int16))
    assert 0 < duplex.capture_stats().lost_pairs < 30
    assert not duplex.read_pairs()["reference"].any()
    with pytest.raises(ConfigError, match="hears no second device"):
        duplex.hear_reference(np.zeros(480, np.int16))
    with pytest.raises(ConfigError, match="a duplex that has one"):
        DeviceCallback(duplex, "reference")


@pytest.mark.parametrize("rate", [48000, 44100, 16000, 24000])
def test_what_is_played_stands_beside_what_is_heard(rate: int) -> None:
    block = rate // 100
    duplex = Duplex(DuplexConfig(capture_rate=rate, playback_rate=rate, max_block=block, pairs_ms=3000))
    reply = np.random.default_rng(8).integers(-8000, 8000, 24000).astype(np.int16)
    duplex.queue.push("item", 0, reply.tobytes(), duplex.queue.open())
    duplex.set_volume(0.5)
    duplex.set_mute(True)
    out = np.concatenate([duplex.process(np.ones(block, np.int16)) for _ in range(110)])
    pairs = duplex.read_pairs()
    assert not pairs["microphone"].any(), "nobody hears a muted microphone"
    beside = pairs["reference"].ravel()
    assert not beside[:HOP].any()
    played = Resampler(HOP * 100, rate).process(beside[HOP:])
    assert np.abs(played * 32768 - out[: len(played)]).max() <= 1, "before the device's rate"
    assert np.abs(beside[3 * HOP :]).max() * 32768 == pytest.approx(4000, rel=0.01), "after the volume"


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (Reference(2), "reference.channel is 2"),
        (Reference(0, rate=7000), "reference.rate is 7000"),
        (Reference(0, rate=48000, channels=33), "reference.channels is 33"),
        (Reference(4, rate=48000, channels=4), "reference.channel is 4"),
    ],
)
def test_what_cannot_be_is_refused(reference: Reference, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Duplex(DuplexConfig(capture_channels=2, reference=reference))


def test_a_block_of_another_shape_is_refused() -> None:
    duplex = Duplex(DuplexConfig(reference=Reference(0, rate=48000, channels=2)))
    for block in (np.zeros(480, np.int16), np.zeros((480, 2), np.float32), np.zeros((480, 3), np.int16)):
        with pytest.raises(ConfigError, match="block is"):
            duplex.hear_reference(block)
