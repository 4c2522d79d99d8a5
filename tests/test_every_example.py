"""Every file of examples/ is run by a test, here or in the one that is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.endpoints.wav import WavWriter, read_wav

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
RUN_BY = {
    "ask.py": "tests/test_every_example.py",
    "make_caller.py": "tests/test_every_example.py",
    "script.yaml": "tests/test_every_example.py",
    "chat.yaml": "tests/server/test_chat.py",
    "kiosk.yaml": "tests/server/test_classifier.py",
    "phone_call.py": "tests/test_calls.py",
    "speech.yaml": "tests/cli/test_serve.py",
    "stages.py": "tests/test_examples.py",
    "tool.py": "tests/conversation/test_readme.py",
    "transcribe.py": "tests/conversation/test_readme.py",
}


def run(*command: str, folder: Path) -> list[str]:
    """The lines it prints."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OPENAI_", "BARGEIN_"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", *command],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a user would be, with "Good morning." in question.wav."""
    caller = read_wav(ROOT / "engine" / "data" / "caller.wav")
    with WavWriter(tmp_path / "question.wav", caller.rate, 1) as file:
        file.write(caller.samples[caller.rate // 2 : caller.rate * 3 // 2])
    return tmp_path


def test_none_is_left_out() -> None:
    programs = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".yaml")}
    assert programs == set(RUN_BY)
    for name, test in RUN_BY.items():
        assert name in (ROOT / test).read_text(encoding="utf-8"), f"{test} does not mention {name}"


def test_ask(folder: Path) -> None:
    lines = run(str(EXAMPLES / "ask.py"), "question.wav", "answer.wav", folder=folder)
    assert lines == ["user: (speech)", "assistant: (speech)"]
    assert abs(read_wav(folder / "answer.wav").samples).max() > 1000, "the answer is silent"


def test_the_caller_of_the_demo_is_made_by_its_example(folder: Path) -> None:
    pytest.importorskip("espeakng_loader")
    lines = run(str(EXAMPLES / "make_caller.py"), "caller.wav", folder=folder)
    assert lines[0].startswith("caller.wav: ")
    labels = json.loads((folder / "caller.json").read_text())
    kept = json.loads((ROOT / "engine" / "data" / "caller.json").read_text())
    assert [part["text"] for part in labels["speech"]] == [part["text"] for part in kept["speech"]]
    assert labels["duration_s"] == pytest.approx(kept["duration_s"], abs=1.0)  # other voices, other lengths


def test_the_script_answers(folder: Path) -> None:
    pytest.importorskip("yaml")
    script = f"script:{EXAMPLES / 'script.yaml'}"
    options = ["--fast", "--responder", script, "--events", "events.jsonl"]
    run("-m", "engine", "file", "question.wav", *options, folder=folder)
    told = [json.loads(line)["event"] for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    said = [event["transcript"] for event in told if event["type"] == "response.output_audio_transcript.done"]
    assert said[0].startswith("Hello, this is the information desk.")
