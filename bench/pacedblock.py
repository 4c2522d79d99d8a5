"""Does the playout keep what the model of `paced.py` promises, with sound in it?

The model moves a playhead at any speed, and is told where speech is. The C block stretches real sound by whole pitch
periods, finds the pauses with its own detector, and conceals. Both meet the same arrivals, of speech of labelled
recordings (`audio/vad` of BARGEIN_SHARED), 8 kHz mu-law in 20 ms packets, and are compared in `paced.py`'s figures; a
second row loses one packet in fifty as well, which the model has no word for.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.audio import AudioFormat, Packet, Playout, PlayoutPolicy, Resampler, ulaw_encode
from engine.endpoints.wav import read_wav

if TYPE_CHECKING:
    from bench.links import PACKET_MS, Times, links
    from bench.policies import NetEq, Ours, Outcome, play
else:
    from links import PACKET_MS, Times, links
    from policies import NetEq, Ours, Outcome, play

FRAMES = PACKET_MS * 8
SEED = 1000


def shared() -> Path:
    """The folder of recordings: `audio/vad` in BARGEIN_SHARED, or in `shared` beside the repository."""
    root = Path(os.environ.get("BARGEIN_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    folder = root / "audio" / "vad"
    if not any(folder.glob("ten-*.wav")):
        raise ImportError("no recordings in audio/vad of BARGEIN_SHARED")  # bench/run.py leaves a line for it
    return folder


def labels(path: Path) -> list[tuple[float, float]]:
    """The speech of one recording, s."""
    fields = path.read_text().split(",")[1:]
    triples = [(float(fields[i]), float(fields[i + 1]), int(fields[i + 2])) for i in range(0, len(fields), 3)]
    return [(start, end) for start, end, speech in triples if speech]


def speech(seconds: float, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Recordings one after another in a seeded order: codes at 8 kHz, and for each 10 ms whether someone speaks."""
    sounds, spoken, total = [], [], 0
    files = sorted(shared().glob("ten-*.wav"))
    order = np.random.default_rng(seed).permutation(len(files))
    while total < seconds * 8000:
        for n in order:
            wav = read_wav(files[n])
            sound = Resampler(wav.rate, 8000).process(wav.samples)
            whole = sound[: sound.size // 80 * 80]
            marks = np.zeros(whole.size // 80, bool)
            for start, end in labels(files[n].with_suffix(".scv")):
                marks[int(start * 100) : int(end * 100)] = True
            sounds.append(whole)
            spoken.append(marks)
            total += whole.size
    count = int(seconds * 100)
    return ulaw_encode(np.concatenate(sounds)[: count * 80]), np.concatenate(spoken)[:count]


def run_block(arrivals: Times, codes: NDArray[np.uint8], spoken: NDArray[np.bool_], loss: float, seed: int) -> Outcome:
    """One run of the C block."""
    playout = Playout(AudioFormat.PCMU, capacity_s=5, policy=PlayoutPolicy.PACED)
    lost = np.random.default_rng([seed, 3]).random(arrivals.size) < loss
    lost[:5] = lost[-5:] = False
    offsets = arrivals - np.arange(arrivals.size) * PACKET_MS
    here, hops, altered, in_speech = 0, 0, 0, 0
    while hops < 100 * 400:
        while here < arrivals.size and arrivals[here] <= hops * 10:
            payload = codes[here * FRAMES : (here + 1) * FRAMES].tobytes()
            packet = Packet(payload, here * FRAMES, here & 0xFFFF, int(arrivals[here] * 1000), 1)
            if not lost[here]:
                playout.push_packet("a", 0, packet)
            here += 1
            if here == arrivals.size:
                playout.complete("a", 0)
        playout.process(240, hops * 10_000)
        stats = playout.queue.stats()
        now = stats.inserted_samples_for_deceleration + stats.removed_samples_for_acceleration
        in_speech += (now - altered) * bool(spoken[min(stats.played // 80, spoken.size - 1)])
        altered = now
        hops += 1
        if here == arrivals.size and stats.played + stats.discarded == stats.queued:
            break
    share = 100 / (stats.played * 3)
    # the model's delay is of a packet's first sample; the second hop of a packet waits 10 ms longer
    waited = stats.jitter_buffer_delay / stats.jitter_buffer_emitted_count / 24 - (PACKET_MS - 10) / 2
    delay = waited + float(np.mean(offsets - offsets.min()))
    return Outcome(
        delay, stats.concealed_samples * share, altered * share, in_speech * share, stats.discarded * 3 * share
    )


def means(outcomes: list[Outcome]) -> list[float]:
    names = ("delay", "concealed", "stretched", "stretched_speech", "skipped")
    return [float(np.mean([getattr(o, name) for o in outcomes])) for name in names]


def cell(outcomes: list[Outcome]) -> str:
    figures = means(outcomes)
    return f"{figures[0]:.0f} / " + " / ".join(f"{figure:.2f}" for figure in figures[1:])


def notes(full: bool = False, runs: int = 0, seconds: float = 60) -> list[str]:
    """The table, for people; `runs` as many as said, or 16 or 4."""
    runs = runs or (16 if full else 4)
    lines = [
        "| link | NetEQ, model | bargein, model | block | block, 2 % lost | block / NetEQ |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for link in links("second"):
        cells: list[list[Outcome]] = [[], [], [], []]
        for seed in range(SEED, SEED + runs):
            arrivals = link.arrivals(seed, seconds)
            codes, spoken = speech(arrivals.size * PACKET_MS / 1000, seed)
            cells[0].append(play(NetEq(), arrivals, spoken))
            cells[1].append(play(Ours(), arrivals, spoken))
            cells[2].append(run_block(arrivals, codes, spoken, 0, seed))
            cells[3].append(run_block(arrivals, codes, spoken, 0.02, seed))
        peer, _, block, _ = (means(of) for of in cells)
        ratios = " / ".join(f"{(ours + 0.02) / (its + 0.02):.2f}" for ours, its in zip(block, peer, strict=True))
        lines.append(f"| {link.name} | " + " | ".join(cell(of) for of in cells) + f" | {ratios} |")
    return ["delay ms / concealed / stretched / stretched speech / skipped %", "\n".join(lines)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The paced playout with sound beside its model.")
    parser.add_argument("--runs", type=int, default=6, help="of 60 s, on each link")
    print("\n\n".join(notes(runs=parser.parse_args().runs)))
