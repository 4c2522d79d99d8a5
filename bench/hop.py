"""What does one 10 ms hop of both halves cost? The budget is 60 us of the 10 000 there are.

The C function `rt_duplex_process`, which a device callback calls too, is called straight through cffi's `lib` with
addresses made beforehand, and each call is timed with `perf_counter_ns`: all that is left of Python in a figure is the
call through cffi and the clock, which the first row gives. Filling the queue and reading records and events, the loop
thread's part, happens between the calls and is not timed. Blocks longer than 10 ms are divided by their hops.

"Sound" is a synthetic voice (pulses through two formants, four syllables a second) in the microphone and noise in the
queue; without it both are digital silence. "Duck to silence" counts only the hops from the duck through its
confirmation, when the held sound is sent in one burst, and the fade. "Cold" reads 16 MiB between the calls, as a
callback finds the caches after 10 ms of other work.

Every scenario repeats a cycle of 2 s. "Dearest hop" is the core's own worst case: the least that each place in the
cycle ever took, and of these the most. "99.9 %" and "worst" are what the operating system makes of it: a call that is
interrupted counts with the interruption, and on a busy machine so does the mean. What no machine blurs is the count of
instructions, there when valgrind is: callgrind's, for the extension module without libc and libm, mean of two cycles.
"""

from __future__ import annotations

import gc
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.audio import AudioFormat, BargeIn, Duplex, DuplexConfig, EventKind, Policy
from engine.native import address, lib

Row = tuple[str, float, float, float, str]

BUDGET_US = 60.0
HOPS = 30_000
COUNTED_HOPS = 400
CYCLE_HOPS = 200
ITEM = "item"
COLD_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Scenario:
    name: str
    rate: int = 48000
    wire: AudioFormat = AudioFormat.PCM
    heard: bool = True
    played: bool = True
    barge_in: bool = False
    block_hops: int = 1
    cold: bool = False
    hops: int = HOPS

    @property
    def block(self) -> int:
        """Frames of one call."""
        return self.rate // 100 * self.block_hops


PCMU, PCMA = AudioFormat.PCMU, AudioFormat.PCMA
BOTH_PCM = Scenario("48 kHz, pcm, sound both ways")
BOTH_PCMU = Scenario("48 kHz, pcmu, sound both ways", wire=PCMU)
DUCK_PCMU = Scenario("48 kHz, pcmu, duck to silence", wire=PCMU, barge_in=True, hops=2 * HOPS)
SCENARIOS = [
    Scenario("48 kHz, pcm, silence both ways", heard=False, played=False),
    BOTH_PCM,
    Scenario("48 kHz, pcm, duck to silence", barge_in=True, hops=2 * HOPS),
    Scenario("48 kHz, pcm, 20 ms blocks", block_hops=2),
    Scenario("48 kHz, pcm, cold", cold=True, hops=1000),
    Scenario("48 kHz, pcmu, silence both ways", wire=PCMU, heard=False, played=False),
    BOTH_PCMU,
    DUCK_PCMU,
    Scenario("48 kHz, pcma, sound both ways", wire=PCMA),
    Scenario("16 kHz, pcm, sound both ways", rate=16000),
    Scenario("44.1 kHz, pcm, sound both ways", rate=44100),
    Scenario("44.1 kHz, pcmu, sound both ways", rate=44100, wire=PCMU),
    Scenario("96 kHz, pcm, sound both ways", rate=96000),
]


def voice(rate: int, seconds: float) -> NDArray[np.int16]:
    """120 Hz pulses through formants at 700 and 1200 Hz, in syllables."""
    t = np.arange(int(rate * seconds)) / rate
    harmonics = np.arange(1, 30) * 120.0
    weight = 1 / (1 + ((harmonics - 700) / 200) ** 2) + 0.5 / (1 + ((harmonics - 1200) / 200) ** 2)
    sound = np.sum(weight[:, None] * np.sin(2 * np.pi * harmonics[:, None] * t), axis=0)
    sound *= 0.2 + 0.8 * np.sin(np.pi * 4 * t) ** 2
    sound *= 9000 / np.abs(sound).max()
    return np.asarray(sound, dtype=np.int16)


