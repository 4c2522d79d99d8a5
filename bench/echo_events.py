"""How often does an assistant interrupt itself, and does it hear who really interrupts?

Rooms of `engine.audio.room.random_room` (walls, a loudspeaker that resonates and clips, skewed clocks, moves, jumps,
noise), 30 s each, with talkers that nothing was trained on (the shared audio/vad); microphone and reference go through
the echo canceller, and what it says of the near end through the C interrupt policy. The first 3 s of a room do not
count.

- far end only: voices, and what else a loudspeaker may play (music and television, of the clips that training holds
  aside); ducks a minute, interruptions in all;
- other sounds in the room while a voice plays, as loud as the echo: music, noises, a television that speaks;
- labelled utterances over a voice, from 4 s on, at some ratios to the echo: share that interrupted within the utterance
  or 200 ms after it; ms from the label to duck and to interruption, median / p95.

Ways to know: the capture thread's, which is what an engine does (csrc/hearing: the network and the voice detector have
to agree, `BargeIn` as it comes, the skew of the clocks taken out, as the engine does from the devices' clocks). And its
parts by themselves, without that correction, which duck at a probability of 0.3 for 20 ms and interrupt after 120 ms of
it: the network; at a probability of 0.5; the rule that works without weights; the voice detector on what the linear
filter leaves.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.audio import BargeIn, EchoCanceller, Resampler, VoiceDetector
from engine.audio.room import Heard, Room, active_rms, random_room
from engine.native import Block, address, lib, new

if TYPE_CHECKING:
    from bench.nearend import RATE, Sound, Utterance, load, noises, shared, utterances
else:
    from nearend import RATE, Sound, Utterance, load, noises, shared, utterances

HOP = 240
SECONDS = 30
SETTLE_HOPS = 300
THRESHOLD, DUCK_HOPS, CONFIRM_MS, RESTORE_MS = 0.3, 2, 120, 200
VOICE, RULE, SURE = 0.5, 0.5, 0.5  # thresholds of the voice detector, of the rule, of the network where they differ
ENGINE = "capture thread"
SERS = (-10, -5, 0, 5, 10)
LEVEL = 0.05  # RMS of the reference, -26 dBFS

Likely = NDArray[np.float32]


def ways(reference: Sound, microphone: Sound, skew_ppm: float) -> dict[str, Likely]:
    """For each way of knowing, 0 to 1 per hop: speech from THRESHOLD on."""
    hops = len(reference) // HOP
    canceller, rule = EchoCanceller(RATE), EchoCanceller(RATE, judge="rule")
    canceller.process(microphone, reference)
    rule.process(microphone, reference)
    left = EchoCanceller(RATE, way="linear").process(microphone, reference)
    net = canceller.results["near"]
    return {
        ENGINE: captured(reference, microphone, skew_ppm),
        "network": net,
        "network at .5": net * np.float32(THRESHOLD / SURE),
        "rule": rule.results["near"] * np.float32(THRESHOLD / RULE),
        "linear filter, voice": _heard(left, hops),
    }


def _heard(sound: Sound, hops: int) -> Likely:
    """The voice detector, so that its threshold lies at THRESHOLD."""
    return np.resize(VoiceDetector(RATE).process(sound) * np.float32(THRESHOLD / VOICE), hops)


def captured(reference: Sound, microphone: Sound, skew_ppm: float) -> Likely:
    """As csrc/capture.c has it while something plays: canceller, voice detector, and what the two say together."""
    hears = new("rt_hearing_config *", {"echo": lib.RT_ECHO_MODE_AEC, "unsure_threshold": 0.8, "comfort_noise": 1})
    hearing, detector = Block(lib.rt_hearing_size(hears)), Block(lib.rt_vad_size())
    h, vad = hearing.pointer("rt_hearing *"), detector.pointer("rt_vad *")
    assert lib.rt_hearing_init(h, hears) == lib.rt_vad_init(vad) == 0
    clocks = [Resampler(RATE, RATE, tunable=True) for _ in range(2)]  # both: they are to be late alike
    clocks[0].tune(-skew_ppm)
    far, mic = (np.concatenate([c.process(x), c.flush()]) for c, x in zip(clocks, (reference, microphone), strict=True))
    likely = np.zeros(len(reference) // HOP, np.float32)
    for i in range(min(len(far), len(mic), len(reference)) // HOP):
        hop, beside = mic[i * HOP : (i + 1) * HOP].copy(), far[i * HOP : (i + 1) * HOP].copy()
        lib.rt_hearing_hear(h, address(hop, "float *"), address(beside, "const float *"), 1, 0)
        speech = lib.rt_vad_process(vad, address(hop, "const float *"))
        likely[i] = lib.rt_hearing_near(h, lib.rt_vad_foreground(vad, speech))
    return likely


def events(likely: Likely, way: str) -> tuple[list[int], list[int]]:
    """Hops at whose end the policy ducked, and interrupted. Something always plays."""
    kept = Block(lib.rt_interrupt_size())
    state, result = kept.pointer("rt_interrupt *"), new("rt_interrupt_result *")
    config = {"policy": lib.RT_POLICY_LOCAL, "threshold": THRESHOLD, "confirm_ms": CONFIRM_MS, "restore_ms": RESTORE_MS}
    if way == ENGINE:
        usual = BargeIn()
        config |= {"threshold": usual.threshold, "confirm_ms": usual.confirm_ms, "restore_ms": usual.restore_ms}
        config["sure"] = usual.sure
    assert lib.rt_interrupt_init(state, new("rt_interrupt_config *", config)) == 0
    late = range(1 if way == ENGINE else DUCK_HOPS)
    lasting = np.minimum.reduce([np.concatenate([np.zeros(i, np.float32), likely[: len(likely) - i]]) for i in late])
    ducks, interruptions, reply = [], [], 1
    for hop, probability in enumerate(lasting):
        lib.rt_interrupt_process(state, float(probability) if hop >= SETTLE_HOPS else 0.0, reply, reply, result)
        if result.change & lib.RT_CHANGE_DUCKED:
            ducks.append(hop)
        if result.change & lib.RT_CHANGE_CONFIRMED:
            interruptions.append(hop)
        if result.latch == reply:
            reply += 1
    return ducks, interruptions


def talkers() -> list[Sound]:
    """Speech of the shared test set, which nothing was trained on."""
    folder = shared("audio", "vad")
    if folder is None:
        raise SystemExit("the shared audio (audio/vad) is not there: set BARGEIN_SHARED")
    return [load(path) for path in sorted(folder.glob("ten-*.wav"))]


def music() -> list[Sound]:
    """Clips that training holds aside; none without soundfile."""
    folder = shared("audio", "train")
    try:
        from training.vad.pool import clips, read
    except ImportError:
        return []
    return [] if folder is None else [read(folder, clip) for clip in clips(folder) if clip.kind == "music" and clip.dev]


def _row(rng: np.random.Generator, sounds: list[Sound], pause_s: float) -> Sound:
    """Some of them in a row, SECONDS long, at LEVEL."""
    out = np.zeros(SECONDS * RATE, np.float32)
    at = int(rng.exponential(0.3) * RATE)
    while at < len(out):
        part = sounds[rng.integers(len(sounds))][: len(out) - at]
        out[at : at + len(part)] = part / max(active_rms(part), 1e-4)
        at += len(part) + int(rng.exponential(pause_s) * RATE) + HOP
    return np.asarray(np.clip(out * LEVEL, -1, 1), np.float32)


def television(rng: np.random.Generator, voices: list[Sound], tunes: list[Sound]) -> Sound:
    """Voices over music."""
    return np.asarray(_row(rng, voices, 0.3) + 0.4 * _row(rng, tunes, 0.0), np.float32)


@dataclass
class Count:
    """Of one class, by way: minutes that counted, ducks, interruptions."""

    minutes: float
    ducks: dict[str, int]
    interruptions: dict[str, int]


def alone(kind: str, rooms: range) -> Count:
    """Nobody speaks in the room."""
    voices, tunes, other = talkers(), music(), [noise.sound for noise in noises()]
    count = Count(0.0, {}, {})
    for seed in rooms:
        rng = np.random.default_rng([seed, len(kind)])
        far = (
            television(rng, voices, tunes)
            if kind == "television"
            else _row(rng, tunes if kind == "music" else voices, 0.5)
        )
        near = None
        if kind.startswith("voices, "):
            inside = {"music": tunes, "noises": other}.get(kind.partition(" in")[0][8:])
            near = television(rng, voices, tunes) if inside is None else _row(rng, inside, 0.5)
        room = random_room(seed, SECONDS)
        heard = Room(room, seed).process(far, near)
        microphone = (heard.at_ser(0.0) if near is not None else heard).microphone
        for way, likely in ways(far, microphone, room.skew_ppm).items():
            ducks, interruptions = events(likely, way)
            count.ducks[way] = count.ducks.get(way, 0) + len(ducks)
            count.interruptions[way] = count.interruptions.get(way, 0) + len(interruptions)
        count.minutes += (SECONDS - SETTLE_HOPS / 100) / 60
    return count


@dataclass(frozen=True)
class Barge:
    """One utterance: ms from its label to duck and interruption, None where that did not happen."""

    duck: float | None
    interruption: float | None


def spoken(ser_db: float, rooms: range) -> Iterator[dict[str, Barge]]:
    """Utterances over a voice, three to a room, after pauses long enough for the policy to rest."""
    voices = talkers()
    chosen = [each for each in utterances() if each.group.startswith(("read", "demo"))]
    for seed in rooms:
        rng = np.random.default_rng([seed, 77])
        far, near = _row(rng, voices, 0.3), np.zeros(SECONDS * RATE, np.float32)
        placed: list[tuple[int, Utterance]] = []
        for third in range(3):
            each = chosen[rng.integers(len(chosen))]
            at = (4 + 8 * third) * RATE + int(rng.uniform(0, 3) * RATE)
            near[at : at + len(each.sound)] = each.sound / max(active_rms(each.sound), 1e-4) * LEVEL
            placed.append((at, each))
        room = random_room(seed, SECONDS)
        heard: Heard = Room(room, seed).process(far, near).at_ser(ser_db)
        found = {way: events(likely, way) for way, likely in ways(far, heard.microphone, room.skew_ppm).items()}
        for at, each in placed:
            begin, end = at + each.onset, at + len(each.sound) + RATE // 5
            yield {
                way: Barge(_first(ducks, begin, end), _first(ends, begin, end)) for way, (ducks, ends) in found.items()
            }


def _first(hops: list[int], begin: int, end: int) -> float | None:
    at = next(((hop + 1) * HOP for hop in hops if begin < (hop + 1) * HOP <= end), None)
    return None if at is None else (at - begin) * 1000 / RATE


def _quantiles(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{np.median(known):.0f}/{np.percentile(known, 95):.0f}" if known else "-"


WAYS = (ENGINE, "network", "network at .5", "rule", "linear filter, voice")


def _head(title: str) -> Iterator[str]:
    yield f"| {title} | " + " | ".join(WAYS) + " |"
    yield "| --- |" + " --- |" * (title.count("|") + len(WAYS))


def tables(minutes: int, first: int) -> Iterator[str]:
    """Both tables as Markdown, line by line."""
    kinds = ["voices"]
    if music():
        kinds += ["music", "television", "voices, music in the room", "voices, television in the room"]
    yield from _head("nobody speaks: ducks a minute / interruptions | minutes")
    for kind in [*kinds, "voices, noises in the room"]:
        share = 1.0 if kind == "voices" else 0.2
        rooms = round(share * minutes * 60 / (SECONDS - SETTLE_HOPS / 100))
        count = alone(kind, range(first, first + rooms))
        cells = [f"{count.ducks[way] / count.minutes:.2f} / {count.interruptions[way]}" for way in WAYS]
        yield f"| {kind} | {count.minutes:.1f} | " + " | ".join(cells) + " |"
    yield ""
    yield from _head("interruptions caught, % (ms to duck, to interruption: median/p95) | n")
    for ser in SERS:
        found = list(spoken(ser, range(first, first + round(0.8 * minutes))))
        cells = []
        for way in WAYS:
            caught = [each[way].interruption for each in found]
            share = 100 * sum(ms is not None for ms in caught) / len(caught)
            cells.append(f"{share:.1f} ({_quantiles([each[way].duck for each in found])}, {_quantiles(caught)})")
        yield f"| {ser} dB to the echo | {len(found)} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="False and true interruptions with echo, in simulated rooms.")
    parser.add_argument(
        "--minutes", type=int, default=30, help="of voices as far end, nobody near; the rest in proportion"
    )
    parser.add_argument(
        "--first", type=int, default=0, help="number of the first room: nothing was chosen in those from 500 on"
    )
    arguments = parser.parse_args()
    for line in tables(arguments.minutes, arguments.first):
        print(line, flush=True)
