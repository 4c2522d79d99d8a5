"""How soon does a reply start, and how often does it stall, when the server sends it in bursts?

200 responses of 10 s, in 20 conversations of 10, as deltas of 50 ms and then 100 ms (200 ms at 6.5 times real time). A
delta follows the one before by that one's length / speed, +-30 %; `pauses` adds one of 400 ms (exponential) per 3 s of
sound. Links: ideal, and LTE (mahimahi traces of Winstein et al., NSDI 2013, from BARGEIN_SHARED/audio/net) at random
offsets, where each opportunity carries 1500 bytes of what is queued at that instant. The same arrivals go to every
policy; all play on the C block with a simulated clock, a hop of 10 ms at a time. Fixed buffers wait for as much
again after an underrun.

Columns: ms from the first hop that could have sounded to the one that did; underruns per response; % of the sound's
time stalled; % of it inserted by slowing down.

    python bench/burst.py [--conversations N] [--seed N]
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.audio import Playout, PlayoutPolicy
from engine.native import address, lib

Row = tuple[str, float, float, float, str]

CONVERSATIONS, RESPONSES, SECONDS, SEED = 20, 10, 10, 2026
HOP, RATE = 240, 24000
WIRE_BYTES_PER_MS, ENVELOPE_BYTES = 64, 250  # base64 of 48; the JSON around it
TRACES = {"T-Mobile LTE": "TMobile-LTE-short.down", "AT&T LTE 2016": "ATT-LTE-driving-2016.down"}
DELIVERIES = {"6.5x": (6.5, 0.0), "2x": (2.0, 0.0), "2x, pauses": (2.0, 0.4), "1.25x": (1.25, 0.0), "1.0x": (1.0, 0.0)}
POLICIES: dict[str, dict[str, int | PlayoutPolicy]] = {
    "fixed 0": {"start_ms": 0, "refill_ms": 0, "policy": PlayoutPolicy.FIXED},
    "fixed 120": {"start_ms": 120, "refill_ms": 120, "policy": PlayoutPolicy.FIXED},
    "fixed 400": {"start_ms": 400, "refill_ms": 400, "policy": PlayoutPolicy.FIXED},
    "burst": {"policy": PlayoutPolicy.BURST},
}

Arrivals = list[tuple[float, int]]  # ms after the response began to be sent, and ms of sound


class Link:
    """When messages come out of a trace: opportunities of 1500 bytes, in ms, repeated for ever."""

    def __init__(self, path: Path, random: np.random.Generator) -> None:
        times = np.loadtxt(path)
        self._times = np.concatenate([times + times[-1] * lap for lap in range(1 + int(400_000 / times[-1]))])
        self._next, self._left = 0, 1500
        self.begin = float(random.uniform(0, times[-1]))

    def carry(self, sent: float, size: int) -> float:
        """When the last byte of a message arrives. What is left of an opportunity serves only what was queued then."""
        if self._times[self._next] < sent:
            self._next, self._left = int(np.searchsorted(self._times, sent)), 1500
        while size > self._left:
            size -= self._left
            self._next, self._left = self._next + 1, 1500
        self._left -= size
        return float(self._times[self._next])


def conversation(speed: float, pause: float, trace: Path | None, random: np.random.Generator) -> list[Arrivals]:
    """The arrivals of each response. Between two of them lie some seconds in which all has been heard."""
    link = Link(trace, random) if trace else None
    now = link.begin if link else 0.0
    responses = []
    for _ in range(RESPONSES):
        arrivals, begin, sound, length = [], now, 0, 50
        while sound < SECONDS * 1000:
            length = min(length, SECONDS * 1000 - sound)
            size = length * WIRE_BYTES_PER_MS + ENVELOPE_BYTES
            arrivals.append(((link.carry(now, size) if link else now) - begin, length))
            sound += length
            now += length / speed * random.uniform(0.7, 1.3)
            if pause and random.random() < length / 3000:
                now += random.exponential(pause * 1000)
            length = 200 if speed > 6 else 100
        responses.append(arrivals)
        now = max(now, begin + SECONDS * 1000) + random.uniform(3000, 6000)
    return responses


class Heard(NamedTuple):
    """Of one response: ms, count, shares of its sound."""

    wait: float
    underruns: int
    stalled: float
    slowed: float


class Listener:
    """One conversation's playout on a simulated clock."""

    def __init__(self, options: dict[str, int | PlayoutPolicy], sound: bytes, phase: float) -> None:
        self._playout = Playout(**options)  # type: ignore[arg-type]
        self._sound, self._phase = sound, phase
        self._out = np.empty(HOP, dtype=np.float32)
        self._to = address(self._out, "float *")
        self._hops = 0

    def _play(self) -> int:
        self._hops += 1
        return int(lib.rt_playout_process(self._playout._playout, 0, self._to))

    def hear(self, name: str, arrivals: Arrivals) -> Heard:
        queue, before = self._playout.queue, self._playout.queue.stats()
        queue.open()
        begin = self._hops * 10 + self._phase  # ms; the device takes hops at 0, 10, 20 ...
        first, started, at = -1, -1, 0
        for count, (time, length) in enumerate(arrivals):
            while self._hops * 10 < begin + time:
                if self._play() and started < 0:
                    started = self._hops - 1
            first = self._hops if count == 0 else first
            queue.push(name, 0, self._sound[at : at + length * 48])
            at += length * 48
        queue.complete(name, 0)
        while self._play():
            started = self._hops - 1 if started < 0 else started
        queue.retire(name, 0)
        now = queue.stats()
        played = now.played - before.played
        assert played == SECONDS * RATE
        return Heard(
            (started - first) * 10.0,
            now.underruns - before.underruns,
            (now.stalled_samples - before.stalled_samples) / played,
            (now.inserted_samples_for_deceleration - before.inserted_samples_for_deceleration) / played,
        )


