"""A microphone with an equaliser, a compressor and sidetone: python examples/stages.py voice.wav sent.wav heard.wav

Runs a recording through a sound path as a device would: `sent` is what a server would get, `heard` the loudspeaker. The
three effects below are Python functions that numba makes into machine code; no Python runs while they work.
"""

import math
import sys
from typing import Any

import numpy as np

from engine.audio import Duplex, DuplexConfig, Stage, stage
from engine.endpoints.wav import WavWriter, read_wav

RATE = 24000  # of every block a stage gets


# Parametric equaliser: peaking biquads (R. Bristow-Johnson, "Audio EQ Cookbook"), transposed direct form II.


def equalise(state: Any, block: Any) -> None:
    for i in range(len(block)):
        x = block[i]
        for k in range(len(state.b)):
            y = state.b[k, 0] * x + state.z[k, 0]
            state.z[k, 0] = state.b[k, 1] * x - state.a[k, 0] * y + state.z[k, 1]
            state.z[k, 1] = state.b[k, 2] * x - state.a[k, 1] * y
            x = y
        block[i] = x


def equaliser(*bands: tuple[float, float, float]) -> Stage:
    """Bands of (centre in Hz, gain in dB, quality)."""
    n = len(bands)
    state = np.zeros(1, dtype=[("b", "f8", (n, 3)), ("a", "f8", (n, 2)), ("z", "f8", (n, 2))])
    for k, (hz, db, quality) in enumerate(bands):
        w, gain = 2 * math.pi * hz / RATE, 10 ** (db / 40)
        alpha = math.sin(w) / (2 * quality)
        a0 = 1 + alpha / gain
        state["b"][0, k] = np.array([1 + alpha * gain, -2 * math.cos(w), 1 - alpha * gain]) / a0
        state["a"][0, k] = np.array([-2 * math.cos(w), 1 - alpha / gain]) / a0
    return stage(equalise, state)


# Compressor: level in dB followed by attack and release, gain by the ratio above the threshold.


def compress(state: Any, block: Any) -> None:
    for i in range(len(block)):
        level = 20 * math.log10(abs(block[i]) + 1e-6)
        over = max(level - state.threshold_db, 0.0) * (1 - 1 / state.ratio)
        pace = state.attack if over > state.reduction_db else state.release
        state.reduction_db += pace * (over - state.reduction_db)
        block[i] *= 10 ** ((state.makeup_db - state.reduction_db) / 20)


def compressor(
    threshold_db: float = -20, ratio: float = 4, *, attack_ms: float = 2, release_ms: float = 300, makeup_db: float = 0
) -> Stage:
    """Above the threshold the level rises 1 dB for each `ratio` dB; its peaks are measured."""
    fields = ("threshold_db", "ratio", "attack", "release", "makeup_db", "reduction_db")
    state = np.zeros(1, dtype=[(name, "f8") for name in fields])
    attack, release = (1 - math.exp(-1000 / (ms * RATE)) for ms in (attack_ms, release_ms))
    state[0] = (threshold_db, ratio, attack, release, makeup_db, 0)
    return stage(compress, state)


# Sidetone: the speaker's own voice, softly in the loudspeaker. Two stages, one in each chain, share a ring of samples;
# each index has one writer, so they may run on two threads.


def listen(state: Any, block: Any) -> None:
    for i in range(len(block)):
        state.ring[(state.written + i) % len(state.ring)] = block[i]
    state.written += len(block)


def mix_in(state: Any, block: Any) -> None:
    if state.written - state.taken > 3 * len(block):  # the loudspeaker's clock is slower: skip what is old
        state.taken = state.written - len(block)
    if state.written - state.taken < len(block):
        return
    for i in range(len(block)):
        block[i] += state.gain * state.ring[(state.taken + i) % len(state.ring)]
    state.taken += len(block)


def sidetone(gain_db: float = -20) -> tuple[Stage, Stage]:
    """One stage for the capture chain and one for the playback chain."""
    state = np.zeros(1, dtype=[("ring", "f4", 2048), ("written", "i8"), ("taken", "i8"), ("gain", "f4")])
    state["gain"] = 10 ** (gain_db / 20)
    return stage(listen, state), stage(mix_in, state)


def main(voice: str, sent: str, heard: str) -> None:
    recording = read_wav(voice)
    rate, samples = recording.rate, recording.samples
    block = rate // 100
    duplex = Duplex(DuplexConfig(capture_rate=rate, playback_rate=rate, max_block=block))
    near, far = sidetone(gain_db=-15)
    duplex.set_stages("capture", [equaliser((120, -12, 0.7), (3000, 4, 1.0)), compressor(makeup_db=6), near])
    duplex.set_stages("playback", [far])
    with WavWriter(sent, RATE) as to_server, WavWriter(heard, rate) as loudspeaker:
        for start in range(0, len(samples) - block + 1, block):
            loudspeaker.write(duplex.process(samples[start : start + block]))
            for record in duplex.read_records():
                to_server.write(record["payload"].view(np.int16))


if __name__ == "__main__":
    main(*sys.argv[1:4])
