"""`bargein doctor` on a real sound server, whose loudspeaker's monitor is a microphone with a known delay."""

from __future__ import annotations

import json
import signal
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.cli import doctor, mend
from engine.cli.main import main
from engine.endpoints.portaudio import DeviceEntry
from engine.errors import DeviceError, MissingExtraError
from tests.cli.harness import Ran, finish, run, start
from tests.device.soundserver import SoundServer
from tests.device.test_content import RATE, write_wav

LOOP = ("--microphone", "vloop", "--loudspeaker", "vspk")


def lines(ran: Ran) -> dict[str, list[dict[str, Any]]]:
    """What it told, by kind."""
    told: dict[str, list[dict[str, Any]]] = {}
    for line in map(json.loads, ran.out.splitlines()):
        told.setdefault(line["type"], []).append(line)
    return told


def as_measured(trial: dict[str, Any]) -> bool:
    """100 ms and a block of 10 were measured as 120.0 by another way; PulseAudio may put whole blocks in between."""
    if trial["found"] != 3:
        return False
    blocks = (trial["round_trip_ms"] - 120.0) / 10.0
    return bool(abs(blocks - round(blocks)) < 0.05 and 100.0 <= trial["round_trip_ms"] < 400.0)


def test_it_finds_the_loop_and_keeps_what_it_found(server: SoundServer, tmp_path: Path) -> None:
    """Three tries: a sound server on a busy machine loses pieces; a wrong measurement would be wrong in each."""
    path = tmp_path / "config" / "bargein" / "bargein.toml"
    environment = {**server.environment, "XDG_CONFIG_HOME": str(tmp_path / "config")}
    for _ in range(3):
        ran = run("doctor", *LOOP, "--json", "--write", env=environment)
        told = lines(ran)
        first, *loaded = told["trial"]
        if as_measured(first):
            break
    assert as_measured(first), first
    assert first["echo_db"] == pytest.approx(0.0, abs=1.0)
    assert first["delay_ms"] == pytest.approx(first["round_trip_ms"] + 2.0, abs=0.5)  # the core's two filters
    assert loaded and all(trial["load"] for trial in loaded)
    if ran.code == 0:  # every setting may lose sound on a machine that has no time at all
        (advice,) = told["advice"]
        (canceller,) = told["canceller"]
        echo = "auto" if canceller["converged"] else "half_duplex"  # of a machine without any time
        assert (advice["microphone"], advice["loudspeaker"], advice["echo"]) == ("vloop", "vspk", echo)
        assert not canceller["converged"] or canceller["erle_db"] > 6.0
        written = tomllib.loads(path.read_text())["device"]
        assert written == {name: value for name, value in advice.items() if name != "type" and value is not None}
        assert any(trial["clean"] and trial["block_ms"] == advice["block_ms"] for trial in loaded)
    else:
        assert "every setting lost sound" in ran.err


def test_a_microphone_that_does_not_hear_the_loudspeaker(server: SoundServer, tmp_path: Path) -> None:
    """As with headphones: the room is heard, the chirps are not."""
    noise = np.random.default_rng(1).normal(0, 100, 60 * RATE).astype(np.int16)
    write_wav(tmp_path / "noise.wav", noise)
    room = server.speak(tmp_path / "noise.wav")
    process = start("doctor", "--microphone", "vmic", "--loudspeaker", "vspk", "--json", env=server.environment)
    ran = finish(process)
    room.terminate()
    room.wait(20)
    told = lines(ran)
    assert told["trial"][0]["found"] == 0
    assert told["trial"][0]["floor_db"] == pytest.approx(20 * np.log10(71 / 32768), abs=2)  # half the band
    assert "with headphones that is as it should be" in told["note"][0]["text"]
    assert all(advice["echo"] == "off" for advice in told.get("advice", []))
    assert ran.code == (0 if "advice" in told else 1)


def test_a_muted_microphone_is_told_with_the_command(server: SoundServer) -> None:
    server.control("set-source-mute", "spk.monitor", "1")
    ran = run("doctor", *LOOP, "--json", env=server.environment)
    assert ran.code == 1
    (problem, *_) = lines(ran)["problem"]
    assert "nothing but zeros" in problem["text"] and "pactl set-source-mute" in problem["text"]
    assert all(advice["echo"] is None for advice in lines(ran).get("advice", []))  # nothing is known of it


def test_a_muted_default_loudspeaker_is_seen_before_anything_is_played(
    server: SoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    assert mend.beforehand(False) == []
    server.control("set-sink-mute", "spk", "1")
    (problem,) = mend.beforehand(False)
    assert "pactl set-sink-mute @DEFAULT_SINK@ 0" in problem
    assert mend.beforehand(True) == []
    server.control(*problem.partition("pactl ")[2].split())  # the command that is named does mend it
    assert mend.beforehand(False) == []


def test_without_a_sound_server_it_says_what_to_do(server: SoundServer) -> None:
    server.kill()
    ran = run("doctor", env=server.environment)
    assert ran.code == 1
    assert "there is no sound device: " in ran.err and "Traceback" not in ran.err


@pytest.mark.parametrize("words", ["opened", "with every processor busy"])
def test_ctrl_c_leaves_nothing_running(server: SoundServer, words: str) -> None:
    process = start("doctor", *LOOP, env={**server.environment, "PYTHONUNBUFFERED": "1"}, stdin=subprocess.DEVNULL)
    assert process.stdout is not None
    line = ""
    while words not in line:
        line = process.stdout.readline()
        assert line, process.communicate()
    process.send_signal(signal.SIGINT)
    ran = finish(process)  # fails when a process of the load is left
    assert ran.code == 130 and ran.own_err == "bargein: stopped\n"


# ---- without sound


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (DeviceError("PortAudio is not installed: apt-get install libportaudio2"), "apt-get install libportaudio2"),
        (MissingExtraError("a sound device", "device"), "pip install 'bargein[device]'"),
    ],
)
def test_what_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], failure: Exception, words: str
) -> None:
    def fails() -> None:
        raise failure

    monkeypatch.setattr(doctor, "devices", fails)
    assert main(["doctor"]) == 1
    told = capsys.readouterr().err
    assert words in told and told.count("\n") == 1


def test_a_busy_device_and_one_that_may_not_be_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    async def busy(*_: object) -> None:
        raise DeviceError("the device refuses int16: it is busy or unplugged; `fuser -v /dev/snd/*` shows who has it")

    (tmp_path / "pcmC0D0p").touch()
    monkeypatch.setattr(mend, "SOUND_FOLDER", tmp_path)
    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setattr(doctor, "attempt", busy)
    entry = DeviceEntry(0, "USB (hw:1,0)", "ALSA", 1, 1, 48000, True, True)
    monkeypatch.setattr(doctor, "devices", lambda: [entry])
    assert main(["doctor", "--microphone", "USB"]) == 1
    told = capsys.readouterr().err
    assert "sudo usermod -aG audio $USER" in told and "fuser -v /dev/snd/*" in told
