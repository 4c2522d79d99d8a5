"""How fast is G.711 beside audioop (C, in the standard library to 3.12, the audioop-lts package after)?

Both are called from Python, in turn, on the same speech-like samples, cut into blocks of the stated length; best of
many passes. One pass is 64 s of sound, so that no branch predictor knows it by heart, as it would a short block that is
repeated. The calls' own cost is in the figures: it rules the short blocks. audioop codes mu-law one step away from
G.191 on 508 inputs; it is the speed that is compared.
"""

from __future__ import annotations

import timeit
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from engine.audio.g711 import alaw_decode, alaw_encode, ulaw_decode, ulaw_encode

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


def main() -> list[Row]:
    peer = load_audioop()
    linear = speech_like()
    laws: list[tuple[str, Callable[[Any], Any], Callable[[Any], Any], Callable[[Any], Any], Callable[[Any], Any]]] = [
        ("mu-law", ulaw_encode, ulaw_decode, lambda x: peer.lin2ulaw(x, 2), lambda x: peer.ulaw2lin(x, 2)),
        ("A-law", alaw_encode, alaw_decode, lambda x: peer.lin2alaw(x, 2), lambda x: peer.alaw2lin(x, 2)),
    ]
    rows: list[Row] = []
    for length, size in LENGTHS.items():
        for law, encode, decode, peer_encode, peer_decode in laws:
            for verb, ours, theirs, source in (
                ("encode", encode, peer_encode, linear),
                ("decode", decode, peer_decode, encode(linear)),
            ):
                blocks = [source[i : i + size] for i in range(0, SAMPLES, size)]
                fast, slow = nanoseconds(ours, blocks), nanoseconds(theirs, [block.tobytes() for block in blocks])
                rows.append((f"{law} {verb}, {length} blocks", fast, slow, slow / fast, "ns/sample"))
    return rows


def show(rows: list[Row]) -> None:
    print(f"{'G.711':28} {'bargein':>10} {'audioop':>10} {'ratio':>7}")
    for name, ours, peer, ratio, unit in rows:
        print(f"{name:28} {ours:10.3f} {peer:10.3f} {ratio:6.1f}x  {unit}")


if __name__ == "__main__":
    show(main())
