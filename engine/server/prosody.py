"""How a stretch of talk ends: melody, loudness and timbre of its last seconds, as a few numbers.

What is known of turn ends in speech: the pitch falls to the bottom of the talker's range (or rises, in a question),
the loudness fades, the last syllable is long; while a talker who goes on keeps the pitch level, stops at full
loudness, or holds one sound ("uhm"). All numbers are relative to the same talk, so neither level nor voice matter.

Pitch: peak of the normalised autocorrelation of 40 ms frames at 8 kHz, the window's own divided out (P. Boersma,
"Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a sampled sound",
1993).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio import Resampler

RATE = 24_000
_LOW_RATE = 8000
WINDOW_MS = 2560
"""No more than the newest so many milliseconds are looked at."""
_HOP, _FRAME, _SIZE = 80, 320, 512
_LEAST_LAG, _MOST_LAG = 20, 114  # 400 to 70 Hz
_VOICED = 0.5

Floats = NDArray[np.float32]

_HANN = np.hanning(_FRAME + 2)[1:-1].astype(np.float32)
_WINDOW_LAGS = np.fft.irfft(np.abs(np.fft.rfft(_HANN, _SIZE)) ** 2)[: _MOST_LAG + 2]
_WINDOW_LAGS = (_WINDOW_LAGS / _WINDOW_LAGS[0]).astype(np.float32)


def _band_starts() -> NDArray[np.intp]:
    """First bins of 12 bands from 125 to 4000 Hz, even on the mel scale."""
    mel = np.linspace(np.log1p(125 / 700), np.log1p(4000 / 700), 13)
    return np.rint(700 * np.expm1(mel[:-1]) * _SIZE / _LOW_RATE).astype(np.intp)


_BANDS = _band_starts()


class Track:
    """Per 10 ms of the last talk: `level_db` over its loud parts, `pitch` in semitones (NaN where there is none),
    `strength` of the voice (0 to 1), `bands` (log energies without their mean).
    """

    def __init__(self, samples: Floats) -> None:
        low = Resampler(RATE, _LOW_RATE).process(samples[-(WINDOW_MS + 400) * RATE // 1000 :].astype(np.float32))
        low = np.concatenate([np.zeros(max(20 * _HOP - low.size, 0), np.float32), low])  # 200 ms at least
        low = low[low.size % _HOP :]
        level = 10 * np.log10(np.mean(low.reshape(-1, _HOP) ** 2, axis=1) + 1e-10)
        first, end, least, peak = _talk(level)
        low = np.concatenate([np.zeros(_FRAME // 2, np.float32), low[: (end + 1) * _HOP]])
        frames = np.lib.stride_tricks.sliding_window_view(low, _FRAME)[first * _HOP :: _HOP] * _HANN
        spectrum = np.fft.rfft(frames, _SIZE)
        power = spectrum.real**2 + spectrum.imag**2
        lags = np.fft.irfft(power.astype(np.complex64))[:, : _MOST_LAG + 2]
        energy = np.maximum(lags[:, 0], 1e-12)
        self.pitch, self.strength = _pitch(lags / (energy[:, None] * _WINDOW_LAGS))
        bands = np.log(np.add.reduceat(power, _BANDS, axis=1) + energy[:, None] * 1e-5 + 1e-9)
        self.bands = bands - bands.mean(axis=1, keepdims=True)
        self.level_db = level[first : first + energy.size] - peak
        self.voiced = (self.strength > _VOICED) & (self.level_db > max(least, peak - 28.0) - peak)
        self.pitch[~self.voiced] = np.nan
        _straighten(self.pitch)


def _talk(level: NDArray[Any]) -> tuple[int, int, float, float]:
    """First and last frame of the talk in the window, the least level of talk, the level of its loud parts."""
    floor = float(np.median(level[-8:]))  # the pause
    peak = float(np.percentile(level[:-8], 97)) if level.size > 8 else float(level.max(initial=-100.0))
    least = max(floor + 6.0, peak - 30.0)
    loud = np.flatnonzero(level > least)
    if not loud.size:
        return max(level.size - 10, 0), level.size, least, peak
    end = int(loud[-1]) + 1
    return max(int(loud[0]), end - WINDOW_MS // 10), end, least, peak


def _straighten(pitch: Floats) -> None:
    """Take out what jumps for a frame or two: the median of five."""
    where = np.flatnonzero(~np.isnan(pitch))
    if where.size >= 5:
        heard = pitch[where]
        padded = np.concatenate([heard[:1], heard[:1], heard, heard[-1:], heard[-1:]])
        pitch[where] = np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)


def _pitch(correlation: NDArray[Any]) -> tuple[Floats, Floats]:
    part = correlation[:, _LEAST_LAG - 1 : _MOST_LAG + 2].copy()
    peaks = part[:, 1:-1]
    # Only a peak between lower neighbours is a period; a longer one must be clearly better, or octaves are dropped.
    peaks = np.where((peaks >= part[:, :-2]) & (peaks > part[:, 2:]), peaks, 0.0)
    cost = 0.06 * np.log2(np.arange(_LEAST_LAG, _MOST_LAG + 1) / _LEAST_LAG)
    best = np.argmax(peaks - cost, axis=1)
    rows = np.arange(best.size)
    left, here, right = part[rows, best], part[rows, best + 1], part[rows, best + 2]
    bend = 2 * here - left - right
    offset = np.where(bend > 1e-6, 0.5 * (right - left) / np.maximum(bend, 1e-6), 0.0)
    semitones = 12 * np.log2(_LOW_RATE / (best + _LEAST_LAG + np.clip(offset, -0.5, 0.5)) / 100.0)
    return semitones.astype(np.float32), np.clip(peaks[rows, best], 0, 1).astype(np.float32)


_STEPS, _STEP = 16, 4
"""The contours: the last 640 ms in steps of 40 ms."""

FEATURES = (
    "pitch_last", "pitch_low", "pitch_place", "rise", "fall", "slope_150", "slope_400", "pitch_spread", "pitch_range",
    "declination", "voiced_100", "voiced_300", "coda", "level_60", "level_150", "level_300", "fall_100", "fall_250",
    "since_12db", "since_20db", "syllable", "syllable_ratio", "still", "still_voiced", "hum", "strength",
    "strength_fall",
    *(f"{what}_{40 * (_STEPS - n)}" for what in ("pitch", "level", "voiced", "flux", "strong") for n in range(_STEPS)),
)  # fmt: skip


def features(samples: Floats) -> Floats:
    """The numbers of FEATURES, float32. `samples`: talk at 24 kHz and 80 to 400 ms of the pause after it."""
    return describe(Track(samples))


def describe(track: Track) -> Floats:
    """The same, of a track."""
    values = [
        *_melody(track.pitch, track.voiced),
        *_loudness(track.level_db),
        *_syllables(track.level_db, track.voiced),
        *_timbre(track),
    ]
    return np.asarray(np.nan_to_num(np.concatenate([np.array(values, np.float32), _contours(track)])), np.float32)


def _melody(pitch: Floats, voiced: NDArray[np.bool_]) -> list[float]:
    where = np.flatnonzero(voiced)
    size = pitch.size
    if where.size < 4:
        return [0.0] * 10 + [float(voiced[-10:].mean()) if size else 0.0] * 2 + [0.3]
    heard = pitch[where]
    middle, low, high = (float(np.percentile(heard, part)) for part in (50, 10, 90))
    tail, near = where >= where[-1] - 45, where >= where[-1] - 15
    last = float(np.median(heard[-4:]))
    half = heard.size // 2
    return [
        float(np.clip(last - middle, -12, 12)),
        float(np.clip(last - low, -6, 12)),
        float(np.mean(heard < last)),
        float(np.clip(last - heard[tail].min(), 0, 12)),
        float(np.clip(heard[tail].max() - last, 0, 12)),
        _slope(where[near], heard[near]),
        _slope(where[tail], heard[tail]),
        float(np.std(heard[near])),
        min(high - low, 15.0),
        float(np.clip(np.median(heard[half:]) - np.median(heard[:half]), -12, 12)),
        float(voiced[-10:].mean()),
        float(voiced[-30:].mean()),
        min(size - 1 - int(where[-1]), 30) / 100,
    ]


def _slope(at: NDArray[Any], values: NDArray[Any]) -> float:
    """Change per 100 ms, of a straight line; one octave at most."""
    if at.size < 4:
        return 0.0
    x = at - at.mean()
    return float(np.clip(10 * (x @ (values - values.mean())) / (x @ x), -12, 12))


def _loudness(level: NDArray[Any]) -> list[float]:
    def mean(frames: int) -> float:
        return float(np.maximum(level[-frames:], -40).mean()) / 10 if level.size else -4.0

    def since(below_db: float) -> float:
        above = np.flatnonzero(level > -below_db)
        return min(level.size - 1 - int(above[-1]), 60) / 60 if above.size else 1.0

    def fall(frames: int) -> float:
        return _slope(np.arange(level[-frames:].size), np.maximum(level[-frames:], -40)) / 10

    return [mean(6), mean(15), mean(30), fall(10), fall(25), since(12), since(20)]


def _syllables(level: NDArray[Any], voiced: NDArray[np.bool_]) -> list[float]:
    """Length of the last voiced stretch without a dip of 4 dB, in units of 100 ms; and over the median of all such."""
    lengths: list[int] = []
    length, top = 0, -99.0
    for here, has_voice in zip(level.tolist(), voiced.tolist(), strict=True):
        if has_voice and here > top - 8.0:
            length, top = length + 1, max(top - 0.3, here)
        else:
            if length > 3:
                lengths.append(length)
            length, top = (1, here) if has_voice else (0, -99.0)
    if length > 3:
        lengths.append(length)
    if not lengths:
        return [0.0, 1.0]
    return [min(lengths[-1], 60) / 10, min(lengths[-1] / float(np.median(lengths)), 5.0)]


def _timbre(track: Track) -> list[float]:
    bands, strength = track.bands, track.strength
    where = np.flatnonzero(track.voiced)
    if where.size < 4:
        return [0.0] * 5
    centre = int(where[-min(6, where.size)])
    distance = np.sqrt(np.mean((bands - bands[max(centre - 2, 0) : centre + 3].mean(axis=0)) ** 2, axis=1))

    def still(limit: float) -> float:
        away = np.flatnonzero(distance[:centre] > limit)
        return min(centre - (int(away[-1]) + 1 if away.size else 0), 80) / 10

    hum = float((bands[centre][:4] - bands[where].mean(axis=0)[:4]).mean())
    heard = strength[where]
    change = float(heard[-5:].mean() - heard[-15:-5].mean()) if heard.size > 5 else 0.0
    return [still(0.8), still(1.2), hum, float(heard[-15:].mean()), change]


def _contours(track: Track) -> Floats:
    """Means of each step: pitch over the talker's low pitch (the last known one where there is none), level in units of
    10 dB, share of voice, change of timbre in 20 ms, strength of the voice.
    """
    frames = _STEPS * _STEP

    def steps(values: NDArray[Any], least: float) -> Floats:
        newest = values[-frames:]
        whole = np.concatenate([np.full(frames - newest.size, least, np.float32), newest])
        return np.asarray(whole.reshape(_STEPS, _STEP).mean(axis=1), np.float32)

    voiced = track.voiced.astype(np.float32)
    share = steps(voiced, 0.0)
    heard = track.pitch[track.voiced]
    low = float(np.percentile(heard, 10)) if heard.size else 0.0
    sums = steps(np.where(track.voiced, track.pitch - low, 0.0), 0.0)
    known = np.maximum.accumulate(np.where(share > 0, np.arange(_STEPS), -1))
    means = np.clip(sums / np.maximum(share, 0.01), -6, 14)
    pitch = np.where(known >= 0, means[np.maximum(known, 0)], 0.0)
    flux = np.zeros(voiced.size, np.float32)
    flux[2:] = np.sqrt(np.mean((track.bands[2:] - track.bands[:-2]) ** 2, axis=1))
    level = steps(np.maximum(track.level_db, -40), -40.0) / 10
    parts = [pitch, level, share, steps(flux, 0.0), steps(track.strength, 0.0)]
    return np.concatenate(parts).astype(np.float32)
