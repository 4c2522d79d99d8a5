"""The picture to `instructions.py`: what each block and both halves cost, in instructions for 10 ms of sound."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench import instructions, plots
else:
    import instructions
    import plots

PATH = plots.FOLDER / "cost.svg"


def counts() -> dict[str, instructions.Count]:
    """Counted here if valgrind is here, as recorded if not."""
    try:
        return instructions.counted()
    except instructions.Unavailable:
        recorded = json.loads(instructions.RECORD.read_text(encoding="utf-8"))
        return {name: instructions.Count(**count) for name, count in recorded["counts"].items()}


def draw(path: Path = PATH) -> Path:
    found = counts()
    names = list(found)[::-1]
    figure, axis = plots.pyplot().subplots(figsize=(9, 0.24 * len(names) + 1.2))
    halves = [" half" in name or " halves" in name for name in names]
    colours = [plots.OURS if half else plots.PEERS[0] for half in halves]
    mean = [found[name].mean for name in names]
    worst = [found[name].worst for name in names]
    axis.barh(names, mean, color=colours, height=0.62)
    axis.plot(worst, names, "|", color="0.15", markersize=11, markeredgewidth=1.6)
    for name, most in zip(names, worst, strict=True):
        label = f"{found[name].mean:,.0f}" + (f", {most:,.0f}" if most > 1.05 * found[name].mean else "")
        axis.annotate(label, (most, name), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8)
    axis.set(xscale="log", xlim=(20, 2e6), title="Instructions for one hop of 10 ms: mean, and (mark) worst")
    axis.margins(y=0.01)
    axis.grid(visible=False, axis="y")
    axis.tick_params(axis="y", length=0)
    figure.tight_layout()
    return plots.save(figure, path)


if __name__ == "__main__":
    print(draw(Path(sys.argv[1]) if len(sys.argv) > 1 else PATH))
