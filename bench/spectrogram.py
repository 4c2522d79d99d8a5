"""Draws noisy speech before and after noise reduction: `python bench/spectrogram.py` writes denoise.svg.

A sentence and, 5 dB below it, somebody doing the dishes: `audio/noise` in BARGEIN_SHARED, or in `shared` beside the
repository.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.audio import NoiseReducer

if TYPE_CHECKING:
    from bench.denoise import ACTIVE, RATE, Sound, folder, read
else:
    from denoise import ACTIVE, RATE, Sound, folder, read

PLOT = Path(__file__).parent / "denoise.svg"
SPEECH, NOISE, SNR_DB = "voicebank-p287_003-clean.wav", "doing_the_dishes.wav", 5
SHOWN_S, HOP, WINDOW, RANGE_DB = (1.0, 5.0), 256, 512, 50


def spectrum(sound: Sound) -> NDArray[np.float32]:
    """dB by frequency and time."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, WINDOW)[::HOP] * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(frames)) ** 2 / np.sum(np.hanning(WINDOW) ** 2) / WINDOW
    return np.asarray(10 * np.log10(power.T + 1e-10), np.float32)


def mixed() -> Sound:
    """Speech and noise; speech is what denoise.py takes for it."""
    clean = read(folder() / SPEECH)
    noise = np.resize(read(folder() / NOISE), len(clean))
    level = np.mean(clean[np.abs(clean) > ACTIVE] ** 2) / np.mean(noise**2) / 10 ** (SNR_DB / 10)
    return np.asarray(np.clip(clean + np.sqrt(level) * noise, -1, 1), np.float32)


def reduced(sound: Sound, preset: str) -> Sound:
    """The same place in time."""
    reducer = NoiseReducer(RATE, preset)  # type: ignore[arg-type]
    whole = np.concatenate([reducer.process(sound), reducer.flush()])
    return whole[round(reducer.latency_ms * RATE / 1000) :][: len(sound)]


def draw(path: Path = PLOT) -> Path:
    """Three pictures beside each other."""
    from matplotlib.figure import Figure

    noisy = mixed()
    shown = {"noisy": noisy} | {f"{preset}": reduced(noisy, preset) for preset in ("near_field", "far_field")}
    loudest = spectrum(noisy).max()
    first, last = (round(at * RATE) for at in SHOWN_S)
    figure = Figure(figsize=(9, 2.6), layout="constrained", dpi=60)
    axes = figure.subplots(1, 3, sharey=True)
    for axis, (name, sound) in zip(axes, shown.items(), strict=True):
        image = axis.imshow(
            spectrum(sound[first:last]),
            origin="lower",
            aspect="auto",
            extent=(0, (last - first) / RATE, 0, RATE / 2000),
            vmin=loudest - RANGE_DB,
            vmax=loudest - 5,
            cmap="magma",
        )
        axis.set(title=name, xlabel="s")
    axes[0].set(ylabel="kHz")
    figure.colorbar(image, ax=axes, label="dB")
    figure.savefig(path)
    return path


if __name__ == "__main__":
    print(draw())
