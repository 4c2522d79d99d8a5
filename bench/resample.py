"""What does a live resampler hold back, what does it let alias, and what does it cost, beside soxr's stream?

Both are fed the same 10 ms blocks. Held back = sound that has gone in less sound that has come out: for soxr that is
what waits inside (its output is aligned with its input); ours returns every sample at once, so its filter delay is
added to be fair. Alias or image = what is left of a tone at 1.1 times the lower Nyquist frequency (going down), or
beside a tone at 0.9 of it (going up), over the tone's power.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from engine.audio.resample import Resampler

Row = tuple[str, float, float, float, str]
Process = Callable[[NDArray[np.float32]], NDArray[np.float32]]

PAIRS = [(48000, 24000), (44100, 24000), (24000, 48000), (16000, 24000), (8000, 24000), (24000, 8000)]
SECONDS = 5


@dataclass
class Measured:
    mean_ms: float
    worst_ms: float
    empty_percent: float
    alias_db: float
    cost_ms: float
    """Per second of sound."""


def blocks(samples: NDArray[np.float32], rate: int) -> list[NDArray[np.float32]]:
    size = rate // 100
    return [samples[i : i + size] for i in range(0, len(samples) - size + 1, size)]


def ours(rate_in: int, rate_out: int) -> tuple[Process, float]:
    resampler = Resampler(rate_in, rate_out)
    return resampler.process, resampler.latency_ms


def soxr_stream(quality: str) -> Callable[[int, int], tuple[Process, float]]:
    def make(rate_in: int, rate_out: int) -> tuple[Process, float]:
        stream: Any = soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32", quality=quality)
        return stream.resample_chunk, 0.0

    return make


def measure(make: Callable[[int, int], tuple[Process, float]], rate_in: int, rate_out: int) -> Measured:
    noise = np.random.default_rng(3).normal(0, 0.2, SECONDS * rate_in).astype(np.float32)
    process, delay_ms = make(rate_in, rate_out)
    held, empty, taken, given = [], 0, 0, 0
    feed = blocks(noise, rate_in)
    for block in feed:
        out = process(block)
        taken, given, empty = taken + len(block), given + len(out), empty + (len(out) == 0)
        held.append((taken / rate_in - given / rate_out) * 1000 + delay_ms)
    return Measured(
        mean_ms=float(np.mean(held)),
        worst_ms=max(held),
        empty_percent=100 * empty / len(feed),
        alias_db=alias(make, rate_in, rate_out),
        cost_ms=min(cost(make, rate_in, rate_out, feed) for _ in range(5)),
    )


def cost(
    make: Callable[[int, int], tuple[Process, float]], rate_in: int, rate_out: int, feed: list[NDArray[np.float32]]
) -> float:
    process, _ = make(rate_in, rate_out)
    begin = time.perf_counter()
    for block in feed:
        process(block)
    return (time.perf_counter() - begin) * 1000 / SECONDS


def alias(make: Callable[[int, int], tuple[Process, float]], rate_in: int, rate_out: int) -> float:
    """Going up nothing can alias, so there it is the images of a tone at 0.9: what is left beside the tone, in dB."""
    lower = min(rate_in, rate_out)
    hertz = (1.1 if rate_in > rate_out else 0.9) * lower / 2
    source = (0.5 * np.sin(2 * np.pi * hertz * np.arange(2 * rate_in) / rate_in)).astype(np.float32)
    process, _ = make(rate_in, rate_out)
    got = np.concatenate([process(block) for block in blocks(source, rate_in)]).astype(np.float64)[rate_out // 2 :]
    angle = 2 * np.pi * hertz * np.arange(len(got)) / rate_out
    if rate_in < rate_out:
        basis = np.stack([np.sin(angle), np.cos(angle)], axis=1)
        got = got - basis @ np.linalg.lstsq(basis, got, rcond=None)[0]
    return float(10 * np.log10(np.mean(got**2) / np.mean(source.astype(np.float64) ** 2)))


def main() -> list[Row]:
    rows: list[Row] = []
    for rate_in, rate_out in PAIRS:
        mine = measure(ours, rate_in, rate_out)
        for quality in ("HQ", "LQ"):
            peer = measure(soxr_stream(quality), rate_in, rate_out)
            pair = f"{rate_in / 1000:g}->{rate_out / 1000:g} kHz, soxr {quality}"
            rows += [
                (f"{pair}: held back, mean", mine.mean_ms, peer.mean_ms, peer.mean_ms / mine.mean_ms, "ms"),
                (f"{pair}: held back, worst", mine.worst_ms, peer.worst_ms, peer.worst_ms / mine.worst_ms, "ms"),
                (f"{pair}: empty calls", mine.empty_percent, peer.empty_percent, float("nan"), "%"),
                (f"{pair}: alias or image", mine.alias_db, peer.alias_db, float("nan"), "dB"),
                (f"{pair}: cost", mine.cost_ms, peer.cost_ms, peer.cost_ms / mine.cost_ms, "ms per s"),
            ]
    return rows


def show(rows: list[Row]) -> None:
    print(f"{'resampler, 10 ms blocks':46} {'bargein':>9} {'soxr':>9} {'ratio':>7}")
    for name, mine, peer, ratio, unit in rows:
        print(f"{name:46} {mine:9.3f} {peer:9.3f} {'' if np.isnan(ratio) else f'{ratio:.1f}x':>7}  {unit}")


if __name__ == "__main__":
    show(main())
