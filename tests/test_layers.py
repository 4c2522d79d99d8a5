"""The rooms of the package and who may import whom, held by reading every import, also those inside functions."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# cli > calls > front > {conversation, server} > {endpoints, transport, rest} > media > {audio, realtime} > service
#     > {native, clock, errors}
FLOORS: tuple[frozenset[str], ...] = (
    frozenset({"_native"}),
    frozenset({"native", "clock", "errors"}),
    frozenset({"service"}),
    frozenset({"audio", "realtime"}),
    frozenset({"media"}),
    frozenset({"endpoints", "transport", "rest"}),
    frozenset({"conversation", "server"}),
    frozenset({"front"}),
    frozenset({"calls"}),  # answering the telephone: rest and front joined
    frozenset({"engine"}),  # the package front: a table of contents over all of them
    frozenset({"cli"}),
    frozenset({"__main__"}),  # starts cli
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
OUTSIDE = frozenset({"_build"})  # runs in the build, before there is a package: imports nothing of it
C_DOOR = ("cffi", "_cffi_backend")
NOT_IN_REALTIME = ("asyncio", "socket", "time", "random", "numpy", "threading", "selectors", "ssl", "websockets")


def modules(package: Path) -> Iterator[tuple[str, str, Path]]:
    """Room, module name and file of everything in the package."""
    for path in sorted(package.rglob("*.py")):
        parts = list(path.relative_to(package).with_suffix("").parts)
        name = ".".join([package.name, *parts]).removesuffix(".__init__")
        room = package.name if parts == ["__init__"] else parts[0]
        yield room, name, path


def imports(name: str, path: Path) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything a module imports, `from a import b` as a.b."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"
        elif isinstance(node, ast.Call) and called(node) in {"import_module", "__import__"} and node.args:
            argument = node.args[0]
            yield node.lineno, str(argument.value) if isinstance(argument, ast.Constant) else "engine"


def called(node: ast.Call) -> str:
    """The last name of what is called."""
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def target(imported: str, package: str) -> str | None:
    """The room an import reaches: None outside the package, the package's own name for what its front gives."""
    parts = imported.split(".")
    if parts[0] != package:
        return None
    return parts[1] if len(parts) > 1 and (parts[1] in FLOOR or parts[1] in OUTSIDE) else package


def problems(package: Path) -> list[str]:
    """Every import against the arrows, and every room that is not on the map."""
    found = []
    for room, name, path in modules(package):
        if room not in FLOOR and room not in OUTSIDE:
            found.append(f"{name}: room {room!r} is not on the map of tests/test_layers.py and the architecture page")
            continue
        for line, imported in imports(name, path):
            where = f"{name}:{line} imports {imported}"
            top = imported.split(".")[0]
            if top in C_DOOR and room not in {"native", *OUTSIDE}:
                found.append(f"{where}: only native knows the C core")
            if room == "realtime" and top in NOT_IN_REALTIME:
                found.append(f"{where}: the protocol has no clock, socket, chance or samples")
            reached = target(imported, package.name)
            if reached is None or reached == room:
                continue
            if reached == "_native" and room != "native":
                found.append(f"{where}: only native knows the C core")
            elif room in OUTSIDE or reached in OUTSIDE:
                found.append(f"{where}: the build and the package do not import one another")
            elif FLOOR[reached] >= FLOOR[room]:
                found.append(f"{where}: {reached} is not below {room}")
    return found


def test_every_room_imports_only_rooms_below_it() -> None:
    assert problems(ROOT / "engine") == []


def test_the_package_was_found() -> None:
    rooms = {room for room, _, _ in modules(ROOT / "engine")}
    assert {
        "engine",
        "front",
        "conversation",
        "server",
        "endpoints",
        "transport",
        "rest",
        "audio",
        "realtime",
        "native",
    } <= rooms


@pytest.mark.parametrize(
    ("file", "source", "complaint"),
    [
        ("audio/x.py", "from engine.transport import pair", "transport is not below audio"),
        ("audio/x.py", "import engine.realtime", "realtime is not below audio"),
        ("audio/x.py", "def f():\n    from engine import server", "server is not below audio"),
        ("audio/x.py", "import engine", "engine is not below audio"),
        ("audio/x.py", "from engine import connect", "engine is not below audio"),
        ("audio/x.py", "from ..realtime import wire", "realtime is not below audio"),
        ("audio/x.py", "from .. import front", "front is not below audio"),
        ("audio/x.py", "import cffi", "only native knows the C core"),
        ("audio/x.py", "from engine import _native", "only native knows the C core"),
        ("audio/x.py", "import importlib\nimportlib.import_module('engine.front')", "front is not below audio"),
        ("conversation/x.py", "from engine.server import serve", "server is not below conversation"),
        ("server/x.py", "from engine.conversation import Turn", "conversation is not below server"),
        ("endpoints/x.py", "from engine.transport.memory import pair", "transport is not below endpoints"),
        ("rest/x.py", "from engine.transport import pair", "transport is not below rest"),
        ("media/x.py", "from engine.endpoints import WavFile", "endpoints is not below media"),
        ("native.py", "from engine.errors import ConfigError", "errors is not below native"),
        ("realtime/x.py", "def f():\n    import time", "no clock"),
        ("realtime/x.py", "import numpy as np", "no clock"),
        ("_build.py", "from engine import errors", "do not import one another"),
        ("surprise/x.py", "", "'surprise' is not on the map"),
    ],
)
def test_the_check_finds_a_planted_violation(tmp_path: Path, file: str, source: str, complaint: str) -> None:
    path = tmp_path / "engine" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    found = problems(tmp_path / "engine")
    assert len(found) == 1
    assert complaint in found[0]


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("front.py", "from engine import server\nfrom engine.conversation import converse"),
        ("cli/x.py", "import engine\nfrom engine import server, front\nfrom engine.endpoints.wav import read_wav"),
        ("audio/x.py", "from engine.native import lib\nfrom . import y\nfrom .y import z\nimport numpy, threading"),
        ("native.py", "from engine import _native"),
        ("_build.py", "import cffi"),
    ],
)
def test_the_check_lets_the_arrows_pass(tmp_path: Path, file: str, source: str) -> None:
    path = tmp_path / "engine" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    assert problems(tmp_path / "engine") == []


HEAVY = (
    "sounddevice", "_sounddevice", "soxr", "matplotlib", "yaml", "espeakng_loader", "scipy", "openai", "httpx2",
    "engine.rest", "engine.calls", "engine.realtime.types", "engine.realtime.rules",
    "websockets.server", "websockets.asyncio.server", "websockets.sync.server", "websockets.legacy",
    "engine.server", "engine.cli", "engine.__main__",
)  # fmt: skip


def test_importing_the_package_brings_in_no_extra_and_no_server() -> None:
    script = f"import sys, engine; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
