"""The paced playout through its Python face: links as telephones have them, and what a caller may get wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.audio import AudioFormat, Packet, PacketKind, Playout, PlayoutPolicy, ulaw_encode
from engine.errors import ConfigError

RATE = 8000
Floats = NDArray[np.float32]
Codes = NDArray[np.uint8]


def voice(seconds: float) -> NDArray[np.int16]:
    """Words of 0.8 s with pauses of 0.4 s between, at 8 kHz."""
    t = np.arange(int(seconds * RATE)) / RATE
    word = t % 1.2
    loud = np.where(word < 0.8, 0.5 - 0.5 * np.cos(2 * np.pi * word / 0.8), 0)
    pitch = 125 * t + 3 * np.sin(2 * np.pi * 0.7 * t)
    tone = sum(np.sin(2 * np.pi * k * pitch) / k for k in range(1, 12))
    noise = np.random.default_rng(3).normal(0, 8, t.size)
    sound: NDArray[np.int16] = (5000 * loud * tone + noise).astype(np.int16)
    return sound


def packets(codes: Codes, late_us: Iterable[int] | None = None, ptime_ms: int = 20) -> list[Packet]:
    """The sound in packets at their pace; each `late_us` later than its own last sample."""
    frames = ptime_ms * RATE // 1000
    count = len(codes) // frames
    late = list(late_us) if late_us is not None else [0] * count
    return [
        Packet(
            codes[n * frames : (n + 1) * frames].tobytes(),
            timestamp=(2**32 - 4000 + n * frames) % 2**32,
            sequence=(65500 + n) % 2**16,
            arrival_us=(n + 1) * ptime_ms * 1000 + late[n],
            ssrc=0xABCD,
        )
        for n in range(count)
    ]


def hear(playout: Playout, arriving: list[Packet], seconds: float) -> Floats:
    """What is heard when each packet is pushed as it arrives, and the end behind the last."""
    queue = sorted(arriving, key=lambda packet: packet.arrival_us)
    heard = []
    for now_us in range(0, int(seconds * 1e6), 10_000):
        while queue and queue[0].arrival_us <= now_us:
            assert playout.push_packet("call", 0, queue.pop(0))
            if not queue:
                playout.complete("call", 0)
        heard.append(playout.process(240, now_us))
    return np.concatenate(heard)


def paced(patience: float = 1.0, audio_format: AudioFormat = AudioFormat.PCMU) -> Playout:
    return Playout(audio_format, capacity_s=5, policy=PlayoutPolicy.PACED, patience=patience)


def test_a_call_over_a_clean_link_is_heard_whole() -> None:
    sound = voice(20)
    playout = paced()
    heard = hear(playout, packets(ulaw_encode(sound)), 20.5)
    stats, link = playout.queue.stats(), playout.queue.link()
    assert (stats.concealed_samples, stats.discarded, stats.underruns) == (0, 0, 0)
    assert (link.packets, link.lost, link.late, link.doubled, link.rebased) == (1000, 0, 0, 0, 0)
    assert stats.jitter_buffer_delay / stats.jitter_buffer_emitted_count / 24 < 45
    a = heard[10 * 24000 : 11 * 24000 : 3].astype(np.float64)
    b = sound[9 * RATE :].astype(np.float64) / 32768
    lag = int(np.argmax(np.correlate(b[: 3 * RATE], a, "valid")))
    rest = a - b[lag : lag + a.size]
    assert 10 * np.log10(np.mean(a**2) / np.mean(rest**2)) > 25, "not the sound that was sent"


@pytest.mark.parametrize("ptime_ms", [5, 10, 30, 60])
def test_any_packet_length_will_do(ptime_ms: int) -> None:
    playout = paced()
    hear(playout, packets(ulaw_encode(voice(12)), ptime_ms=ptime_ms), 12.5)
    stats = playout.queue.stats()
    assert stats.concealed_samples == 0
    assert stats.played == stats.queued == 12 * RATE


def test_a_change_of_packet_length_in_a_call_is_not_heard() -> None:
    codes = ulaw_encode(voice(12))
    half = 6 * RATE
    first, second = packets(codes[:half]), packets(codes[half:], ptime_ms=40)
    second = [
        replace(
            packet,
            timestamp=(packet.timestamp + half) % 2**32,
            sequence=(packet.sequence + len(first)) % 2**16,
            arrival_us=packet.arrival_us + 6_000_000,
        )
        for packet in second
    ]
    playout = paced()
    hear(playout, first + second, 12)
    link = playout.queue.link()
    assert (link.rebased, link.lost, link.late) == (0, 0, 0)
    assert playout.queue.stats().concealed_samples <= 24 * 40, "40 ms packets come 20 ms later than the first of 20 ms"


def test_more_patience_waits_longer_and_conceals_less() -> None:
    late = np.random.default_rng(5).gamma(1.2, 25_000, 3000).astype(int)
    outcome = []
    for patience in (0.4, 1.0, 3.0):
        playout = paced(patience)
        hear(playout, packets(ulaw_encode(voice(60)), late), 60)
        stats = playout.queue.stats()
        outcome.append((stats.jitter_buffer_delay / stats.jitter_buffer_emitted_count, stats.concealed_samples))
    delays, concealed = zip(*outcome, strict=True)
    assert delays[0] < 0.8 * delays[1] < 0.8 * 0.8 * delays[2]
    assert concealed[0] > 2 * concealed[1] > 2 * 2 * concealed[2]


def test_digits_of_a_keypad_are_no_loss() -> None:
    """RFC 4733: while an event is sent there is no sound; its packets share one time stamp and count on."""
    sound = packets(ulaw_encode(voice(10)))
    digit = [
        replace(packet, payload=b"\x05\x0a\x00\xa0", kind=PacketKind.EVENT, timestamp=sound[200].timestamp)
        for packet in sound[200:215]
    ]
    playout = paced()
    hear(playout, sound[:200] + digit + sound[215:], 10)
    link = playout.queue.link()
    assert (link.lost, link.rebased, link.doubled) == (0, 0, 0)
    stats = playout.queue.stats()
    assert stats.discarded <= 24, "what the resampler held when the sound stopped: 3 ms"
    assert stats.jitter_buffer_delay / stats.jitter_buffer_emitted_count / 24 < 70, "the gap did not stay as delay"


def test_comfort_noise_is_heard_at_its_level_while_the_sender_is_silent() -> None:
    sound = packets(ulaw_encode(voice(4)))
    noise = replace(sound[100], payload=bytes([50, 0x30, 0x20]), kind=PacketKind.NOISE)
    playout = paced()
    heard = hear(playout, [*sound[:100], noise, *sound[150:]], 4)
    level = 20 * np.log10(np.sqrt(np.mean(heard[int(2.4 * 24000) : int(2.8 * 24000)] ** 2)))
    assert level == pytest.approx(-50, abs=1)
    assert playout.queue.stats().concealed_samples <= 24 * 60


def test_an_interruption_silences_the_stream_at_once_and_the_ledger_is_whole() -> None:
    playout = paced()
    sound = packets(ulaw_encode(voice(6)))
    hear(playout, sound, 3.0)
    playout.interrupt()
    after = playout.process(24000, 3_000_000)
    assert after[: 20 * 24].any()
    assert not after[20 * 24 :].any()
    (position,) = playout.played()
    assert position.queued == 149 * 160, "the next comes at 3.0 s"
    assert position.played + position.faded + position.discarded == position.queued
    assert position.faded > 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"timestamp": 2**32}, "timestamp"),
        ({"timestamp": -1}, "timestamp"),
        ({"sequence": 65536}, "sequence"),
        ({"ssrc": 2**32}, "ssrc"),
        ({"payload": b""}, "payload"),
    ],
)
def test_a_packet_out_of_range_is_refused_by_name(change: dict[str, object], named: str) -> None:
    packet = Packet(b"\xff" * 160, 0, 0, 0)
    with pytest.raises(ConfigError, match=named):
        paced().push_packet("call", 0, replace(packet, **change))  # type: ignore[arg-type]


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ConfigError, match="whole samples"):
        paced(audio_format=AudioFormat.PCM).push_packet("call", 0, Packet(b"\x00" * 321, 0, 0, 0))


def test_packets_and_sound_do_not_mix() -> None:
    with pytest.raises(ConfigError, match="push_packet"):
        paced().push("a", 0, b"\xff" * 160)
    burst = Playout(AudioFormat.PCMU)
    with pytest.raises(ConfigError, match="PACED"):
        burst.push_packet("a", 0, Packet(b"\xff" * 160, 0, 0, 0))
    with pytest.raises(ConfigError, match="PACED"):
        burst.queue.link()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"max_delay_ms": 100}, "max_delay_ms"),
        ({"max_delay_ms": 6000}, "max_delay_ms"),
        ({"patience": 5.0}, "patience"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(settings: dict[str, float], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Playout(AudioFormat.PCMU, capacity_s=5, policy=PlayoutPolicy.PACED, **settings)  # type: ignore[arg-type]


def test_a_queue_that_nobody_plays_refuses_more_packets() -> None:
    playout = Playout(AudioFormat.PCMU, capacity_s=1, policy=PlayoutPolicy.PACED, max_delay_ms=1000)
    taken = [playout.push_packet("call", 0, packet) for packet in packets(ulaw_encode(voice(3)))]
    assert sum(taken) == 50
    assert not any(taken[50:])
