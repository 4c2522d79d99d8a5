"""How many instructions does a hop of 10 ms take, in each block and in both halves?

    python bench/instructions.py [--record] [--need-valgrind] [--show [WORD]]

Time is blurred by the machine and by whatever else runs on it; the number of instructions is not. The workloads of
`workloads/` are built from the sources with FLAGS and run under valgrind's callgrind, which counts inside their
function `counted_hop` only and writes the count down after every hop, of one cycle of 2 s. Counted is what the core's
own code executes: libm and memcpy have a version for each processor and count apart (`outside`). RT_NARROW leaves the
AVX2 copies of G.711's loops out for the same reason, so that the counts are those of every x86-64.

`instructions.json` holds the counts with the compiler that they belong to. The check fails where a mean or a worst
hop has moved by more than 5 % (and by more than 20 instructions) in either direction: fewer is good news that belongs
in the file. It also holds the worst hop of both halves to three times the mean: all searches and bursts are spread
over hops. With another compiler or architecture the counts mean nothing: one line says so, and nothing is checked.
`--record` writes the file. Without valgrind the check is left out with a line, or fails with `--need-valgrind`. Needs
no package.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

Row = tuple[str, float, float, float, str]

ROOT = Path(__file__).resolve().parents[1]
RECORD = Path(__file__).with_name("instructions.json")
# As CMakeLists.txt builds a release, and every x86-64 alike.
FLAGS = "-std=gnu11 -O3 -fno-math-errno -fno-trapping-math -fvisibility=hidden -D_POSIX_C_SOURCE=200809L -DRT_NARROW"
PROGRAM = "workloads"
HOPS = 200
TOLERANCE, SLACK = 0.05, 20.0
WORST_OVER_MEAN = 3.0
WHOLE = "both halves"  # what the names of workloads of the whole chain begin with


class Unavailable(Exception):
    """A tool is not here."""


@dataclass(frozen=True)
class Count:
    """Instructions per hop."""

    mean: float
    worst: float
    outside: float
    """Mean of those in libm and libc, not compared."""


def tool(name: str, *arguments: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Unavailable(f"no {name} here")
    return subprocess.run([found, *arguments], capture_output=True, text=True, check=True).stdout


def compiler() -> str:
    """Name and version, with the distributor's own number."""
    said = tool(os.environ.get("CC", "cc"), "--version")
    line = said.splitlines()[0]
    return "gcc " + line.partition(" ")[2] if "Free Software Foundation" in said else line


def build(folder: Path) -> Path:
    program = folder / PROGRAM
    sources = [*sorted((ROOT / "bench" / "workloads").glob("*.c")), *sorted((ROOT / "csrc").glob("*.c"))]
    command = [os.environ.get("CC", "cc"), *FLAGS.split(), f"-I{ROOT / 'csrc'}", *map(str, sources)]
    subprocess.run([*command, "-o", str(program), "-lm", "-lpthread"], check=True)
    return program


def names(program: Path) -> list[str]:
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()


def hop_counts(program: Path, name: str) -> list[tuple[int, int]]:
    """For each hop of a cycle: instructions in the program itself, and outside it."""
    with tempfile.TemporaryDirectory() as folder:
        dumps = Path(folder) / "hop"
        callgrind = ["--tool=callgrind", "--toggle-collect=counted_hop", "--dump-after=counted_hop", "--dump-line=no"]
        command = ["valgrind", *callgrind, f"--callgrind-out-file={dumps}", str(program), name, str(HOPS)]
        subprocess.run(command, capture_output=True, check=True)
        return [spent(dumps.with_suffix(f".{n}").read_text(encoding="utf-8")) for n in range(1, HOPS + 1)]


def spent(dump: str) -> tuple[int, int]:
    """Instructions of one dump, in the program and elsewhere: the lines of each object that are not calls."""
    objects: dict[str, str] = {}
    own, outside, here, of_call = 0, 0, False, False
    for line in dump.splitlines():
        if found := re.match(r"c?ob=(\(\d+\))(?: (.*))?", line):
            objects.setdefault(found[1], found[2] or "")
            if line.startswith("ob="):
                here = objects[found[1]].endswith(f"/{PROGRAM}")
        elif line.startswith("calls="):
            of_call = True  # the next line is what the called function took
        elif found := re.match(r"[+*\d-]\S* (\d+)$", line):
            if not of_call and here:
                own += int(found[1])
            elif not of_call:
                outside += int(found[1])
            of_call = False
    return own, outside


