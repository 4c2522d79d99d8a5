"""How much of the first words does the gate lose, and how much does it save?

Every labelled file of $BARGEIN_SHARED or ../shared (audio/vad) through the real C Duplex with the detector and the gate
of the day, in blocks of 20 ms at the file's own rate, each file after two seconds of its own background, so that the
gate is closed when it begins. An onset is lost if any of the 30 ms after its label is not sent as sound. Onsets whose
file begins with them are left out. PAUSE is told of no open turn, which is hardest: while one is open it stays open.

Printed: for each mode and pre-roll onsets lost of all, the share of seconds sent (SILENCE sends the rest as digital
silence, which costs bytes but wakes nobody; PAUSE does not send it), and each onset that the default loses.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.audio import Duplex, DuplexConfig, Gate, GateMode
from engine.audio.duplex import SILENCE

if TYPE_CHECKING:
    from bench.nearend import shared
    from bench.vad import read
    from bench.vadscore import spans
else:
    from nearend import shared
    from vad import read
    from vadscore import spans

RATE = 24000
LEAD_S, FIRST_S, ROOM_S = 2.0, 0.03, 0.1
PREROLLS = (0, 100, 200, 300, 400)
Sound = NDArray[np.float32]


@dataclass(frozen=True)
class File:
    """A labelled file after a lead of its own background; onsets in seconds, the lead counted."""

    name: str
    sound: Sound
    rate: int
    onsets: list[float]


@dataclass
class Lost:
    """What a gate did to all of them."""

    onsets: int = 0
    lost: list[str] = field(default_factory=list)
    sound_s: float = 0.0
    captured_s: float = 0.0

    @property
    def share(self) -> float:
        """Of the onsets, %."""
        return 100 * len(self.lost) / max(1, self.onsets)


def labelled() -> Iterator[File]:
    """TEN's files and the meetings."""
    folder = shared("audio", "vad")
    if folder is None:
        raise ImportError("the labelled files are absent: set BARGEIN_SHARED to the folder that has audio/vad")
    for path in [*sorted(folder.glob("ten-*.scv")), *sorted(folder.glob("*.rttm"))]:
        sound, rate = read(path.with_suffix(".wav"))
        speech = spans(path)
        quiet = _background(sound, rate, speech)
        lead = np.resize(np.concatenate([quiet, quiet[::-1]]), round(LEAD_S * rate))
        onsets = [begin + LEAD_S for begin, _ in speech if begin > ROOM_S]
        yield File(path.stem, np.concatenate([lead, sound]), rate, onsets)


def _background(sound: Sound, rate: int, speech: list[tuple[float, float]]) -> Sound:
    """The longest stretch without speech, its edges left out; noise of -70 dBFS where there is none."""
    ends = [0.0, *(end for _, end in speech)]
    begins = [*(begin for begin, _ in speech), len(sound) / rate]
    length, start = max((begin - end, end) for begin, end in zip(begins, ends, strict=True))
    if length < 3 * ROOM_S:
        return np.asarray(10**-3.5 * np.random.default_rng(1).standard_normal(rate), np.float32)
    return sound[round((start + ROOM_S) * rate) : round((start + length - ROOM_S) * rate)]


def sent(file: File, gate: Gate) -> NDArray[np.bool_]:
    """Which captured samples at RATE are sent as sound."""
    block = file.rate // 50
    config = DuplexConfig(capture_rate=file.rate, playback_rate=file.rate, sample="float32", max_block=block, gate=gate)
    duplex = Duplex(config)
    marked = np.zeros(round(len(file.sound) / file.rate * RATE) + RATE, bool)
    for start in range(0, len(file.sound) - block + 1, block):
        duplex.capture(file.sound[start : start + block])
        for record in duplex.read_records():
            if not record["flags"] & SILENCE:
                marked[int(record["position"]) : int(record["position"]) + 240] = True
    return marked


def score(files: list[File], gate: Gate) -> Lost:
    """All files through one gate."""
    found = Lost()
    for file in files:
        marked = sent(file, gate)
        found.sound_s += marked.sum() / RATE
        found.captured_s += len(file.sound) / file.rate
        for onset in file.onsets:
            first, last = round(onset * RATE), round((onset + FIRST_S) * RATE)
            missing = int((~marked[first:last]).sum())
            found.onsets += 1
            if missing:
                found.lost.append(f"{file.name} at {onset - LEAD_S:.2f} s: {missing / 24:.0f} ms")
    return found


def table(files: list[File], prerolls: tuple[int, ...] = PREROLLS) -> list[str]:
    """In Markdown; the last lines name what the default pre-roll loses."""
    text = [
        "| gate | pre-roll, ms | onsets | lost | % | seconds sent as sound, % |",
        "| --- | --: | --: | --: | --: | --: |",
    ]
    names = []
    for mode in (GateMode.SILENCE, GateMode.PAUSE):
        for preroll in prerolls:
            found = score(files, replace(Gate(mode=mode), preroll_ms=preroll))
            share = 100 * found.sound_s / found.captured_s
            cells = (mode.value, preroll, found.onsets, len(found.lost), f"{found.share:.1f}", f"{share:.0f}")
            text.append(f"| {' | '.join(map(str, cells))} |")
            if preroll == Gate().preroll_ms:
                names.append(f"Lost in mode {mode.value}: {', '.join(found.lost) or 'none'}.")
    return [*text, "", *names]


def notes() -> list[str]:
    """The table, for bench/results.md."""
    return "\n".join(table(list(labelled()))).split("\n\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Onsets that the gate loses, by mode and pre-roll.")
    parser.add_argument("--preroll", type=int, nargs="+", default=PREROLLS, help="milliseconds, 0..500")
    arguments = parser.parse_args()
    print("\n".join(table(list(labelled()), tuple(arguments.preroll))))
