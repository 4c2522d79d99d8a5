"""The playout queue against a model: what the ledger says left the block is what left it, to the sample.

Samples are noise, so that each is known by its value. In every hop the ledger's claim is compared with the sound: so
many samples of the queue stand at its start, at full gain, under the 5 ms rise after an underrun, or under the fade;
the next one does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from numpy.typing import NDArray

from engine.audio import AudioFormat, Playout, PlayoutPolicy, Position, ulaw_encode
from engine.errors import ConfigError

HOP = 240
EDGE = 120
NOISE = np.random.default_rng(11).integers(4000, 30000, 400_000) * np.random.default_rng(12).choice([-1, 1], 400_000)
Floats = NDArray[np.float32]


@dataclass
class Item:
    """What the model knows of one item."""

    name: str
    generation: int
    taken: bytes = b""
    complete: bool = False
    played: int = 0
    faded: int = 0
    discarded: int = 0

    @property
    def queued(self) -> int:
        return len(self.taken) // 2


@dataclass
class Sample:
    """One queued sample."""

    item: Item
    value: float


@dataclass
class Model:
    """Samples in the order in which they were queued, and the edges that are under way."""

    fade_frames: int
    queue: list[Sample] = field(default_factory=list)
    latched: int = 0
    sounding: int = 0  # the generation heard last
    rise_left: int = 0
    fade_position: int | None = None

    def living(self) -> list[Sample]:
        """What may still be played, the dead before it given up."""
        return [sample for sample in self.queue if sample.item.generation > self.latched]

    def check_hop(
        self, hop: Floats, *, played: int, faded: int, underrun: bool, interrupted: bool, starved: bool
    ) -> None:
        """Compare one hop with what the ledger says happened in it. `starved`: nothing sounded that could be faded."""
        if interrupted:
            self.fade_position = None if starved else 0
            self.rise_left = 0 if starved else self.rise_left
        if faded or self.fade_position is not None:
            self.check_fade(hop, faded)
            assert played == 0
            return
        if underrun:
            self.rise_left = EDGE
        self.check_played(hop, played)

    def check_played(self, hop: Floats, played: int) -> None:
        """The claimed samples stand there, and not one more."""
        due = self.living()
        gains = np.ones(max(played, 1))
        rising = min(self.rise_left, played)
        for i in range(rising):
            gains[i] = 0.5 + 0.5 * math.cos(math.pi * (self.rise_left - i - 0.5) / EDGE)
        expected = np.array([sample.value for sample in due[:played]]) * gains[:played]
        assert len(expected) == played, "more was counted than was queued"
        np.testing.assert_allclose(hop[:played], expected, atol=2e-6)
        if 0 < played < HOP and played < len(due):
            assert abs(hop[played] - due[played].value) > 1e-3, "a sample left and was not counted"
        self.rise_left = 0 if played < HOP else self.rise_left - rising
        for sample in due[:played]:
            sample.item.played += 1
            self.sounding = sample.item.generation
        gone = {id(sample) for sample in due[:played]}
        self.queue = [sample for sample in self.queue if id(sample) not in gone]

    def check_fade(self, hop: Floats, faded: int) -> None:
        """The claimed samples, all of what sounded, are there under the raised cosine; then there is silence."""
        assert self.fade_position is not None
        left = min(HOP, self.fade_frames - self.fade_position)
        dead = [sample for sample in self.queue if sample.item.generation == self.sounding <= self.latched]
        steps = self.fade_position + np.arange(faded) + 0.5
        gains = 0.5 + 0.5 * np.cos(np.pi * steps / self.fade_frames)
        for i in range(min(self.rise_left, faded)):
            gains[i] *= 0.5 + 0.5 * math.cos(math.pi * (self.rise_left - i - 0.5) / EDGE)
        self.rise_left = max(0, self.rise_left - faded)
        expected = np.array([sample.value for sample in dead[:faded]]) * gains
        np.testing.assert_allclose(hop[:faded], expected, atol=2e-6)
        assert not hop[left:].any(), "sound after the fade"
        for sample in dead[:faded]:
            sample.item.faded += 1
        gone = {id(sample) for sample in dead[:faded]}
        self.queue = [sample for sample in self.queue if id(sample) not in gone]
        self.fade_position += left
        if self.fade_position >= self.fade_frames:
            self.fade_position = None
            self.rise_left = 0

    def drop(self, item: Item, count: int) -> None:
        """The oldest samples of an item were given up; only a latched one's may be."""
        assert count == 0 or item.generation <= self.latched, "living sound was discarded"
        item.discarded += count
        gone = {id(sample) for sample in [s for s in self.queue if s.item is item][:count]}
        assert len(gone) == count
        self.queue = [sample for sample in self.queue if id(sample) not in gone]


