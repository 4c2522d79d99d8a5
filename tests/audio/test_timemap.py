"""Captured and sent time, both ways, over pauses, late sound and long conversations."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.audio import Gate, GateMode, TimeMap
from engine.audio.duplex import LATE, RECORD, SILENCE
from engine.audio.timemap import MAX_GAPS, MAX_RUNS
from tests.audio.sounds import HOP, Bench, hops, voice


def records(*sent: tuple[int, int]) -> NDArray[np.void]:
    """Records from pairs of captured hop and flags."""
    array = np.zeros(len(sent), RECORD)
    array["position"] = [hop * HOP for hop, _ in sent]
    array["flags"] = [flags for _, flags in sent]
    return array


def mapped(*sent: tuple[int, int]) -> TimeMap:
    """A map that has seen these records."""
    time_map = TimeMap()
    time_map.add(records(*sent))
    return time_map


def test_steady_sending_is_the_same_time() -> None:
    time_map = mapped(*[(hop, 0) for hop in range(100)])
    assert time_map.sent_ms == 1000
    for ms in (0, 7, 500, 999):
        assert time_map.captured(ms) == ms
        assert time_map.sent(ms) == ms
    assert time_map.sent(1000) is None


def test_nothing_sent_is_nowhere() -> None:
    assert TimeMap().captured(0) is None
    assert TimeMap().sent(0) is None
    assert mapped((0, 0)).captured(-1) is None


def test_a_pause_shifts_what_comes_after_it() -> None:
    time_map = mapped(*[(hop, 0) for hop in range(10)], *[(hop, 0) for hop in range(60, 70)])
    assert time_map.captured(99) == 99
    assert time_map.captured(100) == 600
    assert time_map.captured(150) == 650
    assert time_map.captured(100, end=True) == 100, "what ended there was captured before the pause"
    assert time_map.captured(0, end=True) == 0
    assert time_map.sent(600) == 100
    assert time_map.sent(300) is None


def test_lost_sound_has_passed_too() -> None:
    time_map = mapped(*[(hop, 0) for hop in range(100)])
    time_map.lose(300, 25)
    time_map.lose(600, -5)
    assert [time_map.clock(ms) for ms in (0, 299, 300, 599, 600, 999)] == [0, 299, 325, 624, 620, 1019]
    assert time_map.lost_ms == 20
    for number in range(2 * MAX_GAPS):
        time_map.lose(1000 + number, 1)
    assert time_map.lost_ms == 20 + 2 * MAX_GAPS
    assert time_map.clock(10**6) == 10**6 + time_map.lost_ms


def test_held_speech_maps_to_when_it_was_said() -> None:
    sent = [(hop, 0) for hop in range(10)]
    sent += [(hop, SILENCE) for hop in range(10, 20)]
    sent += [(hop, LATE) for hop in range(10, 20)] + [(20, 0)]
    time_map = mapped(*sent)
    assert time_map.captured(150) == 150, "silence stands for the time it was sent in"
    assert time_map.captured(200) == 100
    assert time_map.captured(290) == 190
    assert time_map.sent(100) == 200
    assert time_map.sent(155) == 255
    assert time_map.sent(200) == 300


def test_an_offset_beyond_what_was_sent_is_the_end() -> None:
    assert mapped((0, 0), (1, 0)).captured(5000) == 20


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(1, 6), st.booleans()), max_size=30), st.integers(1, 7))
@settings(max_examples=60, deadline=None)
def test_what_was_sent_as_sound_comes_back(runs: list[tuple[int, int, bool]], size: int) -> None:
    sent: list[tuple[int, int]] = []
    hop = 0
    for skip, length, silent in runs:
        hop += skip
        sent += [(hop + n, SILENCE if silent else 0) for n in range(length)]
        hop += length
    time_map = TimeMap()
    for start in range(0, len(sent), size):
        time_map.add(records(*sent[start : start + size]))
    assert time_map.sent_ms == 10 * len(sent)
    for index, (captured, flags) in enumerate(sent):
        assert time_map.captured(10 * index + 3) == 10 * captured + 3
        assert time_map.sent(10 * captured + 3) == (None if flags else 10 * index + 3)


def test_old_runs_are_forgotten_and_the_newest_are_right() -> None:
    time_map = TimeMap()
    count = 3 * MAX_RUNS
    time_map.add(records(*[(2 * n, 0) for n in range(count)]))
    assert len(time_map._runs) <= MAX_RUNS
    assert time_map.captured(10 * (count - 1)) == 20 * (count - 1)
    assert time_map.captured(0) is None
    assert time_map.sent(20 * (count - 1)) == 10 * (count - 1)


def test_a_gate_that_pauses_is_mapped_back() -> None:
    bench = Bench(gate=Gate(GateMode.PAUSE, linger_ms=0, hold_ms=100, preroll_ms=100))
    bench.say(np.concatenate([hops(100), voice(HOP * 50), hops(200), voice(HOP * 50, 2), hops(100)]))
    time_map = TimeMap()
    time_map.add(bench.duplex.read_records())
    assert time_map.sent_ms < 2500
    for said in (1000, 1200, 1490, 3500, 3700, 3990):
        where = time_map.sent(said)
        assert where is not None
        assert time_map.captured(where) == said
    assert time_map.sent(500) is None
    assert time_map.sent(2500) is None
