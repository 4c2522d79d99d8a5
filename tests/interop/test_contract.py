"""The official package's own tests of its requests, with our server in the place of theirs.

They lie in its source distribution, not in the package: fetched by the pinned version into a temporary folder, run
there and thrown away. They say that our answers are of the right types; what is in them, tests/server/web says.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.conftest import need
from tests.interop.environments import Environment, environments
from tests.interop.matrix import CONTRACT, LEFT_OUT, OWN_TESTS
from tests.interop.world import served

FETCH_S = 300  # against a registry that hangs
RUN_S = 300


@pytest.fixture(scope="module")
def client() -> Environment:
    """Where the package and what its tests need is installed."""
    home = environments()["contract"]
    need(home)
    return home


@pytest.fixture(scope="module")
def sources(client: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the source distribution."""
    place = tmp_path_factory.mktemp("contract")
    pin = re.sub(r"\[.*\]", "", client.pip[0])  # without extras
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-q", "--retries", "2"]
    fetch = [*pip, "--no-deps", "--no-binary", "openai", "--dest", str(place), pin]
    try:
        subprocess.run(fetch, check=True, capture_output=True, text=True, timeout=FETCH_S)
    except (subprocess.SubprocessError, OSError) as error:
        required = "pip" in os.environ.get("BARGEIN_REQUIRE", "").split(",")
        (pytest.fail if required else pytest.skip)(f"the sources of {pin} cannot be had: {error}")
    (archive,) = place.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(place, filter="data")
    return next(folder for folder in place.iterdir() if folder.is_dir())


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """Where our server's REST endpoints are."""
    with served("--front", "asgi") as url:
        yield url.replace("ws://", "http://").removesuffix("/realtime")


@pytest.mark.parametrize(
    "file", [*OWN_TESTS, *(pytest.param(file, marks=pytest.mark.skip(reason=why)) for file, why in LEFT_OUT.items())]
)
def test_their_own_tests_pass(file: str, client: Environment, sources: Path, base: str) -> None:
    # Their own configuration asks for plugins that these tests do without.
    configuration = sources / "ours.ini"
    configuration.write_text("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = session\n")
    command = [str(client.python), "-m", "pytest", "-q", "-c", str(configuration), "--rootdir", str(sources)]
    ran = subprocess.run(
        [*command, "-p", "no:cacheprovider", f"tests/api_resources/{file}"],
        cwd=sources,
        env={**os.environ, "TEST_API_BASE_URL": base},
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-4000:]
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert passed is not None
    known = json.loads(CONTRACT.read_text(encoding="utf-8")) if CONTRACT.exists() else {}
    CONTRACT.write_text(json.dumps({**known, file: int(passed[1])}) + "\n", encoding="utf-8")
