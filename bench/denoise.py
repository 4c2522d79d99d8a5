"""What does the light noise suppressor do to speech, beside the one of WebRTC?

Clean and noisy pairs of one talker (VoiceBank+DEMAND), and the same clean speech with other recorded noises at 0 and
10 dB over its speech, all at 16 kHz: PESQ-WB and STOI against the clean speech, DNSMOS (what a listening test would say
of speech, of background and of both, as a network learnt it; of pieces longer than a second), means over the files, for
our two presets beside webrtc-noise-gain's level 2 and no suppressor; and CPU seconds per second of sound. The sound is
`audio/noise` in BARGEIN_SHARED, or in `shared` beside the repository; without it, or without pesq, pystoi, speechmos or
webrtc-noise-gain, nothing is measured and one line says so.
"""

from __future__ import annotations

import math
import os
import time
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.audio import NoiseReducer, Resampler

Row = tuple[str, float, float, float, str]
Sound = NDArray[np.float32]
Scene = tuple[Sound, Sound]  # clean and noisy

RATE = 16000
ACTIVE = 0.02  # of full scale: speech, for the level that noise is mixed by
SNRS_DB = (0, 10)


def folder() -> Path:
    root = Path(os.environ.get("BARGEIN_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    found = root / "audio" / "noise"
    if not found.is_dir():
        raise ImportError("audio/noise of BARGEIN_SHARED is not there")  # bench/run.py leaves a line for it
    return found


def read(path: Path) -> Sound:
    with wave.open(str(path)) as file:
        rate = file.getframerate()
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())[:, 0]
    resampler = Resampler(rate, RATE, "file")
    return np.concatenate([resampler.process((sound / 32768).astype(np.float32)), resampler.flush()])


def pairs() -> list[Scene]:
    return [
        (read(clean), read(clean.with_name(clean.name.replace("clean", "noisy"))))
        for clean in sorted(folder().glob("voicebank-*-clean.wav"))
    ]


def mixes(speech: list[Sound]) -> list[Scene]:
    scenes = []
    files = [path for path in sorted(folder().glob("*.wav")) if not path.name.startswith("voicebank")]
    for number, path in enumerate(files):
        clean = speech[number % len(speech)]
        noise = np.resize(read(path), len(clean))
        if not noise.any():
            continue
        for snr in SNRS_DB:
            level = np.mean(clean[np.abs(clean) > ACTIVE] ** 2) / np.mean(noise**2) / 10 ** (snr / 10)
            scenes.append((clean, (clean + noise * np.float32(math.sqrt(level))).clip(-1, 1).astype(np.float32)))
    return scenes


def ours(preset: str) -> Callable[[Sound], tuple[Sound, float]]:
    def run(noisy: Sound) -> tuple[Sound, float]:
        reducer = NoiseReducer(RATE, preset)  # type: ignore[arg-type]
        return np.concatenate([reducer.process(noisy), reducer.flush()]), reducer.latency_ms

    return run


def webrtc(noisy: Sound) -> tuple[Sound, float]:
    from webrtc_noise_gain import AudioProcessor  # type: ignore[import-not-found,unused-ignore]

    processor = AudioProcessor(0, 2)
    data = (noisy * 32767).astype("<i2")
    frames = [processor.Process10ms(data[i : i + 160].tobytes()).audio for i in range(0, len(data) - 159, 160)]
    return (np.frombuffer(b"".join(frames), "<i2") / 32768).astype(np.float32), 5.95  # ms, by correlation


def nothing(noisy: Sound) -> tuple[Sound, float]:
    return noisy, 0.0


@dataclass(frozen=True)
class Judgement:
    """Means over the scenes."""

    pesq: float
    stoi: float
    speech: float  # DNSMOS P.835, 1 to 5
    background: float
    overall: float
    cost: float  # CPU seconds per second of sound


def judge(run: Callable[[Sound], tuple[Sound, float]], scenes: list[Scene]) -> Judgement:
    from pesq import pesq  # type: ignore[import-not-found,unused-ignore]
    from pystoi import stoi  # type: ignore[import-not-found,unused-ignore]
    from speechmos import dnsmos  # type: ignore[import-not-found,unused-ignore]

    scores = []
    spent = heard = 0.0
    for clean, noisy in scenes:
        begun = time.process_time()
        out, delay_ms = run(noisy)
        spent += time.process_time() - begun
        heard += len(noisy) / RATE
        out = out[round(delay_ms * RATE / 1000) :]
        size = min(len(out), len(clean))
        mos = dnsmos.run(out[:size].clip(-1, 1), RATE)
        listened = (mos["sig_mos"], mos["bak_mos"], mos["ovrl_mos"])
        scores.append((pesq(RATE, clean[:size], out[:size], "wb"), stoi(clean[:size], out[:size], RATE), *listened))
    means = [float(mean) for mean in np.mean(scores, axis=0)]
    return Judgement(means[0], means[1], means[2], means[3], means[4], spent / heard)


def main() -> list[Row]:
    import webrtc_noise_gain  # type: ignore[import-not-found,unused-ignore]  # noqa: F401  # all or nothing

    voice = pairs()
    rows: list[Row] = []
    for name, scenes in (("pairs", voice), ("other noises", mixes([clean for clean, _ in voice]))):
        before, peer = judge(nothing, scenes), judge(webrtc, scenes)
        for preset in ("near_field", "far_field"):
            mine = judge(ours(preset), scenes)
            rows.append((f"{name}, {preset}: PESQ-WB, against level 2", mine.pesq, peer.pesq, math.nan, "MOS"))
            rows.append((f"{name}, {preset}: STOI, against none", mine.stoi, before.stoi, math.nan, "STOI"))
            for part in ("speech", "background", "overall"):
                said = f"{name}, {preset}: DNSMOS {part}, against level 2"
                rows.append((said, getattr(mine, part), getattr(peer, part), math.nan, "MOS"))
            if name == "pairs" and preset == "near_field":
                rows.append(("CPU, 16 kHz, in Python", mine.cost * 1e3, peer.cost * 1e3, math.nan, "ms/s"))
        rows.append((f"{name}: STOI of level 2, against none", peer.stoi, before.stoi, math.nan, "STOI"))
        rows.append((f"{name}: DNSMOS overall of level 2, against none", peer.overall, before.overall, math.nan, "MOS"))
    return rows


if __name__ == "__main__":
    for name, ours_, peer_, _, unit in main():
        print(f"{name:52} {ours_:.3f}  {peer_:.3f}  {unit}")
