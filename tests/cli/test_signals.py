"""Ctrl-C and SIGTERM at any moment: the exit code, whole files, no traceback, nothing left running."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import servers
from tests.cli.harness import CALLER, Ran, finish, heard, run, start

SEED = 20250611
MOMENTS_S = [round(random.Random(SEED).uniform(0, 1.5), 3) for _ in range(6)]


def pause(seconds: float) -> None:
    """Let the program go on for a while; nothing is asserted about how far it comes."""
    signal.sigtimedwait([], seconds)


def stopped_after(process: subprocess.Popen[str], line: str, seconds: float, number: signal.Signals) -> Ran:
    """Send a signal `seconds` after a line with `line` came on stderr."""
    assert process.stderr is not None
    before = ""
    while line not in before:
        before = process.stderr.readline()
        assert before, f"ended with {process.wait()} before {line!r}"
    pause(seconds)
    process.send_signal(number)
    return finish(process)


@pytest.mark.parametrize("moment", range(len(MOMENTS_S)))
def test_a_file_stops_in_order_at_any_moment(moment: int, tmp_path: Path) -> None:
    number = signal.SIGTERM if moment % 3 == 2 else signal.SIGINT
    outputs = [tmp_path / "out.wav", tmp_path / "both.wav"]
    events = tmp_path / "events.jsonl"
    process = start("file", CALLER, "--out", outputs[0], "--conversation", outputs[1], "--events", events)
    ran = stopped_after(process, "the server inside answers", MOMENTS_S[moment], number)
    assert ran.code == 128 + number, ran
    assert ran.err.splitlines() == ["bargein: stopped"]
    for path in outputs:
        if path.exists():  # else it had not come so far
            heard(path)  # the header's lengths fit the file
    if events.exists() and events.stat().st_size:
        assert events.read_bytes().endswith(b"}\n")


@pytest.mark.parametrize("moment", range(3))
def test_a_file_in_virtual_time_stops_in_order(moment: int, tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    process = start("file", CALLER, "--fast", "--out", out)
    ran = stopped_after(process, "the server inside answers", MOMENTS_S[moment] / 10, signal.SIGINT)
    assert ran.code in (0, 130), ran  # it may have been quicker
    if out.exists():
        heard(out)


def test_ctrl_c_while_the_answer_is_heard(tmp_path: Path) -> None:
    """In the middle of a conversation: the recording has what was heard so far."""
    out = tmp_path / "out.wav"
    with servers.running(servers.ours()) as url:
        process = start("file", CALLER, "--server", url, "--out", out, "--fast")
        while not (out.exists() and out.stat().st_size > 48_000):  # a second of sound
            assert process.poll() is None
            pause(0.02)
        process.send_signal(signal.SIGINT)
        ran = finish(process)
    assert ran.code == 130
    assert len(heard(out)) >= 23_000


@pytest.mark.parametrize("line", ["engine.errors", "engine.native", "engine.front", "engine.cli.main"])
def test_ctrl_c_while_the_program_is_loading(line: str) -> None:
    process = start("file", CALLER, program=(sys.executable, "-X", "importtime", "-m", "bargein"))
    ran = stopped_after(process, line, 0, signal.SIGINT)
    assert ran.code == 130
    assert "KeyboardInterrupt" not in ran.err


def test_ctrl_c_while_a_server_does_not_answer() -> None:
    with servers.running(servers.tcp(b"", stay=True)) as url:
        process = start("file", CALLER, "--fast", "--server", url)
        ran = stopped_after(process, "4 times real time", 0.3, signal.SIGINT)
    assert ran.code == 130 and ran.err == "bargein: stopped\n"


def test_ctrl_c_while_a_session_does_not_begin() -> None:
    with servers.running(servers.websocket(servers.listen_on)) as url:
        process = start("file", CALLER, "--fast", "--server", url)
        ran = stopped_after(process, "4 times real time", 0.3, signal.SIGINT)
    assert ran.code == 130 and ran.err == "bargein: stopped\n"


def test_ctrl_c_twice_is_as_good_as_once(tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    process = start("file", CALLER, "--out", out)
    while not out.exists():
        assert process.poll() is None
        pause(0.02)
    pause(0.1)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    ran = finish(process)
    assert ran.code == 130
    heard(out)


@pytest.mark.parametrize("moment", range(2))
def test_the_demo_stops_too(moment: int, tmp_path: Path) -> None:
    number = (signal.SIGINT, signal.SIGTERM)[moment]
    process = start("demo", "--out", tmp_path)
    assert process.stdout is not None
    assert "caller" in process.stdout.readline()
    pause(MOMENTS_S[moment])
    process.send_signal(number)
    ran = finish(process)
    assert ran.code == 128 + number and ran.err == "bargein: stopped\n"
    if (tmp_path / "conversation.wav").exists():
        heard(tmp_path / "conversation.wav")


@pytest.mark.parametrize("moment", range(3))
def test_a_server_with_a_conversation_stops_with_0(moment: int, tmp_path: Path) -> None:
    server = start("serve", "--port", 0, "--drain", 0, "--log", "none")
    assert server.stdout is not None
    url = server.stdout.readline().split()[2]
    client = start("file", CALLER, "--fast", "--server", url, "--out", tmp_path / "out.wav")
    pause(MOMENTS_S[moment])
    server.send_signal(signal.SIGINT if moment % 2 else signal.SIGTERM)
    ended = finish(server)
    assert (ended.code, ended.err) == (0, "")
    ran = finish(client)
    assert ran.code == 1 and len(ran.complaints) == 2, ran


def test_a_server_that_is_stopped_while_it_starts_is_gone() -> None:
    process = start("serve", "--port", 0, program=(sys.executable, "-X", "importtime", "-m", "bargein"))
    ran = stopped_after(process, "engine.server.websocket", 0, signal.SIGINT)
    assert ran.code in (0, 130)


def test_nothing_is_said_about_a_signal_after_the_end() -> None:
    assert run("version").err == ""
