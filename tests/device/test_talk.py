"""`bargein talk` through a real sound server: on a terminal, without one, and through what goes wrong."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.harness import finish, run, start
from tests.device.soundserver import SoundServer
from tests.device.test_content import RATE, write_wav
from tests.device.test_conversation import DATA, caller

SEED = 20251120
MOMENTS_S = [round(random.Random(SEED).uniform(0, 2.5), 3) for _ in range(6)]
TALK = ("talk", "--microphone", "vmic", "--loudspeaker", "vspk", "--server", "inside")
DEMO = ("--responder", f"script:{DATA / 'demo.yaml'}")


def first_line(process: subprocess.Popen[str], words: str) -> str:
    """Wait for this on stderr."""
    assert process.stderr is not None
    line = ""
    while words not in line:
        line = process.stderr.readline()
        assert line, f"ended with {process.wait()} before {words!r}"
    return line


def pause(seconds: float) -> None:
    signal.sigtimedwait([], seconds)


# ---- without a terminal


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_service_talks_in_lines_and_leaves_with_0(
    server: SoundServer, tmp_path: Path, number: signal.Signals
) -> None:
    write_wav(tmp_path / "caller.wav", caller()[: 3 * RATE])
    process = start(*TALK, *DEMO, "--json", env=server.environment, stdin=subprocess.DEVNULL)
    assert "talking through vmic and vspk with server inside, script" in first_line(process, "talking")
    speaking = server.speak(tmp_path / "caller.wav")
    assert process.stdout is not None
    turn = json.loads(process.stdout.readline())
    assert (turn["type"], turn["role"]) == ("turn", "user")
    process.send_signal(number)
    ran = finish(process)
    speaking.terminate()
    speaking.wait(20)
    assert ran.code == 0, ran
    last = json.loads(ran.out.splitlines()[-1])
    assert last["type"] == "summary" and last["seconds"] > 0
    assert ran.own_err == ""


@pytest.mark.parametrize("moment", range(len(MOMENTS_S)))
def test_a_signal_at_any_moment_leaves_cleanly(server: SoundServer, moment: int) -> None:
    process = start(*TALK, env=server.environment, stdin=subprocess.DEVNULL)
    pause(MOMENTS_S[moment])
    process.send_signal(signal.SIGINT if moment % 2 else signal.SIGTERM)
    ran = finish(process)  # no traceback, nothing left running
    assert ran.code in (0, 130, 143), ran


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--microphone", "nobody"), "no 'nobody' among the input devices"),
        (("--loudspeaker", "nob*y"), "no 'nob*y' among the output devices"),
    ],
)
def test_a_device_that_is_not_there_costs_nothing(server: SoundServer, arguments: tuple[str, ...], words: str) -> None:
    ran = run("talk", *arguments, "--server", "ws://127.0.0.1:1/v1/realtime", env=server.environment)
    assert ran.code == 1 and ran.own_err.count("\n") == 1 and words in ran.err  # the server was not even called


def test_without_any_device_it_says_so(server: SoundServer) -> None:
    server.kill()
    ran = run("talk", "--server", "inside", env=server.environment)
    assert ran.code == 1 and ran.own_err.count("\n") == 1 and "is a sound server running?" in ran.err


def test_a_server_that_is_not_there(server: SoundServer) -> None:
    arguments = [*TALK[:5], "--server", "ws://127.0.0.1:1/v1/realtime"]
    ran = run(*arguments, env=server.environment, stdin=subprocess.DEVNULL)
    assert ran.code == 1 and ran.own_err.count("\n") == 1


def test_settings_come_from_the_file(server: SoundServer, tmp_path: Path) -> None:
    path = tmp_path / "bargein.toml"
    path.write_text('[device]\nmicrophone = "vmic"\nloudspeaker = "vspk"\n[server]\nurl = "inside"\n')
    process = start("talk", env={**server.environment, "BARGEIN_CONFIG": str(path)}, stdin=subprocess.DEVNULL)
    assert "vmic and vspk" in first_line(process, "talking")
    process.terminate()
    assert finish(process).code == 0


def test_half_duplex_does_not_hear_itself(server: SoundServer, tmp_path: Path) -> None:
    """The microphone is the loudspeaker's own monitor: a reply would interrupt itself for ever."""
    question = np.concatenate([caller()[: 3 * RATE], np.zeros(RATE, np.int16)])
    write_wav(tmp_path / "question.wav", question)
    arguments = ("--microphone", "vloop", "--loudspeaker", "vspk", "--server", "inside", *DEMO, "--echo", "half_duplex")
    process = start("talk", *arguments, "--json", env=server.environment, stdin=subprocess.DEVNULL)
    first_line(process, "talking")
    playing = subprocess.Popen(["paplay", "-d", "spk", str(tmp_path / "question.wav")], env=server.environment)
    assert process.stdout is not None
    turns: list[dict[str, Any]] = []
    while not any(turn["role"] == "assistant" for turn in turns):
        turns.append(json.loads(process.stdout.readline()))
    playing.wait(20)
    process.terminate()
    assert finish(process).code == 0
    reply = turns[-1]
    assert not reply["interrupted"] and reply["played_ms"] == reply["received_ms"] > 5000


