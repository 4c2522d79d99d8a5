"""A turn-end model of others, by path, through onnxruntime (extra `turn`).

Made for models in the manner of smart-turn v3: one float32 input of shape (batch, 80, 800), the log-mel spectrogram
of the last 8 s at 16 kHz as Whisper's encoder takes it; one output, the probability that the turn is over. A model
whose input has two dimensions (batch, samples) gets the waveform at 16 kHz instead, zero mean and unit variance.

    ServerOptions(turn_end=OnnxTurnEnd("smart-turn-v3.onnx"))
"""

from __future__ import annotations

import asyncio
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio import Resampler
from engine.errors import ConfigError, MissingExtraError
from engine.server.formats import RATE, Samples
from engine.server.turnend import sigmoid

MODEL_RATE = 16_000
SECONDS = 8
_SIZE, _HOP, _MELS = 400, 160, 80

Floats = NDArray[np.float32]


class OnnxTurnEnd:
    """A `TurnEnd` from an ONNX file. One object and one thread of onnxruntime serve every session.

    `logits=True` for a model whose output is the logit of the probability. Raises MissingExtraError without the extra
    `turn`, ConfigError for a file that is no such model.
    """

    window_ms = SECONDS * 1000
    threaded = True

    def __init__(self, path: str | Path, *, logits: bool = False) -> None:
        self.path = Path(path)
        self._logits = logits
        try:
            import onnxruntime
        except ImportError:
            raise MissingExtraError("a turn-end model of your own", "turn") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            session = onnxruntime.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has an exception class for each kind of failure
            raise ConfigError(f"turn-end model {self.path}: not a model that onnxruntime can load: {error}") from None
        inputs = session.get_inputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) not in (2, 3):
            found = ", ".join(f"{each.name} {each.type} {each.shape}" for each in inputs)
            wanted = "one float32 input, (batch, 80, 800) log-mel or (batch, samples) waveform"
            raise ConfigError(f"turn-end model {self.path} takes {found}: give one with {wanted}")
        self._session: Any = session
        self._name, self._spectral = inputs[0].name, len(inputs[0].shape) == 3

    async def warm_up(self) -> None:
        """Ask it once about silence, so that a model that cannot answer is told of before the first session."""
        try:
            await asyncio.to_thread(self.probability, np.zeros(RATE, np.float32))
        except Exception as error:
            raise ConfigError(f"turn-end model {self.path} does not answer: {error}") from error

    def probability(self, samples: Samples) -> float:
        """See `TurnEnd.probability`. Blocks for some tens of milliseconds with a model of 8 M parameters."""
        wave = _last_seconds(np.asarray(Resampler(RATE, MODEL_RATE).process(samples), np.float32))
        wave = (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)
        given = log_mel(wave) if self._spectral else wave
        answer = float(np.asarray(self._session.run(None, {self._name: given[None].astype(np.float32)})[0]).flat[0])
        return sigmoid(answer) if self._logits else min(max(answer, 0.0), 1.0)


def _last_seconds(wave: Floats) -> Floats:
    """Exactly SECONDS: the newest, or silence before what there is."""
    size = SECONDS * MODEL_RATE
    return np.concatenate([np.zeros(max(size - wave.size, 0), np.float32), wave[-size:]])


def log_mel(wave: Floats) -> Floats:
    """Whisper's features (A. Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022), shape
    (80, frames), one frame per 10 ms of `wave` at 16 kHz: log10 of the mel powers, no more than 8 below the largest,
    scaled to about -1 to 1.
    """
    padded = np.pad(wave, _SIZE // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _SIZE)[::_HOP][:-1]
    window = np.hanning(_SIZE + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window)) ** 2
    mel = np.log10(np.maximum(mel_filters() @ power.T, 1e-10))
    return np.asarray((np.maximum(mel, mel.max() - 8.0) + 4.0) / 4.0, np.float32)


@cache
def mel_filters() -> Floats:
    """80 triangles of equal area from 0 to 8000 Hz on Slaney's mel scale: linear below 1000 Hz, logarithmic above
    (M. Slaney, "Auditory Toolbox", 1998).
    """
    step = np.log(6.4) / 27

    def hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(step * (mel - 15)))

    edges = hertz(np.linspace(0, 15 + np.log(8.0) / step, _MELS + 2))
    bins = np.fft.rfftfreq(_SIZE, 1 / MODEL_RATE)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * (2 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


__all__ = ["OnnxTurnEnd", "log_mel", "mel_filters"]
