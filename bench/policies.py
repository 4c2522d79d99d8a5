"""The policies of `paced.py` and the model of playout they all run in; their terms are explained there."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.native import Block, lib, new

if TYPE_CHECKING:
    from bench.links import PACKET_MS, Times
else:
    from links import PACKET_MS, Times

TICK_MS = 10.0
LONGEST_MS = 2000.0
CLOCK_HZ = 8000


class Policy(Protocol):
    """Told of each packet; asked every 10 ms how fast to play, or None to go on waiting for the start."""

    def arrived(self, index: int, time_ms: float) -> None: ...
    def speed(self, now_ms: float, head_ms: float, at_hand_ms: float, speech: bool, /) -> float | None: ...


class Ours:
    """The C block. Positions are samples at 8 kHz, so a tenth of a millisecond is not rounded away."""

    def __init__(self, patience: float = 1.0) -> None:
        self.block = Block(lib.rt_jitter_size())
        self.jitter = self.block.pointer("rt_jitter *")
        config = {"clock_hz": CLOCK_HZ, "max_delay_ms": 2000, "patience": patience}
        assert lib.rt_jitter_init(self.jitter, new("rt_jitter_config *", config)) == 0
        self.packet: Any = new("rt_jitter_packet *", {"ssrc": 1, "frames": PACKET_MS * 8})
        self.placed: Any = new("rt_jitter_placed *")
        self.decision: Any = new("rt_jitter_decision *")
        self.start_us = 0  # of this stream on the block's clock, and the position of its first sample
        self.start = 0
        self.decide = lib.rt_jitter_decide

    def next_call(self, seconds: float) -> None:
        """The same link after a pause: what was learnt stays."""
        lib.rt_jitter_rebase(self.jitter)
        self.start_us += int(seconds * 1e6)

    def arrived(self, index: int, time_ms: float) -> None:
        packet = self.packet
        packet.arrival_us = self.start_us + int(time_ms * 1000)
        packet.timestamp = index * PACKET_MS * 8
        packet.sequence = index & 0xFFFF
        lib.rt_jitter_arrived(self.jitter, packet, self.placed)
        if index == 0:
            self.start = self.placed.position

    def speed(self, now_ms: float, head_ms: float, at_hand_ms: float, speech: bool) -> float | None:
        now_us, head = self.start_us + int(now_ms * 1000), self.start + int(head_ms * 8)
        action = self.decide(self.jitter, now_us, head, int(at_hand_ms * 8), 0, speech, self.decision)
        return None if action == lib.RT_JITTER_START else self.decision.speed


class NetEq:
    """The rule in words, see above. `by_letter` is W."""

    def __init__(self, by_letter: bool = False, quantile: float = 0.95) -> None:
        self.by_letter, self.quantile = by_letter, quantile
        self.histogram = np.zeros(100)
        self.count = 0
        self.target = 80.0
        self.least: deque[tuple[float, float]] = deque()  # offsets of the last 2 s that can still be least, or largest
        self.most: deque[tuple[float, float]] = deque()
        self.period_end, self.largest = math.nan, 0.0
        self.started = False

    def arrived(self, index: int, time_ms: float) -> None:
        offset = time_ms - index * PACKET_MS
        while self.least and self.least[-1][1] >= offset:
            self.least.pop()
        while self.most and self.most[-1][1] <= offset:
            self.most.pop()
        for window in (self.least, self.most):
            window.append((time_ms, offset))
            while window[0][0] < time_ms - 2000:
                window.popleft()
        if math.isnan(self.period_end):
            self.period_end = time_ms + 500
        self.largest = max(self.largest, offset - self.least[0][1])
        if time_ms >= self.period_end:
            self._observe(self.largest)
            self.period_end, self.largest = time_ms + 500, 0.0

    def _observe(self, delay: float) -> None:
        self.count += 1
        forget = max(0.0, min(0.983, 1 - 2.0 / (self.count + 1)))
        self.histogram *= forget
        self.histogram[min(99, int(delay / 20))] += 1 - forget
        above = np.cumsum(self.histogram[::-1])[::-1]  # share in this bin and all above it
        bins = np.flatnonzero(above > 1 - self.quantile)
        self.target = 20.0 * (int(bins[-1]) + 1 if bins.size else 1)

    def speed(self, now_ms: float, head_ms: float, _at_hand_ms: float, _speech: bool) -> float | None:
        if not self.least:
            return None
        base = self.least[0][1]
        delay = now_ms - head_ms - base
        if not self.started:
            self.started = delay >= self.target
            return 1.0 if self.started else None
        limit = self.target + 20 + (self.most[0][1] - base if self.by_letter else 0)
        if delay < self.target:
            return 0.94
        if delay > 4 * limit and not self.by_letter:
            return 1.18
        return 1.06 if delay > limit else 1.0


@dataclass
class Outcome:
    """Of one run; shares in per cent of the time played."""

    delay: float
    concealed: float
    stretched: float
    stretched_speech: float
    skipped: float
    oracle: float = math.nan


def talk(seed: int, seconds: float) -> NDArray[np.bool_]:
    """For each 10 ms of the sound, whether someone speaks."""
    rng = np.random.default_rng([seed, 7])
    spoken: list[bool] = []
    while len(spoken) < seconds * 100:
        spoken += [True] * int(rng.exponential(120)) + [False] * int(rng.exponential(60))
    return np.array(spoken[: int(seconds * 100)])


def play(policy: Policy, arrivals: Times, spoken: NDArray[np.bool_]) -> Outcome:
    """One run: the playout of a stream under a policy."""
    times, speech_at = arrivals.tolist(), spoken.tolist()
    total = len(times) * PACKET_MS
    fastest = float(np.min(arrivals - np.arange(len(times)) * PACKET_MS))
    here, head, now = 0, 0.0, 0.0
    played = delayed = concealed = stretched = in_speech = skipped = 0.0
    started = False
    while head < total - 1e-6:
        while here < len(times) and times[here] <= now:
            policy.arrived(here, times[here])
            here += 1
        at_hand = here * PACKET_MS - head
        speech = speech_at[min(int(head / 10), len(speech_at) - 1)]
        speed = policy.speed(now, head, at_hand, speech)
        started = started or speed is not None
        if started:
            excess = min(now - head - fastest - LONGEST_MS, at_hand - TICK_MS)
            if excess > 0:
                head, at_hand, skipped = head + excess, at_hand - excess, skipped + excess
            rate = speed or 1.0
            taken = min(at_hand, TICK_MS * rate)
            lasts = taken / rate
            if here < len(times) or at_hand > taken:
                concealed += TICK_MS - lasts
            change = abs(taken - lasts)
            stretched += change
            in_speech += change * speech
            delayed += taken * (now - head - fastest)
            played += taken
            head += taken
        now += TICK_MS
    share = 100 / played
    return Outcome(delayed / played, concealed * share, stretched * share, in_speech * share, skipped * share)


def oracle(arrivals: Times, concealed: float) -> float:
    """The least fixed delay with no more than this percentage of packets late."""
    offsets = arrivals - np.arange(arrivals.size) * PACKET_MS
    offsets = np.sort(offsets - offsets.min())
    return float(offsets[min(offsets.size - 1, math.ceil((1 - concealed / 100) * offsets.size) - 1)])


def late(arrivals: Times, delay: float) -> float:
    """Per cent of packets later than a fixed delay."""
    offsets = arrivals - np.arange(arrivals.size) * PACKET_MS
    return float(100 * np.mean(offsets - offsets.min() > delay))
