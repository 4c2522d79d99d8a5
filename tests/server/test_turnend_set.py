"""The set that semantic_vad's model is fitted and measured on, the fit, and a look at what the weights can do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.server import prosody
from engine.server.turnend import Prosody
from tests.server.harness import silence

pytest.importorskip("espeakng_loader", reason="extra `voice` is not installed")

from training.turnend import fit
from training.turnend.scenes import KINDS, PARTS, TAIL_S, scene, sentences
from training.turnend.talk import RATE, Talker

TALKER = Talker()


def test_the_parts_share_no_sentence_and_no_voice() -> None:
    texts = [set(sentences(part)) for part in PARTS]
    voices = [set(found) for found in PARTS.values()]
    for groups in (texts, voices):
        assert sum(map(len, groups)) == len(set().union(*groups))
        assert min(map(len, groups)) >= 8


@pytest.mark.parametrize("kind", KINDS)
def test_a_scene_is_made_again_from_its_seed_and_ends_where_it_says(kind: str) -> None:
    made = scene(TALKER, kind, 3, part="test")
    again = scene(TALKER, kind, 3, part="test")
    assert again.text == made.text
    assert again.end_s == pytest.approx(made.end_s, abs=0.03)  # espeak-ng's own hiss is another each time
    assert made.samples.size / RATE == pytest.approx(made.end_s + TAIL_S, abs=0.01)
    end = int(made.end_s * RATE)
    talk, after = made.samples[end - RATE // 5 : end], made.samples[end + RATE // 20 :]
    assert np.mean(talk**2) > 4 * np.mean(after**2)
    assert made.whole == (kind == "whole")


def test_features_do_not_depend_on_the_level() -> None:
    made = scene(TALKER, "whole", 5, part="test", tail_s=0.3).samples
    loud, soft = prosody.features(made), prosody.features(made * np.float32(0.05))
    assert loud.shape == (len(prosody.FEATURES),)
    close = np.isclose(loud, soft, atol=0.25)
    assert close.mean() > 0.95


def test_a_held_vowel_is_still_and_a_falling_voice_falls() -> None:
    at = np.arange(RATE) / RATE

    def voice(hertz: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        phase = np.cumsum(2 * np.pi * hertz / RATE)
        sound = sum(np.sin(n * phase) / n for n in range(1, 12)) * 0.1
        return np.asarray(np.concatenate([sound, silence(0.2)]), np.float32)

    named = {
        name: dict(zip(prosody.FEATURES, prosody.features(voice(hertz)).tolist(), strict=True))
        for name, hertz in (
            ("level", np.full(RATE, 120.0)),
            ("falling", 160 * 2.0 ** (-at)),
            ("rising", 80 * 2.0**at),
        )
    }
    assert named["falling"]["slope_400"] == pytest.approx(-1.2, abs=0.15)  # semitones in 100 ms
    assert named["rising"]["slope_400"] == pytest.approx(1.2, abs=0.15)
    assert named["level"]["slope_400"] == pytest.approx(0, abs=0.05)
    assert named["level"]["still"] > 6  # of 100 ms each
    assert named["level"]["voiced_300"] > 0.9
    assert named["falling"]["pitch_last"] < -3 < 3 < named["rising"]["pitch_last"]


def test_a_fit_learns_what_can_be_learnt_and_its_file_says_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    kinds = np.array(["whole", "cut", "filler", "whole"] * 200)
    features = rng.standard_normal((800, 5)) + 2.0 * (kinds == "whole")[:, None]
    model = fit.fit(fit.Data(features, kinds), units=4, epochs=10)
    assert np.mean((model(features) > 0) == (kinds == "whole")) > 0.95
    fit.write(model, tmp_path / "weights.py", 800)
    found: dict[str, object] = {}
    exec((tmp_path / "weights.py").read_text(), found)
    assert np.allclose(np.asarray(found["HIDDEN_WEIGHTS"], float), model.hidden, rtol=1e-3)
    assert "AUC 1.000" in fit.report("made", model, fit.Data(features, kinds)) or "AUC 0.99" in fit.report(
        "made", model, fit.Data(features, kinds)
    )


def test_the_weights_tell_most_ends_from_most_pauses() -> None:
    """Held-out sentences and voices; bench/turnend.py has the figures."""
    judge = Prosody()

    def over(kind: str, count: int) -> float:
        made = [scene(TALKER, kind, 900 + seed, part="test", tail_s=0.3) for seed in range(count)]
        return sum(judge.probability(each.samples[: int((each.end_s + 0.2) * RATE)]) > 0.45 for each in made) / count

    assert over("whole", 40) > 0.75
    assert over("cut", 30) < 0.35
    assert over("filler", 30) < 0.25
