"""A voice at one level, and nothing below it: automatic gain and the high-pass (csrc/agc.h, csrc/highpass.h).

Both work at 24 kHz on mono float32: they are parts of a capture chain, in front of what is sent.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.native import Block, address, lib

HOP = int(lib.RT_HOP)

Sound = NDArray[np.float32]


class HighPass:
    """Takes away rumble, wind and hum: 24 dB per octave below `cutoff_hz` (20 to 400), 3 dB down there.

    No delay to speak of. One stream, one thread. Raises ConfigError for a cutoff that is out of range.
    """

    def __init__(self, cutoff_hz: float = 80.0) -> None:
        self._block = Block(lib.rt_highpass_size())
        self._state: Any = self._block.pointer("rt_highpass *")
        if not isinstance(cutoff_hz, int | float) or lib.rt_highpass_init(self._state, cutoff_hz) != lib.RT_OK:
            raise ConfigError(f"cutoff_hz is {cutoff_hz!r}: use 20 to 400")

    latency_ms = 0.0

    def process(self, samples: Sound) -> Sound:
        """The filtered sound, as many samples: float32 at 24 kHz, shape (n,), any n."""
        out = _checked(samples).copy()
        if out.size:
            lib.rt_highpass_process(self._state, address(out, "float *"), out.size)
        return out

    def reset(self) -> None:
        """Forget the stream so far."""
        lib.rt_highpass_reset(self._state)


class AutoGain:
    """Brings speech to `target_dbfs` (-40 to -6, root mean square), by at most `most_db` (0 to 40) up or down.

    Learns from what a detector calls speech, rises by 6 dB per second, and lifts the room's noise between words by no
    more than 6 dB; peaks are held within full scale. No delay. One stream, one thread. Raises ConfigError for numbers
    out of range.

        levels = detector.process(sound)          # one probability per 10 ms
        sound = gain.process(sound, levels)
    """

    def __init__(self, target_dbfs: float = -20.0, most_db: float = 30.0) -> None:
        self._block = Block(lib.rt_agc_size())
        self._state: Any = self._block.pointer("rt_agc *")
        numbers = isinstance(target_dbfs, int | float) and isinstance(most_db, int | float)
        if not numbers or lib.rt_agc_init(self._state, target_dbfs, most_db) != lib.RT_OK:
            raise ConfigError(f"target_dbfs is {target_dbfs!r} and most_db {most_db!r}: use -40 to -6, and 0 to 40")

    latency_ms = 0.0

    @property
    def gain_db(self) -> float:
        """The gain now."""
        return float(lib.rt_agc_gain_db(self._state))

    def process(self, samples: Sound, probabilities: Sound) -> Sound:
        """Whole hops of 240 samples (10 ms), float32 at 24 kHz, with the probability of speech in each; as many samples
        back. Raises ConfigError when they do not go together.
        """
        out = _checked(samples).copy()
        if out.size != HOP * len(probabilities):
            raise ConfigError(f"samples has {out.size} and probabilities {len(probabilities)}: give {HOP} per hop")
        for hop, probability in enumerate(np.asarray(probabilities, np.float32).tolist()):
            lib.rt_agc_process(self._state, address(out[hop * HOP :], "float *"), probability)
        return out

    def reset(self) -> None:
        """Forget the voice: 0 dB again."""
        lib.rt_agc_reset(self._state)


def _checked(samples: Sound) -> Sound:
    array = np.asarray(samples)
    if array.ndim != 1 or array.dtype != np.float32:
        raise ConfigError(f"samples has shape {array.shape} and dtype {array.dtype}: give float32 of shape (n,)")
    return array