def microphone(scenario: Scenario) -> list[NDArray[np.int16]]:
    """Blocks of one cycle of 2 s: silence, or voice; for a barge-in 0.8 s of voice amid faint noise."""
    seconds = CYCLE_HOPS // 100
    samples = voice(scenario.rate, seconds) if scenario.heard else np.zeros(seconds * scenario.rate, np.int16)
    if scenario.barge_in:
        faint = np.random.default_rng(5).normal(0, 10, len(samples)).astype(np.int16)
        t = np.arange(len(samples)) / scenario.rate
        samples = np.where((t >= 0.6) & (t < 1.4), samples, faint)
    return [np.ascontiguousarray(part) for part in samples.reshape(-1, scenario.block)]


class Caller:
    """The loop thread's part between the calls: fills the queue, empties the rings, follows the interruption."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        policy = Policy.EITHER if scenario.barge_in else Policy.NEVER
        self.duplex = Duplex(
            DuplexConfig(
                capture_rate=scenario.rate,
                playback_rate=scenario.rate,
                send_format=scenario.wire,
                receive_format=scenario.wire,
                barge_in=BargeIn(policy=policy),
            )
        )
        noise = np.random.default_rng(6).normal(0, 3000, 3 * scenario.wire.rate).clip(-32768, 32767).astype("<i2")
        self.reply = noise.tobytes() if scenario.wire is AudioFormat.PCM else noise.astype("u1").tobytes()
        self.items = 0
        self.interrupting = False

    def before(self, hop: int) -> None:
        """Keep the queue filled; for a barge-in begin each cycle with a new response."""
        queue = self.duplex.queue
        if not self.scenario.played:
            return
        if self.scenario.barge_in:
            if hop % CYCLE_HOPS == 0:
                queue.retire(f"{ITEM}{self.items}", 0)
                self.items += 1
                queue.push(f"{ITEM}{self.items}", 0, self.reply, queue.open())
        elif queue.waiting < queue.format.rate:
            queue.push(ITEM, 0, self.reply)

    def after(self) -> bool:
        """Empty the rings. Whether this hop lay between duck and silence."""
        kinds = {event.kind for event in self.duplex.read_events()}
        if EventKind.DUCKED in kinds:
            self.interrupting = True
        inside = self.interrupting
        if kinds & {EventKind.SILENT, EventKind.RESTORED}:
            self.interrupting = False
        self.duplex.read_records()
        return inside


def calls(scenario: Scenario) -> Iterator[tuple[int, bool]]:
    """Endless calls of the C function: nanoseconds, and whether the call lay between duck and silence."""
    caller, clock, process = Caller(scenario), time.perf_counter_ns, lib.rt_duplex_process
    pointer, block = caller.duplex.pointer, scenario.block
    out = np.empty(block, dtype=np.int16)
    heard, played = [address(part, "void *") for part in microphone(scenario)], address(out, "void *")
    other = np.zeros(COLD_BYTES // 8 if scenario.cold else 0)
    hop = 0
    while True:
        caller.before(hop)
        other += 1.0
        source = heard[hop // scenario.block_hops % len(heard)]
        begin = clock()
        process(pointer, source, played, block)
        spent = clock() - begin
        hop += scenario.block_hops
        yield spent, caller.after()


@dataclass(frozen=True)
class Measured:
    """Microseconds per hop."""

    calls: int
    mean: float
    dearest: float
    late: float
    worst: float


def measure(scenario: Scenario) -> Measured:
    """After one cycle to warm up. Of a barge-in only the calls between duck and silence."""
    places = CYCLE_HOPS // scenario.block_hops
    gc.collect()
    gc.disable()
    try:
        run = list(islice(calls(scenario), places, places + scenario.hops // scenario.block_hops))
    finally:
        gc.enable()
    counted = np.array([inside or not scenario.barge_in for _, inside in run])
    spent = np.array([nanoseconds for nanoseconds, _ in run]) / 1000 / scenario.block_hops
    cycles = np.where(counted, spent, np.inf).reshape(-1, places).min(axis=0)
    chosen = spent[counted]
    return Measured(
        calls=len(chosen),
        mean=float(chosen.mean()),
        dearest=float(cycles[np.isfinite(cycles)].max()),
        late=float(np.quantile(chosen, 0.999)),
        worst=float(chosen.max()),
    )


def empty_call() -> float:
    """Mean microseconds of the clock and a call through cffi that does next to nothing."""
    duplex, clock = Duplex(), time.perf_counter_ns
    playout = lib.rt_duplex_playout(duplex.pointer)
    spent = []
    for _ in range(HOPS):
        begin = clock()
        lib.rt_playout_newest(playout)
        spent.append(clock() - begin)
    return float(np.mean(spent)) / 1000


def instructions(scenario: Scenario) -> float | None:
    """Thousands of instructions per hop inside the core, those of init taken off; None without valgrind."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        return None
    totals = []
    for hops in (0, COUNTED_HOPS):
        with tempfile.TemporaryDirectory() as folder:
            counts = Path(folder) / "callgrind.out"
            command = [valgrind, "--tool=callgrind", f"--callgrind-out-file={counts}", sys.executable, __file__]
            subprocess.run([*command, str(SCENARIOS.index(scenario)), str(hops)], capture_output=True, check=True)
            totals.append(spent_in_core(counts.read_text(encoding="utf-8")))
    return (totals[1] - totals[0]) / COUNTED_HOPS / 1000


