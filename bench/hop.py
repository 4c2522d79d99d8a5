"""What does one 10 ms hop of both halves cost? The budget is 40 us of 10 000, and 3 times the mean for the worst.

The C function `rt_duplex_process`, which a device callback calls too, is called straight through cffi's `lib` with
addresses made beforehand, and each call is timed: with the wall clock, and with the thread's CPU clock, which stands
still while something else runs. All that is left of Python in a figure is the call through cffi and the clocks, which
the first rows give. Filling the queue and reading records and events, the loop thread's part, happens between the calls
and is not timed. Blocks longer than 10 ms are divided by their hops.

"Everything" is a call with all that the chain has but for the canceller, noise and level: voice, gate, a stage in each
half (with numba), a volume, the burst policy with little at hand, so that it slows the reply down (or the paced one,
with packets late and lost), and in each cycle a duck, a confirmed interruption, its fade and the held sound sent at
once. "Sound" is a synthetic voice (pulses through two formants, four syllables a second) in the microphone and noise
in the queue; without it both are digital silence. "Duck to silence" counts only the hops from the duck through its
confirmation and the fade. "Cold" reads 16 MiB between the calls, as a callback finds the caches after 10 ms of other
work.

"Echo and noise" is everything, and besides what is played comes back into the microphone after 40 ms, and high-pass,
echo canceller, noise reduction and level are on: the budget is 120 us.

Which hop is the worst? On the clock, the one that the operating system interrupted: "worst" and "99.9 %" by the wall
clock are the machine's, and by the CPU clock still hold the caches that others have emptied. The core's own worst case
shows in two other ways. Every scenario repeats a cycle of 2 s, so each of its hops is measured 150 times: "dearest" is
the least that each place in the cycle ever took, and of these the most; its ratio is that to the mean of those least.
And `instructions.py` counts instructions hop by hop, which no machine blurs, and holds the worst to 3 times the mean.
"""

from __future__ import annotations

import functools
import gc
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio import (
    AudioFormat,
    BargeIn,
    Duplex,
    DuplexConfig,
    EventKind,
    Gate,
    GateMode,
    Hearing,
    Packet,
    PlayoutPolicy,
    Policy,
    Stage,
    stage,
)
from engine.native import address, lib

Row = tuple[str, float, float, float, str]

BUDGET_US = 40.0
HEARING_US = 120.0  # with echo canceller, noise reduction and level
WORST_OVER_MEAN = 3.0
HOPS = 30_000
CYCLE_HOPS = 200
ITEM = "item"
ECHO_HOPS = 4  # from loudspeaker to microphone
HEARING = Hearing(echo="auto", highpass_hz=80, noise_reduction="far_field", agc_dbfs=-20)
COLD_BYTES = 16 * 2**20
DELTA_MS = 50  # of a reply that comes as it is played


@dataclass(frozen=True)
class Scenario:
    name: str
    rate: int = 48000
    wire: AudioFormat = AudioFormat.PCM
    heard: bool = True
    played: bool = True
    barge_in: bool = False
    everything: bool = False
    paced: bool = False
    block_hops: int = 1
    cold: bool = False
    hops: int = HOPS
    hearing: bool = False

    @property
    def budget(self) -> float:
        """Microseconds a hop may cost in the mean."""
        return HEARING_US if self.hearing else BUDGET_US

    @property
    def block(self) -> int:
        """Frames of one call."""
        return self.rate // 100 * self.block_hops


