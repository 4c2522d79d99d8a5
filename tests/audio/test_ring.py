"""The ring between two threads: nothing is lost, doubled or reordered, whatever the sizes."""

from __future__ import annotations

import gc
import threading
from collections import deque
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.audio import RingReader, RingWriter, ring
from engine.errors import ConfigError

PAIR = np.dtype([("number", "<u4"), ("tag", "u1", (3,))])


class RingModel(RuleBasedStateMachine):
    """A ring beside a deque that never holds more than its capacity."""

    writer: RingWriter
    reader: RingReader

    @initialize(capacity=st.integers(1, 40), wide=st.booleans())
    def make(self, capacity: int, wide: bool) -> None:
        self.dtype: Any = PAIR if wide else np.dtype(np.int16)
        self.writer, self.reader = ring(self.dtype, capacity)
        self.model: deque[int] = deque()
        self.next = 0
        assert self.writer.capacity >= capacity
        assert self.writer.capacity & (self.writer.capacity - 1) == 0

    def elements(self, count: int) -> np.ndarray[Any, Any]:
        numbers = (self.next + np.arange(count)) % 30000
        if self.dtype == PAIR:
            array = np.zeros(count, PAIR)
            array["number"] = numbers
            array["tag"][:, 0] = numbers % 251
            return array
        return numbers.astype(np.int16)

    @rule(count=st.integers(0, 100))
    def write(self, count: int) -> None:
        room = self.writer.capacity - len(self.model)
        taken = self.writer.write(self.elements(count))
        assert taken == min(count, room)
        self.model.extend((self.next + i) % 30000 for i in range(taken))
        self.next += taken

    @rule(count=st.one_of(st.none(), st.integers(-3, 100)))
    def read(self, count: int | None) -> None:
        got = self.reader.read(count)
        wanted = len(self.model) if count is None else min(max(count, 0), len(self.model))
        numbers = got["number"] if self.dtype == PAIR else got
        assert numbers.tolist() == [self.model.popleft() for _ in range(wanted)]
        if self.dtype == PAIR:
            assert (got["tag"][:, 0] == got["number"] % 251).all()

    @invariant()
    def both_sides_agree(self) -> None:
        if hasattr(self, "reader"):
            assert self.reader.readable == len(self.model)
            assert self.writer.writable == self.writer.capacity - len(self.model)


RingModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestRing = RingModel.TestCase


def test_two_threads_pass_many_numbers_in_order() -> None:
    writer, reader = ring(np.uint32, 1000)
    total = 200_000
    numbers = np.arange(total, dtype=np.uint32)

    def write() -> None:
        done, size = 0, 1
        while done < total:
            size = size * 7 % 613 + 1
            done += writer.write(numbers[done : done + size])

    thread = threading.Thread(target=write)
    thread.start()
    got: list[Any] = []
    while sum(map(len, got)) < total:
        part = reader.read(len(got) % 700 + 1)
        if len(part):
            got.append(part)
        if len(got) > 200:
            got = [np.concatenate(got)]
    thread.join()
    assert (np.concatenate(got) == numbers).all()
    assert reader.readable == 0


def test_what_was_read_does_not_change_when_the_ring_is_written_again() -> None:
    writer, reader = ring(np.int16, 4)
    writer.write(np.arange(4))
    first = reader.read()
    writer.write(np.arange(10, 14))
    assert first.tolist() == [0, 1, 2, 3]


def test_the_other_handle_keeps_the_memory_alive() -> None:
    writer, reader = ring(np.int16, 8)
    writer.write(np.arange(5))
    del writer
    gc.collect()
    assert reader.read().tolist() == [0, 1, 2, 3, 4]


def test_a_strided_array_is_written_as_it_reads() -> None:
    writer, reader = ring(np.int16, 16)
    assert writer.write(np.arange(10, dtype=np.int16)[::3]) == 4
    assert reader.read().tolist() == [0, 3, 6, 9]


@pytest.mark.parametrize("capacity", [0, -1, 2**28, 2**31, 2**40])
def test_a_capacity_out_of_range_is_named(capacity: int) -> None:
    with pytest.raises(ConfigError, match=f"{capacity} elements"):
        ring(np.int16, capacity)


def test_an_array_of_two_dimensions_is_refused() -> None:
    writer, _ = ring(np.int16, 8)
    with pytest.raises(ConfigError, match="2 dimensions"):
        writer.write(np.zeros((2, 2), np.int16))
