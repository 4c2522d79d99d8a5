"""Who is here, who must be, and what came out: for the programs of others that these tests run.

`make test-interop` installs them. Where one is not installed its tests are skipped, saying so; or fail, if
BARGEIN_REQUIRE has its name, or that of the registry it comes from: `pip` or `npm`. What takes minutes of real time is
skipped too where BARGEIN_INTEROP is not set, which that target does.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interop.environments import BUILD, Environment, environments

FIXTURES = Path(__file__).parent / "fixtures.json"
KEY = "sk-interop"
OUTCOMES = BUILD / "outcomes.json"


def need(client: Environment) -> None:
    """Skip where it is not installed, or fail where it should be."""
    if client.name != "aimock" and not os.environ.get("BARGEIN_INTEROP"):
        pytest.skip("conversations in real time: make test-interop holds them")
    if missing := client.missing:
        required = {client.name, client.kind} & set(os.environ.get("BARGEIN_REQUIRE", "").split(","))
        (pytest.fail if required else pytest.skip)(f"{client.title}: {missing}")


# ---- @copilotkit/aimock on a loopback port: a server of the GA dialect, of text, tools and transcription by fixture


@dataclass(frozen=True)
class Aimock:
    """A running server: what is given to `engine.connect`."""

    url: str
    key: str = KEY


@pytest.fixture(scope="session")
def aimock() -> Iterator[Aimock]:
    """One server for all tests; it keeps no state between connections but how often a fixture was used."""
    home = environments()["aimock"]
    need(home)
    environment = {**os.environ, "AIMOCK_API_KEYS": KEY, "NO_COLOR": "1"}
    program = home.modules / "@copilotkit" / "aimock" / "dist" / "cli.js"
    command = ["node", str(program), "--host", "127.0.0.1", "--port", "0", "--fixtures", str(FIXTURES)]
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


# ---- what came out, for the matrix


_kept: dict[str, dict[str, str]] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep how each check of each driver ended."""
    found = re.search(r"test_clients\.py::test_(\w+)\[(\S+)\]$", report.nodeid)
    if found and (report.when == "call" or report.outcome != "passed"):
        _kept.setdefault(found[2], {})[found[1]] = report.outcome


def pytest_sessionfinish() -> None:
    """Leave it where `python -m tests.interop.matrix` finds it."""
    if _kept:
        BUILD.mkdir(parents=True, exist_ok=True)
        OUTCOMES.write_text(json.dumps(_kept, indent=1) + "\n", encoding="utf-8")
