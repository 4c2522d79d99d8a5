"""No first words are lost: labelled speech through the Duplex with its gate, as bench/gate.py counts it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.audio import Gate, GateMode
from tests.conftest import shared_path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

if TYPE_CHECKING:
    from bench import gate
else:
    import gate


@pytest.mark.parametrize("mode", [GateMode.SILENCE, GateMode.PAUSE])
def test_at_most_one_in_a_hundred_onsets_loses_any_of_its_first_30_ms(mode: GateMode) -> None:
    shared_path("audio/vad")
    found = gate.score(list(gate.labelled()), Gate(mode=mode))
    assert found.onsets > 100
    assert found.share <= 1.0, found.lost
    assert found.sound_s < 0.9 * found.captured_s, "a gate that is never closed loses nothing"


def test_the_count_sees_what_is_lost() -> None:
    sound = np.zeros(16000 * 3, np.float32)
    made = gate.File("made", sound, 16000, [2.0])
    assert gate.score([made], Gate(mode=GateMode.SILENCE)).lost == ["made at 0.00 s: 30 ms"]
    assert gate.score([made], Gate(mode=GateMode.OFF)).lost == []
