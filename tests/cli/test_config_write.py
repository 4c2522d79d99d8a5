"""Settings written into a file that somebody has written by hand."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from engine.cli.config_write import write
from engine.errors import ConfigError

VALUES = {"device.microphone": 'a "USB" \\ mic', "device.block_ms": 10.0, "device.echo": "aec"}


@pytest.mark.parametrize(
    "before",
    [
        "",
        "# mine\n",
        '[session]\nvoice = "marin" # nice\n',
        '[device]\nmicrophone = "old" # on the desk\nrate = 48000\n\n[session]\nvoice = "marin"\n',
        "[device]\n\n\n[talk]\nplain = true",
        "[ device ]\nblock_ms=5\n",
    ],
)
def test_only_these_keys_change(tmp_path: Path, before: str) -> None:
    path = tmp_path / "deep" / "bargein.toml"
    if before:
        path.parent.mkdir()
        path.write_text(before)
    write(path, VALUES)
    after = path.read_text()
    wanted: dict[str, Any] = tomllib.loads(before)
    wanted["device"] = {**wanted.get("device", {}), **{name.partition(".")[2]: value for name, value in VALUES.items()}}
    assert tomllib.loads(after) == wanted
    for comment in ("# mine", "# nice", "# on the desk"):
        assert (comment in after) == (comment in before)
    write(path, VALUES)
    assert path.read_text() == after  # once more changes nothing
    assert [each.name for each in path.parent.iterdir()] == ["bargein.toml"]


@pytest.mark.parametrize(
    "before",
    ['device = {microphone = "x"}\n', 'device.microphone = "x"\n', '[device]\nmicrophone = """\nx"""\n'],
)
def test_what_cannot_be_changed_is_left_alone_and_said(tmp_path: Path, before: str) -> None:
    path = tmp_path / "bargein.toml"
    path.write_text(before)
    with pytest.raises(ConfigError, match=r"set by hand device.microphone = .*device.block_ms = 10"):
        write(path, VALUES)
    assert path.read_text() == before


def test_a_file_that_is_wrong_already_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "bargein.toml"
    path.write_text("nonsense = 1\n")
    with pytest.raises(ConfigError, match="nonsense"):
        write(path, VALUES)
    assert path.read_text() == "nonsense = 1\n"


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot be written .*set by hand"):
        write(tmp_path / "file" / "bargein.toml", VALUES)
