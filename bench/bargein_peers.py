"""How soon does a voice interrupt, and how often does noise, beside livekit's and pipecat's default detectors?

Onsets: every labelled onset of $BARGEIN_SHARED or ../shared (audio/vad) after 0.4 s of pause, at -26 dBFS, clean and in
cafe noise, over a reply that plays. Ours is the whole way in the default settings, from a block of the microphone to a
block of the loudspeaker, in blocks as devices have them: re-blocking, conversion and filters are in it. A block is
heard when it has been captured, and its answer begins to sound then; what a device holds back besides is not in it
(`bargein doctor` measures that). Milliseconds from the label to the first sample that is attenuated and to the last
that is not silence, median and 95th percentile; `early`: attenuated before the label; `missed`: no silence while the
utterance lasts. The peers (sileropeers.py) are given the same sound; theirs is the moment at which the detector says
so, and what is queued for the loudspeaker by then plays on.

Noise: an hour or more without anybody who interrupts (quiethour.py), for ours with the echo of the reply in the
microphone (-20 dB, 60 ms late, and Hearing(echo="aec") against it) in every second scene. Interruptions that were
confirmed, by class; in brackets the 95 % interval of the rate per hour, taken as a Poisson process. Laughter and crying
are voices without words, and are added up apart. A spoken "mhm" is a voice with one: longer than the confirmation time
it interrupts, with ours by default after 80 ms.

Writes bargein_peers.md and bargein_peers.svg beside this file.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.audio import BargeIn, Duplex, DuplexConfig, EventKind, Hearing, Resampler

if TYPE_CHECKING:
    from bench import bargein_events as events
    from bench import sileropeers
    from bench.nearend import RATE, Sound, noises, utterances
    from bench.quiethour import scenes
else:
    import bargein_events as events
    import sileropeers
    from nearend import RATE, Sound, noises, utterances
    from quiethour import scenes

BLOCKS = ((24000, 240), (48000, 480), (48000, 960), (44100, 512))
SNRS = (None, 20, 10)
PEERS: dict[str, Callable[[Any, sileropeers.Silero], sileropeers.Seen]] = {
    "livekit": sileropeers.livekit,
    "pipecat": sileropeers.pipecat,
}
VOICES = ("laugh", "crying", "cough (train)")
REPLY, ECHO_DB, SETTLE_S = 8000, -20, events.SETTLE_S
PLOT, TABLE = (Path(__file__).with_suffix(end) for end in (".svg", ".md"))
Samples = NDArray[Any]


@dataclass
class Way:
    """One player on one set of onsets: milliseconds to the first sign and to the end, early ones, missed ones."""

    first: list[float] = field(default_factory=list)
    end: list[float] = field(default_factory=list)
    early: int = 0
    missed: int = 0

    @property
    def cells(self) -> list[str]:
        """For a table."""
        shown = [f"{np.median(x):.0f} / {np.percentile(x, 95):.0f}" if x else "-" for x in (self.first, self.end)]
        return [*shown, str(self.early), str(self.missed)]


# ---- onsets


def played(near: Sound, label: int, rate: int, block: int) -> tuple[Samples, int]:
    """What the loudspeaker gives, at `rate`, while a steady reply plays from 0.25 s before the label on; and the sample
    at which each block's answer may begin: it is given when the block has been captured.
    """
    if rate != RATE:
        resampler = Resampler(RATE, rate, "file")
        near = np.concatenate([resampler.process(near), resampler.flush()])[round(resampler.latency_ms * rate / 1000) :]
    duplex = Duplex(DuplexConfig(capture_rate=rate, playback_rate=rate, max_block=block, sample="float32", queue_s=30))
    begin, given = (label - RATE // 4) * rate // RATE, []
    reply = np.full(RATE * 8, REPLY, "<i2").tobytes()
    sound = np.asarray(np.clip(near, -1, 1), np.float32)
    generation = 0
    for start in range(0, len(sound) - block + 1, block):
        if start >= begin and not generation:
            generation = duplex.queue.open()
            duplex.queue.push("reply", 0, reply, generation)
        given.append(duplex.process(sound[start : start + block]))
        duplex.read_events()
        duplex.read_records()
    return np.concatenate(given), block


def our_way(near: Sound, label: int, end: int, rate: int, block: int, way: Way) -> None:
    """Add one onset."""
    out, shift = played(near, label, rate, block)
    level = np.abs(out) / (REPLY / 32768)
    starts = np.flatnonzero(level > 0.99)
    if not len(starts):
        way.missed += 1
        return
    at, last = label * rate / RATE, end * rate / RATE + rate / 5
    steady = starts[0] + rate // 50  # the converter has risen
    ducked = np.flatnonzero(level[steady:] < 0.98) + steady + shift
    way.early += bool(len(ducked) and ducked[0] < at)
    after = ducked[ducked >= at]
    if len(after):
        way.first.append((after[0] - at) * 1000 / rate)
    sounding = np.flatnonzero(level > 1e-3)[-1] + 1 + shift
    if len(after) and sounding < last and sounding > at:
        way.end.append((sounding - at) * 1000 / rate)
    else:
        way.missed += 1


def peers_way(name: str, near: Sound, label: int, end: int, way: Way) -> None:
    """Add one onset."""
    seen = PEERS[name](sileropeers.windows(near, RATE), sileropeers.Silero())
    at, last = label / RATE, end / RATE + 0.6
    way.early += any(t <= at for t in seen.speech)
    way.first += [1000 * (t - at) for t in seen.speech if at < t < last][:1]
    ended = [1000 * (t - at) for t in seen.interruptions if at < t < last][:1]
    way.end += ended
    way.missed += not ended


def onsets(quick: bool) -> dict[tuple[str, str], Way]:
    """By group of sounds and player."""
    found: dict[tuple[str, str], Way] = defaultdict(Way)
    cafe = next(noise.sound for noise in noises() if noise.kind in ("cafe", "noise"))
    rng = np.random.default_rng(1)
    for utterance in utterances()[:: 6 if quick else 1]:
        for snr in SNRS:
            if snr is not None and utterance.group.startswith("meetings"):
                continue
            near, label, end = events.near_end(utterance, None if snr is None else cafe, snr or 0)
            near = near + np.asarray(10 ** (-65 / 20) * rng.standard_normal(len(near)), np.float32)
            group = f"{utterance.group}, {'clean' if snr is None else f'cafe at {snr} dB'}"
            for rate, block in BLOCKS if snr is None else BLOCKS[:1]:
                name = f"bargein, {rate / 1000:g} kHz in blocks of {1000 * block / rate:.3g} ms"
                our_way(near, label, end, rate, block, found[group, name])
            for name in PEERS:
                peers_way(name, near, label, end, found[group, name])
    return dict(found)


# ---- noise


@dataclass
class Count:
    """Of one player in one class."""

    hours: float = 0.0
    ducks: int = 0
    interruptions: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.hours + other.hours, self.ducks + other.ducks, self.interruptions + other.interruptions)

    @property
    def cell(self) -> str:
        """Interruptions, and what the rate per hour is within at 95 %."""
        low, high = poisson(self.interruptions)
        return f"{self.interruptions} ({low / self.hours:.1f} to {high / self.hours:.1f})"


def poisson(count: int) -> tuple[float, float]:
    """The exact 95 % interval of the mean that a count was drawn from (Garwood 1936), by bisection."""

    def below(mean: float, most: int) -> float:
        terms = (most_k * math.log(mean) - mean - math.lgamma(most_k + 1) for most_k in range(most + 1))
        return sum(math.exp(term) for term in terms)

    def solve(most: int, wanted: float) -> float:
        low, high = 1e-9, count + 10 * math.sqrt(count + 1) + 10
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if below(middle, most) > wanted else (low, middle)
        return low

    return (solve(count - 1, 0.975) if count else 0.0), solve(count, 0.025)


def our_count(sound: Sound, number: int) -> Count:
    """Through the duplex, every second scene with an echo. The first seconds settle."""
    echo = number % 2 == 1
    room = events.Room(BargeIn(), number, ECHO_DB if echo else None, Hearing(echo="aec" if echo else "off"))
    settle = round((SETTLE_S + 3 * echo) * RATE)
    room.run(sound, begin=round(SETTLE_S * RATE))
    hours = (len(sound) - settle) / RATE / 3600
    return Count(hours, len(room.of(EventKind.DUCKED, settle)), len(room.of(EventKind.CONFIRMED, settle)))


def peers_count(name: str, sound: Sound) -> Count:
    """The same sound, without the echo."""
    seen = PEERS[name](sileropeers.windows(sound, RATE), sileropeers.Silero())
    hours = len(sound) / RATE / 3600 - SETTLE_S / 3600
    after = [sum(t > SETTLE_S for t in times) for times in (seen.speech, seen.interruptions)]
    return Count(hours, *after)


def false_alarms(minutes: float, seed: int = 1) -> dict[str, dict[str, Count]]:
    """By class and player."""
    found: dict[str, dict[str, Count]] = defaultdict(lambda: defaultdict(Count))
    rng = np.random.default_rng(seed)
    for number, scene in enumerate(scenes(minutes, seed=seed)):
        floor = 10 ** (-65 / 20) * rng.standard_normal(len(scene.sound))
        sound = np.asarray(scene.sound + floor, np.float32)
        mine = our_count(sound, number)
        found[scene.kind]["bargein, echo taken away" if number % 2 else "bargein"] += mine
        for name in PEERS:
            found[scene.kind][name] += peers_count(name, sound)
    return found


# ---- what is written


def onset_table(found: dict[tuple[str, str], Way]) -> list[str]:
    """Markdown."""
    text = ["| onsets, ms (median / p95) | player | n | first sign | silence, or the decision | early | missed |"]
    text.append("| --- | --- | --: | --: | --: | --: | --: |")
    for (group, name), way in found.items():
        total = len(way.end) + way.missed
        text.append(f"| {group} | {name} | {total} | {' | '.join(way.cells)} |")
    return text


def noise_table(found: dict[str, dict[str, Count]]) -> list[str]:
    """Markdown, with two sums."""
    names = ["bargein", "bargein, echo taken away", *PEERS]
    text = ["| interruptions where nobody interrupts (per hour, 95 %) | minutes | " + " | ".join(names) + " |"]
    text.append("| --- | --: |" + " --: |" * len(names))
    sums: dict[str, dict[str, Count]] = {"all without a voice": {}, "laughter, crying, a cough with a voice": {}}
    for kind, counts in found.items():
        apart = list(sums)[kind.startswith(VOICES)]
        for name in names:
            sums[apart][name] = sums[apart].get(name, Count()) + counts.get(name, Count())
    for kind, counts in [*found.items(), *((f"**{kind}**", counts) for kind, counts in sums.items())]:
        cells = [counts[name].cell if counts.get(name, Count()).hours else "-" for name in names]
        text.append(f"| {kind} | {60 * counts['livekit'].hours:.0f} | {' | '.join(cells)} |")
    ducks = sums["all without a voice"]
    rates = [f"{name} {c.ducks / c.hours:.0f}" for name, c in ducks.items() if c.hours]
    return [*text, "", f"First signs per hour without a voice (ours a duck, which is taken back): {', '.join(rates)}."]


def picture(path: Path, found: dict[tuple[str, str], Way]) -> None:
    """How many onsets have interrupted by when."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    axes = figure.subplots(1, 2)
    colours = {"bargein": "#c0392b", "livekit": "#2f7ed8", "pipecat": "#888888"}
    groups = list(dict.fromkeys(group for group, _ in found if "speech" in group or "caller" in group))
    for axis, group in zip(axes, (groups[0], groups[-1]), strict=True):
        done = set()
        for (other, name), way in found.items():
            short = name.split(",")[0]
            if other != group or short in done:
                continue
            done.add(short)
            total = len(way.end) + way.missed
            for values, style, what in ((way.first, "--", "first sign"), (way.end, "-", "ends the reply")):
                known = np.sort(values)
                shares = 100 * np.arange(1, len(known) + 1) / max(1, total)
                axis.step(known, shares, style, color=colours[short], where="post", label=f"{short}: {what}")
        axis.set(xlim=(0, 800), ylim=(0, 100), title=group, xlabel="ms from the labelled onset", ylabel="% of onsets")
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8, loc="lower right")
    figure.savefig(path)


