"""@copilotkit/aimock on a loopback port: a server of the GA dialect, of text, tools and transcription by fixture.

`make test-interop` installs it with npm into build/interop. Where it is not, the tests here are skipped, or fail if
BARGEIN_REQUIRE has `aimock`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build" / "interop" / "node_modules" / "@copilotkit" / "aimock" / "dist" / "cli.js"
FIXTURES = Path(__file__).parent / "fixtures.json"
KEY = "sk-interop"


@dataclass(frozen=True)
class Aimock:
    """A running server: what is given to `engine.connect`."""

    url: str
    key: str = KEY


def missing() -> str:
    """What is not here, and how to get it; "" when all is."""
    if shutil.which("node") is None:
        return "node is not installed (Debian: apt-get install nodejs npm)"
    return "" if PROGRAM.exists() else "@copilotkit/aimock is not installed: make test-interop does that"


def required() -> bool:
    """Whether a machine without it fails instead of skipping."""
    return "aimock" in os.environ.get("BARGEIN_REQUIRE", "").split(",")


@pytest.fixture(scope="session")
def aimock() -> Iterator[Aimock]:
    """One server for all tests; it keeps no state between connections but how often a fixture was used."""
    if missing():
        pytest.fail(f"BARGEIN_REQUIRE has aimock, but {missing()}")
    environment = {**os.environ, "AIMOCK_API_KEYS": KEY, "NO_COLOR": "1"}
    command = ["node", str(PROGRAM), "--host", "127.0.0.1", "--port", "0", "--fixtures", str(FIXTURES)]
    command += ["--validate-on-load"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield Aimock(_address(process) + "/v1")
        finally:
            process.terminate()


def _address(process: subprocess.Popen[str]) -> str:
    """Where it listens, from what it prints when it does."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        found = re.search(r"listening on (http://127\.0\.0\.1:\d+)", line)
        if found:
            return found[1]
    raise AssertionError(f"aimock ended before it listened: {''.join(said)}")
