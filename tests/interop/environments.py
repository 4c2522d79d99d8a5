"""One throw-away environment per program of others, under build/interop: `python -m tests.interop.environments`.

clients.toml says what is in them. An environment is ready when its stamp names exactly that; it is made anew otherwise.
Standard library and pip only.

    python -m tests.interop.environments            # all that can be made here
    python -m tests.interop.environments openai     # that one; or `pip`, `npm`: all that come from there
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "interop"
PINS = Path(__file__).with_name("clients.toml")
AT_ONCE = 2
INSTALL_S = 600  # against a registry that hangs


@dataclass(frozen=True)
class Environment:
    """What one of them is, and where."""

    name: str
    title: str
    pip: tuple[str, ...] = ()
    npm: tuple[str, ...] = ()
    drivers: tuple[str, ...] = ()
    url: str = ""
    server: tuple[str, ...] = ()
    races: tuple[str, ...] = ()
    dialect: str = ""
    secret: bool = False

    @property
    def kind(self) -> str:
        """Where it comes from: `pip` or `npm`."""
        return "pip" if self.pip else "npm"

    @property
    def folder(self) -> Path:
        """Everything of it."""
        return BUILD / self.name

    @property
    def modules(self) -> Path:
        """Where npm puts packages."""
        return self.folder / "node_modules"

    @property
    def python(self) -> Path:
        """The interpreter that has its packages."""
        return self.folder / "bin" / "python"

    @property
    def stamp(self) -> Path:
        """What was installed: the packages asked for, and every version that this led to."""
        return self.folder / "installed.json"

    @property
    def versions(self) -> list[str]:
        """The packages asked for, as the registries write them."""
        return [*self.pip, *self.npm]

    @property
    def missing(self) -> str:
        """Why it cannot be used, and what to do; "" when it can."""
        if self.npm and shutil.which("node") is None:
            return "node is not installed (Debian: apt-get install nodejs npm)"
        if not self.stamp.exists():
            return f"{' '.join(self.versions)} not installed: make test-interop does that"
        if json.loads(self.stamp.read_text())["asked"] != self.versions:
            return f"another version than {' '.join(self.versions)} is installed: make test-interop changes that"
        return ""

    def make(self) -> str:
        """Install it if it is not there; what went wrong, or ""."""
        if not self.missing:
            return ""
        if self.npm and shutil.which("npm") is None:
            return "npm is not installed (Debian: apt-get install npm)"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        try:
            installed = self._python_packages() if self.pip else self._node_packages()
        except subprocess.CalledProcessError as error:
            said = (error.stderr or error.stdout or "").strip().splitlines() or ["no message"]
            return f"{error.cmd[0]} failed: {said[0 if self.npm else -1]}"
        except subprocess.TimeoutExpired:
            return f"no answer from the registry within {INSTALL_S} s"
        self.stamp.write_text(json.dumps({"asked": self.versions, "installed": installed}, indent=1) + "\n")
        return ""

    def _python_packages(self) -> dict[str, str]:
        venv.create(self.folder, symlinks=True)
        # This Python's pip does it: to put one into every environment takes longer than most packages do.
        pip = [sys.executable, "-m", "pip", "--python", str(self.python), "--disable-pip-version-check"]
        _run([*pip, "install", "-q", "--retries", "2", "--no-compile", *self.pip])
        return {found["name"]: found["version"] for found in json.loads(_run([*pip, "list", "--format=json"]))}

    def _node_packages(self) -> dict[str, str]:
        where = ["--prefix", str(self.folder)]
        quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", "--fetch-retries=1"]
        (self.folder / "package.json").write_text('{"private": true}\n')
        _run(["npm", "install", *where, *quiet, "--no-package-lock", *self.npm])
        listed = json.loads(_run(["npm", "ls", *where, "--json", "--all"]))
        return dict(_versions(listed.get("dependencies", {})))


def _versions(tree: dict[str, Any]) -> list[tuple[str, str]]:
    found = []
    for name, package in sorted(tree.items()):
        if "version" in package:  # an optional one that is not for this machine has none
            found += [*_versions(package.get("dependencies", {})), (name, str(package["version"]))]
    return found


def _run(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_S).stdout


def environments() -> dict[str, Environment]:
    """All that clients.toml names."""
    pins = tomllib.loads(PINS.read_text(encoding="utf-8"))
    made = {}
    for name, table in pins.items():
        for pin in (*table.get("pip", ()), *table.get("npm", ())):
            assert re.search(r"[=@]\d[\w.]*$", pin), f"{PINS.name}: {pin} of {name} has no version"
        made[name] = Environment(name, **{key: _frozen(value) for key, value in table.items()})
    return made


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def main(names: Sequence[str]) -> int:
    """Make them; those that cannot be made are told, and their tests skipped."""
    known = environments()
    wanted = [found for found in known.values() if not names or found.name in names or found.kind in names]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for environment, problem in zip(wanted, pool.map(Environment.make, wanted), strict=True):
            print(f"{environment.title}: {problem or 'ready'}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