@dataclass(frozen=True)
class Cell:
    """Means over all responses; the later ones are those after the first of a conversation."""

    wait: float
    later_wait: float
    underruns: float
    later_underruns: float
    stalled: float
    slowed: float

    @staticmethod
    def of(heard: list[list[Heard]]) -> Cell:
        figures = np.array(heard)  # conversations x responses x figures
        wait, underruns, stalled, slowed = figures.mean(axis=(0, 1))
        later = figures[:, 1:].mean(axis=(0, 1))
        return Cell(wait, later[0], underruns, later[1], 100 * stalled, 100 * slowed)


def folder() -> Path:
    shared = os.environ.get("BARGEIN_SHARED") or Path(__file__).resolve().parents[2] / "shared"
    return Path(shared) / "audio" / "net"


@cache
def reply() -> bytes:
    """120 Hz pulses through formants at 700 and 1200 Hz, in syllables."""
    t = np.arange(RATE * SECONDS) / RATE
    harmonics = np.arange(1, 30) * 120.0
    weight = 1 / (1 + ((harmonics - 700) / 200) ** 2) + 0.5 / (1 + ((harmonics - 1200) / 200) ** 2)
    sound = sum(w * np.sin(2 * np.pi * hz * t) for hz, w in zip(harmonics, weight, strict=True))
    sound *= np.sin(np.pi * 4 * t) ** 2
    return bytes((sound * 9000 / np.abs(sound).max()).astype(np.int16).tobytes())


@cache
def measure(conversations: int = CONVERSATIONS, seed: int = SEED) -> dict[tuple[str, str], dict[str, Cell]]:
    """For each delivery and link, what each policy came to."""
    found: dict[tuple[str, str], dict[str, Cell]] = {}
    for delivery, (speed, pause) in DELIVERIES.items():
        for link in ["ideal", *TRACES]:
            trace = folder() / TRACES[link] if link in TRACES else None
            if trace is not None and not trace.is_file():
                print(f"burst: {link} left out: no trace in BARGEIN_SHARED/audio/net", file=sys.stderr)
                continue
            random = np.random.default_rng([seed, len(found)])
            talks = [conversation(speed, pause, trace, random) for _ in range(conversations)]
            phases = random.uniform(0, 10, (conversations, RESPONSES))
            found[delivery, link] = {name: play(options, talks, phases) for name, options in POLICIES.items()}
    return found


def play(options: dict[str, int | PlayoutPolicy], talks: list[list[Arrivals]], phases: NDArray[np.float64]) -> Cell:
    heard = []
    for talk, phase in zip(talks, phases, strict=True):
        listener = Listener(options, reply(), 0.0)
        rows = []
        for number, arrivals in enumerate(talk):
            listener._phase = float(phase[number])
            rows.append(listener.hear(f"item_{number}", arrivals))
        heard.append(rows)
    return Cell.of(heard)


def main() -> list[Row]:
    rows: list[Row] = []
    for (delivery, link), cells in measure().items():
        ours, peer = cells["burst"], cells["fixed 120"]
        for what, mine, theirs, unit in (
            ("start wait", ours.wait, peer.wait, "ms"),
            ("underruns per response", ours.underruns, peer.underruns, ""),
            ("stalled", ours.stalled, peer.stalled, "%"),
        ):
            ratio = theirs / mine if mine else float("nan")
            rows.append((f"{delivery}, {link}: {what}, beside fixed 120 ms", mine, theirs, ratio, unit))
    return rows


def table(found: dict[tuple[str, str], dict[str, Cell]]) -> list[str]:
    lines = [
        "| delivery, link | fixed 0 | fixed 120 | fixed 400 | burst | later responses: wait / underruns | slowed % |",
        "|---|---|---|---|---|---|--:|",
    ]
    for (delivery, link), cells in found.items():
        shown = [f"{c.wait:.0f} / {c.underruns:.2f} / {c.stalled:.2f}" for c in cells.values()]
        ours = cells["burst"]
        later = f"{ours.later_wait:.0f} / {ours.later_underruns:.2f}"
        lines.append(f"| {delivery}, {link} | {' | '.join(shown)} | {later} | {ours.slowed:.2f} |")
    return lines


def notes() -> list[str]:
    return ["Start wait ms / underruns per response / stalled %:", "\n".join(table(measure()))]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--conversations", type=int, default=CONVERSATIONS)
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    print("\n".join(table(measure(given.conversations, given.seed))))
