"""The input buffer: the same happenings for any cut of the same audio, and no sample lost or handed out twice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.audio import AudioFormat, VoiceDetector
from engine.server.formats import Encoder, decode_all
from engine.server.input_audio import Happening, InputAudio, SpeechStarted, SpeechStopped
from engine.server.turns import Paused, Started, Stopped, TurnDetector, TurnSettings
from tests.server.harness import PCM, PCMU, silence, speech, wire

LIMIT = 32 * 2**20
DEFAULTS = TurnSettings()


def buffer(
    format: AudioFormat = PCM, turns: TurnSettings | None = DEFAULTS, limit: int = LIMIT, history_ms: int = 1000
) -> InputAudio:
    return InputAudio(format, lambda: VoiceDetector(24000), settings=turns, limit_bytes=limit, history_ms=history_ms)


def happenings(data: bytes, sizes: Sequence[int], format: AudioFormat = PCM) -> list[Happening]:
    """What a buffer says when the data come in pieces of these sizes, over and over."""
    audio, found, at, turn = buffer(format), [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        found += list(audio.append(data[at : at + size]))
        at, turn = at + size, turn + 1
    return found


def two_turns(format: AudioFormat) -> bytes:
    parts = [silence(0.7), speech("good morning to you"), silence(0.9), speech("and good night"), silence(0.8)]
    return wire(*parts, format=format)


@pytest.mark.parametrize("format", list(AudioFormat))
@pytest.mark.parametrize("sizes", [(1,), (7, 1001), (160,), (959, 961), (4800,), (33_333,)])
def test_any_cut_gives_the_same_turns(format: AudioFormat, sizes: tuple[int, ...]) -> None:
    data = two_turns(format)
    data = data[: len(data) // (12 if sizes == (1,) else 1)]  # byte by byte is slow: the silence and the first onset do
    assert happenings(data, sizes, format) == happenings(data, [len(data)], format)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=6), st.sampled_from(list(AudioFormat)))
def test_any_drawn_cut_gives_the_same_turns(sizes: list[int], format: AudioFormat) -> None:
    data = two_turns(format)
    assert happenings(data, sizes, format) == happenings(data, [len(data)], format)


def test_speech_silence_speech_in_one_append_is_two_turns() -> None:
    found = happenings(two_turns(PCM), [10**9])
    assert [type(each) for each in found] == [SpeechStarted, SpeechStopped, SpeechStarted, SpeechStopped]


def test_a_turn_holds_exactly_the_bytes_between_its_offsets() -> None:
    data = two_turns(PCM)
    found = happenings(data, [960])
    for started, stopped in zip(found[::2], found[1::2], strict=True):
        assert isinstance(started, SpeechStarted)
        assert isinstance(stopped, SpeechStopped)
        assert stopped.audio == data[started.start_ms * 48 : stopped.end_ms * 48]


def test_padding_never_reaches_into_what_was_committed() -> None:
    data = wire(speech("one two three"), silence(0.25), speech("four five six"), silence(0.6))
    audio = buffer(turns=TurnSettings(silence_ms=200, prefix_ms=2000))
    found = list(audio.append(data))
    stops = [each.end_ms for each in found if isinstance(each, SpeechStopped)]
    starts = [each.start_ms for each in found if isinstance(each, SpeechStarted)]
    assert len(starts) == 2
    assert starts[1] == stops[0]


@pytest.mark.parametrize(("burst_ms", "turns"), [(30, 0), (60, 0), (200, 1)])
def test_a_short_burst_opens_no_turn(burst_ms: int, turns: int) -> None:
    # The detector rings on for up to 20 ms after a sound, so 60 ms are at most 80 ms to it.
    sound = speech("aaaa aaaa aaaa")[2000 : 2000 + burst_ms * 24]
    found = happenings(wire(silence(1.0), sound, silence(1.0)), [960])
    assert sum(isinstance(each, SpeechStarted) for each in found) == turns


def test_odd_bytes_are_carried_over() -> None:
    data = two_turns(PCM)
    audio = buffer(turns=None)
    for start in range(0, len(data), 333):
        list(audio.append(data[start : start + 333]))
        assert audio.buffered_ms == min(start + 333, len(data)) // 2 / 24
    assert audio.take() == data
    list(audio.append(b"\x01"))
    assert audio.take() == b""
    list(audio.append(b"\x02\x03"))
    assert audio.take() == b"\x01\x02"


def test_offsets_count_everything_ever_written() -> None:
    audio = buffer(turns=None)
    list(audio.append(bytes(48 * 500 + 1)))
    audio.clear()
    list(audio.append(bytes(48 * 250)))
    audio.take()
    assert audio.now_ms == 750
    audio.set_format(PCMU)
    list(audio.append(bytes(8 * 250)))
    assert audio.now_ms == 1000


def test_a_manual_buffer_is_bounded_and_says_what_it_dropped() -> None:
    audio = buffer(turns=None, limit=48_000)
    list(audio.append(bytes(48_000) + bytes([1]) * 4800))
    assert audio.overflowed_bytes == 4800
    assert audio.take() == bytes(48_000 - 4800) + bytes([1]) * 4800


def test_while_nobody_speaks_only_a_history_is_kept() -> None:
    audio = buffer(history_ms=400)
    list(audio.append(bytes(48 * 60_000)))
    assert audio.buffered_ms == 450  # the default padding and the detection window are longer than the history
    assert audio.now_ms == 60_000


def test_commit_in_the_middle_of_speech_ends_the_turn() -> None:
    data = wire(silence(0.5), speech("a long sentence that does not end yet"))
    audio = buffer()
    cut = 48 * 1500
    assert len(list(audio.append(data[:cut]))) == 1
    assert audio.speaking
    taken = audio.take()
    assert taken == data[cut - len(taken) : cut]
    assert not audio.speaking


def test_switching_detection_off_keeps_the_buffer_and_on_again_hears_anew() -> None:
    data = wire(silence(0.5), speech())
    audio = buffer()
    list(audio.append(data))
    before = audio.buffered_ms
    audio.configure(None)
    assert not audio.speaking
    assert audio.buffered_ms == before
    audio.configure(TurnSettings())
    assert [type(each) for each in audio.append(two_turns(PCM))][:2] == [SpeechStarted, SpeechStopped]


@pytest.mark.parametrize("format", list(AudioFormat))
def test_wire_round_trip_keeps_length_and_sound(format: AudioFormat) -> None:
    samples = speech("a b c")
    encoder, data = Encoder(format), b""
    for start in range(0, samples.size, 777):
        data += encoder.process(samples[start : start + 777])
    data += encoder.flush()
    assert len(data) == -(-samples.size * format.rate // 24000) * format.sample_bytes
    back = decode_all(data, format)[: samples.size]
    error = np.sqrt(np.mean((back - samples[: back.size]) ** 2)) / np.sqrt(np.mean(samples**2))
    assert error < 0.05


SPEECH, NOTHING = 1.0, 0.0


def judge(probabilities: Sequence[float], turns: TurnSettings) -> list[Started | Stopped | Paused]:
    detector = TurnDetector(turns)
    found = (detector.step(p, 10 * (n + 1)) for n, p in enumerate(probabilities))
    return [change for change in found if change is not None]


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ([SPEECH] * 9 + [NOTHING] * 60, []),
        ([SPEECH] * 10 + [NOTHING] * 60, [Started(0), Stopped(600)]),
        ([NOTHING] * 5 + [SPEECH] * 10 + [NOTHING] * 50, [Started(50), Stopped(650)]),
        ([SPEECH] * 5 + [NOTHING] * 5 + [SPEECH] * 5 + [NOTHING] * 50, [Started(0), Stopped(650)]),
        ([SPEECH] * 5 + [NOTHING] * 6 + [SPEECH] * 5 + [NOTHING] * 50, []),
        ([SPEECH] * 10 + [NOTHING] * 49 + [SPEECH] + [NOTHING] * 50, [Started(0), Stopped(1100)]),
        ([SPEECH] * 10 + [0.4] * 60 + [0.3] * 50, [Started(0), Stopped(1200)]),
        ([0.49] * 100, []),
    ],
)
def test_least_speech_and_silence_rules(probabilities: list[float], expected: list[Started | Stopped]) -> None:
    assert judge(probabilities, TurnSettings()) == expected


def test_a_silence_of_nothing_is_the_first_hop_without_speech() -> None:
    assert judge([SPEECH] * 12 + [NOTHING] * 5, TurnSettings(silence_ms=0)) == [Started(0), Stopped(130)]
