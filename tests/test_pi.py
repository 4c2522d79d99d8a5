"""examples/pi: the unit is one that systemd can read, and the settings are ones that bargein knows."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.cli import config
from engine.cli.main import parser

PI = Path(__file__).resolve().parents[1] / "examples" / "pi"


def unit() -> configparser.ConfigParser:
    read = configparser.ConfigParser(strict=True, interpolation=None)
    read.optionxform = str  # type: ignore[assignment,method-assign]
    read.read_string((PI / "bargein-talk.service").read_text())
    return read


def test_the_service_may_be_real_time_and_starts_a_command_that_is_there() -> None:
    service = unit()["Service"]
    assert (service["LimitRTPRIO"], service["LimitMEMLOCK"], service["Restart"]) == ("95", "infinity", "on-failure")
    _, *arguments = service["ExecStart"].split()
    assert parser().parse_args(arguments).plain
    assert unit()["Install"]["WantedBy"] == "multi-user.target"


def test_systemd_agrees(tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is absent")
    text = (PI / "bargein-talk.service").read_text().replace("/opt/bargein/bin/bargein", "/bin/true")
    (tmp_path / "bargein-talk.service").write_text(text)
    command = [tool, "verify", str(tmp_path / "bargein-talk.service")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "bargein-talk.service" not in done.stderr, done.stderr


def test_its_settings_are_known() -> None:
    assert config.read(PI / "bargein.toml")["device.microphone"] == "USB*"


def test_what_the_page_says_to_type_is_there() -> None:
    page = (PI / "README.md").read_text()
    for name in ("bargein-talk.service", "bargein.toml"):
        assert name in page and (PI / name).exists()
