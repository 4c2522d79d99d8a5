"""Links for the benchmarks of playout: when does each packet of a stream arrive?

A stream is a packet every 20 ms. Every function returns the arrival times in milliseconds, in order of sending,
reliable and in sequence (what is held back holds back what follows), the first packet being sent at 0. Generators are
seeded.

Traces are of the mahimahi form: each line is a millisecond in which one packet of 1500 bytes could leave the link. The
bytes of an opportunity serve only what is queued in that instant; what is left of them is lost. A run starts at a
random place of the chosen half of the trace and goes round.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]

PACKET_MS = 20
PACKET_BYTES = 400  # 160 kbit/s with headers
OPPORTUNITY_BYTES = 1500
TRACES = {
    "T-Mobile LTE": "TMobile-LTE-short.down",
    "AT&T LTE 2016 down": "ATT-LTE-driving-2016.down",
    "AT&T LTE 2016 up": "ATT-LTE-driving-2016.up",
    "AT&T LTE driving": "ATT-LTE-driving.down",
    "T-Mobile UMTS": "TMobile-UMTS-driving.down",
}
LONG_OUTAGES = {"AT&T LTE 2016 up", "AT&T LTE driving", "T-Mobile UMTS"}  # of more than 2 s


@dataclass(frozen=True)
class Link:
    name: str
    arrivals: Callable[[int, float], Times]  # seed, seconds
    trace: bool = False
    long_outages: bool = False


def sent(seconds: float) -> Times:
    return np.arange(round(seconds * 1000 / PACKET_MS), dtype=np.float64) * PACKET_MS


def in_order(arrivals: Times) -> Times:
    return np.maximum.accumulate(arrivals)


def exponential(seed: int, seconds: float, mean_ms: float = 2.0) -> Times:
    """A clean link: every packet a little late."""
    times = sent(seconds)
    return in_order(times + np.random.default_rng(seed).exponential(mean_ms, times.size))


def wifi(seed: int, seconds: float) -> Times:
    """Exponential 3 ms; in .004 of the packets a block of 40 to 200 ms begins; one gap of 150 to 400 ms a minute."""
    rng = np.random.default_rng(seed)
    times = sent(seconds)
    arrivals = times + rng.exponential(3.0, times.size)
    starts = times[rng.random(times.size) < 0.004]
    blocks = [(start, start + rng.uniform(40, 200)) for start in starts]
    for minute in range(int(np.ceil(seconds / 60))):
        start = rng.uniform(minute * 60_000, (minute + 1) * 60_000)
        blocks.append((start, start + rng.uniform(150, 400)))
    for start, end in sorted(blocks):
        held = (arrivals >= start) & (arrivals < end)
        arrivals[held] = end
    return in_order(arrivals)


def tcp_loss(seed: int, seconds: float, share: float = 0.005) -> Times:
    """In-order release: half of the lost come again after a round trip, half after that and a timeout."""
    rng = np.random.default_rng(seed)
    times = sent(seconds)
    round_trip = rng.uniform(40, 180)
    stall = np.where(rng.random(times.size) < 0.5, round_trip, round_trip + max(200.0, round_trip))
    return in_order(times + rng.exponential(1.0, times.size) + np.where(rng.random(times.size) < share, stall, 0.0))


def load_trace(path: Path) -> NDArray[np.int64]:
    return np.array(path.read_text(encoding="ascii").split(), dtype=np.int64)


def half_of(opportunities: NDArray[np.int64], half: str) -> NDArray[np.int64]:
    """The `first` or `second` half by time, or the `whole`, beginning at 0."""
    middle = int(opportunities[-1]) // 2
    if half == "first":
        return opportunities[opportunities < middle]
    if half == "second":
        return opportunities[opportunities >= middle] - middle
    return opportunities


def over_trace(opportunities: NDArray[np.int64], seed: int, seconds: float) -> Times:
    """The stream through the link of a trace, from a random place on."""
    length = int(opportunities[-1]) + 1
    offset = int(np.random.default_rng(seed).integers(length))
    turned = np.sort((opportunities - offset) % length)
    times = sent(seconds).tolist()
    arrivals: list[float] = []
    left, turn = PACKET_BYTES, 0
    while True:
        for opportunity in (turned + turn * length).tolist():
            room = OPPORTUNITY_BYTES
            while room > 0 and times[len(arrivals)] <= opportunity:
                taken = min(room, left)
                room, left = room - taken, left - taken
                if left == 0:
                    arrivals.append(opportunity)
                    left = PACKET_BYTES
                    if len(arrivals) == len(times):
                        return np.array(arrivals, dtype=np.float64)
        turn += 1


def shared_traces() -> Path | None:
    """The folder of recorded traces: `audio/net` in BARGEIN_SHARED, or in `shared` beside the repository."""
    root = Path(os.environ.get("BARGEIN_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    folder = root / "audio" / "net"
    return folder if folder.is_dir() else None


def links(half: str = "second") -> list[Link]:
    """All links there are: the generators, and the traces if their folder is there."""
    found = [Link("exponential 2 ms", exponential), Link("Wi-Fi", wifi), Link("TCP loss", tcp_loss)]
    folder = shared_traces()
    for name, file in TRACES.items() if folder else ():
        assert folder is not None
        opportunities = half_of(load_trace(folder / file), half)

        def arrivals(seed: int, seconds: float, trace: NDArray[np.int64] = opportunities) -> Times:
            return over_trace(trace, seed, seconds)

        found.append(Link(name, arrivals, trace=True, long_outages=name in LONG_OUTAGES))
    return found
