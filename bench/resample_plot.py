"""The picture to `resample.py`: what each resampler lets through from 48 to 24 kHz, and what it holds back for that.

The response is measured with tones: power out over power in, so that above 12 kHz it shows what aliases. 16 bit samples
end near -87 dB. The points below set the mean time held back against the alias or image that is left, at the same
frequencies as in the table.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bench import plots, resample
else:
    import plots
    import resample

RATES = (48000, 24000)
SHOWN = ("bargein live", "bargein file", "soxr HQ", "samplerate fastest", "pipecat", "livekit")
BELOW = ((48000, 24000), (8000, 24000))
TONE_S, MEASURED_S = 0.4, 0.15
PATH = plots.FOLDER / "resample.svg"


def frequencies() -> NDArray[np.float64]:
    """Dense around the transition; not 12 kHz itself, whose samples may all be zero."""
    return np.concatenate([np.linspace(210, 9810, 25), np.linspace(10010, 14510, 91), np.linspace(14610, 23710, 92)])


def response(name: str, make: resample.Make) -> NDArray[np.float64]:
    """dB at each of these frequencies of the input."""
    rate_in, rate_out = RATES
    found = []
    for hertz in frequencies():
        tone = 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(TONE_S * rate_in)) / rate_in)
        settled = resample.through(name, make, tone, RATES)[-int(MEASURED_S * rate_out) :]
        found.append(10 * np.log10(np.mean(settled**2) / 0.125 + 1e-17))
    return np.array(found)


def look(name: str) -> dict[str, Any]:
    if name.startswith("bargein"):
        return {
            "color": plots.OURS,
            "linestyle": "-" if name == "bargein live" else "--",
            "linewidth": 1.8,
            "zorder": 5,
        }
    return {"color": plots.PEERS[(SHOWN.index(name) - 2) % len(plots.PEERS)], "linewidth": 1.1}


def draw_responses(whole: Any, edge: Any) -> None:
    made = resample.contenders()
    for name in SHOWN:
        if name not in made:
            continue
        decibels = response(name, made[name])
        for axis in (whole, edge):
            axis.plot(frequencies() / 1000, decibels, label=name, **look(name))
    whole.set(title="48 to 24 kHz: what comes out of a tone", xlim=(0, 24), ylim=(-165, 8), ylabel="dB")
    edge.set(title="the same, end of the pass band", xlim=(9.5, 13.2), ylim=(-6, 0.6))
    for axis in (whole, edge):
        axis.axvline(12, color="0.6", linewidth=0.8, linestyle=":")
        axis.set_xlabel("tone, kHz (from 12 on: alias)")
    whole.legend(loc="lower left", ncols=1, fontsize=8)


def label_place(name: str, held_back: float) -> dict[str, Any]:
    """Where a point's name has room."""
    if name == "pipecat":
        return {"xytext": (12, -11), "ha": "right"}
    if held_back < 0.9:
        return {"xytext": (0, 10), "ha": "center"}
    if name.startswith("samplerate") or name == "livekit" or held_back > 30:
        return {"xytext": (-7, 0), "ha": "right"}
    return {"xytext": (8, 0), "ha": "left"}


def draw_delays(axis: Any, rates: tuple[int, int]) -> None:
    """Upper left is best: little held back, much rejected."""
    for name, m in resample.all_measured()[rates].items():
        if name == "bargein live, tunable":
            continue  # beside bargein live in both
        ours = name.startswith("bargein")
        colour = plots.OURS if ours else plots.PEERS[0]
        axis.plot(m.mean_ms, -m.alias_db, "o" if ours else "s", color=colour, markersize=8 if ours else 5)
        label = f"{name}, {m.cost_ms:.2g}"
        place = {"textcoords": "offset points", "va": "center", "fontsize": 8, **label_place(name, m.mean_ms)}
        axis.annotate(label, (m.mean_ms, -m.alias_db), color=colour, **place)
    kind = "alias" if rates[0] > rates[1] else "image"
    axis.set(
        title=f"{rates[0] // 1000} to {rates[1] // 1000} kHz (beside the name: cost, ms per second of sound)",
        xscale="log",
        xlim=(0.15, 150),
        ylim=(72, 168),
        xlabel="held back, mean, ms",
        ylabel=f"{kind} rejection, dB",
    )
    axis.set_xticks([0.3, 1, 3, 10, 30, 100], ["0.3", "1", "3", "10", "30", "100"])


def draw(path: Path = PATH) -> Path:
    figure, axes = plots.pyplot().subplots(2, 2, figsize=(10, 8))
    draw_responses(*axes[0])
    for axis, rates in zip(axes[1], BELOW, strict=True):
        draw_delays(axis, rates)
    figure.tight_layout()
    return plots.save(figure, path)


if __name__ == "__main__":
    import sys

    print(draw(Path(sys.argv[1]) if len(sys.argv) > 1 else PATH))
