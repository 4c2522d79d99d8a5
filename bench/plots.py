"""What the plots of the benchmarks share: one look, one place beside results.md, the same names in every run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
OURS, PEERS = "#c1272d", ("#1f5fa8", "#2a8a57", "#8a5fb0", "#b8860b", "#5a5a5a")


def pyplot() -> Any:
    """matplotlib, set up; an ImportError where it is not installed."""
    import matplotlib as mpl

    mpl.use("agg")
    mpl.rcParams.update(
        {
            "svg.hashsalt": "bargein",  # the same names of the same parts in every run
            "svg.fonttype": "none",
            "font.size": 9,
            "font.family": ["DejaVu Sans", "sans-serif"],
            "axes.titlesize": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "0.9",
            "legend.frameon": False,
            "figure.dpi": 100,
        }
    )
    from matplotlib import pyplot

    return pyplot


def save(figure: Any, path: Path) -> Path:
    """As the suffix says, SVG or PNG."""
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot().close(figure)
    return path