class PlayoutModel(RuleBasedStateMachine):
    """Any order of push, complete, process, interrupt, late sound and retire."""

    playout: Playout

    @initialize(
        fade=st.sampled_from([1, 7, 20, 35]),
        start=st.sampled_from([0, 0, 30]),
        refill=st.sampled_from([0, 20, 60]),
        capacity=st.sampled_from([0.05, 0.1, 1.0]),
    )
    def make(self, fade: int, start: int, refill: int, capacity: float) -> None:
        least = max(start, refill) / 1000
        capacity = max(capacity, 2 * least)
        # what leaves is compared with what was pushed, so nothing may be stretched; the C tests do that
        self.playout = Playout(
            capacity_s=capacity, fade_ms=fade, start_ms=start, refill_ms=refill, policy=PlayoutPolicy.FIXED
        )
        self.queue = self.playout.queue
        self.model = Model(fade * 24)
        self.items: list[Item] = []
        self.names = 0
        self.noise = 0
        self.queue.open()

    def new_item(self) -> Item:
        self.names += 1
        item = Item(f"item_{self.names}", self.queue.newest)
        self.items.append(item)
        return item

    def current(self) -> list[Item]:
        return [item for item in self.items if not item.complete]

    @rule(pick=st.integers(0, 3), length=st.integers(0, 3001))
    def push(self, pick: int, length: int) -> None:
        """To an open item, also one of a latched generation (late sound), else to a new one of the newest."""
        items = self.current()
        item = items[pick] if pick < len(items) else self.new_item()
        sound = NOISE[self.noise : self.noise + length // 2 + 2].astype("<i2").tobytes()
        # a sample that was cut in two goes on where it stopped
        data = sound[len(item.taken) % 2 :][:length]
        before = item.queued
        taken = self.queue.push(item.name, 0, data, item.generation)
        assert 0 <= taken <= len(data)
        item.taken += data[:taken]
        values = np.frombuffer(item.taken[: item.queued * 2], "<i2")[before:].astype(np.float64) / 32768
        self.model.queue += [Sample(item, float(value)) for value in values]
        self.noise = (self.noise + length) % 300_000
        if taken == 0 and item.queued == 0 and len(data):
            assert self.queue.position(item.name, 0) is None or self.queue.waiting > 0

    @precondition(lambda self: self.current())
    @rule(pick=st.integers(0, 3))
    def complete(self, pick: int) -> None:
        items = self.current()
        item = items[pick % len(items)]
        if self.queue.position(item.name, 0) is None:
            return
        assert self.queue.complete(item.name, 0)
        item.complete = True

    @rule(hops=st.integers(1, 6))
    def process(self, hops: int) -> None:
        for _ in range(hops):
            self.one_hop()

    def one_hop(self) -> None:
        stats = self.queue.stats()
        before = {p.item_id: p for p in self.queue.positions()}
        hop = self.playout.process(HOP)
        now = self.queue.stats()
        assert now.output == stats.output + HOP
        assert np.abs(hop).max() <= 1.0
        self.model.check_hop(
            hop,
            played=now.played - stats.played,
            faded=now.faded - stats.faded,
            underrun=now.underruns > stats.underruns,
            interrupted=now.interruptions > stats.interruptions,
            starved=stats.state == "starved",
        )
        for item in self.items:
            position = self.queue.position(item.name, 0)
            if position is not None:
                self.model.drop(item, position.discarded - before[item.name].discarded)

    @rule()
    def interrupt(self) -> None:
        """Latch the newest generation, and open the next as the next response would."""
        self.model.latched = self.queue.newest
        self.playout.interrupt()

    @rule()
    def open(self) -> None:
        """A new response while the last one still sounds."""
        self.queue.open()

    @precondition(lambda self: self.items)
    @rule(pick=st.integers(0, 5))
    def retire(self, pick: int) -> None:
        item = self.items[pick % len(self.items)]
        position = self.queue.position(item.name, 0)
        if not item.complete:
            return
        retired = self.queue.retire(item.name, 0)
        assert retired == (position is None or (position.waiting == 0 and position.complete == position.ended))
        if retired and position is not None:
            self.items.remove(item)

    @invariant()
    def the_ledger_is_the_model(self) -> None:
        if not hasattr(self, "queue"):
            return
        for item in self.items:
            position = self.queue.position(item.name, 0)
            if position is None:
                assert item.queued == 0
                continue
            theirs = (position.queued, position.played, position.faded, position.discarded, position.complete)
            assert theirs == (item.queued, item.played, item.faded, item.discarded, item.complete)
            assert position.generation == item.generation
            assert position.ended <= position.complete
            assert position.played_ms == item.played * 1000 // 24000
        assert self.queue.waiting == len(self.model.queue)

    def teardown(self) -> None:
        """In the end, everything that may sound does."""
        if not hasattr(self, "queue"):
            return
        for item in self.current():
            if self.queue.position(item.name, 0) is not None:
                while not self.queue.complete(item.name, 0):
                    self.one_hop()
                item.complete = True
        for _ in range(len(self.model.queue) // HOP + 20):
            self.one_hop()
        assert self.queue.waiting == 0
        assert self.queue.stats().state == "silent"
        for position in self.queue.positions():
            assert position.ended == position.complete


PlayoutModel.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestPlayout = PlayoutModel.TestCase


def noise(samples: int, start: int = 0) -> NDArray[np.int16]:
    """Some of the noise."""
    return np.asarray(NOISE[start : start + samples], dtype=np.int16)


def test_a_reply_leaves_as_it_came_and_the_ledger_says_so() -> None:
    playout = Playout()
    sound = noise(1001)
    assert playout.push("a", 0, sound) == 1001
    playout.complete("a", 0)
    out = playout.process(1200)
    assert (out[:1001] * 32768 == sound).all()
    assert not out[1001:].any()
    (position,) = playout.played()
    assert (position.played, position.waiting, position.complete, position.ended) == (1001, 0, True, True)
    assert playout.queue.stats().concealed_samples == playout.queue.stats().underruns == 0


def test_a_hop_boundary_at_the_end_is_no_underrun() -> None:
    playout = Playout()
    playout.push("a", 0, noise(480))
    playout.complete("a", 0)
    playout.process(2400)
    assert playout.queue.stats().concealed_samples == 0
    assert playout.queue.stats().state == "silent"


@given(cuts=st.lists(st.integers(0, 1500), min_size=1, max_size=30), seed=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_any_way_of_asking_gives_the_same_sound(cuts: list[int], seed: int) -> None:
    def reply() -> Playout:
        playout = Playout(refill_ms=20)
        playout.push("a", 0, noise(3000, seed))
        playout.complete("a", 0)
        playout.push("b", 0, noise(1700, 9000))
        return playout

    whole = reply().process(sum(cuts))
    playout = reply()
    parts = [playout.process(cut) for cut in cuts]
    assert [len(part) for part in parts] == cuts
    assert (np.concatenate(parts) == whole).all()


@given(cuts=st.lists(st.integers(1, 97), min_size=1, max_size=60), audio_format=st.sampled_from(list(AudioFormat)))
@settings(max_examples=40, deadline=None)
def test_any_way_of_cutting_the_bytes_gives_the_same_sound(cuts: list[int], audio_format: AudioFormat) -> None:
    data = noise(3000).tobytes()[: sum(cuts) // 2 * 2]

    def play(parts: list[bytes]) -> tuple[Floats, Position]:
        playout = Playout(audio_format)
        for part in parts:
            assert playout.queue.push("a", 0, part) == len(part)
        playout.complete("a", 0)
        sound = playout.process(12000)
        return sound, playout.played()[0]

    ends = np.cumsum(cuts).tolist()
    pieces = [data[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    sound, position = play(pieces)
    expected, whole = play([data])
    assert (sound == expected).all()
    assert position == whole
    assert position.queued == len(data) // audio_format.sample_bytes


@pytest.mark.parametrize("audio_format", [AudioFormat.PCMU, AudioFormat.PCMA])
@pytest.mark.parametrize("samples", [1, 79, 80, 81, 800, 1234])
def test_g711_is_counted_whole_when_its_end_has_left(audio_format: AudioFormat, samples: int) -> None:
    playout = Playout(audio_format)
    playout.push("a", 0, ulaw_encode(noise(samples)))
    playout.complete("a", 0)
    playout.process(samples * 3 + 24 * 30)
    (position,) = playout.played()
    assert (position.played, position.waiting, position.ended) == (samples, 0, True)
    assert playout.queue.stats().state == "silent"
    assert playout.queue.stats().underruns == playout.queue.stats().concealed_samples == 0


@given(st.lists(st.tuples(st.sampled_from(["push", "end", "cut", "hop"]), st.integers(0, 900)), max_size=40))
@settings(max_examples=60, deadline=None)
def test_g711_every_sample_is_in_one_account(steps: list[tuple[str, int]]) -> None:
    playout = Playout(AudioFormat.PCMU, capacity_s=0.2, refill_ms=20)
    number, queued = 0, 0
    for step, size in steps:
        if step == "push":
            queued += playout.push(f"item_{number}", 0, ulaw_encode(noise(size)))
        elif step == "end":
            playout.complete(f"item_{number}", 0)
            number += 1
        elif step == "cut":
            playout.interrupt()
            number += 1
        else:
            playout.process(HOP)
        stats = playout.queue.stats()
        # up to 24 samples are inside the resampler: in no account but waiting's until they have left
        inside = stats.queued - playout.queue.waiting - stats.played - stats.faded - stats.discarded
        assert 0 <= inside <= 24
        assert stats.queued == queued
        for position in playout.played():
            assert position.waiting >= 0


def test_an_interruption_fades_and_then_nothing_of_it_is_heard() -> None:
    playout = Playout(fade_ms=20)
    playout.push("a", 0, np.full(24000, 10000, np.int16))
    playout.process(2400)
    playout.queue.interrupt()
    faded = playout.process(480)
    after = playout.process(24000)
    assert (np.diff(faded) < 0).all(), "the fade falls from sample to sample"
    assert faded[0] > 0.99 * 10000 / 32768
    assert not after.any()
    (position,) = playout.played()
    assert (position.played, position.faded, position.discarded) == (2400, 480, 24000 - 2880)


def test_a_latched_generation_stays_silent_however_late_its_sound_comes() -> None:
    playout = Playout()
    queue = playout.queue
    dead = queue.open()
    queue.push("a", 0, noise(4800).tobytes(), dead)
    playout.process(480)
    queue.interrupt(dead)
    playout.process(480)
    living = queue.open()
    queue.push("b", 0, noise(240, 5000).tobytes(), living)
    queue.push("a", 0, noise(4800, 9000).tobytes(), dead)  # a loop that was asleep
    queue.push("b", 0, noise(240, 7000).tobytes(), living)
    queue.complete("b", 0)
    out = playout.process(4800)
    expected = np.concatenate([noise(240, 5000), noise(240, 7000)])
    assert (out[:480] * 32768 == expected).all()
    assert not out[480:].any()


def test_an_underrun_is_concealed_without_a_click_and_counted() -> None:
    playout = Playout(refill_ms=20)
    tone = (8000 * np.sin(np.arange(2400) * 0.05) * np.minimum(1, (2400 - np.arange(2400)) / 400)).astype(np.int16)
    playout.push("a", 0, tone[:1000])
    first = playout.process(2400)
    playout.push("a", 0, tone[1000:])
    playout.complete("a", 0)
    second = playout.process(2400)
    sound = np.concatenate([first, second])
    assert np.abs(np.diff(sound)).max() < 3 * np.abs(np.diff(tone / 32768)).max()
    stats = playout.queue.stats()
    assert (stats.underruns, stats.concealed_samples, stats.played) == (1, EDGE, 2400)


def test_little_at_hand_is_played_slower_and_every_sample_counted_once() -> None:
    tone = (8000 * np.sin(np.arange(24000) * 2 * np.pi / 120)).astype(np.int16)
    heard = {}
    for policy in (PlayoutPolicy.FIXED, PlayoutPolicy.BURST):
        playout = Playout(policy=policy)
        out = []
        for start in range(0, 24000, 2400):  # 100 ms of sound each 100 ms, and never more than 140 ms at hand
            playout.push("a", 0, tone[start : start + 2400])
            out.append(playout.process(2400 if start else 1440))
        playout.complete("a", 0)
        out.append(playout.process(7200))
        stats = playout.queue.stats()
        heard[policy] = np.concatenate(out)
        assert (stats.played, stats.queued, playout.queue.waiting, stats.underruns) == (24000, 24000, 0, 0)
        assert stats.jitter_buffer_emitted_count == 24000
        assert stats.removed_samples_for_acceleration == stats.concealed_samples == stats.stalled_samples == 0
        sounding = np.flatnonzero(heard[policy])[-1] + 1
        assert abs(sounding - 24000 - stats.inserted_samples_for_deceleration) <= 1
        assert (stats.inserted_samples_for_deceleration > 900) == (policy is PlayoutPolicy.BURST)
    assert (heard[PlayoutPolicy.FIXED][:24000] * 32768 == tone).all()


def test_a_response_after_slow_ones_waits_for_what_they_needed() -> None:
    playout = Playout()
    waits = []
    for number in range(3):
        playout.queue.open()
        wait = 0
        for _ in range(10):
            playout.push(f"item_{number}", 0, noise(2400))
            for _ in range(12):  # 100 ms of sound each 120 ms
                playout.process(HOP)
                wait += playout.queue.stats().generation == 0
        playout.complete(f"item_{number}", 0)
        while playout.queue.stats().state != "silent":
            playout.process(HOP)
        waits.append(wait)
    # nine gaps of 20 ms each; before anything is known the first delta starts
    assert waits == [0, 18, 18]


def test_a_full_queue_takes_what_fits_and_the_rest_later() -> None:
    playout = Playout(capacity_s=0.1)
    sound = noise(5000)
    taken = playout.push("a", 0, sound)
    assert taken == 2400
    assert playout.push("a", 0, sound[taken:]) == 0
    out = [playout.process(480)]
    while taken < len(sound):
        taken += playout.push("a", 0, sound[taken:])
        out.append(playout.process(480))
    playout.complete("a", 0)
    out.append(playout.process(4800))
    assert (np.concatenate(out)[:5000] * 32768 == sound).all()


def test_the_end_of_an_item_fits_behind_a_full_span_queue() -> None:
    playout = Playout()
    pushed = 0
    while playout.push("a", 0, noise(1, pushed)):
        pushed += 1
    assert 8000 < pushed < 8192
    assert playout.complete("a", 0)
    out = playout.process(24000)
    assert (out[:pushed] * 32768 == noise(pushed)).all()
    assert playout.played()[0].ended


def test_sixty_four_items_live_at_once_and_a_retired_one_makes_room() -> None:
    playout = Playout()
    for number in range(64):
        assert playout.push(f"item_{number}", 0, noise(10)) == 10
    assert playout.push("one more", 0, noise(10)) == 0
    playout.complete("item_0", 0)
    assert not playout.queue.retire("item_0", 0)
    playout.process(720)
    assert playout.queue.retire("item_0", 0)
    assert playout.push("one more", 0, noise(10)) == 10
    assert playout.queue.position("item_0", 0) is None


def test_sound_for_an_item_that_is_complete_is_refused() -> None:
    playout = Playout()
    playout.push("a", 0, noise(10))
    playout.complete("a", 0)
    with pytest.raises(ConfigError, match=r"'a', 0.*generation 1.*complete"):
        playout.push("a", 0, noise(10))
    with pytest.raises(ConfigError, match="not open"):
        playout.queue.push("b", 0, b"\0\0", 7)


@pytest.mark.parametrize(
    ("field", "value", "least", "most"),
    [
        ("capacity_s", 0.001, "0.03", "600"),
        ("capacity_s", 601.0, "0.03", "600"),
        ("capacity_s", float("nan"), "0.03", "600"),
        ("fade_ms", 0, "1", "200"),
        ("fade_ms", 201, "1", "200"),
        ("start_ms", -1, "0", "2000"),
        ("refill_ms", 2001, "0", "2000"),
    ],
)
def test_a_setting_out_of_range_names_field_value_and_range(field: str, value: float, least: str, most: str) -> None:
    with pytest.raises(ConfigError, match=rf"{field} is {value}: give {least} to {most}"):
        Playout(**cast(Any, {field: value}))


def test_a_wrong_array_is_refused() -> None:
    with pytest.raises(ConfigError, match="2-D int16"):
        Playout().push("a", 0, np.zeros((2, 2), np.int16))
    with pytest.raises(ConfigError, match="1-D float32"):
        Playout().push("a", 0, np.zeros(2, np.float32))
    with pytest.raises(ConfigError, match="frames is -1"):
        Playout().process(-1)
