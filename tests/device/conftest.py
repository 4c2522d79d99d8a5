"""A sound server for the tests of this folder, and a process of its own for each scenario."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.device.pipewire import PipeWire
from tests.device.soundserver import SoundServer, skip_or_fail

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 120  # of a scenario: a hang ends as a failure


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SoundServer]:
    """A running sound server of this test's own."""
    skip_or_fail()
    running = SoundServer(tmp_path / "sound")
    running.start()
    try:
        yield running
    finally:
        running.kill()


class Scenario:
    """A function of scenarios.py in a process of its own: what PortAudio knows of ALSA is one per process."""

    def __init__(self, server: SoundServer | PipeWire, name: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.device.scenarios", name, *arguments],
            cwd=ROOT,
            env={**server.environment, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
            stderr=(server.folder / f"{name}.log").open("wb"),
            text=True,
        )
        self._log = server.folder / f"{name}.log"

    def expect(self, what: str) -> dict[str, Any]:
        """The next line it prints, which must be about `what`."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"ended before {what!r}: {self._log.read_text()[-3000:]}"
        told: dict[str, Any] = json.loads(line)
        assert told["what"] == what, f"{told} in place of {what!r}: {self._log.read_text()[-2000:]}"
        return told

    def go_on(self) -> None:
        """Let a scenario that waits for a line go on."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def interrupt(self) -> int:
        """Ctrl-C; returns how it ended."""
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(LIMIT_S)

    def end(self) -> None:
        """It must end by itself, and well."""
        assert self._process.wait(LIMIT_S) == 0, self._log.read_text()[-3000:]

    def close(self) -> None:
        """Whatever happened."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(20)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


Start = Callable[..., Scenario]


@pytest.fixture
def scenario(server: SoundServer) -> Iterator[Start]:
    """Starts scenarios, and ends what is left of them."""
    started: list[Scenario] = []

    def start(name: str, *arguments: object) -> Scenario:
        started.append(Scenario(server, name, *map(str, arguments)))
        return started[-1]

    yield start
    for each in started:
        each.close()
