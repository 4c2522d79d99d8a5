"""A sound server for the tests of this folder, and a process of its own for each scenario."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.device.pipewire import PipeWire
from tests.device.soundserver import SoundServer, skip_or_fail
from tests.device.world import World

ROOT = Path(__file__).resolve().parents[2]
LATENCIES_MS = (100, 101, 102, 200, 300, 400)
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


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """PortAudio without any sound."""
    made = World()
    made.install(monkeypatch)
    return made


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
        """The next line it prints, which must be about `what`. One start in a hundred dies at once on PulseAudio and is
        opened again by the engine, which says so; that is passed over.
        """
        while (told := self._next(what))["what"] == "dead start" != what:
            pass
        assert told["what"] == what, f"{told} in place of {what!r}: {self._log.read_text()[-2000:]}"
        return told

    def skip_to(self, what: str) -> dict[str, Any]:
        """The next line about `what`, whatever comes before."""
        while (told := self._next(what))["what"] != what:
            pass
        return told

    def _next(self, what: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"ended before {what!r}: {self._log.read_text()[-3000:]}"
        told: dict[str, Any] = json.loads(line)
        return told

    def go_on(self) -> None:
        """Let a scenario that waits for a line go on."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def stop_for(self, seconds: float) -> None:
        """As on a machine that has no time for it."""
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._process.send_signal(signal.SIGCONT)

    def interrupt(self) -> int:
        """Ctrl-C; returns how it ended. A second one where the first came in the middle of an import that swallows
        it.
        """
        for _ in range(4):
            self._process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                return self._process.wait(LIMIT_S / 4)
        raise AssertionError(f"Ctrl-C does not end it: {self._log.read_text()[-3000:]}")

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


class Start:
    """Starts scenarios, and ends what is left of them."""

    def __init__(self, server: SoundServer) -> None:
        self._server = server
        self._started: list[Scenario] = []

    def __call__(self, name: str, *arguments: object) -> Scenario:
        """One more."""
        self._started.append(Scenario(self._server, name, *map(str, arguments)))
        return self._started[-1]

    def close(self) -> None:
        """End all."""
        for each in self._started:
            each.close()
        self._started.clear()

    def in_tries(self, attempt: Callable[[int], None]) -> None:
        """Until it succeeds, each time with a fresh sound server, `attempt` knowing its latency in ms: 100 at first. On
        a busy machine PulseAudio loses pieces without a word and stalls for two seconds after an underrun; what the
        core did wrong would be wrong in each try.
        """
        for latency_ms in LATENCIES_MS:
            try:
                attempt(latency_ms)
            except AssertionError:
                if latency_ms == LATENCIES_MS[-1]:
                    raise
                self.close()
                self._server.kill()
                self._server.start()
            else:
                return


@pytest.fixture
def scenario(server: SoundServer) -> Iterator[Start]:
    """Starts scenarios, and ends what is left of them."""
    start = Start(server)
    try:
        yield start
    finally:
        start.close()
