"""How many full-duplex sessions does one core of the server hold, beside a server that only reads?

N callers (`load_clients.py`, on another core) speak 2.9 s in every 8, in frames of 20 ms on an absolute clock, to the
server as anybody starts it (`load_server.py`), with turn detection and the brain `echo`: each turn is answered with
itself, in bursts. A frame's lateness is the time from when it was due until the caller knows that it was handled: a
question sent behind every 50th frame is answered in order. That has the caller's own delay in it, both ways through the
kernel, and the queue of what is being said to it. Nothing is lost when every turn was answered with exactly the bytes
that were said between the offsets the server named, and every question with its answer. Capacity is the largest N with
99 % of frames less than 20 ms late and nothing lost.

    python bench/load.py                 # curves of both fronts, capacity, profile, into load.md and load.svg; minutes
    python bench/load.py --front bare    # its curve alone, to look at; `mounted`: the ASGI application under uvicorn
    python bench/load.py --n 50 100      # these, to look at; --profile says where the time goes in the last
    python bench/load.py --quick         # 25 sessions for 8 s on each front: is anything lost?

A run says nothing when the callers were late themselves, or when the server had to wait for its core (the kernel counts
that): it is repeated, and marked when it stays so. Where others always work, `--stretch 6` lets time pass six times
slower, for callers and for replies, and tells every time in it: a server that has its core for a sixth of the time in
which it wants it then has what one core of its own would give, in a worse order. What does not depend on neighbours is
the processor time of the server's process for a second of one session, in milliseconds; a thousand by it is what a core
can hold at most.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import wave
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bench.load_clients import FRAME_BYTES, Callers, Script
else:
    from load_clients import FRAME_BYTES, Callers, Script

Row = tuple[str, float, float, float, str]
Said = dict[str, Any]

HERE = Path(__file__).parent
SPEECH = HERE.parent / "engine" / "data" / "caller.wav"
SPEECH_S, CYCLE_S = (0.4, 3.5), 8.0
LATE_MS = 20.0
"""A frame may be so late: then the next one is due."""
OWN_MS = 5.0
"""A run in which 1 % of the callers' own frames left later than that says nothing."""
BURST = 8.0
"""Replies are sent so much faster than they play, as they are by default."""
WAITED = 0.03
"""Nor does one in which the server waited for its core for more than this part of the time."""
FRONTS = ("asgi", "bare")
"""Of `bargein serve`: the first is the one that is profiled."""
STEPS = (25, 50, 100, 150, 200, 250, 300, 350, 400, 450, 500, 550, 600, 700, 800)
PROFILED = 250
ATTEMPTS = 3


@dataclass
class Run:
    """One N, measured."""

    sessions: int
    late_ms: tuple[float, float, float]
    """Median, 99 %, worst."""
    own_ms: float
    """99 % of the callers' own lateness."""
    answer_ms: tuple[float, float]
    """Median and 99 % from the end of a turn to the first sound of its reply."""
    lag_ms: tuple[float, float]
    """99 % and worst of the server's loop."""
    collected_ms: float
    """The longest pause for a collection of cycles."""
    cpu: float
    """Cores that the server's process used."""
    kernel: float
    """The part of it that was spent in the kernel."""
    waited: float
    """Part of the time in which it wanted one and had none."""
    kilobytes: float
    """Resident memory per session, without the sound that is kept for it."""
    threads: tuple[int, int]
    """Without a session, and with all."""
    stretch: float = 1.0
    """How much slower time passed; all times are told in its own."""
    share: float = 1.0
    """The part of its core that the server had when it wanted it."""
    lost: list[str] = field(default_factory=list)
    profile: dict[str, int] = field(default_factory=dict)

    @property
    def valid(self) -> bool:
        """Whether callers and neighbours let the server be measured."""
        alone = self.waited < WAITED if self.stretch == 1.0 else self.stretch * self.share <= 1.0
        return self.own_ms < OWN_MS and alone

    @property
    def holds(self) -> bool:
        """Whether the server did what it must."""
        return self.late_ms[1] < LATE_MS and not self.lost

    @property
    def cost(self) -> float:
        """Processor time of one second of one session, in ms."""
        return self.cpu / self.sessions * 1000


