"""One program, started for one question: sound or text in, text or sound out.

The program runs in a session of its own, so that what it starts itself ends with it. Its output and its time are
bounded, and when the caller is cancelled it is killed at once. A thread waits for it, so the loop is never held up, and
a virtual clock stands still meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO

from engine.errors import ConfigError, EngineError

MAX_AT_ONCE = 4
"""Programs at a time in the whole process. Calls beyond wait in the executor's queue: two sentences for each response,
and `hearing.MAX_PENDING` turns for each session at most."""
SHOWN = 300
"""Characters of a program's complaint that an error shows."""

_POOL = ThreadPoolExecutor(max_workers=MAX_AT_ONCE, thread_name_prefix="bargein-program")


class ProgramFailed(EngineError):
    """A program failed, said too much, or took too long. The words may be shown to a client."""


def check_program(name: str, field: str) -> None:
    """Raises ConfigError when there is no such program to be run."""
    if shutil.which(name) is None:
        raise ConfigError(f"{field} is {name!r}: no such program; install it, or give its path")


async def run(command: Sequence[str], data: bytes = b"", *, timeout_s: float, limit: int) -> bytes:
    """What `command` writes to its standard output when it reads `data`.

    Raises ProgramFailed when it cannot be started, ends with another status than 0, takes longer than `timeout_s`
    seconds, or writes more than `limit` bytes.
    """
    program = _Program(command, data, timeout_s, limit)
    try:
        return await asyncio.get_running_loop().run_in_executor(_POOL, program.run)
    except asyncio.CancelledError:
        program.kill()
        raise


class _Program:
    def __init__(self, command: Sequence[str], data: bytes, timeout_s: float, limit: int) -> None:
        self._command = list(command)
        self._data = data
        self._timeout_s = timeout_s
        self._limit = limit
        self._guard = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False

    @property
    def _name(self) -> str:
        return Path(self._command[0]).name

    def run(self) -> bytes:
        """In a thread: start it, read it, wait for its end."""
        with tempfile.TemporaryFile() as question:  # a file as its input: nobody has to feed a pipe
            question.write(self._data)
            question.seek(0)
            process = self._start(question)
        if process is None:
            return b""
        assert process.stdout is not None and process.stderr is not None
        try:
            with process.stdout, process.stderr:
                answer, complaint = self._read(process)
            status = process.wait()  # both pipes are closed, so it ends, or is killed below
        except subprocess.TimeoutExpired:
            raise ProgramFailed(f"{self._name} took longer than {self._timeout_s:g} s") from None
        finally:
            self.kill()
            process.wait()
        if status != 0 and not self._killed_by_us(status):
            last = complaint.decode(errors="replace").strip()[-SHOWN:]
            raise ProgramFailed(f"{self._name} ended with status {status}" + (f": {last}" if last else ""))
        return answer

    def kill(self) -> None:
        """End it and what it started; from any thread, at any time."""
        with self._guard:
            self._killed = True
            if self._process is not None and self._process.poll() is None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)

    def _killed_by_us(self, status: int) -> bool:
        return self._killed and status == -signal.SIGKILL

    def _start(self, question: IO[bytes]) -> subprocess.Popen[bytes] | None:
        with self._guard:
            if self._killed:
                return None
            try:
                self._process = subprocess.Popen(
                    self._command,
                    stdin=question,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
            except OSError as error:
                raise ProgramFailed(f"{self._name} cannot be started: {error.strerror or error}") from None
            return self._process

    def _read(self, process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
        answer, complaint = bytearray(), bytearray()
        deadline = time.monotonic() + self._timeout_s
        with selectors.DefaultSelector() as pipes:
            pipes.register(process.stdout, selectors.EVENT_READ, answer)  # type: ignore[arg-type]
            pipes.register(process.stderr, selectors.EVENT_READ, complaint)  # type: ignore[arg-type]
            while pipes.get_map():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise subprocess.TimeoutExpired(self._command, self._timeout_s)
                for key, _ in pipes.select(left):
                    piece = os.read(key.fd, 65536)
                    if not piece:
                        pipes.unregister(key.fileobj)
                    key.data.extend(piece)
                if len(answer) > self._limit:
                    raise ProgramFailed(f"{self._name} wrote more than {self._limit} bytes")
                del complaint[:-4096]  # only its end is shown
        # It closed its pipes; a program that goes on without them is not waited for.
        try:
            process.wait(max(deadline - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            raise subprocess.TimeoutExpired(self._command, self._timeout_s) from None
        return bytes(answer), bytes(complaint)


__all__ = ["ProgramFailed", "check_program", "run"]
