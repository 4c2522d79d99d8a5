"""Recorded talk for the fit: utterances as they end, and the same ones cut where their talker went on.

A folder has `manifest.csv` with columns file, seconds, kind, detail and source, and the sound files it names (read
with the package soundfile). A clip counts as a whole utterance when it is no longer than 15 s and ends in a pause.
It is cut in a valley of loudness inside a stretch of talk, between syllables mostly.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr

from training.turnend.scenes import Scene
from training.turnend.talk import RATE, Samples

WHOLE = (
    "speech-to-intent-benchmark", "speechocean762", "Resemblyzer", "speech-emotion-recognition",
    "dataset-voice-kerstin",
    "freeswitch-sounds-en-gb-richard", "voice-dataset", "wake-word-benchmark", "speechbrain", "nodejs-docs-samples",
    "cognitive-services-speech-sdk", "rhino", "cheetah", "leopard", "speech_recognition_acoustic_model_training",
    "yoruba_speech_project", "speech-to-text-finetune", "faster-whisper", "python-clients", "TTS", "css10",
)  # fmt: skip
"""Sources whose clips are utterances, as far as one can tell; not joined prompts, wake words or single words."""
DEV = ("speech-to-intent-benchmark", "dataset-voice-kerstin", "Resemblyzer")
"""Not learnt from."""
TAIL_S = 0.45


def scenes(folder: Path, part: str, variants: int = 1) -> Iterator[Scene]:
    """`part`: train or dev. One whole scene and two that are cut from each clip, each with a pause after it; `variants`
    times with other speed (and so pitch), noise, level and cuts, the first as it was recorded.
    """
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as manifest:
        rows = [row for row in csv.DictReader(manifest) if row["kind"] == "speech" and "(joined)" not in row["detail"]]
    for number, row in enumerate(rows):
        source = row["file"].rpartition("/")[2].partition("__")[0]
        if source in WHOLE and (source in DEV) == (part == "dev") and 1.2 <= float(row["seconds"]) <= 15:
            for variant in range(variants):
                yield from _of(folder / row["file"], np.random.default_rng([number, variant]), changed=variant > 0)


def _of(path: Path, rng: np.random.Generator, changed: bool) -> Iterator[Scene]:
    raw, rate = soundfile.read(path, dtype="float32", always_2d=True)
    speed = rng.uniform(0.87, 1.15) if changed else 1.0
    sound = np.asarray(soxr.resample(raw[:, 0], rate * speed, RATE), np.float32)
    hop = RATE // 100
    level = 10 * np.log10(np.mean(sound[: sound.size // hop * hop].reshape(-1, hop) ** 2, axis=1) + 1e-10)
    peak, floor = float(np.percentile(level, 95)), float(np.percentile(level, 5))
    hiss = max(floor, peak - rng.uniform(22, 50)) if changed else floor
    talk = np.flatnonzero(level > max(peak - 28, floor + 6))
    if peak - floor < 18 or talk.size < 60:
        return
    end = int(talk[-1]) + 1
    if level.size - end >= 8:
        yield _placed(sound[: end * hop], 1, "whole", path, rng, hiss)
    loud = level > peak - 16
    # Valleys: the least of 9 frames, with loud talk on both sides within 150 ms, so no pause.
    spots = [
        at
        for at in range(60, end - 25)
        if level[at] == level[at - 4 : at + 5].min() and loud[at - 15 : at].any() and loud[at + 1 : at + 15].any()
    ]
    for at in rng.choice(spots, min(2, len(spots)), replace=False) if spots else ():
        yield _placed(sound[: at * hop], int(rng.integers(2, 8)), "cut", path, rng, hiss)


def _placed(sound: Samples, fade_hops: int, kind: str, path: Path, rng: np.random.Generator, hiss_db: float) -> Scene:
    talk = sound.copy()
    fade = fade_hops * RATE // 100
    talk[talk.size - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    tail = np.zeros(int(TAIL_S * RATE), np.float32)
    whole = np.concatenate([talk, tail])
    whole += rng.standard_normal(whole.size).astype(np.float32) * np.float32(10 ** (hiss_db / 20))
    whole *= np.float32(10 ** (rng.uniform(-15, 5) / 20))
    return Scene(np.clip(whole, -1, 1), kind, talk.size / RATE, path.name)
