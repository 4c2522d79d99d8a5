"""How fast is G.711 beside audioop (C, in the standard library to 3.12, the audioop-lts package after) and numba?

All are called from Python, in turn, on the same speech-like samples, cut into blocks of the stated length; best of many
passes. One pass is 64 s of sound, so that no branch predictor knows it by heart, as it would a short block that is
repeated. The calls' own cost is in the figures: it rules the short blocks. Ours takes arrays or bytes, audioop bytes,
the numba twins (the same arithmetic compiled for this very processor) arrays. audioop codes mu-law one step away from
G.191 on 508 inputs, and goes from one law to the other in two calls; it is the speed that is compared.
"""

from __future__ import annotations

import sys
import timeit
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from engine.audio import g711
from engine.errors import ConfigError

Row = tuple[str, float, float, float, str]

SECOND = 8000
SAMPLES = 64 * SECOND
LENGTHS = {"20 ms": SECOND // 50, "200 ms": SECOND // 5, "8 s": 8 * SECOND}


def load_audioop() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import audioop
    return audioop


def speech_like() -> np.ndarray[Any, np.dtype[np.int16]]:
    """Noise with the amplitude distribution of speech."""
    return np.clip(np.random.default_rng(7).laplace(0, 2000, SAMPLES), -32768, 32767).astype(np.int16)


def nanoseconds(call: Callable[[Any], object], blocks: list[Any]) -> float:
    """Best pass over all blocks, per sample."""

    def one_pass() -> None:
        for block in blocks:
            call(block)

    return min(timeit.repeat(one_pass, number=1, repeat=7)) / SAMPLES * 1e9


def load_twins() -> Any:
    try:
        from engine.audio import g711_numba
    except ConfigError as absent:
        print(f"g711: {absent}", file=sys.stderr)
        return None
    return g711_numba


def main() -> list[Row]:
    audioop, twins = load_audioop(), load_twins()
    linear = speech_like()
    mulaw, alaw = g711.ulaw_encode(linear), g711.alaw_encode(linear)
    across = g711.ulaw_to_alaw, g711.alaw_to_ulaw
    jobs: list[tuple[str, Any, Callable[[bytes], bytes], Any]] = [
        ("mu-law encode", g711.ulaw_encode, lambda x: audioop.lin2ulaw(x, 2), linear),
        ("mu-law decode", g711.ulaw_decode, lambda x: audioop.ulaw2lin(x, 2), mulaw),
        ("A-law encode", g711.alaw_encode, lambda x: audioop.lin2alaw(x, 2), linear),
        ("A-law decode", g711.alaw_decode, lambda x: audioop.alaw2lin(x, 2), alaw),
        ("mu-law to A-law", across[0], lambda x: audioop.lin2alaw(audioop.ulaw2lin(x, 2), 2), mulaw),
        ("A-law to mu-law", across[1], lambda x: audioop.lin2ulaw(audioop.alaw2lin(x, 2), 2), alaw),
    ]
    rows: list[Row] = []
    for length, size in LENGTHS.items():
        for job, ours, theirs, source in jobs:
            arrays = [source[i : i + size] for i in range(0, SAMPLES, size)]
            strings = [array.tobytes() for array in arrays]
            name = f"{job}, {length} blocks"
            ours_arrays, ours_bytes = nanoseconds(ours, arrays), nanoseconds(ours, strings)
            peer = nanoseconds(theirs, strings)
            rows.append((f"{name}: arrays, beside audioop", ours_arrays, peer, peer / ours_arrays, "ns/sample"))
            rows.append((f"{name}: bytes, beside audioop", ours_bytes, peer, peer / ours_bytes, "ns/sample"))
            if twins is not None:
                twin = nanoseconds(getattr(twins, ours.__name__), arrays)
                rows.append((f"{name}: arrays, beside numba", ours_arrays, twin, twin / ours_arrays, "ns/sample"))
    return rows


def show(rows: list[Row]) -> None:
    print(f"{'G.711':52} {'bargein':>10} {'peer':>10} {'ratio':>7}")
    for name, ours, peer, ratio, unit in rows:
        print(f"{name:52} {ours:10.3f} {peer:10.3f} {ratio:6.1f}x  {unit}")


if __name__ == "__main__":
    show(main())
