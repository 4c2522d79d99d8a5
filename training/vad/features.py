"""The network's features, computed by the C core itself: what is learnt from is what will be heard."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.native import Block, address, lib

HOP, FEATURES = int(lib.RT_HOP), int(lib.RT_VAD_FEATURES)


def features(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """(hops, FEATURES) of a sound at 24 kHz, from a cleared start."""
    block = Block(lib.rt_vad_features_size())
    state = block.pointer("rt_vad_features *")
    lib.rt_vad_features_init(state)
    whole = np.ascontiguousarray(sound, np.float32)
    out = np.zeros((len(whole) // HOP, FEATURES), np.float32)
    lib.rt_vad_features_many(state, address(whole, "float *"), len(out), address(out, "float *"))
    return out
