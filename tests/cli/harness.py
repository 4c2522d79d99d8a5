"""Running the real program, and the sound it is given."""

from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import sys
import time
import wave
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.endpoints.wav import read_wav

BARGEIN = (sys.executable, "-m", "bargein")
TIMEOUT_S = 60  # against a hang; no test waits for it
CALLER = Path(__file__).resolve().parents[2] / "engine" / "data" / "caller.wav"

Samples = NDArray[np.int16]


@dataclass(frozen=True)
class Ran:
    """How a program ended."""

    code: int
    out: str
    err: str

    @property
    def own_err(self) -> str:
        """What it said on stderr, without the lines that ALSA's library prints when a busy machine is late."""
        return "".join(line for line in self.err.splitlines(keepends=True) if not line.startswith("ALSA lib"))

    @property
    def complaints(self) -> list[str]:
        """What it said on stderr, without the line that says who answers."""
        return [line for line in self.err.splitlines() if "the server inside answers" not in line]


def environment(**more: str) -> dict[str, str]:
    """This one without keys, servers and proxies, and with `more`."""
    kept = {name: value for name, value in os.environ.items() if not re.match("OPENAI_|.*_proxy$", name, re.IGNORECASE)}
    return {**kept, **more}


def start(*arguments: object, program: Sequence[str] = BARGEIN, **options: object) -> subprocess.Popen[str]:
    """Start the program, as the leader of a process group of its own."""
    settings = {"env": environment(), "text": True, "start_new_session": True, **options}
    for name in ("stdout", "stderr"):
        settings.setdefault(name, subprocess.PIPE)
    return subprocess.Popen([*program, *map(str, arguments)], **settings)  # type: ignore[call-overload,no-any-return]


def finish(process: subprocess.Popen[str]) -> Ran:
    """Wait for its end. Fails when it hangs, shows a traceback, or leaves a process behind."""
    try:
        out, err = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        raise AssertionError(f"hangs; stdout {out!r}, stderr {err!r}") from None
    assert "Traceback" not in (err or "") and "Exception ignored" not in (err or ""), err
    with suppress(ProcessLookupError):
        for _ in range(50):  # a helper that was starting (ldconfig, asked for a library) ends by itself
            os.killpg(process.pid, 0)
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError("something of it is left running")
    return Ran(process.returncode, out or "", err or "")


def run(*arguments: object, **options: object) -> Ran:
    """Start and finish."""
    return finish(start(*arguments, **options))  # type: ignore[arg-type]


# ---- sound


@cache
def speech() -> bytes:
    """A spoken question, and a second of silence."""
    samples = read_wav(CALLER).samples[12_000:84_000]
    return np.concatenate([samples, np.zeros(24_000, np.int16)]).tobytes()


def question() -> Samples:
    """`speech` as samples at 24 kHz."""
    return np.frombuffer(speech(), np.int16)


def silence(seconds: float) -> Samples:
    """At 24 kHz."""
    return np.zeros(round(24_000 * seconds), np.int16)


def wav(path: Path, samples: Samples, rate: int = 24_000, channels: int = 1) -> Path:
    """Write a plain 16-bit file."""
    data = np.repeat(samples, channels).astype("<i2").tobytes()
    return raw_wav(path, data, tag=1, bits=16, rate=rate, channels=channels)


def raw_wav(path: Path, data: bytes, *, tag: int, bits: int, rate: int = 24_000, channels: int = 1) -> Path:
    """Write a file of any kind; `data` as it is to lie in it."""
    frame = channels * bits // 8
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * frame, frame, bits)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def heard(path: Path) -> Samples:
    """The sound of a file whose header is whole: lengths and all. int16 of shape (frames, channels)."""
    with wave.open(str(path)) as file:  # refuses a header that does not fit
        data = file.readframes(file.getnframes())
        assert len(data) == file.getnframes() * file.getnchannels() * 2
        assert path.stat().st_size == 44 + len(data)
        return np.frombuffer(data, "<i2").reshape(-1, file.getnchannels())


def has_sound(samples: Samples) -> bool:
    """Whether anybody would hear it: some 20 ms above -40 dBFS."""
    flat = samples.astype(np.float64).reshape(-1)
    blocks = flat[: len(flat) // 480 * 480].reshape(-1, 480)
    return bool(len(blocks)) and float(np.sqrt((blocks**2).mean(axis=1)).max()) > 327