# ---- on a terminal

pytest.importorskip("pyte", reason="pyte is absent")
pytest.importorskip("rich", reason="the extra `talk` is absent")

from tests.cli.terminal import OnTerminal  # noqa: E402


@pytest.fixture
def talk(server: SoundServer) -> Iterator[OnTerminal]:
    with OnTerminal(*TALK, *DEMO, environment=server.environment) as terminal:
        terminal.shows("listening", "vmic", "vspk", "q  quit")
        yield terminal


def test_keys_act_and_q_gives_the_terminal_back(talk: OnTerminal) -> None:
    talk.press("m")
    talk.shows("● muted", "unmute")
    talk.press("m")
    talk.shows("● listening")
    talk.press("h")
    talk.shows("● on hold", "resume")
    talk.press("h")
    talk.shows("● listening")
    talk.press("--")
    talk.shows("volume 80 %")
    talk.press("+")
    talk.shows("volume 90 %")
    talk.press("\x1b[Ai")  # an arrow, and an interruption of nothing
    talk.press("q")
    assert talk.end() == 0
    assert talk.given_back
    assert b"0 replies" in talk.written and b"Traceback" not in talk.written


def test_a_conversation_on_the_screen(talk: OnTerminal, server: SoundServer, tmp_path: Path) -> None:
    write_wav(tmp_path / "caller.wav", caller())
    talk.resize(100, 40)
    speaking = server.speak(tmp_path / "caller.wav")
    talk.shows("hearing you")
    talk.shows("speaking", "it   Good morning.")
    talk.shows("interrupted after", "twenty to five")
    talk.until(lambda text: text.count("you  (speech)") == 2, "two turns of the user")
    talk.shows(" ms ✂", "2 responses")
    assert speaking.wait(60) == 0
    talk.press("q")
    assert talk.end() == 0 and talk.given_back


@pytest.mark.parametrize("moment", range(4))
def test_ctrl_c_gives_the_terminal_back_at_any_moment(server: SoundServer, moment: int) -> None:
    with OnTerminal(*TALK, environment=server.environment) as terminal:
        end = time.monotonic() + MOMENTS_S[moment]
        while time.monotonic() < end:
            terminal.follow(0.02)
        terminal.press("\x03")
        assert terminal.end() in (0, 130, -signal.SIGINT)  # the last: Python itself had not begun
        assert terminal.given_back or b"\x1b[?1049h" not in terminal.written
        assert "Traceback" not in terminal.text


def test_a_device_that_dies_is_shown_and_comes_back(talk: OnTerminal, server: SoundServer) -> None:
    server.kill()
    talk.shows("device lost", "lost:")
    server.start()
    talk.shows("● listening", "back after")
    talk.press("q")
    assert talk.end() == 0 and talk.given_back


