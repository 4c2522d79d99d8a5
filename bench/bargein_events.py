"""How soon does a barge-in duck and silence a reply, and how often is one seen where nobody speaks?

The real C Duplex, hop by hop and faster than real time, with the detector and the settings of the day. A reply plays;
over it comes, in the microphone (24 kHz, over noise of -65 dBFS):

- labelled onsets of speech (`nearend.py`), clean at -26 dBFS and in cafe noise at 20, 10 and 5 dB SNR: milliseconds
  from the label to the end of the hop that ducks, to the end of the hop that confirms, to the last sample that is
  not silence; a block of 10 ms is heard when it has been captured, which is counted. `early`: ducked before the
  label; `missed`: not confirmed while the utterance lasts.
- noises at -30 dBFS (their loudest tenth) without speech: false ducks and false interruptions per hour, by class.
- bursts of 100 to 400 ms, of which those without a voice have to be taken back.
- no near end, but the loudspeaker's sound in the microphone (60 ms late): what echo control has to take away.

`--plot` draws bench/bargein_events.svg. bargein_peers.py has livekit and pipecat beside it.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.audio import AudioEvent, BargeIn, Duplex, DuplexConfig, EventKind, Hearing

if TYPE_CHECKING:
    from bench.nearend import BURSTS, RATE, Noise, Sound, Utterance, bursts, level, noises, utterances
else:
    from nearend import BURSTS, RATE, Noise, Sound, Utterance, bursts, level, noises, utterances


HOP = 240
SETTLE_S = 1.8  # the detector finds the floor of the room
NOISE_S = 120.0
LENGTHS_MS = (100, 200, 300, 400)
SNRS = (20, 10, 5)
ECHO_DB = (-40, -30, -20)
SUDDEN = ("car horn", "dog", "thunder", "handling", "keyboard", "knocks")
PLOT = Path(__file__).parent / "bargein_events.svg"
SETTINGS = BargeIn()


class Room:
    """A microphone and a loudspeaker over which an endless reply plays; interrupted, the next one begins."""

    def __init__(
        self, barge_in: BargeIn, seed: int = 0, echo_db: float | None = None, hearing: Hearing | None = None
    ) -> None:
        config = DuplexConfig(
            capture_rate=RATE,
            playback_rate=RATE,
            max_block=HOP,
            sample="float32",
            barge_in=barge_in,
            queue_s=30,
            hearing=hearing or Hearing(),
        )
        self.duplex = Duplex(config)
        self.rng = np.random.default_rng(seed)
        self.events: list[AudioEvent] = []
        self.heard: list[Any] = []
        self.echo = 0.0 if echo_db is None else 10 ** (echo_db / 20)
        self.reply = (level(_talk(self.rng, 10.0), -24) * 32767).astype("<i2").tobytes()
        self.count = 0
        self.generation = 0
        self.ended = True

    def run(self, near: Sound, begin: int = 0, again_until: float = math.inf) -> None:
        """The microphone hears this over the noise of the room. Replies begin at `begin`; up to `again_until` one
        that was interrupted is followed by another.
        """
        floor = 10 ** (-65 / 20) * self.rng.standard_normal(len(near))
        sound = np.asarray(near + floor, np.float32)
        for start in range(0, len(sound) - HOP + 1, HOP):
            if start >= begin:
                self._feed(start < again_until)
            block = sound[start : start + HOP]
            if self.echo and len(self.heard) >= 6:
                block = block + np.float32(self.echo) * self.heard[-6]
            self.heard.append(self.duplex.process(np.clip(block, -1, 1)))
            self._read()
        self._read()

    def _feed(self, again: bool) -> None:
        queue = self.duplex.queue
        if self.ended and again:
            self.generation, self.ended = queue.open(), False
        if queue.waiting < RATE and not self.ended:
            self.count += 1
            queue.push(f"reply_{self.count}", 0, self.reply, self.generation)
            queue.complete(f"reply_{self.count}", 0)

    def _read(self) -> None:
        fresh = self.duplex.read_events()
        self.duplex.read_records()
        self.events += fresh
        self.ended = self.ended or any(event.kind is EventKind.CONFIRMED for event in fresh)
        for position in self.duplex.queue.positions():
            self.duplex.queue.retire(position.item_id, 0)

    def of(self, kind: EventKind, since: int = 0) -> list[int]:
        """Ends of the hops in which this was reported, from a sample on."""
        return [event.position + HOP for event in self.events if event.kind is kind and event.position + HOP > since]


def _talk(rng: np.random.Generator, seconds: float) -> Sound:
    """What the reply sounds like: only the echo cares."""
    time = np.arange(round(seconds * RATE)) / RATE
    pitch = 2 * np.pi * np.cumsum(140 + 30 * np.sin(2 * np.pi * 0.7 * time)) / RATE
    voice = sum(np.cos(k * pitch) / k for k in range(1, 25))
    words = np.clip(np.sin(2 * np.pi * 3.1 * time) + 0.8, 0.02, 1)  # never quite silent, so that silence can be seen
    words *= np.where(np.sin(2 * np.pi * 0.31 * time) > -0.8, 1, 0.02)
    return np.asarray((voice + 0.1 * rng.standard_normal(len(time))) * words, np.float32)


@dataclass(frozen=True)
class Onset:
    """What became of one onset, in milliseconds; None: it did not happen."""

    early: bool
    duck: float | None
    confirm: float | None
    silence: float | None


def near_end(utterance: Utterance, noise: Sound | None = None, snr_db: float = 0) -> tuple[Sound, int, int]:
    """One utterance in its own background, SETTLE_S of it before; its label and its end, in samples."""
    speech = level(utterance.sound[utterance.onset :], -26)
    # what was before the utterance goes on around it, there and back, so that its background does not begin or end
    before = utterance.sound[: utterance.onset]
    around = np.resize(np.concatenate([before[::-1], before]), 10 * RATE)
    near = np.concatenate([around[-round(SETTLE_S * RATE) :], utterance.sound, around[:RATE]])
    near *= np.sqrt((speech**2).mean() / (utterance.sound[utterance.onset :] ** 2).mean())
    if noise is not None:
        background = np.resize(level(noise, -26 - snr_db), len(near))
        near = near + background
    label = round(SETTLE_S * RATE) + utterance.onset
    return np.asarray(near, np.float32), label, label + len(utterance.sound) - utterance.onset


def onset(utterance: Utterance, barge_in: BargeIn, noise: Sound | None, snr_db: float, seed: int) -> Onset:
    """Play one utterance into a reply."""
    near, label, end = near_end(utterance, noise, snr_db)
    room = Room(barge_in, seed)
    room.run(near, begin=label - RATE // 4, again_until=label)
    ducks, confirms = room.of(EventKind.DUCKED), room.of(EventKind.CONFIRMED, label)
    early = any(at <= label for at in ducks)
    duck = next((at for at in ducks if at > label), None)
    confirm = next((at for at in confirms if at <= end + RATE // 5), None)
    silence = None
    if confirm is not None:
        sounding = np.flatnonzero(np.concatenate(room.heard)[confirm : confirm + RATE // 5])
        silence = confirm + HOP + (int(sounding[-1]) + 1 if len(sounding) else 0)
    return Onset(early, *((None if at is None else (at - label) * 1000 / RATE) for at in (duck, confirm, silence)))


def onsets(barge_in: BargeIn, quick: bool) -> dict[str, list[Onset]]:
    """All utterances, by group and by noise."""
    found: dict[str, list[Onset]] = defaultdict(list)
    chosen = utterances()[:: 4 if quick else 1]
    cafe = next((noise.sound for noise in noises() if noise.kind in ("cafe", "noise")), None)
    for number, utterance in enumerate(chosen):
        found[f"{utterance.group}, clean"].append(onset(utterance, barge_in, None, 0, number))
        for snr in SNRS if not utterance.group.startswith("meetings") else ():
            name = f"{utterance.group}, cafe at {snr} dB"
            found[name].append(onset(utterance, barge_in, cafe, snr, number))
    return dict(found)


@dataclass(frozen=True)
class Rate:
    """False alarms of one class, per hour of noise."""

    hours: float
    ducks: float
    interruptions: float


def false_alarms(barge_in: BargeIn, quick: bool) -> dict[str, Rate]:
    """Each class of noise over a reply that never ends."""
    seconds = NOISE_S / (6 if quick else 1)
    classes: dict[str, list[Noise]] = defaultdict(list)
    for noise in noises():
        classes[noise.kind].append(noise)
    found = {}
    for kind, members in classes.items():
        counts = np.zeros(3)
        for number, noise in enumerate(members):
            sound = level(noise.sound, -30)
            counts += _alarms(barge_in, sound, seconds / len(members), number, None, pauses=kind in SUDDEN)
        found[kind] = Rate(counts[0], counts[1] / counts[0], counts[2] / counts[0])
    for db in ECHO_DB:
        counts = _alarms(barge_in, np.zeros(HOP, np.float32), seconds / 2, 7, db)
        found[f"echo at {db} dB"] = Rate(counts[0], counts[1] / counts[0], counts[2] / counts[0])
    return found


def _alarms(
    barge_in: BargeIn, sound: Sound, seconds: float, seed: int, echo_db: float | None, pauses: bool = False
) -> Any:
    """Hours, ducks, interruptions. Sudden sounds come again after 1 to 4 s of pause, others go on and on."""
    rng = np.random.default_rng(seed)
    parts: list[Sound] = [np.zeros(round(SETTLE_S * RATE), np.float32)]
    while sum(map(len, parts)) < seconds * RATE:
        parts += [sound, np.zeros(round(rng.uniform(1, 4) * RATE * pauses), np.float32)]
    room = Room(barge_in, seed, echo_db)
    settle = round(SETTLE_S * RATE)
    room.run(np.concatenate(parts)[: settle + round(seconds * RATE)], begin=settle)
    return np.array([seconds / 3600, len(room.of(EventKind.DUCKED)), len(room.of(EventKind.CONFIRMED))])


def burst_shares(barge_in: BargeIn, quick: bool) -> dict[str, list[float]]:
    """Share of bursts that ended the reply, by kind, for each of LENGTHS_MS."""
    found: dict[str, list[float]] = {}
    for kind in BURSTS:
        found[kind] = []
        for length in LENGTHS_MS:
            ended = []
            for seed in range(3 if quick else 12):
                sound = level(bursts(kind, length / 1000, seed, 100 + 15 * seed), -34 + 2 * seed)
                room = Room(barge_in, seed)
                lead = np.zeros(round(SETTLE_S * RATE) + 17 * seed, np.float32)
                room.run(np.concatenate([lead, sound, np.zeros(RATE // 2, np.float32)]), again_until=1)
                ended.append(bool(room.of(EventKind.CONFIRMED)))
            found[kind].append(float(np.mean(ended)))
    return found


def _quantiles(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    return f"{np.median(known):.0f} / {np.percentile(known, 95):.0f}"


def tables(barge_in: BargeIn, quick: bool) -> tuple[list[str], dict[str, list[Onset]], dict[str, Rate]]:
    """The three tables as Markdown, and what they are made of."""
    heard, alarms, shares = onsets(barge_in, quick), false_alarms(barge_in, quick), burst_shares(barge_in, quick)
    text = ["| onsets (median / p95, ms) | n | to duck | to confirmed | to silence | early | missed |"]
    text.append("| --- | --- | --- | --- | --- | --- | --- |")
    for group, found in heard.items():
        cells = [_quantiles(getattr(each, name) for each in found) for name in ("duck", "confirm", "silence")]
        early, missed = sum(each.early for each in found), sum(each.confirm is None for each in found)
        text.append(f"| {group} | {len(found)} | {' | '.join(cells)} | {early} | {missed} |")
    text += ["", "| without near-end speech, per hour | minutes run | false ducks | false interruptions |"]
    text.append("| --- | --- | --- | --- |")
    text += [f"| {k} | {60 * r.hours:.0f} | {r.ducks:.0f} | {r.interruptions:.0f} |" for k, r in alarms.items()]
    text += ["", "| bursts that ended the reply, % | " + " | ".join(f"{ms} ms" for ms in LENGTHS_MS) + " |"]
    text.append("| --- |" + " --- |" * len(LENGTHS_MS))
    text += [f"| {kind} | " + " | ".join(f"{100 * x:.0f}" for x in row) + " |" for kind, row in shares.items()]
    return text, heard, alarms


def draw(path: Path, heard: dict[str, list[Onset]], alarms: dict[str, Rate]) -> None:
    """Left: how many onsets have ducked, confirmed, fallen silent by when. Right: false alarms by class."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    first = next(iter(heard))
    for name, colour in (("duck", "#2f7ed8"), ("confirm", "#e08e0b"), ("silence", "#c0392b")):
        for group, style in ((first, "-"), (first.replace("clean", "cafe at 10 dB"), "--")):
            found = heard.get(group, [])
            known = sorted(x for x in (getattr(each, name) for each in found) if x is not None)
            share = np.arange(1, len(known) + 1) / max(1, len(found))
            label = f"{name}, {group.split(', ')[-1]}"
            left.step(
                [0.0, *known, 1e4],
                [0.0, *(100 * share), 100 * len(known) / max(1, len(found))],
                style,
                color=colour,
                where="post",
                label=label,
            )
    left.set(xlim=(0, 800), ylim=(0, 100), xlabel="ms from the labelled onset", ylabel="% of onsets", title=first)
    left.legend(fontsize=8, loc="lower right")
    left.grid(alpha=0.3)
    kinds = list(alarms)[::-1]
    places = np.arange(len(kinds))
    right.barh(places + 0.2, [alarms[k].ducks for k in kinds], 0.4, color="#2f7ed8", label="false ducks")
    right.barh(
        places - 0.2, [alarms[k].interruptions for k in kinds], 0.4, color="#c0392b", label="false interruptions"
    )
    right.set(yticks=places, yticklabels=kinds, xlabel="per hour", title="nobody speaks")
    right.set_xscale("symlog", linthresh=10)
    right.legend(fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.12), ncols=2)
    right.grid(alpha=0.3, axis="x")
    figure.savefig(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Onset to duck, to silence; false ducks and interruptions.")
    parser.add_argument("--quick", action="store_true", help="a quarter of the onsets, a sixth of the noise")
    parser.add_argument("--plot", type=Path, nargs="?", const=PLOT, help=f"write the picture, default {PLOT.name}")
    arguments = parser.parse_args()
    lines, scored, counted = tables(SETTINGS, arguments.quick)
    print("\n".join(lines))
    if arguments.plot:
        draw(arguments.plot, scored, counted)
