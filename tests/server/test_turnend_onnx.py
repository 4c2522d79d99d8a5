"""A turn-end model by path: features as the models expect them, refusals, and a session that follows its judgement.

The models are made here, a few bytes of protobuf: one operator over the input, and a sigmoid.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.server import ServerOptions
from engine.server.turnend import TurnEnd, logit
from tests.server.harness import run, session, silence, speech, wire

pytest.importorskip("onnxruntime", reason="extra `turn` is not installed")

from engine.server.turnend_onnx import OnnxTurnEnd, log_mel, mel_filters


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number: int, value: int | bytes | str) -> bytes:
    """One field of a protobuf message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def tensor(name: str, shape: tuple[int, ...], kind: int = 1) -> bytes:
    dims = b"".join(field(1, field(1, size)) for size in shape)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, dims)))


def node(operator: str, given: str, result: str, attributes: bytes = b"") -> bytes:
    return field(1, given) + field(2, result) + field(4, operator) + attributes


def model(
    path: Path, operator: str, shape: tuple[int, ...] = (1, 80, 800), kind: int = 1, then: str = "Identity"
) -> Path:
    """`operator` (ReduceMax, ReduceMean) over the whole input, then another (Identity, Neg), then a sigmoid."""
    attribute = field(5, field(1, "keepdims") + field(3, 1) + field(20, 2))
    nodes = [node(operator, "sound", "one", attribute), node(then, "one", "two"), node("Sigmoid", "two", "probability")]
    graph = b"".join(field(1, each) for each in nodes) + field(2, "stub")
    graph += field(11, tensor("sound", shape, kind)) + field(12, tensor("probability", (1,) * len(shape), kind))
    path.write_bytes(field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 13)))
    return path


def test_the_input_is_whispers_spectrogram_of_the_last_eight_seconds(tmp_path: Path) -> None:
    judge = OnnxTurnEnd(model(tmp_path / "mean.onnx", "ReduceMean"))
    assert isinstance(judge, TurnEnd)
    rng = np.random.default_rng(3)
    sound = (rng.standard_normal(24000 * 12) * 0.1).astype(np.float32)
    whole = judge.probability(sound)
    assert whole == pytest.approx(judge.probability(sound[24000 * 2 :]), abs=0.01)
    assert logit(whole) == pytest.approx(logit(judge.probability(sound * 0.1)), abs=0.01)  # no matter how loud
    assert whole != pytest.approx(judge.probability(sound[-24000:]), abs=0.01)


def test_the_filters_are_slaneys() -> None:
    filters = mel_filters()
    assert filters.shape == (80, 201)
    assert np.flatnonzero(filters.sum(axis=1) <= 0).size == 0
    peaks = np.argmax(filters, axis=1) * 40.0
    # 8000 Hz are 45.245 of Slaney's mels. Linear below 1000 Hz, which is 15 of them; 6.4 times in 27 above.
    assert peaks[39] == pytest.approx(1000 * 6.4 ** ((40 * 45.245 / 81 - 15) / 27), abs=40)
    assert peaks[13] == pytest.approx(14 * 45.245 / 81 * 200 / 3, abs=40)


def test_a_tone_is_loudest_in_its_own_band() -> None:
    tone = np.sin(np.arange(16000 * 8) * 2 * np.pi * 1000 / 16000).astype(np.float32)
    mel = log_mel(tone)
    assert mel.shape == (80, 800)
    assert abs(int(np.argmax(mel[:, 400])) - int(np.argmax(mel_filters()[:, 25]))) <= 1
    assert mel.max() - mel.min() <= 2.0 + 1e-6


def test_a_waveform_model_gets_the_waveform(tmp_path: Path) -> None:
    judge = OnnxTurnEnd(model(tmp_path / "wave.onnx", "ReduceMax", (1, 128000)))
    rng = np.random.default_rng(4)
    peak = logit(judge.probability((rng.standard_normal(24000 * 8) * 0.01).astype(np.float32)))
    assert 3 < peak < 6  # in standard deviations


@pytest.mark.parametrize(
    ("shape", "kind", "words"), [((1, 1, 80, 800), 1, "takes sound"), ((1, 80, 800), 11, "double")]
)
def test_another_kind_of_model_is_refused(tmp_path: Path, shape: tuple[int, ...], kind: int, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        OnnxTurnEnd(model(tmp_path / "other.onnx", "ReduceMax", shape, kind))


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(ConfigError, match=r"text\.onnx"):
        OnnxTurnEnd(tmp_path / "text.onnx")
    with pytest.raises(ConfigError, match=r"missing\.onnx"):
        OnnxTurnEnd(tmp_path / "missing.onnx")


@pytest.mark.parametrize(("then", "least_ms", "most_ms"), [("Identity", 160, 700), ("Neg", 1000, 4000)])
def test_a_session_follows_the_model(tmp_path: Path, then: str, least_ms: int, most_ms: int) -> None:
    options = ServerOptions(turn_end=OnnxTurnEnd(model(tmp_path / "stub.onnx", "ReduceMax", then=then)))

    async def scene() -> None:
        talk = speech()
        async with session(options=options) as client:
            detection = {"type": "semantic_vad", "eagerness": "medium"}
            await client.update(audio={"input": {"turn_detection": detection}})
            await client.append(wire(silence(0.5), talk, silence(5)))
            stopped = await client.next("input_audio_buffer.speech_stopped")
            silent_ms = stopped["audio_end_ms"] - 500 - talk.size / 24
            assert least_ms <= silent_ms <= most_ms + 60

    run(scene)


def test_a_model_that_cannot_answer_is_told_before_the_session(tmp_path: Path) -> None:
    # Of the right rank, but of a size that is never given.
    options = ServerOptions(turn_end=OnnxTurnEnd(model(tmp_path / "odd.onnx", "ReduceMax", (1, 80, 3000))))

    async def scene() -> None:
        with pytest.raises(AssertionError, match="closed with"):
            async with session(options=options):
                pass

    run(scene)


def test_the_stub_is_what_it_says() -> None:
    assert varint(300) == struct.pack("BB", 0xAC, 0x02)