PCMU, PCMA = AudioFormat.PCMU, AudioFormat.PCMA
WHOLE = [
    Scenario("48 kHz, pcm, everything", barge_in=True, everything=True),
    Scenario("48 kHz, pcmu, everything", wire=PCMU, barge_in=True, everything=True),
    Scenario("48 kHz, pcmu, everything, paced", wire=PCMU, barge_in=True, everything=True, paced=True),
    Scenario("48 kHz, pcm, everything, echo and noise", barge_in=True, everything=True, hearing=True),
]
SCENARIOS = [
    Scenario("48 kHz, pcm, silence both ways", heard=False, played=False),
    Scenario("48 kHz, pcm, sound both ways"),
    Scenario("48 kHz, pcm, duck to silence", barge_in=True, hops=2 * HOPS),
    Scenario("48 kHz, pcm, 20 ms blocks", block_hops=2),
    Scenario("48 kHz, pcm, cold", cold=True, hops=1000),
    Scenario("48 kHz, pcmu, silence both ways", wire=PCMU, heard=False, played=False),
    Scenario("48 kHz, pcmu, sound both ways", wire=PCMU),
    Scenario("48 kHz, pcmu, duck to silence", wire=PCMU, barge_in=True, hops=2 * HOPS),
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


def equalise(state: Any, block: Any) -> None:
    """A stage: one peaking filter."""
    for i in range(len(block)):
        x = block[i]
        y = np.float32(1.04) * x + state.z0
        state.z0 = np.float32(1.6) * (y - x) + state.z1
        state.z1 = np.float32(0.72) * x - np.float32(0.76) * y
        block[i] = y


@functools.cache
def stages() -> list[Stage]:
    """One for each half; none without numba, and a line that says so."""
    states = [np.zeros(1, dtype=[("z0", "f4"), ("z1", "f4")]) for _ in range(2)]
    try:
        return [stage(equalise, state) for state in states]
    except ImportError as error:
        print(f"hop: everything but stages: {error}", file=sys.stderr)
        return []


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
                playout_policy=PlayoutPolicy.PACED if scenario.paced else PlayoutPolicy.BURST,
                queue_s=5.0 if scenario.paced else 120.0,
                gate=Gate(GateMode.SILENCE) if scenario.everything else Gate(),
                hearing=HEARING if scenario.hearing else Hearing(),
                max_block=scenario.block,
            )
        )
        if scenario.everything:
            self.duplex.set_volume(0.8)
            for chain, one in zip(("capture", "playback"), stages(), strict=False):
                self.duplex.set_stages(chain, [one])
        noise = np.random.default_rng(6).normal(0, 3000, 3 * scenario.wire.rate).clip(-32768, 32767).astype("<i2")
        self.reply = noise.tobytes() if scenario.wire is AudioFormat.PCM else noise.astype("u1").tobytes()
        self.delta = self.reply[: scenario.wire.rate * DELTA_MS // 1000 * scenario.wire.sample_bytes]
        self.items = self.packets = 0
        self.interrupting = self.interrupted = False

    def before(self, hop: int) -> None:
        """Keep the queue filled; for a barge-in begin each cycle with a new response."""
        queue, scenario = self.duplex.queue, self.scenario
        if not scenario.played:
            return
        if scenario.barge_in and hop % CYCLE_HOPS == 0:
            queue.retire(f"{ITEM}{self.items}", 0)
            self.items, self.interrupted = self.items + 1, False
            generation = queue.open()
            if not scenario.paced:
                first = self.delta if scenario.everything else self.reply
                queue.push(f"{ITEM}{self.items}", 0, first, generation)
        if scenario.paced:
            self.send_packets(hop)
        elif scenario.everything and not self.interrupted and queue.waiting < queue.format.rate * DELTA_MS // 1000:
            queue.push(f"{ITEM}{self.items}", 0, self.delta)
        elif not scenario.barge_in and queue.waiting < queue.format.rate:
            queue.push(ITEM, 0, self.reply)

    def send_packets(self, hop: int) -> None:
        """A packet of 20 ms every other hop; of 40 one is lost, and one is 80 ms late and those behind it with it."""
        wire = self.scenario.wire
        frames = wire.rate // 50
        while self.packets * 2 + (8 if self.packets % 40 == 30 else 0) <= hop:
            n, self.packets = self.packets, self.packets + 1
            at = n * frames * wire.sample_bytes % (len(self.reply) // 2)
            payload = self.reply[at : at + frames * wire.sample_bytes]
            if n % 40 != 10:
                packet = Packet(payload, n * frames % 2**32, n % 2**16, hop * 10_000, 1)
                self.duplex.queue.push_packet(f"{ITEM}{self.items}", 0, packet)

    def after(self) -> bool:
        """Empty the rings. Whether this hop lay between duck and silence."""
        kinds = {event.kind for event in self.duplex.read_events()}
        if EventKind.DUCKED in kinds:
            self.interrupting = True
        self.interrupted |= EventKind.CONFIRMED in kinds
        inside = self.interrupting
        if kinds & {EventKind.SILENT, EventKind.RESTORED}:
            self.interrupting = False
        self.duplex.read_records()
        return inside


def calls(scenario: Scenario) -> Iterator[tuple[int, int, bool]]:
    """Endless calls of the C function: nanoseconds by both clocks, and whether it lay between duck and silence."""
    caller, wall, cpu, process = Caller(scenario), time.perf_counter_ns, time.thread_time_ns, lib.rt_duplex_process
    pointer, block = caller.duplex.pointer, scenario.block
    out = np.empty(block, dtype=np.int16)
    parts = microphone(scenario)
    heard, played = [address(part, "void *") for part in parts], address(out, "void *")
    air = [np.zeros(block, np.int16) for _ in range(ECHO_HOPS)]
    mixed = np.zeros(block, np.int16)
    other = np.zeros(COLD_BYTES // 8 if scenario.cold else 0)
    hop = 0
    while True:
        caller.before(hop)
        other += 1.0
        source = heard[hop // scenario.block_hops % len(heard)]
        if scenario.hearing:
            mixed[:] = parts[hop % len(parts)] // 2 + air[hop % ECHO_HOPS] // 3
            source = address(mixed, "void *")
        worked, begin = cpu(), wall()
        process(pointer, source, played, block)
        spent = wall() - begin
        worked = cpu() - worked
        air[hop % ECHO_HOPS][:] = out
        hop += scenario.block_hops
        yield spent, worked, caller.after()


@dataclass(frozen=True)
class Measured:
    """Microseconds per hop; `dearest_ratio` is a ratio."""

    calls: int
    mean: float
    mean_cpu: float
    dearest: float
    dearest_ratio: float
    late: float
    worst: float
    worst_cpu: float


@functools.cache
def measure(scenario: Scenario) -> Measured:
    """After one cycle to warm up. Of a barge-in alone, only the calls between duck and silence."""
    places = CYCLE_HOPS // scenario.block_hops
    gc.collect()
    gc.disable()
    try:
        run = list(islice(calls(scenario), places, places + scenario.hops // scenario.block_hops))
    finally:
        gc.enable()
    partly = scenario.barge_in and not scenario.everything
    counted = np.array([inside or not partly for *_, inside in run])
    spent, worked = (np.array([call[n] for call in run]) / 1000 / scenario.block_hops for n in (0, 1))
    least = np.where(counted, spent, np.inf).reshape(-1, places).min(axis=0)
    least = least[np.isfinite(least)]
    return Measured(
        calls=int(counted.sum()),
        mean=float(spent[counted].mean()),
        mean_cpu=float(worked[counted].mean()),
        dearest=float(least.max()),
        dearest_ratio=float(least.max() / least.mean()),
        late=float(np.quantile(spent[counted], 0.999)),
        worst=float(spent[counted].max()),
        worst_cpu=float(worked[counted].max()),
    )


@functools.cache
def empty_call() -> tuple[float, float]:
    """Mean microseconds of a call through cffi that does next to nothing, by the wall clock and by the CPU clock."""
    duplex, wall, cpu = Duplex(), time.perf_counter_ns, time.thread_time_ns
    playout = lib.rt_duplex_playout(duplex.pointer)
    spent, worked = [], []
    for _ in range(HOPS):
        before, begin = cpu(), wall()
        lib.rt_playout_newest(playout)
        spent.append(wall() - begin)
        worked.append(cpu() - before)
    return float(np.mean(spent)) / 1000, float(np.mean(worked)) / 1000


def main() -> list[Row]:
    """The whole chain beside what it may cost; all scenarios are in the note."""
    nan = float("nan")
    rows: list[Row] = []
    for name, cost in zip(("wall", "CPU"), empty_call(), strict=True):
        rows.append((f"the {name} clock and an empty call, in all that follows", cost, nan, nan, "us"))
    for scenario in WHOLE:
        found = measure(scenario)
        for what, cost in (("wall clock", found.mean), ("CPU clock", found.mean_cpu)):
            rows.append((f"{scenario.name}: mean, {what}", cost, scenario.budget, scenario.budget / cost, "us"))
        rows.append((f"{scenario.name}: dearest hop", found.dearest, nan, nan, "us"))
        ratio = found.dearest_ratio
        rows.append((f"{scenario.name}: dearest hop / mean", ratio, WORST_OVER_MEAN, WORST_OVER_MEAN / ratio, ""))
        for what, cost in (("wall clock", found.worst), ("CPU clock", found.worst_cpu)):
            rows.append((f"{scenario.name}: worst of {found.calls}, {what}", cost, nan, nan, "us"))
    return rows


def notes() -> list[str]:
    lines = [
        "Microseconds per hop; the bargein column above is this machine's, the peer column what is promised.",
        "",
        "| one 10 ms hop of both halves | hops | mean, wall | CPU | dearest | / mean | 99.9 % | worst, wall | CPU |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for scenario in WHOLE + SCENARIOS:
        m = measure(scenario)
        lines.append(
            f"| {scenario.name} | {m.calls} | {m.mean:.2f} | {m.mean_cpu:.2f} | {m.dearest:.2f} "
            f"| {m.dearest_ratio:.2f} | {m.late:.1f} | {m.worst:.1f} | {m.worst_cpu:.1f} |"
        )
    return ["\n".join(lines)]


def show(rows: list[Row]) -> None:
    print(f"{'one 10 ms hop of both halves':58} {'bargein':>9} {'promised':>9} {'ratio':>7}")
    for name, mine, promised, ratio, unit in rows:
        beside = "" if np.isnan(promised) else f"{promised:.0f}"
        print(f"{name:58} {mine:9.2f} {beside:>9} {'' if np.isnan(ratio) else f'{ratio:.1f}x':>7}  {unit}")
    print(*notes(), sep="\n")


if __name__ == "__main__":
    show(main())
