"""Both halves by the block: formats, any cutting, and barge-in decided in the hop in which speech is heard."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.audio import (
    AudioFormat,
    BargeIn,
    Duplex,
    DuplexConfig,
    EventKind,
    Gate,
    GateMode,
    Policy,
    Resampler,
    alaw_decode,
    alaw_encode,
    ulaw_decode,
    ulaw_encode,
)
from engine.audio.duplex import LATE, SILENCE
from engine.errors import ConfigError

from .sounds import HOP, Bench, Shorts, hops, reply, voice

CODERS = {AudioFormat.PCMU: (ulaw_encode, ulaw_decode), AudioFormat.PCMA: (alaw_encode, alaw_decode)}
QUICK = settings(max_examples=25, deadline=None)


def at_24k(**fields: Any) -> Duplex:
    """A mono duplex without resampling."""
    return Duplex(DuplexConfig(**{"capture_rate": 24000, "playback_rate": 24000, **fields}))


def payload(records: np.ndarray[Any, Any]) -> bytes:
    """The sent bytes."""
    return b"".join(record["payload"][: record["bytes"]].tobytes() for record in records)


def cut(total: int, sizes: list[int]) -> list[tuple[int, int]]:
    """Start and end of consecutive blocks of these sizes, repeated, over `total`."""
    spans, at, turn = [], 0, 0
    while at < total:
        end = min(total, at + sizes[turn % len(sizes)])
        spans.append((at, end))
        at, turn = end, turn + 1
    return spans


# ---- formats


def test_pcm_at_24_khz_is_sent_bit_for_bit() -> None:
    duplex = at_24k()
    sound = voice(HOP * 30)
    for start, end in cut(len(sound), [480]):
        duplex.capture(sound[start:end])
    records = duplex.read_records()
    assert payload(records) == sound.tobytes()
    assert records["position"].tolist() == [HOP * n for n in range(30)]
    assert not records["flags"].any()


@pytest.mark.parametrize("audio_format", [AudioFormat.PCMU, AudioFormat.PCMA])
def test_g711_is_sent_as_resampled_and_coded(audio_format: AudioFormat) -> None:
    duplex = at_24k(send_format=audio_format)
    sound = voice(HOP * 30)
    for start, end in cut(len(sound), [480]):
        duplex.capture(sound[start:end])
    encode = CODERS[audio_format][0]
    expected = encode(Resampler(24000, 8000).process(sound))
    records = duplex.read_records()
    assert set(records["bytes"].tolist()) == {80}
    assert payload(records) == expected.tobytes()


def test_pcm_at_24_khz_is_played_bit_for_bit() -> None:
    duplex = at_24k()
    sound = reply(5000)
    duplex.queue.push("a", 0, sound.tobytes())
    duplex.queue.complete("a", 0)
    out = np.concatenate([duplex.playback(1000) for _ in range(6)])
    assert (out[:5000] == sound).all()
    assert not out[5000:].any()


@pytest.mark.parametrize("audio_format", [AudioFormat.PCMU, AudioFormat.PCMA])
def test_g711_is_played_as_decoded_and_resampled(audio_format: AudioFormat) -> None:
    encode, decode = CODERS[audio_format]
    codes = encode(voice(4000, rate=8000))
    duplex = at_24k(receive_format=audio_format)
    duplex.queue.push("a", 0, codes.tobytes())
    out = duplex.playback(9000)
    assert (out == Resampler(8000, 24000).process(decode(codes))[:9000]).all()


def test_float_samples_are_clamped_and_what_is_no_number_is_silence() -> None:
    duplex = at_24k(sample="float32")
    sound = (voice(HOP * 4) / 32768).astype(np.float32)
    sound[10], sound[20], sound[30], sound[40] = np.nan, np.inf, -np.inf, 3.0
    duplex.capture(sound)
    got = np.frombuffer(payload(duplex.read_records()), np.int16)
    assert got[[10, 20, 30, 40]].tolist() == [0, 32767, -32768, 32767]
    assert (got[50:] == np.round(sound[50:] * 32768)).all()
    duplex.queue.push("a", 0, reply(480).tobytes())
    out = duplex.playback(480)
    assert out.dtype == np.float32
    assert (out * 32768 == reply(480)).all()


def test_one_channel_is_heard_and_all_are_played() -> None:
    duplex = at_24k(capture_channels=3, capture_channel=1, playback_channels=2)
    sound = np.stack([reply(HOP), voice(HOP), reply(HOP, 9)], axis=1)
    duplex.capture(sound)
    assert payload(duplex.read_records()) == voice(HOP).tobytes()
    duplex.queue.push("a", 0, reply(480).tobytes())
    out = duplex.playback(480)
    assert out.shape == (480, 2)
    assert (out[:, 0] == reply(480)).all()
    assert (out[:, 1] == out[:, 0]).all()


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 48000, 96000, 192000])
def test_every_rate_is_sent_in_records_of_10_ms(rate: int) -> None:
    duplex = Duplex(DuplexConfig(capture_rate=rate, playback_rate=rate))
    for _ in range(100):
        duplex.process(np.zeros(rate // 100, np.int16))
    stats = duplex.capture_stats()
    assert stats.frames == rate // 100 * 100
    assert 98 <= len(duplex.read_records()) <= 100
    assert duplex.playback_stats().frames == stats.frames


# ---- any cutting


@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=8).filter(any),
    st.sampled_from([8000, 16000, 24000, 44100, 48000]),
)
@QUICK
def test_any_way_of_cutting_the_microphone_gives_the_same_records_and_reports(sizes: list[int], rate: int) -> None:
    sound = np.concatenate([np.zeros(rate // 10, np.int16), voice(rate // 3, rate=rate), np.zeros(rate // 4, np.int16)])

    def capture(blocks: list[tuple[int, int]]) -> tuple[bytes, list[Any]]:
        duplex = Duplex(DuplexConfig(capture_rate=rate, gate=Gate(GateMode.SILENCE)))
        for start, end in blocks:
            duplex.capture(sound[start:end])
        return duplex.read_records().tobytes(), duplex.read_events()

    records, events = capture(cut(len(sound), [960]))
    assert [event.kind for event in events] == [EventKind.SPEECH_STARTED, EventKind.SPEECH_STOPPED]
    again, same = capture(cut(len(sound), sizes))
    assert same == events
    assert payload(np.frombuffer(again, dtype=RECORD)) == payload(np.frombuffer(records, dtype=RECORD))


@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=8).filter(any),
    st.sampled_from([8000, 24000, 44100, 48000]),
    st.sampled_from(list(AudioFormat)),
)
@QUICK
def test_any_way_of_cutting_the_loudspeaker_gives_the_same_sound(
    sizes: list[int], rate: int, form: AudioFormat
) -> None:
    def play(blocks: list[tuple[int, int]]) -> Shorts:
        duplex = Duplex(DuplexConfig(playback_rate=rate, receive_format=form))
        duplex.queue.push("a", 0, reply(5000).tobytes())
        duplex.queue.complete("a", 0)
        return np.concatenate([duplex.playback(end - start) for start, end in blocks])

    total = rate // 2
    assert (play(cut(total, sizes)) == play(cut(total, [960]))).all()


RECORD = np.dtype([("position", "<u8"), ("bytes", "<u4"), ("flags", "<u4"), ("payload", "u1", (480,))])


# ---- barge-in


def interrupted(**fields: Any) -> tuple[Bench, int]:
    """A long reply, and speech over it from hop 50 on; returns the bench and the hop in which it stands out."""
    bench = Bench(**fields)
    bench.play(reply(24000 * 5))
    bench.say(hops(50))
    bench.say(voice(HOP * 40))
    bench.say(hops(100))
    onset = next(n for n, p in enumerate(bench.probabilities) if p >= 0.15)  # out of silence a voice counts twice
    return bench, onset


def test_speech_ducks_the_reply_in_the_hop_in_which_it_is_heard() -> None:
    bench, onset = interrupted()
    ducked = bench.the(EventKind.DUCKED)
    assert ducked.position == onset * HOP
    sound = reply(24000 * 5)[onset * HOP : (onset + 2) * HOP].astype(float)
    played = np.concatenate(bench.heard[onset : onset + 2]).astype(float)
    gain = played / sound
    assert gain[0] > 0.99
    assert gain[HOP - 1] == pytest.approx(10 ** (-18 / 20), abs=0.01)
    assert gain[HOP:] == pytest.approx(10 ** (-18 / 20), abs=0.001)


def test_the_duck_comes_soon_after_the_onset_of_speech() -> None:
    _, onset = interrupted()
    assert 50 <= onset <= 58, "hops; speech begins with hop 50"


def test_sustained_speech_ends_the_reply_within_the_fade() -> None:
    bench, _ = interrupted(barge_in=BargeIn(confirm_ms=120, sure=0))
    confirmed = bench.the(EventKind.CONFIRMED)
    assert confirmed.position - bench.the(EventKind.DUCKED).position == 11 * HOP  # 120 ms, the first hop counted
    played = np.concatenate(bench.heard)
    assert played[confirmed.position : confirmed.position + 240].any()
    assert not played[confirmed.position + 480 :].any()


def test_what_is_not_sure_to_be_speech_has_to_go_on_longer() -> None:
    def waited(**fields: Any) -> int:
        bench, _ = interrupted(barge_in=BargeIn(confirm_ms=120, **fields))
        return bench.the(EventKind.CONFIRMED).position - bench.the(EventKind.DUCKED).position

    assert waited(threshold=0.1, sure=0) == 11 * HOP
    assert waited(threshold=0.1, sure=1.0) > 11 * HOP


def test_the_ledger_counts_what_was_heard_before_the_fade() -> None:
    bench, _ = interrupted()
    confirmed = bench.the(EventKind.CONFIRMED).position
    position = bench.queue.position("item", 0)
    assert position is not None
    assert (position.played, position.faded) == (confirmed, 480)
    assert position.played + position.faded + position.discarded == position.queued == 24000 * 5


@pytest.mark.parametrize("fade_ms", [5, 20, 60])
@pytest.mark.parametrize("rate", [8000, 24000, 44100, 48000])
def test_silence_comes_within_fade_and_hop_at_every_rate(rate: int, fade_ms: int) -> None:
    barge_in = BargeIn(fade_ms=fade_ms)
    bench = Bench(barge_in, capture_rate=rate, playback_rate=rate, max_block=rate // 100)
    bench.play(reply(24000 * 5))
    bench.say(np.zeros(rate // 2, np.int16))
    bench.say(voice(rate // 2, rate=rate))
    confirmed = bench.the(EventKind.CONFIRMED).position / 24000
    played = np.concatenate(bench.heard)
    # the report's time is captured time; capture and playback filters lie between the two
    late = (bench.duplex.capture_latency_ms(rate // 100) + bench.duplex.playback_latency_ms(rate // 100)) / 1000
    sounding = np.flatnonzero(np.abs(played) > 2)
    last = sounding[-1] / rate
    assert confirmed < last <= confirmed + fade_ms / 1000 + 0.010 + late


def test_a_cough_leaves_the_queue_and_the_server_untouched() -> None:
    bench = Bench()
    sound = reply(24000 * 3)
    bench.play(sound)
    bench.say(hops(50))
    bench.say(voice(HOP * 5))
    bench.say(hops(300))
    assert [event.kind for event in bench.events if event.kind in (3, 4, 5, 6)] == [
        EventKind.DUCKED,
        EventKind.RESTORED,
    ]
    position = bench.queue.position("item", 0)
    assert position is not None
    assert (position.played, position.faded, position.discarded) == (len(sound), 0, 0)
    restored = bench.the(EventKind.RESTORED).position
    played = np.concatenate(bench.heard)
    after = restored + HOP
    assert (played[after : len(sound)] == sound[after:]).all()
    records = bench.duplex.read_records()
    ducked = bench.the(EventKind.DUCKED).position
    held = records[(records["position"] >= ducked) & (records["position"] < restored)]
    assert len(held) == (restored - ducked) // HOP
    assert (held["flags"] == SILENCE).all(), "a cough was sent"
    assert not held["payload"].any()
    assert not (records["flags"] & LATE).any()


def test_held_speech_is_sent_whole_once_the_interruption_is_confirmed() -> None:
    bench, onset = interrupted()
    records = bench.duplex.read_records()
    confirmed = bench.the(EventKind.CONFIRMED).position
    sound = records[records["flags"] & SILENCE == 0]
    assert sound["position"].tolist() == [HOP * n for n in range(len(sound))], "lost, doubled or out of order"
    microphone = np.concatenate([hops(50), voice(HOP * 40), hops(100)])
    assert payload(sound) == microphone[: len(sound) * HOP].tobytes()
    silent = records[records["flags"] & SILENCE != 0]
    assert silent["position"].tolist() == [HOP * n for n in range(onset, confirmed // HOP)]
    late = records[records["flags"] & LATE != 0]
    assert late["position"][0] == onset * HOP
    arrived = int(np.flatnonzero(records["flags"] & LATE)[0])
    assert arrived == confirmed // HOP, "held sound goes out in the hop of the confirmation"


def test_the_end_of_the_reply_sends_what_was_held() -> None:
    bench = Bench()
    bench.play(reply(HOP * 55))
    bench.say(hops(50))
    bench.say(voice(HOP * 8))
    bench.say(hops(60))
    assert bench.the(EventKind.RELEASED).position < bench.the(EventKind.DUCKED).position + 8 * HOP
    records = bench.duplex.read_records()
    sound = records[records["flags"] & SILENCE == 0]
    assert sound["position"].tolist() == [HOP * n for n in range(len(sound))]
    assert not bench.of(EventKind.CONFIRMED)


def test_nothing_of_a_latched_generation_is_heard_while_the_loop_sleeps() -> None:
    bench, _ = interrupted()
    generation = bench.the(EventKind.CONFIRMED).value
    assert generation == bench.queue.newest
    for n in range(20):  # its deltas keep arriving, Python has not seen the report yet
        bench.queue.push("late", 0, reply(4800, n).tobytes(), generation)
        assert not bench.say(hops(10)).any()
    position = bench.queue.position("late", 0)
    assert position is not None
    assert (position.played, position.faded, position.discarded) == (0, 0, 20 * 4800)
    living = bench.play(reply(2400, 99), "next")
    assert living > generation
    assert (bench.say(hops(10)) == reply(2400, 99)).all()


def test_a_new_reply_may_be_interrupted_again() -> None:
    bench, _ = interrupted()
    second = bench.play(reply(24000 * 5, 3), "second")
    bench.say(hops(20))
    bench.say(voice(HOP * 30, 5))
    bench.say(hops(20))
    assert [event.value for event in bench.of(EventKind.CONFIRMED)] == [1, second]


def test_never_does_nothing() -> None:
    bench, _ = interrupted(barge_in=BargeIn(Policy.NEVER))
    assert not [event for event in bench.events if EventKind.DUCKED <= event.kind <= EventKind.RELEASED]
    assert (np.concatenate(bench.heard) == reply(24000 * 5)[: 190 * HOP]).all()
    assert not (bench.duplex.read_records()["flags"]).any()


def test_the_servers_policy_ducks_and_sends_and_leaves_the_decision() -> None:
    bench, _ = interrupted(barge_in=BargeIn(Policy.SERVER))
    assert bench.the(EventKind.DUCKED)
    assert bench.the(EventKind.RESTORED)
    assert not bench.of(EventKind.CONFIRMED)
    assert not bench.duplex.read_records()["flags"].any(), "speech was held back from the server that decides"


def test_speech_while_nothing_plays_is_no_interruption() -> None:
    bench = Bench()
    bench.say(voice(HOP * 40))
    assert bench.the(EventKind.SPEECH_STARTED)
    assert not bench.of(EventKind.DUCKED)


def test_reports_of_a_reply_are_in_order() -> None:
    bench, _ = interrupted()
    kinds = [event.kind for event in bench.events if event.kind >= EventKind.PLAYING]
    assert kinds == [EventKind.PLAYING, EventKind.FADING, EventKind.SILENT]


# ---- controls and figures


def test_mute_sends_silence() -> None:
    duplex = at_24k()
    duplex.set_mute(True)
    duplex.capture(voice(HOP * 10))
    assert not np.frombuffer(payload(duplex.read_records()), np.int16).any()
    assert not duplex.read_events()
    duplex.set_mute(False)
    duplex.capture(voice(HOP * 10))
    assert payload(duplex.read_records()) == voice(HOP * 10).tobytes()


def test_volume_is_linear_and_the_limiter_holds_full_scale() -> None:
    duplex = at_24k(sample="float32")
    sound = reply(24000) / 32768
    duplex.set_volume(0.5)
    duplex.queue.push("a", 0, reply(24000).tobytes())
    out = duplex.playback(4800)
    assert out[480:] == pytest.approx(0.5 * sound[480:4800], abs=1e-6)
    assert duplex.playback_stats().limited_hops == 0
    duplex.set_volume(4)
    loud = duplex.playback(4800)
    assert np.abs(loud).max() <= 1.0
    assert np.abs(loud[960:]).max() > 0.9
    gain = (loud / sound[4800:9600])[960:]
    assert np.abs(np.diff(gain)).max() < 0.05, "it clips where it should turn down"
    assert duplex.playback_stats().limited_hops > 0


def test_a_full_record_ring_loses_the_newest_and_counts() -> None:
    duplex = at_24k(records_ms=2000)
    for start, end in cut(HOP * 300, [2400]):
        duplex.capture(reply(HOP * 300)[start:end])
    stats = duplex.capture_stats()
    records = duplex.read_records()
    assert len(records) == stats.records
    assert stats.records + stats.lost_records == 300
    assert len(records) >= 200
    assert payload(records) == reply(HOP * 300)[: len(records) * HOP].tobytes()


def test_no_record_waits_when_none_was_made() -> None:
    assert len(at_24k().read_records()) == 0
    assert at_24k().read_events() == []


def test_latency_counts_filters_and_reblocking() -> None:
    duplex = Duplex(DuplexConfig(capture_rate=48000, playback_rate=48000))
    assert duplex.capture_latency_ms(480) == pytest.approx(1.0, abs=0.1)
    assert duplex.capture_latency_ms(512) > 10
    assert at_24k().playback_latency_ms(HOP) == 0


# ---- bad values

OUT_OF_RANGE: list[tuple[str, dict[str, Any], str]] = [
    ("capture_rate", {"capture_rate": 7999}, "7999: give 8000 to 192000"),
    ("playback_rate", {"playback_rate": 192001}, "192001: give 8000 to 192000"),
    ("capture_channels", {"capture_channels": 0}, "0: give 1 to 32"),
    ("playback_channels", {"playback_channels": 33}, "33: give 1 to 32"),
    ("capture_channel", {"capture_channels": 2, "capture_channel": 2}, "2: give 0 to 1"),
    ("max_block", {"max_block": 0}, "0: give 1 to 96000"),
    ("records_ms", {"records_ms": 1999}, "1999: give 2000 to 60000"),
    ("queue_s", {"queue_s": 0.0}, "0.0: give 0.1 to 600"),
    ("start_ms", {"start_ms": 2001}, "2001: give 0 to 2000"),
    ("refill_ms", {"refill_ms": -1}, "-1: give 0 to 2000"),
    ("speech_threshold", {"speech_threshold": float("nan")}, "nan: give 0 to 1"),
    ("wakeup_records", {"wakeup_records": 0}, "0: give 1 to 100"),
    ("barge_in.threshold", {"barge_in": BargeIn(threshold=1.5)}, "1.5: give 0 to 1"),
    ("barge_in.duck_db", {"barge_in": BargeIn(duck_db=1.0)}, "1.0: give -60 to 0"),
    ("barge_in.confirm_ms", {"barge_in": BargeIn(confirm_ms=5)}, "5: give 10 to 1000"),
    ("barge_in.restore_ms", {"barge_in": BargeIn(restore_ms=2001)}, "2001: give 10 to 2000"),
    ("barge_in.sure", {"barge_in": BargeIn(sure=1.5)}, "1.5: give 0 to 1"),
    ("barge_in.fade_ms", {"barge_in": BargeIn(fade_ms=0)}, "0: give 1 to 200"),
    ("gate.threshold", {"gate": Gate(threshold=-0.1)}, "-0.1: give 0 to 1"),
    ("gate.close_threshold", {"gate": Gate(threshold=0.4, close_threshold=0.5)}, "0.5: give 0 to 0.4"),
    ("gate.hold_ms", {"gate": Gate(hold_ms=10001)}, "10001: give 0 to 10000"),
    ("gate.preroll_ms", {"gate": Gate(preroll_ms=501)}, "501: give 0 to 500"),
    ("gate.linger_ms", {"gate": Gate(linger_ms=-1)}, "-1: give 0 to 60000"),
]


@pytest.mark.parametrize(("field", "settings", "says"), OUT_OF_RANGE, ids=[case[0] for case in OUT_OF_RANGE])
def test_a_setting_out_of_range_names_field_value_and_range(field: str, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Duplex(DuplexConfig(**settings))
    assert f"{field} is {says}" in str(raised.value)


def test_an_unknown_sample_type_is_named() -> None:
    with pytest.raises(ConfigError, match="sample is 'int24': use int16 or float32"):
        Duplex(DuplexConfig(sample="int24"))


@pytest.mark.parametrize(
    "block",
    [np.zeros(10, np.float32), np.zeros((10, 2), np.int16), np.zeros(9601, np.int16)],
    ids=["type", "shape", "length"],
)
def test_a_wrong_block_is_refused(block: np.ndarray[Any, Any]) -> None:
    with pytest.raises(ConfigError, match=r"block (is|has)"):
        Duplex().capture(block)


def test_too_long_a_block_is_refused() -> None:
    with pytest.raises(ConfigError, match="frames is 9601"):
        Duplex().playback(9601)
    with pytest.raises(ConfigError, match="volume is 5"):
        Duplex().set_volume(5)


def test_an_empty_block_changes_nothing() -> None:
    duplex = at_24k()
    assert duplex.process(np.zeros(0, np.int16)).shape == (0,)
    assert duplex.capture_stats().frames == 0
