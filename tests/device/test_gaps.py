"""What a sound server drops or fills in without a word is told by the counters: the recording is the judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.audio import Resampler
from tests.device.conftest import Start
from tests.device.soundserver import SoundServer
from tests.device.tracking import noise, steps

RATE = 48000
SECONDS = 5
SEEN_MS = 10.0  # less than the threshold of a device whose stamps are bad may go unseen
TRIES = ((30, 0.0), (20, 0.0), (30, 0.06), (20, 0.06), (30, 0.1), (20, 0.1))
"""Latency asked for, and for how long the program stops once: a quiet machine may lose nothing by itself."""


def test_the_recording_is_compared_piece_by_piece() -> None:
    played = noise(4, RATE, 3)
    cut = np.concatenate([played[:48000], played[48960:96000], np.zeros(1440, np.int16), played[96000:]])
    assert steps(played, played, RATE) == []
    found = steps(cut, played, RATE)
    assert sum(found) == pytest.approx(20 - 30)
    assert max(found) == pytest.approx(20)


def test_missing_pieces_are_told_by_the_counters(server: SoundServer, scenario: Start, tmp_path: Path) -> None:
    reply = noise(5, 24000, SECONDS)
    np.save(tmp_path / "reply.npy", reply)
    played = Resampler(24000, RATE).process(reply)
    judged = []
    for latency_ms, stop_s in TRIES:
        recording = server.record(tmp_path / "spk.raw")
        program = scenario("gaps", tmp_path / "reply.npy", latency_ms)
        program.skip_to("playing")
        if stop_s:
            program.stop_for(stop_s)
        told = program.skip_to("heard")
        program.skip_to("closed")
        recording.terminate()
        recording.wait(20)
        if told["events"]:
            continue  # it died and was opened again, which is told as well, and is another matter
        moved = steps(np.fromfile(tmp_path / "spk.raw", np.int16), played, RATE)
        damage = sum(abs(each) for each in moved if abs(each) >= SEEN_MS)
        judged.append(damage)
        if damage:
            assert told["gaps"] >= 1, (moved, told)
            assert told["reported"] >= 1, (moved, told)
            return
    pytest.skip(f"the sound server lost nothing at 20 to 30 ms: {judged}")