def script() -> Script:
    """What is said: some speech, and silence with a little noise, so that no piece is like another."""
    with wave.open(str(SPEECH)) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    spoken = sound[round(SPEECH_S[0] * 24000) : round(SPEECH_S[1] * 24000)]
    noise = np.random.default_rng(1).integers(-8, 9, round(CYCLE_S * 24000))
    noise[: spoken.size] += spoken
    audio = noise.clip(-32768, 32767).astype("<i2").tobytes()
    return Script(audio[: len(audio) // FRAME_BYTES * FRAME_BYTES])


class Server:
    """The server's process, asked through its pipes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        self.port = int(process.stdout.readline())

    def ask(self, word: str = "stat") -> dict[str, Any]:
        """What it says to a word."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        said: dict[str, Any] = json.loads(self._process.stdout.readline())
        return said


@contextmanager
def serving(core: int, kind: str, burst: float = BURST) -> Iterator[Server]:
    """A server of this kind while the block runs."""
    command = [sys.executable, str(HERE / "load_server.py"), str(core), kind, str(burst)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Server(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def measure(count: int, rounds: int, *, profile: bool = False, kind: str = FRONTS[0], stretch: float = 1.0) -> Run:
    """One run of `count` sessions: `rounds` cycles, the first of which is not measured."""
    usable = os.sched_getaffinity(0)
    ours, theirs = sorted(usable)[-1], sorted(usable)[-2 if len(usable) > 1 else -1]
    os.sched_setaffinity(0, {theirs})
    marks: list[dict[str, Any]] = []
    try:
        with serving(ours, kind, max(BURST / stretch, 1.0)) as server:
            marks.append(server.ask())
            callers = Callers(server.port, count, script(), stretch=stretch)
            callers.run(
                rounds,
                began=lambda: marks.append(server.ask("profile" if profile else "stat")),
                ended=lambda: marks.append(server.ask()),
            )
            marks.append(server.ask())
            callers.close()
    finally:
        os.sched_setaffinity(0, usable)
    return _judged(callers, rounds, stretch, *marks)


def _judged(callers: Callers, rounds: int, stretch: float, idle: Said, began: Said, ended: Said, last: Said) -> Run:
    seconds = (ended["time"] - began["time"]) / stretch
    ran, waited = ended["ran"] - began["ran"], ended["waited"] - began["waited"]
    count, heard = len(callers.sessions), callers.heard
    kept = sum(session.kept for session in callers.sessions)
    return Run(
        sessions=count,
        late_ms=_parts(heard.late, 1000 / stretch, 50, 99, 100),
        own_ms=_parts(heard.own, 1000 / stretch, 99)[0],
        answer_ms=_parts(heard.answers, 1000 / stretch, 50, 99),
        lag_ms=_parts(ended["lag"], 1 / stretch, 99, 100),
        collected_ms=max(ended["collections"], default=0.0) / stretch,
        cpu=(ended["cpu"] - began["cpu"]) / seconds,
        kernel=(ended["kernel"] - began["kernel"]) / max(ended["cpu"] - began["cpu"], 1e-9),
        waited=waited / seconds / stretch,
        kilobytes=(last["rss"] - idle["rss"] - kept) / count / 1024,
        threads=(idle["threads"], ended["threads"]),
        lost=[f"session {n}: {what}" for n, session in enumerate(callers.sessions) for what in session.lost(rounds)],
        profile=ended["profile"],
        stretch=stretch,
        share=ran / max(ran + waited, 1e-9),
    )


def _parts(times: Sequence[float], unit: float, *percents: float) -> Any:
    """Percentiles in a unit; not a number where nothing was measured."""
    if not len(times):
        return (float("nan"),) * len(percents)
    return tuple((np.percentile(times, percents) * unit).tolist())


def attempt(count: int, rounds: int, kind: str = FRONTS[0]) -> Run:
    """The first run that says something and holds; or that of several with the fewest late frames."""
    runs: list[Run] = []
    for _ in range(ATTEMPTS):
        runs.append(measure(count, rounds, kind=kind))
        if runs[-1].valid and runs[-1].holds:
            break
    return min(runs, key=lambda run: (not run.valid, bool(run.lost), run.late_ms[1]))


def curve(rounds: int, kind: str = FRONTS[0]) -> Iterator[Run]:
    """Up to the second N that the server does not hold."""
    failures = 0
    for count in STEPS:
        run = attempt(count, rounds, kind)
        yield run
        failures += not run.holds
        if failures == 2:
            return


def main(full: bool = False) -> list[Row]:
    """Ours beside the plain server, at an N that both hold."""
    count, rounds = (100, 3) if full else (50, 2)
    mine, peer = measure(count, rounds), measure(count, rounds, kind="plain")
    rows = [
        (f"{count} sessions: processor time of a session's second", mine.cost, peer.cost, peer.cost / mine.cost, "ms"),
        (
            f"{count} sessions: 99 % of frames handled within",
            mine.late_ms[1],
            peer.late_ms[1],
            peer.late_ms[1] / mine.late_ms[1],
            "ms",
        ),
    ]
    for name, run in (("ours", mine), ("plain", peer)):
        if not run.valid:
            print(f"load: {name} was measured with neighbours on its core: it waited {run.waited:.0%}", file=sys.stderr)
    return rows


HEAD = "    N  late50  late99     max  answer  ans.99   lag99     max    cpu ms/s·s   KB/s threads own99 waited"


def show(run: Run) -> str:
    """One line of the table."""
    said = "" if run.valid else "  NOT VALID"
    if run.lost:
        said += f"  LOST: {len(run.lost)}, such as {run.lost[0]}"
    times = (*run.late_ms, *run.answer_ms, *run.lag_ms)
    return (
        f"{run.sessions:5} {' '.join(f'{each:7.1f}' for each in times)} {run.cpu:6.2f} {run.cost:6.2f} "
        f"{run.kilobytes:6.0f} {run.threads[0]:3}/{run.threads[1]:<3} {run.own_ms:5.1f} {run.waited:6.1%}{said}"
    )


def main_cli() -> int:
    """See the top."""
    parser = argparse.ArgumentParser(description="Sessions that one core of the server holds.")
    parser.add_argument("--n", nargs="+", type=int, help="numbers of sessions; default: a curve, which is written down")
    parser.add_argument("--rounds", type=int, default=3, help="cycles of 8 s, the first of which is not measured")
    parser.add_argument("--quick", action="store_true", help="25 sessions, two rounds; status 1 when something is lost")
    parser.add_argument("--profile", action="store_true", help="where the time goes; costs some time itself")
    parser.add_argument("--stretch", type=float, default=1.0, help="time passes so much slower: see above")
    parser.add_argument(
        "--front",
        nargs="+",
        choices=(*FRONTS, "mounted", "plain"),
        help=f"which server (default: {' and '.join(FRONTS)}); plain is the one to compare with",
    )
    options = parser.parse_args()
    print(HEAD)
    fronts = options.front or FRONTS
    if options.quick:
        runs = [measure(25, 2, kind=kind) for kind in fronts]
        for kind, run in zip(fronts, runs, strict=True):
            print(f"{show(run)}  {kind}")
        return int(any(run.lost for run in runs))
    if TYPE_CHECKING:
        from bench import load_report as report
    else:
        import load_report as report
    if options.n:
        for count, kind in ((count, kind) for count in options.n for kind in fronts):
            run = measure(count, options.rounds, profile=options.profile, kind=kind, stretch=options.stretch)
            print(f"{show(run)}  {kind}", flush=True)
            if options.profile:
                print("\n".join(report.profiled(run)))
        return 0
    before = os.getloadavg()[0]
    curves: dict[str, list[Run]] = {}
    for kind in fronts:
        print(kind)
        for run in curve(options.rounds, kind):
            curves.setdefault(kind, []).append(run)
            print(show(run), flush=True)
    if options.front:
        return 0
    print(report.write(curves, measure(PROFILED, options.rounds, profile=True), before))
    return 0


if __name__ == "__main__":
    sys.exit(main_cli())
