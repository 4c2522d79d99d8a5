"""A real terminal for the real program: a pseudo-terminal whose other end is a screen in memory."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from types import TracebackType

import pytest

from tests.cli.harness import BARGEIN

pyte = pytest.importorskip("pyte", reason="pyte is absent: pip install 'bargein[dev]'")
LIMIT_S = 60  # against a hang; no test waits for it


class OnTerminal:
    """The program on a terminal of its own; leaving the block kills what is left of it."""

    def __init__(
        self, *arguments: object, columns: int = 80, rows: int = 24, environment: dict[str, str] | None = None
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.written = b""
        self._ours, theirs = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(theirs)
        self.process = subprocess.Popen(
            [*BARGEIN, *map(str, arguments)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**(environment or os.environ), "TERM": "xterm-256color", "PYTHONUTF8": "1"},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )
        self._theirs = theirs  # kept, so that the terminal's mode can be read when the program has gone

    def resize(self, columns: int, rows: int) -> None:
        """Make the window another size."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def follow(self, seconds: float) -> None:
        """Take what the program writes, for so long at most."""
        ready, _, _ = select.select([self._ours], [], [], seconds)
        if ready:
            data = os.read(self._ours, 65536)
            self.written += data
            self._stream.feed(data)

    @property
    def text(self) -> str:
        """What stands on the screen."""
        return "\n".join(self.screen.display)

    def until(self, true: Callable[[str], bool], what: str = "") -> str:
        """Wait until the screen satisfies this."""
        end = time.monotonic() + LIMIT_S
        while not true(self.text):
            assert time.monotonic() < end, f"{what} never came:\n{self.text}"
            assert self.process.poll() is None or true(self.text), f"ended before {what}:\n{self.text}"
            self.follow(0.1)
        return self.text

    def shows(self, *words: str) -> str:
        """Wait until all of these stand on the screen."""
        return self.until(lambda text: all(word in text for word in words), repr(words))

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._ours, keys.encode())

    def hang_up(self) -> None:
        """The terminal goes away."""
        os.close(self._theirs)
        os.close(self._ours)
        self._theirs = self._ours = -1

    def end(self) -> int:
        """Wait until it has ended by itself; returns the exit code."""
        end = time.monotonic() + LIMIT_S
        while self.process.poll() is None:
            assert time.monotonic() < end, f"hangs:\n{self.text}"
            self.follow(0.1)
        for _ in range(20):
            self.follow(0.02)
        return self.process.returncode

    @property
    def given_back(self) -> bool:
        """Whether the terminal is as it was: echo and lines, the cursor shown, the first screen."""
        mode = termios.tcgetattr(self._theirs)
        cleared = self.written.rfind(b"\x1b[?1049l") > self.written.rfind(b"\x1b[?1049h")
        return mode[:4] == self.before[:4] and cleared and b"\x1b[?25h" in self.written

    def __enter__(self) -> OnTerminal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(20)
        for descriptor in (self._ours, self._theirs):
            if descriptor >= 0:
                os.close(descriptor)
