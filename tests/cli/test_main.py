"""Arguments, help, environment, keys, and output that nobody reads."""

from __future__ import annotations

import os
import subprocess
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

import engine
from engine.cli import file
from engine.cli.main import main, parser, plain
from engine.errors import ConfigError
from tests.cli import servers
from tests.cli.harness import BARGEIN, environment, finish, question, run, silence, start, wav


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "command",
    ["demo", "file", "talk", "transcribe", "devices", "doctor", "config", "serve", "secret", "call", "version"],
)
def test_every_command_has_help_with_exit_codes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    told = capsys.readouterr()
    assert "exit codes:" in told.out and told.err == ""
    assert "examples:" in told.out or command == "version"


def test_help_of_the_program() -> None:
    ran = run("--help")
    assert ran.code == 0 and ran.err == ""
    for word in (
        "demo",
        "file",
        "serve",
        "secret",
        "call",
        "version",
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "examples:",
        "130",
    ):
        assert word in ran.out


def test_version() -> None:
    ran = run("version")
    assert (ran.code, ran.out, ran.err) == (0, f"bargein {engine.__version__}\n", "")


def test_module_engine_runs_the_same_program() -> None:
    ran = run("version", program=(BARGEIN[0], "-m", "engine"))
    assert (ran.code, ran.out) == (0, f"bargein {engine.__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["sing"],
        ["file"],
        ["file", "a.wav", "--volume", "11"],
        ["file", "a.wav", "--format", "mp3"],
        ["file", "a.wav", "--key", "sk-123"],
        ["serve", "--port", "many"],
        ["serve", "--port", "65536"],
        ["serve", "--host", "0.0.0.0"],
        ["serve", "--burst", "0"],
        ["serve", "--responder", "oracle"],
        ["serve", "--responder", "script:/no/such/file.yaml"],
        ["file", str(__file__), "--responder", "oracle", "--server", "ws://127.0.0.1:1/"],
        ["file", str(__file__), "--server", "ftp://127.0.0.1/"],
        ["file", str(__file__), "--server", "ws://[half/"],
    ],
)
def test_wrong_usage_is_one_line_and_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("bargein: ") and told.err.count("\n") == 1
    assert "sk-123" not in told.err


def test_debug_goes_before_and_after_the_command() -> None:
    assert parser().parse_args(["--debug", "version"]).debug
    assert parser().parse_args(["version", "--debug"]).debug
    assert not parser().parse_args(["version"]).debug


def test_a_fault_of_ours_is_one_line_and_a_traceback_for_debug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> None:
        raise ExceptionGroup("tasks", [ZeroDivisionError("by\nnothing")])

    monkeypatch.setattr(file, "target", broken)
    assert main(["file", "a.wav"]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "ZeroDivisionError: by nothing" in told and "--debug" in told
    with pytest.raises(ExceptionGroup):
        main(["--debug", "file", "a.wav"])


def test_signal_handlers_are_given_back() -> None:
    import signal

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    main(["version"])
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_strangers_text_cannot_steer_the_terminal() -> None:
    assert plain("one\x1b[2Jtwo\r\nthree\u202efour") == "one [2Jtwo three four"


# ---- the server and the key


def asked(**chosen: Any) -> Namespace:
    options = parser().parse_args(["file", "a.wav"])
    for name, value in chosen.items():
        setattr(options, name, value)
    return options


def test_without_server_and_key_the_server_inside_is_used() -> None:
    assert file.target(asked()) is None


def test_a_key_means_the_hosted_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-123")
    assert file.target(asked()) == "wss://api.openai.com/v1/realtime?model=gpt-realtime"


def test_the_option_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "https://example.org/v1")
    assert file.target(asked()) == "wss://example.org/v1/realtime?model=gpt-realtime"
    assert file.target(asked(server="http://localhost:9/v1", model="m")) == "ws://localhost:9/v1/realtime?model=m"


def test_an_empty_environment_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")
    monkeypatch.setenv("OPENAI_BASE_URL", "")
    assert file.target(asked()) is None


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines", b"\xff\xfe", b"a key", "schlüssel".encode()])
def test_a_key_file_without_a_key(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as told:
        file.target(asked(key_file=str(path)))
    assert "lines" not in str(told.value) and "schl" not in str(told.value)


def test_a_missing_key_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        file.target(asked(key_file=str(tmp_path / "none")))


@pytest.mark.parametrize("way", ["environment", "file"])
def test_the_key_travels_in_one_header_and_is_shown_nowhere(way: str, tmp_path: Path) -> None:
    seen: list[dict[str, str]] = []

    async def session(socket: Any) -> None:
        seen.append({name.lower(): value for name, value in socket.request.headers.raw_items()})
        await servers.welcome(socket)
        await servers.listen_on(socket)

    (tmp_path / "key").write_text("sk-secret\n")
    given = {"OPENAI_API_KEY": "sk-secret"} if way == "environment" else {"OPENAI_API_KEY": "sk-other"}
    more = [] if way == "environment" else ["--key-file", tmp_path / "key"]
    with servers.running(servers.websocket(session)) as url:
        ran = run(
            *("file", wav(tmp_path / "a.wav", silence(0.1)), "--fast", "--events", tmp_path / "e", *more),
            env=environment(OPENAI_BASE_URL=url, **given),
        )
    assert ran.code == 0, ran.err
    assert [headers["authorization"] for headers in seen] == ["Bearer sk-secret"]
    everything = ran.out + ran.err + (tmp_path / "e").read_text()
    assert "sk-secret" not in everything and "sk-other" not in everything


def test_the_key_does_not_follow_a_redirect_to_another_server(tmp_path: Path) -> None:
    seen: list[dict[str, str]] = []

    async def session(socket: Any) -> None:
        seen.append({name.lower(): value for name, value in socket.request.headers.raw_items()})
        await socket.close(4000)

    with servers.running(servers.websocket(session)) as there:
        moved = f"HTTP/1.1 307 Moved\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n"
        with servers.running(servers.tcp(moved.encode())) as here:
            path = wav(tmp_path / "a.wav", silence(0.1))
            ran = run("file", path, "--fast", "--server", here, env=environment(OPENAI_API_KEY="sk-secret"))
    assert ran.code == 1 and "sk-secret" not in ran.err
    assert all("authorization" not in headers for headers in seen)


# ---- output that nobody reads


def test_a_reader_who_leaves_is_no_fault(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", question())
    reading, writing = os.pipe()
    os.close(reading)
    process = start("file", path, "--fast", stdout=writing)
    os.close(writing)
    ran = finish(process)
    assert ran.code == 141 and ran.complaints == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_stdout_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        ran = run("version", stdout=full)
    assert ran.code == 2 and ran.err.count("\n") == 1 and "space" in ran.err


def test_closed_output_is_no_fault() -> None:
    shell = f"exec {BARGEIN[0]} -m bargein version >&- 2>&-"
    done = subprocess.run(["sh", "-c", shell], env=environment(), timeout=60, check=False)
    assert done.returncode == 0
