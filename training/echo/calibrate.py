"""What the interrupt policy makes of a network: false and true interruptions, by how much is added to its bias.

    python -m training.echo.calibrate build/echo build/echo/net.pt --rooms 60

Rooms drawn by seed with the clips held aside, 30 s each: a voice plays, nobody near speaks; and with three
utterances over it at -5, 0 and 5 dB. As bench/echo_events.py has it with the talkers of the test set, by which nothing
is chosen.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engine.audio.room import Room, random_room
from engine.native import Block, lib, new
from training.echo import chain
from training.echo.net import BANDS, Net
from training.echo.sounds import Pool, talk
from training.vad.pool import Sound
from training.weights import as_rounded

HOPS, HOP, SETTLE = 3000, 240, 300
BIASES = (-1.5, -1.0, -0.5, 0.0, 0.5)
LEVEL = 0.05
AFTER = 20  # hops after an utterance

Seen = tuple[Sound, list[tuple[int, int]]]  # features; utterances, in hops


def scene(pool: Pool, seed: int, ser_db: float | None) -> Seen:
    """One room. Utterances of 1 to 3 s, whose first 50 ms may be silent."""
    rng = np.random.default_rng([seed, 5])
    far, _ = talk(rng, pool, HOPS, 30, 0.4)
    near, spans = np.zeros(HOPS * HOP, np.float32), []
    if ser_db is not None:
        for third in range(3):
            sound, labels = talk(rng, pool, 600, 0, 0.2)
            speaks = np.flatnonzero(labels > 0.7)
            if not len(speaks):
                continue
            first, at = max(0, int(speaks[0]) - 2), 400 + 800 * third + int(rng.uniform(0, 300))
            length = int(rng.uniform(100, 300))
            if (labels[first : first + 60] > 0.7).mean() > 0.5:  # not a single word, or a breath
                near[at * HOP : (at + length) * HOP] = sound[first * HOP : (first + length) * HOP]
                spans.append((at, at + length + AFTER))
    far *= np.float32(LEVEL)
    heard = Room(random_room(seed, HOPS / 100), seed).process(np.clip(far, -1, 1), near * np.float32(LEVEL))
    heard = heard if ser_db is None else heard.at_ser(ser_db)
    return chain.features(*chain.linear(np.clip(far, -1, 1), heard.microphone))[0], spans


def policy(probability: NDArray[np.float32]) -> tuple[list[int], list[int]]:
    """Hops of ducks and of interruptions: probability .3 for 20 ms; 120 ms."""
    kept = Block(lib.rt_interrupt_size())
    state, result = kept.pointer("rt_interrupt *"), new("rt_interrupt_result *")
    config = {"policy": lib.RT_POLICY_LOCAL, "threshold": 0.3, "confirm_ms": 120, "restore_ms": 200}
    lib.rt_interrupt_init(state, new("rt_interrupt_config *", config))
    lasting = np.minimum(probability, np.concatenate([[0.0], probability[:-1]]))
    lasting[:SETTLE] = 0
    ducks, ends, reply = [], [], 1
    for hop, p in enumerate(lasting):
        lib.rt_interrupt_process(state, float(p), reply, reply, result)
        if result.change & lib.RT_CHANGE_DUCKED:
            ducks.append(hop)
        if result.change & lib.RT_CHANGE_CONFIRMED:
            ends.append(hop)
        reply += result.latch == reply
    return ducks, ends


def main() -> None:
    """Print a line for each bias."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("checkpoint", type=Path, nargs="+")
    parser.add_argument("--rooms", type=int, default=60)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cache = arguments.work / f"rooms-{arguments.rooms}.npy"
    if not cache.exists():
        pool = Pool(arguments.work, dev=True)
        found = [scene(pool, 10_000 + seed, None) for seed in range(arguments.rooms)]
        found += [scene(pool, 20_000 + i, (-5.0, 0.0, 5.0)[i % 3]) for i in range(arguments.rooms // 2)]
        np.save(cache, np.array([(f.astype(np.float16), spans) for f, spans in found], dtype=object))
    rooms = np.load(cache, allow_pickle=True)
    minutes = arguments.rooms * (HOPS - SETTLE) / 6000
    for path in arguments.checkpoint:
        net = Net()
        net.load_state_dict(torch.load(path)["mean"])
        net = as_rounded(net)
        with torch.no_grad():
            said = [net(torch.from_numpy(f.astype(np.float32))[None])[0][0, :, BANDS].numpy() for f, _ in rooms]
        for bias in BIASES:
            heard = [policy(1 / (1 + np.exp(-(logit + bias)))) for logit in said]
            alone = heard[: arguments.rooms]
            ducks, ends = (sum(len(h[i]) for h in alone) for i in (0, 1))
            late = [
                next((e - a for e in h[1] if a < e <= b), None)
                for h, (_, spans) in zip(heard[arguments.rooms :], rooms[arguments.rooms :], strict=True)
                for a, b in spans
            ]
            known = [10 * ms for ms in late if ms is not None]
            print(
                f"{path.stem} {bias:+.1f}: {ducks / minutes:.2f} ducks a minute, {ends} interruptions in {minutes:.0f}"
                f" min; {100 * len(known) / len(late):.1f} % of {len(late)} caught, after {np.median(known):.0f} ms",
                flush=True,
            )


if __name__ == "__main__":
    main()
