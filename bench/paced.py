"""How long does sound wait, and how much of it must be made up, when it arrives at the pace it is spoken?

Every policy meets the same arrivals (20 ms packets, `links.py`) with the same model of playout, no audio: a late
packet is waited for and what follows is late with it; above 2 s of delay the oldest sound is skipped. Per run:

- delay: mean delay of what was played, above the fastest packet of the run; concealed: time waited in vain, per time
  played; stretched: time inserted and removed by changes of speed, per time played; stretched speech: the part of it
  that fell on speech (talk and pauses are exponential, 1.2 s and 0.6 s; a policy is told which it plays); skipped:
  sound lost.
- bargein: the C block `jitter` itself. NetEQ: the rule of WebRTC's delay manager and decision logic written again from
  their description: relative delay against the fastest packet of 2 s, the largest per 500 ms into 100 bins of 20 ms
  with forget factor .983, target the .95 quantile, 80 ms before data; slower by 6 % below the target, faster by 6 %
  above it + 20 ms and by 18 % above four times that. W is the same by the letter: faster only above the target + the
  largest delay of 2 s + 20 ms, and never by more than 6 %. Neither is NetEQ itself, which cannot be had without a peer
  connection.
- oracle: the least fixed delay of each run, known beforehand, that has no more late packets than bargein concealed.

The figures of the rule in C were chosen on other seeds and on the first halves of the traces, so the second halves are
run here (`--half whole` for all of each). `--quick` makes few runs. The plot bench/paced.svg shows delay and
concealment of bargein over its one knob, of NetEQ over its quantile, and of fixed delays.
"""

from __future__ import annotations

import argparse
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bench import plots
    from bench.links import Link, links
    from bench.policies import NetEq, Ours, Outcome, Policy, late, oracle, play, talk
else:
    import plots
    from links import Link, links
    from policies import NetEq, Ours, Outcome, Policy, late, oracle, play, talk

Row = tuple[str, float, float, float, str]
SEED = 1000
RUNS, TRACE_RUNS, LONG_RUNS = 48, 32, 8
FIXED_MS = (60, 100, 200, 400)
QUANTILES = (0.8, 0.9, 0.95, 0.98, 0.995)
SMALL = 0.02  # per cent
PLOT = plots.FOLDER / "paced.svg"

POLICIES: dict[str, Callable[[], Policy]] = {
    "bargein": Ours,
    "NetEQ": NetEq,
    "NetEQ W": lambda: NetEq(by_letter=True),
}


@dataclass(frozen=True)
class Means:
    """Of one link: each policy's mean outcome, and the share of packets late at fixed delays."""

    link: Link
    outcomes: dict[str, Outcome]
    fixed: list[float]


def mean(outcomes: list[Outcome]) -> Outcome:
    return Outcome(**{f.name: float(np.mean([getattr(o, f.name) for o in outcomes])) for f in fields(Outcome)})


def run_link(link: Link, runs: int, seconds: float = 60, policies: dict[str, Callable[[], Policy]] = POLICIES) -> Means:
    """All policies on the same runs of one link."""
    outcomes: dict[str, list[Outcome]] = {name: [] for name in policies}
    fixed: list[list[float]] = []
    for seed in range(SEED, SEED + runs):
        arrivals, spoken = link.arrivals(seed, seconds), talk(seed, seconds)
        fixed.append([late(arrivals, delay) for delay in FIXED_MS])
        for name, make in policies.items():
            outcome = play(make(), arrivals, spoken)
            outcome.oracle = oracle(arrivals, outcome.concealed)
            outcomes[name].append(outcome)
    return Means(link, {name: mean(of) for name, of in outcomes.items()}, np.mean(fixed, axis=0).tolist())


def run_warm(link: Link, runs: int) -> Outcome:
    """Calls of 60 s on a link of which ten minutes before have taught the block."""
    outcomes = []
    for seed in range(SEED, SEED + runs):
        policy = Ours()
        play(policy, link.arrivals(seed + 500, 600), talk(seed + 500, 600))
        policy.next_call(700)
        arrivals = link.arrivals(seed, 60)
        outcome = play(policy, arrivals, talk(seed, 60))
        outcome.oracle = oracle(arrivals, outcome.concealed)
        outcomes.append(outcome)
    return mean(outcomes)