def test_a_server_that_goes_and_comes_back_is_shown(server: SoundServer) -> None:
    first = start("serve", "--port", "0")
    assert first.stdout is not None
    url = first.stdout.readline().split()[-1]
    port = url.split(":")[2].split("/")[0]
    with OnTerminal(*TALK[:5], "--server", url, environment=server.environment) as terminal:
        terminal.shows("● listening", "127.0.0.1")
        first.kill()
        finish(first)
        terminal.shows("● reconnecting", "opening it again")
        again = start("serve", "--port", port)
        terminal.shows("● listening", "connected again")
        terminal.press("q")
        assert terminal.end() == 0 and terminal.given_back
    again.terminate()
    assert finish(again).code == 0


def test_push_to_talk(server: SoundServer, tmp_path: Path) -> None:
    write_wav(tmp_path / "question.wav", caller()[: 4 * RATE])
    with OnTerminal(*TALK, *DEMO, "--push-to-talk", environment=server.environment) as terminal:
        terminal.shows("● muted")
        terminal.press(" ")
        terminal.shows("● hearing you", "send")
        assert server.speak(tmp_path / "question.wav").wait(30) == 0
        terminal.press(" ")
        terminal.shows("it   Good morning.")
        terminal.press(" ")  # interrupts; and at once, with nothing said
        terminal.shows("interrupted after")
        terminal.press("q")
        assert terminal.end() == 0 and terminal.given_back


def test_a_terminal_that_takes_nothing_does_not_stop_the_talk(server: SoundServer, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    with OnTerminal(*TALK, "--events", events, environment=server.environment) as terminal:
        terminal.shows("listening")
        size = events.stat().st_size
        for _ in range(200):  # meanwhile nobody reads what it draws, and it makes it draw
            terminal.press("m")
            terminal.resize(80 + _ % 2, 24)
            pause(0.02)
        while events.stat().st_size < size + 100_000:  # two seconds of sound and more went on being sent
            assert terminal.process.poll() is None
            pause(0.05)
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.process.wait(30) == 0


def test_suspended_and_resumed(talk: OnTerminal) -> None:
    talk.press("\x1a")
    state = Path(f"/proc/{talk.process.pid}/stat")
    while state.read_text().rpartition(")")[2].split()[0] != "T":
        talk.follow(0.05)
    while not talk.given_back:
        talk.follow(0.05)
    os.kill(talk.process.pid, signal.SIGCONT)
    talk.screen.reset()
    talk.shows("● listening", "q  quit")
    talk.press("q")
    assert talk.end() == 0 and talk.given_back


def test_a_terminal_that_goes_away_ends_it(server: SoundServer) -> None:
    """As when the line of ssh breaks: the device is given back, nothing is left running."""
    with OnTerminal(*TALK, environment=server.environment) as terminal:
        terminal.shows("listening")
        terminal.hang_up()
        assert terminal.process.wait(30) == 0


def test_without_rich_there_are_lines_and_a_word_about_it(server: SoundServer, tmp_path: Path) -> None:
    (tmp_path / "rich.py").write_text("")  # in place of the package
    environment = {**server.environment, "PYTHONPATH": str(tmp_path)}
    with OnTerminal(*TALK, environment=environment) as terminal:
        terminal.shows("needs the extra 'talk'", "here are lines", "talking through vmic")
        terminal.press("q")
        assert terminal.end() == 0


def test_any_size_of_window(talk: OnTerminal) -> None:
    talk.resize(130, 40)
    talk.until(lambda text: " quit" in text.splitlines()[39], "the keys on the last line")
    talk.resize(30, 5)
    talk.shows("make the terminal")
    talk.resize(80, 24)
    talk.shows("q  quit", "conversation")
    talk.press("q")
    assert talk.end() == 0


def test_plain_on_a_terminal_has_keys_too(server: SoundServer) -> None:
    with OnTerminal(*TALK, "--plain", environment=server.environment) as terminal:
        terminal.shows("talking through")
        assert b"\x1b[?1049h" not in terminal.written
        terminal.press("q")
        assert terminal.end() == 0