@cache
def _whole(full: bool) -> tuple[list[str], dict[tuple[str, str], Way]]:
    heard = onsets(quick=False)
    return [*onset_table(heard), "", *noise_table(false_alarms(90.0 if full else 20.0))], heard


def notes(full: bool = False) -> list[str]:
    """The tables, for bench/results.md; the noise is an hour with `full` only."""
    return "\n".join(_whole(full)[0]).split("\n\n")


def draw(full: bool = False) -> Path:
    """The picture beside them."""
    picture(PLOT, _whole(full)[1])
    return PLOT


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Barge-in beside livekit's and pipecat's default detectors.")
    parser.add_argument(
        "--quick", action="store_true", help="a sixth of the onsets, ten minutes of noise; writes nothing"
    )
    parser.add_argument("--minutes", type=float, default=90.0, help="of noise")
    arguments = parser.parse_args()
    heard = onsets(arguments.quick)
    alarms = false_alarms(10 if arguments.quick else arguments.minutes)
    lines = [*onset_table(heard), "", *noise_table(alarms)]
    print("\n".join(lines))
    if not arguments.quick:
        head = [
            "# Barge-in beside the peers",
            "",
            "`python bench/bargein_peers.py`; what each figure means stands at its top.",
            "",
        ]
        shown = ["![Onsets that have interrupted by when](bargein_peers.svg)", ""]
        TABLE.write_text("\n".join([*head, *shown, *lines]) + "\n")
        picture(PLOT, heard)
