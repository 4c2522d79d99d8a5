"""`bargein transcribe`: lines on the terminal, captions in files, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.harness import CALLER, run

WORDS = """
transcripts:
  - "Good morning."
  - {text: "And what else?", delay: 0.5, logprob: -0.25}
  - "Three."
  - "Four."
  - "Five."
  - "Six."
  - "Seven."
"""


@pytest.fixture
def words(tmp_path: Path) -> str:
    path = tmp_path / "words.yaml"
    path.write_text(WORDS)
    return f"script:{path}"


def test_lines_and_files(tmp_path: Path, words: str) -> None:
    srt, vtt, as_json = (tmp_path / f"talk.{suffix}" for suffix in ("srt", "vtt", "json"))
    ran = run("transcribe", CALLER, "--fast", "--responder", words, "--logprobs", "--out", srt, "--out", vtt,
              "--out", as_json)  # fmt: skip
    assert ran.code == 0 and not ran.complaints, ran.err
    lines = ran.out.splitlines()
    assert lines[0].endswith("  Good morning.") and lines[1].endswith("  And what else?")
    assert srt.read_text().startswith("1\n00:00:0") and "\nGood morning.\n\n2\n" in srt.read_text()
    assert vtt.read_text().startswith("WEBVTT\n\n00:00:0")
    rows = json.loads(as_json.read_text())
    assert [row["text"] for row in rows[:2]] == ["Good morning.", "And what else?"]
    assert rows[1]["logprob"] == -0.25 and rows[1]["start_s"] > rows[0]["start_s"]


def test_json_on_the_terminal(words: str) -> None:
    ran = run("transcribe", CALLER, "--fast", "--json", "--responder", words, "--model", "gpt-realtime-whisper")
    assert ran.code == 0 and not ran.complaints, ran.err
    assert json.loads(ran.out.splitlines()[0])["text"] == "Good morning."


def test_without_anybody_who_understands_it_says_so() -> None:
    ran = run("transcribe", CALLER, "--fast")
    assert ran.code == 1 and "no speech recogniser" in ran.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([CALLER, "--out", "talk.txt"], ".srt, .vtt, .json"),
        ([CALLER, "--out", CALLER.with_suffix(".srt"), "--out", CALLER.with_suffix(".srt")], "twice"),
        (["/no/such/file.wav"], "/no/such/file.wav"),
        ([CALLER, "--device", "USB"], "--device"),
        ([CALLER, "--server", "ws://127.0.0.1:1/", "--responder", "echo"], "--responder"),
    ],
)
def test_what_it_refuses(arguments: list[object], words: str) -> None:
    ran = run("transcribe", *arguments)
    assert ran.code == 2 and words in ran.err, (ran.code, ran.err)
