"""What the network will hear, by the C core itself: delay, linear filter, features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.native import Block, address, lib

HOP = int(lib.RT_HOP)
BANDS, FEATURES = int(lib.RT_ECHO_BANDS), int(lib.RT_ECHO_FEATURES)

Sound = NDArray[np.float32]


def linear(reference: Sound, microphone: Sound) -> tuple[Sound, Sound, Sound]:
    """What the filter leaves, the echo it estimates, and the reference as old as the echo, from a cleared start."""
    block = Block(lib.rt_echo_linear_size())
    state = block.pointer("rt_echo_linear *")
    lib.rt_echo_linear_init(state)
    hops = len(reference) // HOP
    whole = [np.ascontiguousarray(sound[: hops * HOP], np.float32) for sound in (reference, microphone)]
    out = [np.zeros(hops * HOP, np.float32) for _ in range(3)]
    lib.rt_echo_linear_many(
        state, address(whole[0], "float *"), address(whole[1], "float *"), hops, *(address(o, "float *") for o in out)
    )
    return out[0], out[1], out[2]


def features(left: Sound, echo: Sound, aligned: Sound) -> tuple[Sound, Sound]:
    """(hops, FEATURES), and the powers of what is left, (hops, BANDS)."""
    block = Block(lib.rt_echo_features_size())
    state = block.pointer("rt_echo_features *")
    lib.rt_echo_features_init(state)
    whole = [np.ascontiguousarray(sound, np.float32) for sound in (left, echo, aligned)]
    hops = len(left) // HOP
    out, powers = np.zeros((hops, FEATURES), np.float32), np.zeros((hops, BANDS), np.float32)
    lib.rt_echo_features_many(
        state, *(address(w, "float *") for w in whole), hops, address(out, "float *"), address(powers, "float *")
    )
    return out, powers


def powers(sound: Sound) -> Sound:
    """Band powers of a sound alone, (hops, BANDS)."""
    return features(sound, np.zeros_like(sound), np.zeros_like(sound))[1]
