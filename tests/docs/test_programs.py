"""The programs of the documentation run: each as a reader would run it, or, a fragment, inside a conversation.

A Python block with `asyncio.run(` or `run_virtual(` is a program; any other is a fragment and runs in a function with
`conversation`, connected to the server inside. `<!-- compiled only: reason -->` before a block says why it cannot.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest

from engine.endpoints.wav import WavWriter, read_wav

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"(?:<!-- compiled only: (?P<why>[^>]+) -->\n+)?```python\n(?P<code>.*?)```", re.DOTALL)
REAL_TIME = "index.md"
"""The page whose program runs as it stands."""
AROUND = """
import asyncio

import numpy as np

import engine
from engine import calls, events


async def fragment() -> None:
    silence = engine.Memory(np.zeros(24000 * 8, dtype=np.int16))
    async with engine.connect(silence) as conversation:
{body}


asyncio.run(fragment())
"""


class Program(NamedTuple):
    """One Python block of a page."""

    page: str
    number: int
    code: str
    why_not: str

    @property
    def whole(self) -> bool:
        return "asyncio.run(" in self.code or "run_virtual(" in self.code

    @property
    def runnable(self) -> str:
        """The code as it is run here: a file stands for a sound device, and time is virtual, so that a slow machine
        changes nothing.
        """
        code = self.code if self.whole else AROUND.format(body=textwrap.indent(self.code, " " * 8))
        if self.page != REAL_TIME:
            code = code.replace("asyncio.run(", "__import__('engine.clock').clock.run_virtual(")
        return re.sub(r"engine\.Device\([^)]*\)", 'engine.WavFile("question.wav", "answer.wav")', code)


def programs() -> list[Program]:
    found = []
    for page in sorted((ROOT / "docs").rglob("*.md")):
        for number, block in enumerate(BLOCK.finditer(page.read_text(encoding="utf-8")), 1):
            name = page.relative_to(ROOT / "docs").as_posix()
            found.append(Program(name, number, block["code"], block["why"] or ""))
    return found


PROGRAMS = programs()
RUN = [program for program in PROGRAMS if not program.why_not]


def names(chosen: list[Program]) -> list[str]:
    return [f"{program.page}-{program.number}" for program in chosen]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a reader would be: with a question ("Good morning.") and a chime."""
    caller = read_wav(ROOT / "engine" / "data" / "caller.wav")
    for name, seconds in (("question.wav", (0.5, 1.5)), ("chime.wav", (0.5, 0.7))):
        begin, end = (round(second * caller.rate) for second in seconds)
        with WavWriter(tmp_path / name, caller.rate, 1) as file:
            file.write(caller.samples[begin:end])
    return tmp_path


def test_every_pitfall_has_a_program() -> None:
    pages = {page.name for page in (ROOT / "docs" / "pitfalls").glob("*.md")} - {"index.md"}
    assert len(pages) == 15
    assert {program.page.removeprefix("pitfalls/") for program in RUN} >= pages


@pytest.mark.parametrize("program", PROGRAMS, ids=names(PROGRAMS))
def test_it_compiles(program: Program) -> None:
    compile(program.runnable, f"{program.page}, block {program.number}", "exec")


@pytest.mark.parametrize("program", RUN, ids=names(RUN))
def test_it_runs(program: Program, folder: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OPENAI_", "BARGEIN_"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program.runnable],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{program.runnable}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    assert not program.whole or done.stdout, "it prints nothing"
