"""Sounds that nobody speaks, made: coloured noise, hums, tones, sweeps, knocks, buzzes. Some detectors take them for
speech.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import irfft, rfft
from scipy.signal import lfilter

from training.vad.pool import RATE, Sound

Generator = np.random.Generator


def made(rng: Generator, samples: int) -> Sound:
    """One of the kinds, perhaps swelling, perhaps in bursts."""
    kinds = (coloured, coloured, hum, tones, sweeps, knocks, buzz, bursts)
    sound = kinds[rng.integers(len(kinds))](rng, samples)
    if rng.random() < 0.35:
        sound = sound * swell(rng, samples)
    if rng.random() < 0.25:
        sound = sound + 10 ** (-rng.uniform(0, 30) / 20) * coloured(rng, samples)
    return np.asarray(sound, np.float32)


def coloured(rng: Generator, samples: int) -> Sound:
    """Noise with a slope from violet to brown, or in a band."""
    spectrum = rfft(rng.standard_normal(samples))
    hz = np.arange(len(spectrum)) * RATE / samples + 20.0
    gain = hz ** rng.uniform(-1.2, 0.6)
    if rng.random() < 0.4:
        centre, width = np.exp(rng.uniform(np.log(150), np.log(8000))), rng.uniform(0.2, 1.5)
        gain = gain * np.exp(-0.5 * (np.log2(hz / centre) / width) ** 2)
    out = irfft(spectrum * gain, samples)
    return np.asarray(out / out.std(), np.float32)


def hum(rng: Generator, samples: int) -> Sound:
    """The mains and its harmonics, a fan, a motor whose speed wanders."""
    base = rng.choice([50.0, 60.0, 100.0, 120.0, rng.uniform(40, 300)])
    wander = np.interp(np.arange(samples), np.linspace(0, samples, 12), rng.uniform(-0.1, 0.1, 12)) * (
        rng.random() < 0.4
    )
    phase = 2 * np.pi * np.cumsum(base * (1 + wander)) / RATE
    fall = rng.uniform(0.3, 2)
    parts = (
        np.cos(k * phase + rng.uniform(0, 6.28)) / k**fall * rng.uniform(0, 1) for k in range(1, 25) if k * base < 9000
    )
    return np.asarray(sum(parts) + 0.02 * rng.standard_normal(samples), np.float32)


def gate(rng: Generator, samples: int, longest_s: float) -> Sound:
    """On and off, with ramps of 3 ms."""
    on = np.zeros(samples, np.float32)
    at = int(rng.exponential(0.5) * RATE)
    length, pause = np.exp(rng.uniform(np.log(0.03), np.log(longest_s))), np.exp(rng.uniform(np.log(0.05), np.log(2)))
    regular = rng.random() < 0.5
    while at < samples:
        take = int(length * (1 if regular else rng.exponential(1)) * RATE)
        on[at : at + take] = 1
        at += take + int(pause * (1 if regular else rng.exponential(1)) * RATE) + 100
    return np.asarray(np.convolve(on, np.hanning(144) / np.hanning(144).sum(), "same"), np.float32)


def tones(rng: Generator, samples: int) -> Sound:
    """Beeps of one to four tones: dialling, ringing, alarms."""
    t = np.arange(samples) / RATE
    sound = np.zeros(samples)
    for _ in range(rng.integers(1, 4)):
        chord = sum(
            np.sin(2 * np.pi * np.exp(rng.uniform(np.log(120), np.log(4500))) * t) for _ in range(rng.integers(1, 4))
        )
        sound += chord * (gate(rng, samples, 3.0) if rng.random() < 0.8 else 1) * rng.uniform(0.2, 1)
    return np.asarray(sound, np.float32)


def sweeps(rng: Generator, samples: int) -> Sound:
    """Sirens, whistles, chirps: a tone, or a harmonic one, whose pitch moves."""
    period = np.exp(rng.uniform(np.log(0.1), np.log(6)))
    t = np.arange(samples) / RATE
    shape = np.abs((t / period) % 1 * 2 - 1) if rng.random() < 0.5 else (t / period) % 1
    low = np.exp(rng.uniform(np.log(100), np.log(2500)))
    phase = 2 * np.pi * np.cumsum(low * (1 + shape * rng.uniform(0.1, 2))) / RATE
    harmonics = rng.integers(1, 8)
    sound = sum(np.sin(k * phase) / k ** rng.uniform(0.5, 2) for k in range(1, harmonics + 1))
    return np.asarray(sound * (gate(rng, samples, 2.0) if rng.random() < 0.5 else 1), np.float32)


def knocks(rng: Generator, samples: int) -> Sound:
    """Clicks, taps, bangs: short noise through a resonance."""
    hits = np.zeros(samples)
    rate = np.exp(rng.uniform(np.log(0.5), np.log(15)))
    at = np.cumsum(rng.exponential(1 / rate, int(rate * samples / RATE * 2) + 5) * RATE).astype(int)
    at = at[at < samples - 10]
    hits[at] = rng.uniform(0.2, 1, len(at)) * rng.choice([-1, 1], len(at))
    sound = np.zeros(samples)
    for _ in range(rng.integers(1, 4)):
        hz, decay = np.exp(rng.uniform(np.log(60), np.log(6000))), np.exp(rng.uniform(np.log(0.002), np.log(0.08)))
        radius = np.exp(-1 / (decay * RATE))
        sound += lfilter([1 - radius], [1, -2 * radius * np.cos(2 * np.pi * hz / RATE), radius**2], hits) * rng.uniform(
            0.2, 1
        )
    crackle = lfilter([1], [1, -np.exp(-1 / (0.015 * RATE))], np.abs(hits)) * rng.standard_normal(samples)
    return np.asarray(sound / (np.abs(sound).max() + 1e-9) + rng.uniform(0, 1) * crackle, np.float32)


def buzz(rng: Generator, samples: int) -> Sound:
    """Pulse trains with a fixed colour: horns, buzzers, engines, insects."""
    base = np.exp(rng.uniform(np.log(60), np.log(500)))
    wander = np.interp(np.arange(samples), np.linspace(0, samples, 40), rng.uniform(-0.03, 0.03, 40)) * (
        rng.random() < 0.5
    )
    phase = np.cumsum(base * (1 + wander)) / RATE
    train = np.diff(np.floor(phase), prepend=0) - base / RATE
    for _ in range(rng.integers(1, 4)):
        hz, radius = np.exp(rng.uniform(np.log(200), np.log(6000))), rng.uniform(0.85, 0.99)
        train = lfilter([1 - radius], [1, -2 * radius * np.cos(2 * np.pi * hz / RATE), radius**2], train) + 0.1 * train
    return np.asarray(train / (train.std() + 1e-9) * (gate(rng, samples, 4.0) if rng.random() < 0.7 else 1), np.float32)


def bursts(rng: Generator, samples: int) -> Sound:
    """Hiss, breath, coughs without a voice: noise in a band that comes and goes."""
    return np.asarray(coloured(rng, samples) * gate(rng, samples, 1.0), np.float32)


def swell(rng: Generator, samples: int) -> Sound:
    """A slow or a syllable's modulation."""
    rate = np.exp(rng.uniform(np.log(0.2), np.log(12)))
    depth = rng.uniform(0.3, 1)
    return np.asarray(1 - depth * (0.5 + 0.5 * np.sin(2 * np.pi * rate * np.arange(samples) / RATE)), np.float32)
