"""What is heard of speech when every tenth packet is lost?

The example of ITU-T G.711 Appendix I, 10 % loss of 10 ms frames: speech at 8 kHz, resampled to 24 kHz, the frames of
its mask taken away there and made up by the C block `conceal`, back at 8 kHz measured against the speech itself. Beside
it frames of zeros and the Appendix I output that comes with the example. STOI is pystoi's; PLCMOS is speechmos's, a
listening test's mean opinion (1 to 5) as a network learnt it. What is not installed is left out, and so is all if the
example is not there: `audio/plc` in BARGEIN_SHARED, or in `shared` beside the repository.
"""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.audio import Resampler
from engine.native import Block, address, lib, new

Row = tuple[str, float, float, float, str]
Sound = NDArray[np.float32]

RATE, INNER, HOP = 8000, 24000, 240
LOST = 0x6B20
NOTHING = new("float **")[0]  # NULL: a lost hop
PLCMOS_TARGET, STOI_TARGET = 4.0, 0.945


def shared() -> Path:
    root = Path(os.environ.get("BARGEIN_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    folder = root / "audio" / "plc"
    if not folder.is_dir():
        raise ImportError("audio/plc of BARGEIN_SHARED is not there")  # bench/run.py leaves a line for it
    return folder


def speech(name: str) -> Sound:
    return (np.fromfile(shared() / name, "<i2") / 32768).astype(np.float32)


def lost_frames(count: int) -> NDArray[np.bool_]:
    """The mask of the example, repeated."""
    mask = np.fromfile(shared() / "fe10.g192", "<u2") == LOST
    return np.resize(mask, count)


def at_rate(sound: Sound, before: int, after: int) -> Sound:
    """Resampled without delay."""
    resampler = Resampler(before, after)
    delay = round(resampler.latency_ms * after / 1000)
    return np.concatenate([resampler.process(sound), resampler.flush()])[delay:]


def concealed(sound: Sound, lost: NDArray[np.bool_]) -> Sound:
    """24 kHz speech after the block, its delay taken off."""
    memory = Block(lib.rt_conceal_size())
    block, out = memory.pointer("rt_conceal *"), np.zeros_like(sound)
    lib.rt_conceal_init(block)
    for start in range(0, sound.size - HOP + 1, HOP):
        hop = None if lost[start // HOP] else address(sound[start : start + HOP].copy(), "float *")
        written = np.zeros(HOP, np.float32)
        lib.rt_conceal_process(block, NOTHING if hop is None else hop, address(written, "float *"))
        out[start : start + HOP] = written
    delay = lib.rt_conceal_latency(block)
    return np.concatenate([out[delay:], np.zeros(delay, np.float32)])


def stoi(clean: Sound, heard: Sound) -> float:
    try:
        from pystoi import stoi as measure  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        print("pystoi is not installed: no STOI", file=sys.stderr)
        return math.nan
    return float(measure(clean, heard, RATE, extended=False))


def plcmos(heard: Sound) -> float:
    try:
        from speechmos import plcmos as measure  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        print("speechmos (with onnxruntime and librosa) is not installed: no PLCMOS", file=sys.stderr)
        return math.nan
    np.random.seed(1)  # it draws its listeners from there
    return float(measure.run(at_rate(heard, RATE, 16000).clip(-1, 1), 16000)["plcmos"])


def main() -> list[Row]:
    clean = speech("f2.le")
    inner = at_rate(clean, RATE, INNER)
    frames = math.ceil(inner.size / HOP)
    inner = np.pad(inner, (0, frames * HOP - inner.size))
    lost = lost_frames(frames)
    ours = at_rate(concealed(inner, lost), INNER, RATE)[: clean.size]
    zeros = np.where(np.repeat(lost, HOP // 3)[: clean.size], 0, clean).astype(np.float32)
    appendix = speech("f2_10.raw")  # its delay is taken off already
    rows: list[Row] = []
    for name, peer in (("zeros", zeros), ("Appendix I", appendix)):
        for unit, measure, of in (
            ("STOI", stoi(clean, ours), stoi(clean, peer)),
            ("PLCMOS", plcmos(ours), plcmos(peer)),
        ):
            rows.append((f"10 % loss, against {name}", measure, of, math.nan, unit))
    return rows


if __name__ == "__main__":
    for name, ours, peer, _, unit in main():
        print(f"{name:34} bargein {ours:.3f}  peer {peer:.3f}  {unit}")
    print(f"targets: PLCMOS at least {PLCMOS_TARGET}, STOI at least {STOI_TARGET}")
