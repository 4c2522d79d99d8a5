"""The program that the README shows, run as a user runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.endpoints.wav import WavWriter, read_wav

from .harness import RATE, caller

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import asyncio
import engine

async def main() -> None:
    async with engine.connect(engine.WavFile("question.wav", "answer.wav"), instructions="Be brief.") as conversation:
        async for turn in conversation.turns():
            print(f"{turn.role}: {turn.text}" + (" [interrupted]" if turn.interrupted else ""))

asyncio.run(main())
"""


def shown_programs() -> list[str]:
    """Python of the README that holds a conversation."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return [block for block in blocks if "engine.connect(" in block and "asyncio.run(" in block]


def test_the_tool_example_runs() -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OPENAI_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples" / "tool.py")],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "user: What is the weather in Paris?"
    assert '"weather":"rain"' in done.stdout.splitlines()[1], "the tool's output is not in the reply"


def test_the_transcription_example_runs(tmp_path: Path) -> None:
    with WavWriter(tmp_path / "talk.wav", RATE, 1) as file:
        file.write(caller()[round(0.5 * RATE) : round(1.5 * RATE)])  # "Good morning."
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OPENAI_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples" / "transcribe.py"), str(tmp_path / "talk.wav")],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "no speech recogniser" in done.stdout


@pytest.mark.parametrize("program", shown_programs() or [PROGRAM])
def test_the_program_runs(program: str, tmp_path: Path) -> None:
    with WavWriter(tmp_path / "question.wav", RATE, 1) as file:
        file.write(caller()[round(0.5 * RATE) : round(1.5 * RATE)])  # "Good morning."
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OPENAI_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == ["user", "assistant"]
    answer = read_wav(tmp_path / "answer.wav")
    assert answer.rate == RATE
    assert np.abs(answer.samples).max() > 1000, "the answer is silent"
