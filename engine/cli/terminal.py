"""The terminal of `bargein talk`: keys without Enter, a screen that is put back as it was, and a painter that a slow
terminal cannot make anybody else wait for.
"""

from __future__ import annotations

import asyncio
import os
import re
import select
import sys
import tempfile
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

ENTER, LEAVE = b"\x1b[?1049h\x1b[?25l\x1b[2J", b"\x1b[0m\x1b[?25h\x1b[?1049l"
SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.)")  # what arrows and function keys send
PATIENCE_S = 1.0  # for a terminal that does not take what is written, at the end
MOST_KEPT = 64 * 1024  # of what was written to stderr meanwhile


def in_foreground(descriptor: int) -> bool:
    """Whether this is a terminal, and ours to read: a job in the background would be stopped by it."""
    try:
        return os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False


class Painter:
    """Writes the newest frame from a thread of its own, changed lines only. A terminal that takes nothing (a dead line)
    holds that thread up and nothing else: frames in between are left out.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._changed = threading.Condition()
        self._frame: list[str] | None = None  # one, the newest: a slow terminal gets fewer
        self._clear = self._ended = False
        self._shown: list[str] = []
        self._thread = threading.Thread(target=self._run, name="bargein-painter", daemon=True)
        self._thread.start()

    def paint(self, lines: list[str]) -> None:
        """Show this next."""
        with self._changed:
            self._frame = lines
            self._changed.notify()

    def clear(self) -> None:
        """Write everything anew: the size has changed, or somebody else has written."""
        with self._changed:
            self._clear = True

    def close(self) -> None:
        """Show what waits, and end; not longer than PATIENCE_S."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join(PATIENCE_S)

    def _run(self) -> None:
        with suppress(OSError):  # the terminal is gone
            while (data := self._next()) is not None:
                _write(self._descriptor, data)

    def _next(self) -> bytes | None:
        with self._changed:
            while self._frame is None and not self._ended:
                self._changed.wait()
            if self._frame is None:
                return None
            lines, self._frame = self._frame, None
            before, self._shown = ([] if self._clear else self._shown), lines
            start = "\x1b[2J" if self._clear else ""
            self._clear = False
        rows = max(len(lines), len(before))
        return (start + "".join(_row(row, lines, before) for row in range(rows))).encode(errors="replace")


def _row(row: int, lines: list[str], before: list[str]) -> str:
    line = lines[row] if row < len(lines) else ""
    if row < len(before) and before[row] == line:
        return ""
    return f"\x1b[{row + 1};1H\x1b[0m{line}\x1b[0m\x1b[K"


def takes(descriptor: int) -> bool:
    """Whether something can be written without waiting for longer than PATIENCE_S."""
    try:
        return bool(select.select([], [descriptor], [], PATIENCE_S)[1])
    except (OSError, ValueError):
        return False


def write_patiently(descriptor: int, data: bytes) -> None:
    """Write, unless the terminal takes nothing for PATIENCE_S: the rest is then left out."""
    with suppress(OSError):
        os.set_blocking(descriptor, False)
        try:
            while data and takes(descriptor):
                data = data[os.write(descriptor, data) :]
        finally:
            os.set_blocking(descriptor, True)


def silence() -> None:
    """Write nothing more to stdout and stderr: their terminal takes nothing, and who writes waits for ever."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class Terminal:
    """Keys and, with `screen`, the whole screen. `leave` may be called at any time, also by a signal's handler."""

    def __init__(self, screen: bool) -> None:
        self._input, self._output = sys.stdin.fileno(), sys.stdout.fileno()
        self._screen = screen
        self._before: list[object] | None = None
        self._entered = False

    def enter(self) -> None:
        """Take it: no echo, no waiting for Enter, Ctrl-C still a signal, Ctrl-S no stop."""
        with suppress(termios.error):
            self._before = termios.tcgetattr(self._input)
            mode = termios.tcgetattr(self._input)
            mode[0] &= ~termios.IXON
            mode[3] &= ~(termios.ICANON | termios.ECHO)
            termios.tcsetattr(self._input, termios.TCSANOW, mode)
        if self._screen:
            _write(self._output, ENTER)
        self._entered = True

    def leave(self) -> None:
        """Give it back as it was; harmless twice."""
        if not self._entered:
            return
        self._entered = False
        if self._before is not None:
            with suppress(termios.error):
                termios.tcsetattr(self._input, termios.TCSANOW, self._before)  # type: ignore[arg-type]
        if self._screen:
            write_patiently(self._output, LEAVE)

    def listen(self, on_key: Callable[[str], None]) -> None:
        """Call `on_key` on the loop's thread with each key, "" when the terminal has gone."""
        loop = asyncio.get_running_loop()

        def read() -> None:
            try:
                data = os.read(self._input, 256)
            except OSError:
                data = b""
            if not data:
                loop.remove_reader(self._input)
            for key in keys(data) if data else [""]:
                on_key(key)

        loop.add_reader(self._input, read)

    def deaf(self) -> None:
        """Listen no more."""
        asyncio.get_running_loop().remove_reader(self._input)


def keys(data: bytes) -> list[str]:
    """The keys in what a terminal sent: letters as they are; arrows and other sequences are left out."""
    text = SEQUENCE.sub("", data.decode(errors="ignore")).replace("\x1b", "\x0b")
    return ["escape" if sign == "\x0b" else sign for sign in text if sign.isprintable() or sign in "\x0b\x0c"]


@contextmanager
def stderr_kept(show: bool) -> Iterator[None]:
    """What is written to stderr meanwhile, by C libraries too, would destroy the screen: it is kept, and written
    afterwards: our own lines, or all of it with `show`.
    """
    with tempfile.TemporaryFile() as kept:
        sys.stderr.flush()
        before = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
            os.close(before)
            kept.seek(max(kept.tell() - MOST_KEPT, 0))
            lines = kept.read(MOST_KEPT).splitlines(keepends=True)
            write_patiently(2, b"".join(line for line in lines if show or line.startswith(b"bargein: ")))
