"""`bargein file` with the server inside: outputs, formats, and every kind of WAV it may be given."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.audio import alaw_encode, ulaw_encode
from engine.cli.main import main
from tests.cli.harness import Samples, environment, has_sound, heard, question, raw_wav, run, silence, wav


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    return wav(tmp_path / "question.wav", question())


def test_an_answer_is_heard_and_everything_written_down(asked: Path, tmp_path: Path) -> None:
    out, both, events = tmp_path / "answer.wav", tmp_path / "both.wav", tmp_path / "events.jsonl"
    ran = run("file", asked, "--fast", "--out", out, "--conversation", both, "--events", events)
    assert ran.code == 0, ran.err
    assert "the server inside answers, responder echo" in ran.err
    turns = ran.out.splitlines()
    assert turns[0].startswith("user: ") and turns[1].startswith("assistant: ") and turns[1].endswith(" ms)")
    assert turns[-1].startswith("1 reply, ") and str(out) in turns[-1]

    answer, sides = heard(out), heard(both)
    assert has_sound(answer) and answer.shape[1] == 1
    assert has_sound(sides[:, 0]) and (sides[:, 1] == answer[:, 0]).all()

    lines = [json.loads(line) for line in events.read_text().splitlines()]
    assert all(set(line) == {"time", "direction", "event"} for line in lines)
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    kinds = {(line["direction"], line["event"]["type"]) for line in lines}
    assert ("received", "session.created") in kinds and ("sent", "input_audio_buffer.append") in kinds
    assert ("received", "response.output_audio.delta") in kinds and ("received", "response.done") in kinds


def test_json_lines(asked: Path) -> None:
    ran = run("file", asked, "--fast", "--json")
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert [line["type"] for line in lines] == ["turn", "turn", "summary"]
    assert [line.get("role") for line in lines] == ["user", "assistant", None]
    assert lines[1]["played_ms"] == lines[1]["received_ms"] > 0 and lines[1]["usage"]["total_tokens"] > 0
    assert lines[2]["replies"] == 1 and lines[2]["whole"] is True and ran.code == 0


@pytest.mark.parametrize("form", ["pcmu", "pcma"])
def test_telephone_formats(form: str, asked: Path, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    assert (
        main(
            ["file", str(asked), "--fast", "--format", form, "--out", str(tmp_path / "o.wav"), "--events", str(events)]
        )
        == 0
    )
    assert has_sound(heard(tmp_path / "o.wav"))
    assert f"audio/{form}" in events.read_text()


def test_instructions_voice_and_model_reach_the_session(asked: Path, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    chosen = ["--instructions", "Be brief.", "--voice", "sage"]
    assert main(["file", str(asked), "--fast", "--events", str(events), *chosen]) == 0
    sent: list[dict[str, Any]] = [json.loads(line) for line in events.read_text().splitlines()]
    (update,) = [line["event"] for line in sent if line["event"]["type"] == "session.update"]
    assert update["session"]["instructions"] == "Be brief."
    assert update["session"]["audio"]["output"]["voice"] == "sage"


def test_a_script_answers(asked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("yaml")
    (tmp_path / "rules.yaml").write_text('default:\n  - say: "The tide is\\e[2J high."\n')
    assert main(["file", str(asked), "--fast", "--responder", f"script:{tmp_path / 'rules.yaml'}"]) == 0
    assert "assistant: The tide is [2J high." in capsys.readouterr().out


def test_a_failed_response_is_told_and_counts(asked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("yaml")
    (tmp_path / "rules.yaml").write_text("default:\n  - fail: out of order\n")
    assert main(["file", str(asked), "--fast", "--responder", f"script:{tmp_path / 'rules.yaml'}"]) == 1
    told = capsys.readouterr()
    assert "[failed" in told.out and "1 failed" in told.out


# ---- kinds of WAV


def wide(samples: Samples, bits: int) -> bytes:
    """Signed integers of 24 or 32 bits."""
    return b"".join((int(s) << (bits - 16)).to_bytes(bits // 8, "little", signed=True) for s in samples)


def kinds() -> dict[str, Callable[[Path], Path]]:
    said = question()
    loud = said / np.float32(32768)
    return {
        "8-bit": lambda path: raw_wav(path, ((said >> 8) + 128).astype(np.uint8).tobytes(), tag=1, bits=8),
        "24-bit": lambda path: raw_wav(path, wide(said, 24), tag=1, bits=24),
        "32-bit": lambda path: raw_wav(path, wide(said, 32), tag=1, bits=32),
        "float": lambda path: raw_wav(path, loud.astype("<f4").tobytes(), tag=3, bits=32),
        "float with rubbish": lambda path: raw_wav(
            path, np.concatenate([loud, [np.nan, np.inf, -np.inf, 1e30]]).astype("<f4").tobytes(), tag=3, bits=32
        ),
        "A-law": lambda path: raw_wav(path, alaw_encode(said).tobytes(), tag=6, bits=8),
        "mu-law": lambda path: raw_wav(path, ulaw_encode(said).tobytes(), tag=7, bits=8),
        "stereo": lambda path: wav(path, said, channels=2),
        "192 kHz": lambda path: wav(path, np.repeat(said, 8), rate=192_000),
        "8 kHz": lambda path: wav(path, said[::3].copy(), rate=8_000),
        "11.025 kHz": lambda path: wav(path, said[::2].copy(), rate=11_025),
        "odd byte at the end": lambda path: raw_wav(path, said.tobytes() + b"\1", tag=1, bits=16),
    }


@pytest.mark.parametrize("kind", kinds())
def test_a_wav_of_any_usual_kind_is_spoken(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = kinds()[kind](tmp_path / "in.wav")
    assert main(["file", str(path), "--fast", "--out", str(tmp_path / "out.wav")]) == 0
    assert "assistant: " in capsys.readouterr().out
    assert has_sound(heard(tmp_path / "out.wav"))


def test_a_truncated_wav_is_spoken_as_far_as_it_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = wav(tmp_path / "in.wav", np.concatenate([question(), silence(60)]))
    path.write_bytes(path.read_bytes()[:170_001])
    assert main(["file", str(path), "--fast", "--out", str(tmp_path / "out.wav")]) == 0
    told = capsys.readouterr()
    assert "assistant: " in told.out and str(path) in told.err
    assert has_sound(heard(tmp_path / "out.wav"))


def test_a_very_short_wav_ends_without_a_turn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = wav(tmp_path / "in.wav", np.ones(1, np.int16))
    assert main(["file", str(path), "--fast"]) == 0
    assert capsys.readouterr().out.startswith("0 replies")


def refused() -> dict[str, Callable[[Path], Any]]:
    return {
        "missing": lambda path: None,
        "a directory": lambda path: path.mkdir(),
        "empty": lambda path: path.write_bytes(b""),
        "a header and no sound": lambda path: wav(path, silence(0)),
        "half a header": lambda path: path.write_bytes(wav(path, question()).read_bytes()[:30]),
        "text": lambda path: path.write_text("not a WAV file\n" * 100),
        "an MP3": lambda path: path.write_bytes(b"ID3" + bytes(1000)),
        "a million Hz": lambda path: wav(path, question(), rate=1_000_000),
        "no channels": lambda path: raw_wav(path, bytes(100), tag=1, bits=16, channels=0),
        "4-bit ADPCM": lambda path: raw_wav(path, bytes(100), tag=2, bits=4),
    }


@pytest.mark.parametrize("kind", refused())
def test_what_is_no_usable_wav_is_one_line_and_2(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "in.wav"
    refused()[kind](path)
    assert main(["file", str(path), "--fast", "--out", str(tmp_path / "out.wav")]) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1 and told.err.startswith(f"bargein: {path}")
    assert not (tmp_path / "out.wav").exists()


def test_an_unusable_wav_is_found_before_anybody_is_called(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["file", str(tmp_path / "none.wav"), "--server", "ws://127.0.0.1:1/v1/realtime"]) == 2
    assert "no such file" in capsys.readouterr().err


# ---- files to write


@pytest.mark.parametrize("option", ["--out", "--conversation", "--events"])
@pytest.mark.parametrize("place", ["no/such/folder/file", ".", "/proc/nothing"])
def test_an_output_that_cannot_be_written_is_one_line_and_2(
    option: str, place: str, asked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["file", str(asked), "--fast", option, str(tmp_path / place)]) == 2
    told = capsys.readouterr()
    complaints = [line for line in told.err.splitlines() if "the server inside answers" not in line]
    assert told.out == "" and len(complaints) == 1 and "cannot be written" in complaints[0]


@pytest.mark.parametrize(
    "options", [("--out", "question.wav"), ("--events", "./question.wav"), ("--out", "a", "--events", "a")]
)
def test_no_file_is_read_and_written_or_written_twice(
    options: tuple[str, ...], asked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = asked.read_bytes()
    monkeypatch.chdir(asked.parent)
    assert main(["file", "question.wav", "--fast", *options]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert asked.read_bytes() == before


@pytest.mark.parametrize("option", ["--out", "--conversation", "--events"])
def test_a_disk_that_fills_up_is_one_line_and_2(option: str, asked: Path, tmp_path: Path) -> None:
    """The limit of file size stands for the full disk."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    path = tmp_path / "out"
    ran = run("file", asked, "--fast", option, path, env=environment(PYTHONDONTWRITEBYTECODE="1"), preexec_fn=limit)
    assert ran.code == 2, ran
    assert len(ran.complaints) == 1 and "cannot be written" in ran.complaints[0] and str(path) in ran.complaints[0]
    if option != "--events":
        assert len(heard(path)) > 10_000
