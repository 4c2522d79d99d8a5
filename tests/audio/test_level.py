"""One level for near and far voices; what lies below a voice goes. The physics stand in csrc/tests."""

from __future__ import annotations

import numpy as np
import pytest

from engine.audio import AutoGain, HighPass
from engine.errors import ConfigError


def tone(hz: float, level: float, seconds: float) -> np.ndarray:
    time = np.arange(int(24000 * seconds)) / 24000
    sound: np.ndarray = (level * np.sqrt(2) * np.sin(2 * np.pi * hz * time)).astype(np.float32)
    return sound


def db(sound: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(sound**2))))


@pytest.mark.parametrize("level_db", [-50, -40, -30, -20, -10])
@pytest.mark.parametrize("target", [-26.0, -18.0])
def test_a_voice_comes_to_the_target(level_db: int, target: float) -> None:
    gain = AutoGain(target, 36)
    out = gain.process(tone(300, 10 ** (level_db / 20), 8), np.ones(800, np.float32))
    assert db(out[-24000:]) == pytest.approx(target, abs=0.5)
    assert gain.gain_db == pytest.approx(target - level_db, abs=0.5)
    gain.reset()
    assert gain.gain_db == 0


def test_a_sudden_shout_stays_within_full_scale() -> None:
    gain = AutoGain(-20, 36)
    quiet, loud = tone(300, 0.005, 8), tone(300, 0.7, 2)
    out = gain.process(np.concatenate([quiet, loud]), np.ones(1000, np.float32))
    assert np.abs(out).max() <= 1
    assert db(out[-2400:]) == pytest.approx(-20, abs=1)  # 30 dB per second later


def test_what_lies_below_a_voice_goes() -> None:
    high = HighPass(100)
    rumble, voice = tone(30, 0.1, 2), tone(400, 0.1, 2)
    assert db(high.process(rumble)[24000:]) < -60
    high.reset()
    assert db(high.process(voice)[24000:]) == pytest.approx(-20, abs=0.05)


def test_any_cut_gives_the_same() -> None:
    sound = tone(90, 0.3, 1)
    one, many = HighPass(), HighPass()
    pieces = np.split(sound, [1, 7, 240, 241, 9000, 9000])
    np.testing.assert_array_equal(np.concatenate([many.process(piece) for piece in pieces]), one.process(sound))


def test_refuses() -> None:
    with pytest.raises(ConfigError, match="cutoff_hz is 10"):
        HighPass(10)
    with pytest.raises(ConfigError, match="target_dbfs is 0"):
        AutoGain(0)
    with pytest.raises(ConfigError, match="240 per hop"):
        AutoGain().process(tone(300, 0.1, 1), np.ones(99, np.float32))
    with pytest.raises(ConfigError, match="float32"):
        HighPass().process(np.zeros((2, 2)))  # type: ignore[arg-type]
