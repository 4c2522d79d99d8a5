"""The launcher when another `engine` is in the way, or ours is not whole; in a copy of what a wheel installs."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import bargein
import engine
from tests.cli.harness import Ran, environment, run

PROGRAM = (sys.executable, "-S", "-m", "bargein")  # -S: no .pth files, so only PYTHONPATH says what is found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a wheel would install."""
    site = tmp_path_factory.mktemp("site")
    shutil.copy(bargein.__file__, site)
    source = Path(engine.__file__).parent
    shutil.copytree(source, site / "engine", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    shutil.copy(str(importlib.import_module("engine._native").__file__), site / "engine")
    return site


def launched(*path: Path, cwd: Path, module: str = "bargein") -> Ran:
    libraries = Path(np.__file__).parents[1]
    found = ":".join(map(str, (*path, libraries)))
    return run("version", program=(*PROGRAM[:3], module), cwd=cwd, env=environment(PYTHONPATH=found))


def test_a_whole_installation(site: Path, tmp_path: Path) -> None:
    ran = launched(site, cwd=tmp_path)
    assert (ran.code, ran.out, ran.err) == (0, f"bargein {engine.__version__}\n", "")


@pytest.mark.parametrize("name", ["engine.py", "engine/__init__.py"])
@pytest.mark.parametrize("way", ["current directory", "PYTHONPATH"])
def test_a_strangers_engine_is_named_and_never_run(name: str, way: str, site: Path, tmp_path: Path) -> None:
    stranger = tmp_path / "theirs" / name
    stranger.parent.mkdir(parents=True)
    stranger.write_text("raise SystemExit('the stranger ran')\n")
    theirs = tmp_path / "theirs"
    ran = launched(site, cwd=theirs) if way == "current directory" else launched(theirs, site, cwd=tmp_path)
    assert ran.code == 2 and ran.out == ""
    assert ran.err.startswith(f"bargein: {stranger} is in the way") and ran.err.count("\n") == 1
    assert "rename" in ran.err


def test_a_folder_that_is_no_package_is_not_in_the_way(site: Path, tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    assert launched(site, cwd=tmp_path).code == 0


def test_a_missing_c_core_is_one_line(site: Path, tmp_path: Path) -> None:
    shutil.copytree(site, tmp_path / "site", ignore=shutil.ignore_patterns("*.so"))
    ran = launched(tmp_path / "site", cwd=tmp_path)
    assert ran.code == 2 and "C core" in ran.err and "pip install" in ran.err and ran.err.count("\n") == 1


def test_a_broken_c_core_is_one_line(site: Path, tmp_path: Path) -> None:
    shutil.copytree(site, tmp_path / "site")
    for core in (tmp_path / "site" / "engine").glob("*.so"):
        core.write_bytes(b"not an object file")
    ran = launched(tmp_path / "site", cwd=tmp_path)
    assert ran.code == 2 and "broken" in ran.err and ran.err.count("\n") == 1


def test_a_missing_package_is_one_line(tmp_path: Path) -> None:
    shutil.copy(bargein.__file__, tmp_path)
    ran = launched(tmp_path, cwd=tmp_path)
    assert ran.code == 2 and "missing" in ran.err and ran.err.count("\n") == 1


def test_a_missing_library_is_named(site: Path, tmp_path: Path) -> None:
    (tmp_path / "msgspec.py").write_text("raise ModuleNotFoundError(\"No module named 'msgspec'\", name='msgspec')\n")
    ran = launched(tmp_path, site, cwd=tmp_path)
    assert ran.code == 2 and "msgspec" in ran.err and ran.err.count("\n") == 1