def spent_in_core(counts: str) -> int:
    """Instructions in the extension module itself: of that object in callgrind's list, the lines that are not calls."""
    objects: dict[str, str] = {}
    total, in_core, of_call = 0, False, False
    for line in counts.splitlines():
        if found := re.match(r"c?ob=(\(\d+\))(?: (.*))?", line):
            objects.setdefault(found[1], found[2] or "")
            if line.startswith("ob="):
                in_core = "_native" in objects[found[1]]
        elif line.startswith("calls="):
            of_call = True  # the next line is what the called function took
        elif found := re.match(r"[+*\d-]\S* (\d+)$", line):
            total += int(found[1]) if in_core and not of_call else 0
            of_call = False
    return total


def main() -> list[Row]:
    nan = float("nan")
    rows: list[Row] = [("the clock and an empty call, in all that follows", empty_call(), nan, nan, "us")]
    for scenario in SCENARIOS:
        found = measure(scenario)
        for what, cost in (
            ("mean", found.mean),
            ("dearest hop", found.dearest),
            ("99.9 %", found.late),
            (f"worst of {found.calls}", found.worst),
        ):
            rows.append((f"{scenario.name}: {what}", cost, BUDGET_US, BUDGET_US / cost, "us"))
    for scenario in (BOTH_PCM, BOTH_PCMU, DUCK_PCMU):  # these tell enough, and each takes 20 s
        count = instructions(scenario)
        if count is None:
            print("hop: no valgrind here: instructions are not counted", file=sys.stderr)
            break
        rows.append((f"{scenario.name}: instructions", count, nan, nan, "thousand"))
    return rows


def show(rows: list[Row]) -> None:
    print(f"{'one 10 ms hop of both halves':58} {'bargein':>9} {'budget':>9} {'ratio':>7}")
    for name, mine, budget, ratio, unit in rows:
        beside = "" if np.isnan(budget) else f"{budget:.0f}"
        print(f"{name:58} {mine:9.2f} {beside:>9} {'' if np.isnan(ratio) else f'{ratio:.1f}x':>7}  {unit}")


if __name__ == "__main__":
    if len(sys.argv) == 3:  # what callgrind runs: so many hops of that scenario, and one to set it up
        counted = calls(SCENARIOS[int(sys.argv[1])])
        deque(islice(counted, 1 + int(sys.argv[2])), maxlen=0)
    else:
        show(main())
