"""The effects of examples/stages.py do what they say: frequency response, compression, sidetone level."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.audio import BargeIn, Duplex, DuplexConfig, Policy
from engine.endpoints.wav import WavWriter, read_wav

pytest.importorskip("numba", reason="the extra `stages` is absent")

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "stages.py"
RATE, HOP = 24000, 240


@pytest.fixture(scope="module")
def example() -> Any:
    spec = importlib.util.spec_from_file_location("stages_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["stages_example"] = module
    spec.loader.exec_module(module)
    return module


def tone(hz: float, level_db: float, seconds: float = 1.0) -> NDArray[np.float32]:
    t = np.arange(int(seconds * RATE)) / RATE
    return np.asarray(10 ** (level_db / 20) * np.sin(2 * math.pi * hz * t), dtype=np.float32)


def by_hops(stage: Any, sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """The sound through a stage, hop by hop as a chain calls it."""
    out = sound.copy()
    for start in range(0, len(out) - HOP + 1, HOP):
        stage.run(out[start : start + HOP])
    return out


def peak_db(sound: NDArray[Any]) -> float:
    return 20 * math.log10(float(np.abs(sound).max()))


BANDS = [(120.0, -12.0, 0.7), (1000.0, 6.0, 2.0), (3000.0, 4.0, 1.0), (7000.0, -9.0, 3.0)]


def wanted_db(hz: float) -> float:
    """The analogue peaking filters H(s) = (s^2 + s A/Q + 1) / (s^2 + s/(A Q) + 1), warped as the bilinear transform
    warps: independent of the biquads' own coefficients.
    """
    total = 0.0
    for centre, db, quality in BANDS:
        amount = 10 ** (db / 40)
        s = 1j * math.tan(math.pi * hz / RATE) / math.tan(math.pi * centre / RATE)
        total += 20 * math.log10(abs((s * s + s * amount / quality + 1) / (s * s + s / (amount * quality) + 1)))
    return total


def test_the_equaliser_has_its_frequency_response(example: Any) -> None:
    impulse = np.zeros(RATE, np.float32)
    impulse[0] = 1.0
    response = np.fft.rfft(by_hops(example.equaliser(*BANDS), impulse))
    measured = {hz: 20 * math.log10(abs(response[hz])) for hz in range(20, 11900, 20)}
    worst = max(abs(got - wanted_db(hz)) for hz, got in measured.items())
    assert worst < 0.05
    alone = np.fft.rfft(by_hops(example.equaliser(BANDS[1]), impulse))
    assert 20 * math.log10(abs(alone[1000])) == pytest.approx(6.0, abs=0.01)


@pytest.mark.parametrize("ratio", [2.0, 4.0, 10.0])
def test_the_compressor_keeps_its_ratio(example: Any, ratio: float) -> None:
    levels = {
        db: peak_db(by_hops(example.compressor(-30, ratio, attack_ms=1, release_ms=1000), tone(1000, db))[RATE // 2 :])
        for db in (-45, -35, -20, -10, 0)
    }
    assert levels[-45] == pytest.approx(-45, abs=0.1)
    assert levels[-35] == pytest.approx(-35, abs=0.1)
    for low, high in ((-20, -10), (-10, 0)):
        assert (high - low) / (levels[high] - levels[low]) == pytest.approx(ratio, rel=0.05)
    assert levels[0] == pytest.approx(-30 + 30 / ratio, abs=1.0)


@pytest.mark.parametrize("gain_db", [-20.0, -6.0])
def test_sidetone_has_its_level_and_delay(example: Any, gain_db: float) -> None:
    config = DuplexConfig(capture_rate=RATE, playback_rate=RATE, sample="float32", barge_in=BargeIn(Policy.NEVER))
    duplex = Duplex(config)
    near, far = example.sidetone(gain_db)
    duplex.set_stages("capture", [near])
    duplex.set_stages("playback", [far])
    voice = tone(440, -10, 0.5)
    heard = np.concatenate([duplex.process(voice[start : start + HOP]) for start in range(0, len(voice), HOP)])
    assert peak_db(heard[HOP:]) == pytest.approx(gain_db - 10, abs=0.05)
    assert heard[HOP:] == pytest.approx(voice[HOP:] * 10 ** (gain_db / 20), abs=1e-5)  # in the very same block


def test_the_program_runs(example: Any, tmp_path: Path) -> None:
    voice, sent, heard = (str(tmp_path / name) for name in ("voice.wav", "sent.wav", "heard.wav"))
    with WavWriter(voice, 16000) as file:
        file.write(np.asarray(tone(300, -12) * 32767, np.int16)[:16000])
    example.main(voice, sent, heard)
    assert read_wav(sent).seconds == pytest.approx(1.0, abs=0.02)
    assert peak_db(read_wav(heard).samples[1600:] / 32768) == pytest.approx(-12 - 15 - 2, abs=3)
