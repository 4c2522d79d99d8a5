"""`bargein devices` without sound: what it says when there is nothing, and how it names what there is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.cli import devices
from engine.cli.main import main
from engine.endpoints import Device
from engine.endpoints.portaudio import DeviceEntry
from engine.errors import DeviceError, MissingExtraError

USB = DeviceEntry(0, "USB Audio: - (hw:1,0)", "ALSA", 1, 2, 48000, False, False)
PULSE = DeviceEntry(3, "pulse\x1b[2J", "ALSA", 32, 32, 44100, True, True)


def listing(monkeypatch: pytest.MonkeyPatch, found: list[DeviceEntry] | Exception) -> None:
    def answer() -> list[DeviceEntry]:
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(Device, "list", staticmethod(answer))


def test_a_table_with_names_to_use(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    listing(monkeypatch, [USB, PULSE])
    assert main(["devices"]) == 0
    told = capsys.readouterr()
    head, usb, pulse = told.out.splitlines()
    assert head.split() == ["name", "host", "API", "in", "out", "rate"]
    assert usb.split() == ["USB", "Audio:", "-", "ALSA", "1", "2", "48000", "Hz"]
    assert "default input and output, behind a sound server" in pulse and "\x1b" not in pulse


def test_json_is_a_line_for_each(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    listing(monkeypatch, [USB, PULSE])
    assert main(["devices", "--json"]) == 0
    usb, pulse = map(json.loads, capsys.readouterr().out.splitlines())
    assert (usb["name"], usb["listed"], usb["inputs"]) == ("USB Audio: -", "USB Audio: - (hw:1,0)", 1)
    assert pulse["default_input"] and pulse["hidden"]


@pytest.mark.parametrize(
    ("found", "code", "words"),
    [
        ([], 1, ["no input device:", "no output device:"]),
        ([DeviceEntry(0, "HDMI", "ALSA", 0, 2, 48000, False, True)], 1, ["no input device:"]),
        (DeviceError("PortAudio is not installed: apt-get install libportaudio2"), 1, ["libportaudio2"]),
        (MissingExtraError("a sound device", "device"), 2, ["pip install 'bargein[device]'"]),
    ],
)
def test_what_is_absent_comes_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    found: list[DeviceEntry] | Exception,
    code: int,
    words: list[str],
) -> None:
    listing(monkeypatch, found)
    assert main(["devices"]) == code
    told = capsys.readouterr().err
    assert told.count("\n") == len(words) and all(word in told for word in words)


def test_the_remedy_is_for_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "SOUND_FOLDER", tmp_path)
    nothing = devices.remedy()
    assert "sound card" in nothing
    (tmp_path / "pcmC0D0p").touch()
    assert "aplay -l" in devices.remedy()
    monkeypatch.setattr("os.access", lambda *_: False)
    assert "usermod -aG audio" in devices.remedy()
