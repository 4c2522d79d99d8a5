"""Settings written into bargein.toml; what stands there besides, comments too, stays as it is."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.cli import config
from engine.errors import ConfigError

SECTION = re.compile(r"\s*\[([^\[\]]+)\]")


def write(path: Path, values: Mapping[str, Any]) -> None:
    """Set keys ("device.block_ms") in the file, which is made if need be, whole or not at all. Raises `ConfigError`."""
    lines: list[str] = []
    try:
        if path.exists():
            config.read(path)
            lines = path.read_text(encoding="utf-8").splitlines()
        wanted = "\n".join(_changed(lines, values)) + "\n"
        _check(wanted, "\n".join(lines), values)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.write_text(wanted, encoding="utf-8")
        if path.exists():
            beside.chmod(path.stat().st_mode)
        beside.replace(path)
    except OSError as error:
        raise ConfigError(f"{str(path)!r} cannot be written ({error.strerror}): {_by_hand(values)}") from None


def _changed(lines: list[str], values: Mapping[str, Any]) -> list[str]:
    out = list(lines)
    for name, value in values.items():
        section, _, key = name.partition(".")
        line = f"{key} = {config.to_toml(value)}"
        first, last = _section(out, section)
        if first is None:
            out += ([""] if out and out[-1].strip() else []) + [f"[{section}]", line]
            continue
        same = [row for row in range(first, last) if re.match(rf"\s*{re.escape(key)}\s*=", out[row])]
        if same:
            comment = re.search(r"\s+#[^\"']*$", out[same[0]])
            out[same[0]] = line + (comment.group() if comment else "")
        else:
            while last > first and not out[last - 1].strip():
                last -= 1
            out.insert(last, line)
    return out


def _section(lines: list[str], wanted: str) -> tuple[int | None, int]:
    """The lines of a section: first after its head, and the one after its last."""
    first: int | None = None
    for row, line in enumerate(lines):
        found = SECTION.match(line)
        if first is not None and (found or line.lstrip().startswith("[[")):
            return first, row
        if found and found.group(1).strip() == wanted:
            first = row + 1
    return first, len(lines)


def _check(after: str, before: str, values: Mapping[str, Any]) -> None:
    """What was to change has, and nothing else."""
    try:
        new, old = tomllib.loads(after), tomllib.loads(before)
    except tomllib.TOMLDecodeError:
        raise ConfigError(f"the file is written in a way that cannot be changed here: {_by_hand(values)}") from None
    for name, value in values.items():
        section, _, key = name.partition(".")
        if new.get(section, {}).pop(key, None) != value:
            raise ConfigError(f"the file is written in a way that cannot be changed here: {_by_hand(values)}")
        old.get(section, {}).pop(key, None)
    if {name: inner for name, inner in new.items() if inner} != {name: inner for name, inner in old.items() if inner}:
        raise ConfigError(f"the file is written in a way that cannot be changed here: {_by_hand(values)}")


def _by_hand(values: Mapping[str, Any]) -> str:
    return "set by hand " + ", ".join(f"{name} = {config.to_toml(value)}" for name, value in values.items())
