"""What `load.py` found, as a table, a picture and a profile: load.md and load.svg."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench import plots
    from bench.load import LATE_MS, Run
else:
    import plots
    from load import LATE_MS, Run

PAGE, PICTURE = plots.FOLDER / "load.md", plots.FOLDER / "load.svg"

GROUPS = {
    "the loop: asyncio, selector, sockets": ("asyncio/", "selectors.py", "threading.py"),
    "WebSocket: frames, messages": (
        "websockets/",
        "engine/transport/",
        "engine/server/web",
        "uvicorn/",
        "engine/server/carrier",
        "engine/server/outbox",
    ),
    "JSON and base64, both ways": ("engine/realtime/wire", "engine/server/faulty"),
    "protocol: rules, ids, events": ("engine/realtime/", "engine/server/session", "engine/server/ids", "enum.py"),
    "detector, in C, and turns": ("engine/audio/ear", "engine/audio/detector", "engine/server/turns", "engine/native"),
    "input buffer": ("engine/server/input_audio", "engine/server/listening"),
    "replies: brain, pacing, sound, history": ("engine/", "numpy/"),
    "the measurement": ("bench/",),
}
"""What a sample of the profile counts as: the first with a beginning of its place."""


def capacity(runs: Sequence[Run]) -> Run | None:
    """The largest that holds, with all below it."""
    held = None
    for run in sorted(runs, key=lambda run: run.sessions):
        if not run.holds:
            break
        held = run
    return held


def grouped(profile: dict[str, int]) -> dict[str, float]:
    """Parts of the time by GROUPS."""
    found: Counter[str] = Counter()
    for place, count in profile.items():
        name = next((name for name, starts in GROUPS.items() if place.startswith(starts)), "other")
        found[name] += count
    total = found.total() or 1
    return {name: found[name] / total for name in [*GROUPS, "other"] if found[name]}


def profiled(run: Run, functions: int = 12) -> list[str]:
    """Where the time of a run went, as Markdown: by kinds of work, and the functions with the most."""
    total = sum(run.profile.values()) or 1
    lines = ["| work | part | ms per session-second |", "| --- | --: | --: |"]
    for name, part in sorted(grouped(run.profile).items(), key=lambda each: -each[1]):
        lines.append(f"| {name} | {part:.1%} | {part * run.cost:.3f} |")
    lines += ["", "| function, with the C that it calls | part |", "| --- | --: |"]
    for place, count in sorted(run.profile.items(), key=lambda each: -each[1])[:functions]:
        file, _, function = place.partition(":")
        lines.append(f"| `{file}` {function} | {count / total:.1%} |")
    return lines


def table(runs: Sequence[Run]) -> list[str]:
    """The curve as Markdown."""
    lines = [
        "| sessions | late p50 | p99 | worst | answer p50 | p99 | loop lag p99 | worst | collection | core "
        "| ms/session-s | KB/session | threads | lost | waited | time, had |",
        "| --: " * 16 + "|",
    ]
    for run in runs:
        times = " | ".join(f"{each:.1f}" for each in (*run.late_ms, *run.answer_ms, *run.lag_ms, run.collected_ms))
        threads = f"{run.threads[0]}, {run.threads[1]}"
        waited = f"{run.waited:.1%}" + ("" if run.valid else " *")
        lines.append(
            f"| {run.sessions} | {times} | {run.cpu:.2f} | {run.cost:.2f} | {run.kilobytes:.0f} | {threads} | "
            f"{len(run.lost)} | {waited} | {run.stretch:g}x, {min(run.stretch * run.share, 9.99):.2f} |"
        )
    return lines


def verdict(runs: Sequence[Run]) -> str:
    """How many are held."""
    held = capacity(runs)
    said = f"Held: {held.sessions if held else 0} sessions on one core"
    return said + (f" at {held.cpu:.2f} of it" if held is not None else "")


def section(front: str, runs: Sequence[Run]) -> list[str]:
    """The curve of a front."""
    whole = [run for run in runs if not run.lost] or runs  # what lost some did not do the work
    cheapest = min(whole, key=lambda run: run.cost)
    return [
        f"## The front `{front}`",
        "",
        f"{verdict(runs)} (99 % of frames handled within {LATE_MS:g} ms of being due, nothing lost).",
        f"By processor time alone ({cheapest.cost:.2f} ms for a session's second): {1000 / cheapest.cost:.0f}.",
        "",
        *table(runs),
        "",
    ]


def write(
    curves: Mapping[str, Sequence[Run]], profile: Run, load_before: float, page: Path = PAGE, picture: Path = PICTURE
) -> str:
    """Write page and picture of the curves by front, the first of which is the profile's; returns what to say of it."""
    said = "; ".join(f"{front}: {verdict(runs)}" for front, runs in curves.items())
    machine = f"{os.cpu_count()} processors, load average {load_before:.1f} before and {os.getloadavg()[0]:.1f} after"
    lines = [
        "# Sessions on one core",
        "",
        f"{machine} the run. Written by `python bench/load.py`; what is measured stands at the top of that file.",
        "Times in ms; `collection` is the longest pause for the collector of cycles. `waited` is the part of the time",
        "in which the server wanted its core and others had it; a run marked * had such neighbours, or callers that",
        "were late themselves, and its times are upper bounds. `time` is how much slower it passed, `had` what the",
        "server had of its core when it wanted it, in that time: 1 is a core of its own.",
        "",
        f"![Lateness and processor time over the number of sessions]({picture.name})",
        "",
        *(line for front, runs in curves.items() for line in section(front, runs)),
        "## The profile",
        "",
        f"Where the time of `{next(iter(curves))}` goes with {profile.sessions} sessions, in",
        f"{sum(profile.profile.values())} samples of it",
        f"({profile.cost:.2f} ms per session-second with the sampling, {profile.kernel:.0%} of it in the kernel):",
        "",
        *profiled(profile),
        "",
    ]
    page.write_text("\n".join(lines), encoding="utf-8")
    draw(curves, picture)
    return f"{said}; written: {page}, {picture}"


def draw(curves: Mapping[str, Sequence[Run]], path: Path = PICTURE) -> Path:
    """Lateness, and what it costs; the first front in full lines, the next one in dashed ones."""
    figure, (late, cost) = plots.pyplot().subplots(1, 2, figsize=(9, 3.4))
    colours = (("median", plots.PEERS[1]), ("99 %", plots.OURS), ("worst", plots.PEERS[4]))
    for (front, runs), style in zip(curves.items(), ("o-", "x--", "s:"), strict=False):
        sessions = [run.sessions for run in runs]
        for at, (name, colour) in enumerate(colours):
            times = [run.late_ms[at] for run in runs]
            late.plot(sessions, times, style, color=colour, label=f"{front}, {name}", markersize=3.5)
        cost.plot(sessions, [run.cpu * 100 for run in runs], style, color=plots.OURS, label=front, markersize=3.5)
    late.axhline(LATE_MS, color="0.3", linewidth=0.8, linestyle="--")
    place = (min(run.sessions for runs in curves.values() for run in runs), LATE_MS)
    late.annotate("the next frame is due", place, xytext=(0, 3), textcoords="offset points", fontsize=8)
    across = {"xlabel": "sessions on one core", "xlim": (0, None)}
    late.set(yscale="log", ylabel="ms", title="A frame is handled so late", **across)
    late.legend(fontsize=7)
    cost.set(ylabel="% of the core", title="Processor time", ylim=(0, 105), **across)
    cost.legend(fontsize=7)
    figure.tight_layout()
    return plots.save(figure, path)