@functools.cache
def results(quick: bool = False, half: str = "second") -> tuple[list[Means], list[Means], Outcome]:
    """Cold runs of 60 s on every link, ten minutes on the generators, warm calls over Wi-Fi."""
    few = 6 if quick else 1
    cold = [run_link(link, (TRACE_RUNS if link.trace else RUNS) // few) for link in links(half)]
    long = [run_link(link, max(1, LONG_RUNS // few), 600) for link in links(half) if not link.trace]
    return (
        cold,
        long,
        run_warm(next(link for link in links(half) if link.name == "Wi-Fi"), max(1, LONG_RUNS // few * 2)),
    )


def compared(ours: float, peer: float) -> float:
    """Shares close to none compare as alike."""
    return (ours + SMALL) / (peer + SMALL)


def geometric(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def cell(outcome: Outcome) -> str:
    shares = (outcome.concealed, outcome.stretched, outcome.stretched_speech, outcome.skipped)
    return f"{outcome.delay:.0f} / " + " / ".join(f"{share:.2f}" for share in shares)


def ratios(means: Means, peer: str = "NetEQ") -> tuple[float, float, float, float]:
    """Delay, concealed and skipped, stretched, stretched speech; below 1 bargein does with less."""
    ours, other = means.outcomes["bargein"], means.outcomes[peer]
    return (
        ours.delay / other.delay,
        compared(ours.concealed + ours.skipped, other.concealed + other.skipped),
        ours.stretched / other.stretched,
        ours.stretched_speech / other.stretched_speech,
    )


def table(many: list[Means]) -> list[str]:
    fixed = " / ".join(map(str, FIXED_MS))
    lines = [
        "| link | bargein | NetEQ | NetEQ W | bargein / NetEQ | / NetEQ W | oracle, delay over it "
        f"| late % at fixed {fixed} ms |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for means in many:
        ours = means.outcomes["bargein"]
        cells = [cell(outcome) for outcome in means.outcomes.values()]
        cells += [" / ".join(f"{ratio:.2f}" for ratio in ratios(means, peer)) for peer in ("NetEQ", "NetEQ W")]
        cells += [f"{ours.oracle:.0f}, {ours.delay / ours.oracle:.2f}", " / ".join(f"{x:.1f}" for x in means.fixed)]
        lines.append(f"| {means.link.name} | " + " | ".join(cells) + " |")
    return lines


def promises(cold: list[Means], long: list[Means], warm: Outcome) -> list[tuple[str, float, float]]:
    """What is promised: words, reached, at most."""
    named = {means.link.name: means for means in cold}
    clean, wifi = named["exponential 2 ms"].outcomes["bargein"], named["Wi-Fi"].outcomes["bargein"]
    long_wifi = next(means.outcomes["bargein"] for means in long if means.link.name == "Wi-Fi")
    found = [("clean link, delay ms", clean.delay, 25.0), ("clean link, concealed %", clean.concealed, 0.0)]
    for means in cold:
        delay, concealed, stretched, speech = ratios(means)
        name = means.link.name
        if means.link.long_outages:
            found += [(f"{name}, delay", delay, 0.95), (f"{name}, concealed + skipped", concealed, 1.05)]
        else:
            found += [(f"{name}, delay x concealed", delay * concealed, 1.0), (f"{name}, delay", delay, 1.05)]
            found += [(f"{name}, concealed", concealed, 1.05), (f"{name}, stretched", stretched, 1.0)]
        found += [(f"{name}, stretched speech", speech, 0.5)]
    for n, (name, most) in enumerate((("delay", 0.95), ("concealed + skipped", 1.0), ("stretched", 0.8))):
        found.append((f"geometric mean over links, {name}", geometric([ratios(means)[n] for means in cold]), most))
    found.append(("Wi-Fi, delay over the oracle, cold", wifi.delay / wifi.oracle, 1.15))
    found.append(("Wi-Fi, delay over the oracle, ten minutes", long_wifi.delay / long_wifi.oracle, 1.05))
    found.append(("Wi-Fi, delay over the oracle, warm call", warm.delay / warm.oracle, 1.05))
    return found


def promise_lines(found: list[tuple[str, float, float]]) -> list[str]:
    lines = ["| promise (a ratio to NetEQ unless said) | reached | at most | |", "| --- | --- | --- | --- |"]
    return lines + [
        f"| {name} | {reached:.2f} | {most:.2f} | {'kept' if reached < most + 0.005 else 'not kept'} |"
        for name, reached, most in found
    ]


CURVES: dict[str, dict[str, Callable[[], Policy]]] = {
    "bargein, over its one knob": {f"o{p}": functools.partial(Ours, p) for p in (0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0)},
    "NetEQ, over its quantile": {f"n{q}": functools.partial(NetEq, False, q) for q in QUANTILES},
    "NetEQ W, over its quantile": {f"w{q}": functools.partial(NetEq, True, q) for q in QUANTILES},
}
USUAL = ("o1.0", "n0.95", "w0.95")


def draw_link(axis: Any, link: Link, runs: int) -> None:
    """A curve for each kind of policy over its setting, its usual one marked; fixed delays as a dotted line."""
    every = {name: make for curve in CURVES.values() for name, make in curve.items()}
    outcomes = run_link(link, runs, 60, every).outcomes
    styles = zip(CURVES.items(), (plots.OURS, *plots.PEERS), USUAL, strict=False)
    for order, ((label, curve), colour, usual) in enumerate(styles):
        points = [(outcomes[name].delay, outcomes[name].concealed) for name in curve]
        axis.plot(*zip(*points, strict=True), "-", color=colour, label=label, linewidth=1.4, zorder=5 - order)
        axis.plot(*zip(*points, strict=True), ".", color=colour, markersize=4, zorder=5 - order)
        at = (outcomes[usual].delay, outcomes[usual].concealed)
        axis.plot(*at, "o", color=colour, markersize=7, zorder=9 - order, clip_on=False)
    longest = max(outcome.delay for outcome in outcomes.values())
    fixed = np.linspace(0, 1.05 * longest, 60)
    shares = [[late(link.arrivals(SEED + n, 60), delay) for delay in fixed] for n in range(runs)]
    axis.plot(fixed, np.mean(shares, axis=0), ":", color="0.45", label="fixed delay, late packets lost")
    top = max(outcome.concealed for outcome in outcomes.values())
    axis.set(title=link.name, xlim=(0, 1.05 * longest), ylim=(0, max(0.1, 1.2 * top)))


def draw(path: Path = PLOT, full: bool = False) -> Path:
    """The plane of delay and concealment, one for each link: nearer to the corner is better."""
    runs = 16 if full else 6
    pyplot = plots.pyplot()
    found = links()
    figure, axes = pyplot.subplots(math.ceil(len(found) / 2), 2, figsize=(9, 2.6 * math.ceil(len(found) / 2) + 0.6))
    for link, axis in zip(found, axes.flat, strict=False):
        draw_link(axis, link, runs)
    for axis in axes.flat[len(found) :]:
        axis.set_visible(False)
    for axis in axes[:, 0]:
        axis.set_ylabel("concealed, % of the time")
    for axis in axes.flat[len(found) - 2 : len(found)]:
        axis.set_xlabel("mean delay above the fastest packet, ms")
    axes.flat[0].plot([], [], "o", color="0.3", markersize=7, label="its usual setting")
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="upper center", ncols=3)
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.55 / figure.get_figheight()))
    return plots.save(figure, path)


def main(quick: bool = False) -> list[Row]:
    rows: list[Row] = []
    for means in results(quick)[0]:
        ours, peer = means.outcomes["bargein"], means.outcomes["NetEQ"]
        for name, unit in (("delay", "ms"), ("concealed", "%"), ("stretched", "%"), ("stretched_speech", "%")):
            mine, its = getattr(ours, name), getattr(peer, name)
            ratio = its / mine if mine else math.nan
            rows.append((f"{means.link.name}, {name.replace('_', ' ')}", mine, its, ratio, unit))
    return rows


def notes(quick: bool = False, half: str = "second") -> list[str]:
    """The tables, for people: delay ms / concealed / stretched / stretched speech / skipped %."""
    cold, long, warm = results(quick, half)
    head = "delay ms / concealed / stretched / stretched speech / skipped %; ratios: delay, concealed + skipped, "
    head += "stretched, stretched speech."
    found = [f"60 s from cold, {head}", "\n".join(table(cold)), "Ten minutes:", "\n".join(table(long))]
    found.append(f"Warm calls of 60 s over Wi-Fi: {cell(warm)}; oracle {warm.oracle:.0f} ms.")
    return [*found, "\n".join(promise_lines(promises(cold, long, warm)))]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Paced delivery: delay, concealment and stretching beside NetEQ.")
    parser.add_argument("--quick", action="store_true", help="a sixth of the runs")
    parser.add_argument("--half", choices=("first", "second", "whole"), default="second", help="of the traces")
    parser.add_argument("--plot", type=Path, nargs="?", const=PLOT, help=f"write the plane as SVG, default {PLOT.name}")
    arguments = parser.parse_args()
    print("\n\n".join(notes(arguments.quick, arguments.half)))
    if arguments.plot:
        draw(arguments.plot, not arguments.quick)
