"""The way into the playout queue: order kept, nothing lost below the limit, bounded above it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.audio import Inlet, Playout

NOISE = np.random.default_rng(5).integers(-30000, 30000, 100_000).astype(np.int16)


def small(limit: int = 1 << 20) -> tuple[Playout, Inlet]:
    """A queue of 100 ms and the way into it, one generation open."""
    playout = Playout(capacity_s=0.1, refill_ms=0)
    playout.queue.open()
    return playout, Inlet(playout.queue, limit)


def play_out(playout: Playout, inlet: Inlet) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Play until nothing waits anywhere, moving on what fits before each hop."""
    parts = []
    for _ in range(2000):
        inlet.pump()
        if not inlet.waiting_bytes and not playout.queue.waiting:
            break
        parts.append(playout.process(240))
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


@given(st.lists(st.integers(0, 6000), min_size=1, max_size=12))
@settings(max_examples=40, deadline=None)
def test_everything_comes_out_in_order_however_large_the_deltas(sizes: list[int]) -> None:
    playout, inlet = small()
    data = NOISE.tobytes()[: sum(sizes) // 2 * 2]
    at = 0
    for size in sizes:
        assert inlet.push("a", 0, 1, data[at : at + size])
        at += size
    assert inlet.waiting_bytes <= len(data)
    inlet.complete("a", 0, 1)
    out = play_out(playout, inlet)
    assert (out[: len(data) // 2] * 32768 == np.frombuffer(data, np.int16)).all()
    assert inlet.waiting_bytes == 0
    if len(data):
        playout.process(240)
        (position,) = playout.played()
        assert (position.played, position.complete, position.ended) == (len(data) // 2, True, True)
        assert playout.queue.stats().underruns == 0


def test_two_items_stay_in_order_and_end_each_after_its_own_sound() -> None:
    playout, inlet = small()
    for name, start in (("a", 0), ("b", 5000)):
        assert inlet.push(name, 0, 1, NOISE[start : start + 5000].tobytes())
        inlet.complete(name, 0, 1)
    first = playout.queue.position("a", 0)
    assert first is not None
    assert not first.complete
    out = play_out(playout, inlet)
    assert (out[:10000] * 32768 == NOISE[:10000]).all()
    assert [position.complete for position in playout.played()] == [True, True]


def test_beyond_the_limit_sound_is_refused_and_what_waits_stays_whole() -> None:
    playout, inlet = small(limit=10_000)
    assert inlet.push("a", 0, 1, NOISE[:5000].tobytes())  # 4800 bytes fit the queue, 5200 wait
    assert inlet.waiting_bytes == 5200
    assert inlet.push("a", 0, 1, NOISE[5000:7400].tobytes())
    assert inlet.waiting_bytes == 10_000
    assert not inlet.push("a", 0, 1, b"\0\0")
    assert inlet.waiting_bytes == 10_000
    assert (play_out(playout, inlet)[:7400] * 32768 == NOISE[:7400]).all()


def test_the_limit_holds_for_one_delta_that_is_too_large() -> None:
    _, inlet = small(limit=1000)
    assert not inlet.push("a", 0, 1, NOISE.tobytes())
    assert inlet.waiting_bytes == 0


def test_a_drop_forgets_the_dead_and_keeps_the_living() -> None:
    playout, inlet = small()
    inlet.push("a", 0, 1, NOISE[:9000].tobytes())
    inlet.complete("a", 0, 1)
    living = playout.queue.open()
    inlet.push("b", 0, living, NOISE[9000:14000].tobytes())
    inlet.complete("b", 0, living)
    playout.process(480)
    playout.queue.interrupt(1)
    inlet.drop(1)
    assert inlet.waiting_bytes == 10_000 - 2 * 480, (
        "the sound of the dead still waits there, and what was played made room"
    )
    playout.process(480)
    out = play_out(playout, inlet)
    assert (out[:5000] * 32768 == NOISE[9000:14000]).all()
    playout.process(240)
    dead, alive = playout.played()
    assert (dead.complete, dead.ended, dead.waiting, dead.played) == (True, True, 0, 480)
    assert (alive.complete, alive.ended, alive.played) == (True, True, 5000)


def test_an_item_without_sound_is_complete_at_once() -> None:
    playout, inlet = small()
    inlet.complete("nothing", 0, 1)
    assert inlet.waiting_bytes == 0
    assert playout.played() == []


@pytest.mark.parametrize("size", [0, 1])
def test_deltas_of_almost_nothing_do_not_grow_it_without_end(size: int) -> None:
    _, inlet = small(limit=50_000)
    inlet.push("a", 0, 1, NOISE[:5000].tobytes())
    for _ in range(60_000):
        if not inlet.push("a", 0, 1, b"x" * size):
            break
    assert len(inlet._waiting) < 20_000