def summary(hops: list[tuple[int, int]]) -> Count:
    own = [count for count, _ in hops]
    return Count(round(sum(own) / len(own), 1), max(own), round(sum(outside for _, outside in hops) / len(hops), 1))


@functools.cache
def counted(only: str = "") -> dict[str, Count]:
    """All workloads, or those whose name has this word."""
    tool("valgrind", "--version")
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        program = build(Path(folder))
        chosen = [name for name in names(program) if only in name]
        counts = pool.map(lambda name: summary(hop_counts(program, name)), chosen)
        return dict(zip(chosen, counts, strict=True))


def place() -> dict[str, str]:
    """What the counts depend on."""
    return {"compiler": compiler(), "machine": platform.machine(), "flags": FLAGS}


def record(path: Path = RECORD) -> None:
    counts = {name: asdict(count) for name, count in counted().items()}
    content = {**place(), "valgrind": tool("valgrind", "--version").strip(), "hops": HOPS, "counts": counts}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def moved(now: float, before: float) -> bool:
    return abs(now - before) > max(TOLERANCE * before, SLACK)


def complaints(now: dict[str, Count], before: dict[str, Count]) -> list[str]:
    """A line for everything that is not as it was recorded, or not as it is promised."""
    found = [f"{name}: not recorded" for name in now if name not in before]
    found += [f"{name}: recorded, but there is no such workload" for name in before if name not in now]
    for name in now.keys() & before.keys():
        for what, new, old in (
            ("mean", now[name].mean, before[name].mean),
            ("worst", now[name].worst, before[name].worst),
        ):
            if moved(new, old):
                found.append(f"{name}: {what} hop {old:.0f} -> {new:.0f} instructions ({new / old - 1:+.1%})")
    for name, count in now.items():
        if name.startswith(WHOLE) and count.worst > WORST_OVER_MEAN * count.mean:
            found.append(f"{name}: the worst hop takes {count.worst / count.mean:.2f} times the mean")
    return sorted(found)


def check(path: Path = RECORD) -> int:
    """0 if all is as recorded, or nothing can be compared here."""
    recorded = json.loads(path.read_text(encoding="utf-8"))
    for key, value in place().items():
        if recorded[key] != value:
            print(f"instructions: not checked: recorded with {key} {recorded[key]!r}, here it is {value!r}")
            return 0
    before = {name: Count(**count) for name, count in recorded["counts"].items()}
    found = complaints(counted(), before)
    print(*found, sep="\n", end="\n" if found else "")
    if found:
        print(f"instructions: {len(found)} not as recorded; if that is right: make instructions RECORD=1")
        return 1
    print(f"instructions: {len(before)} workloads within {TOLERANCE:.0%} of {path.name} ({recorded['compiler']})")
    return 0


def main() -> list[Row]:
    nothing = float("nan")
    try:
        found = counted()
    except Unavailable as error:
        raise ImportError(str(error)) from error  # bench/run.py leaves a line for it
    rows: list[Row] = []
    for name, count in found.items():
        rows.append((f"{name}: mean hop", count.mean / 1000, nothing, nothing, "thousand"))
        rows.append((f"{name}: worst hop", count.worst / 1000, nothing, nothing, "thousand"))
    return rows


def show(counts: dict[str, Count]) -> None:
    print(f"{'instructions per hop of 10 ms':40} {'mean':>9} {'worst':>9} {'ratio':>6} {'outside':>9}")
    for name, count in counts.items():
        ratio = count.worst / count.mean
        print(f"{name:40} {count.mean:9.0f} {count.worst:9.0f} {ratio:6.2f} {count.outside:9.0f}")


def command_line() -> int:
    parser = argparse.ArgumentParser(description="Instructions per hop, by callgrind.")
    parser.add_argument("--record", action="store_true", help=f"write {RECORD.name} instead of comparing with it")
    parser.add_argument("--need-valgrind", action="store_true", help="fail without valgrind")
    parser.add_argument("--show", nargs="?", const="", metavar="WORD", help="print those with this word in their name")
    arguments = parser.parse_args()
    try:
        if arguments.show is not None:
            show(counted(arguments.show))
        elif arguments.record:
            record()
            show(counted())
        else:
            tool("valgrind", "--version")
            return check()
    except Unavailable as error:
        print(f"instructions: not checked: {error}")
        return int(arguments.need_valgrind)
    return 0


if __name__ == "__main__":
    sys.exit(command_line())
