"""`bargein serve`: its one line, a real client, and its end."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import engine
from engine.audio import Resampler
from engine.endpoints.wav import read_wav
from tests.cli.harness import environment, finish, has_sound, heard, question, run, start, wav
from tests.server.mcp_world import need_mcp


@contextmanager
def served(*options: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server that listens, and its URL."""
    process = start("serve", "--port", 0, *options)
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.fullmatch(r"listening on (wss?://\S+/v1/realtime) and https?://\S+/\n", line)
    try:
        assert found, (line, process.stderr and process.stderr.read())
        yield process, found[1]
    finally:
        if process.poll() is None:
            process.terminate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_0(number: signal.Signals) -> None:
    with served() as (process, url):
        assert url.startswith("ws://127.0.0.1:")
        process.send_signal(number)
        ran = finish(process)
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_files_talk_to_it(tmp_path: Path) -> None:
    """Two at a time: one is told of the server by an option, the other by the environment."""
    with served("--burst", 100) as (process, url):
        path, outs = wav(tmp_path / "in.wav", question()), [tmp_path / "1.wav", tmp_path / "2.wav"]
        clients = [
            start("file", path, "--fast", "--out", outs[0], "--server", url),
            start("file", path, "--fast", "--out", outs[1], env=environment(OPENAI_BASE_URL=url)),
        ]
        for client, out in zip(clients, outs, strict=True):
            ran = finish(client)
            assert ran.code == 0, ran.err
            assert "4 times real time" in ran.err and "the server inside" not in ran.err
            assert "assistant: " in ran.out and has_sound(heard(out))
        process.send_signal(signal.SIGINT)
        assert finish(process).code == 0


def test_its_end_is_told_to_a_client_that_is_there(tmp_path: Path) -> None:
    with served("--drain", 0) as (process, url):
        out = tmp_path / "out.wav"
        client = start(
            "file", wav(tmp_path / "in.wav", question()), "--server", url, "--out", out, "--events", tmp_path / "e"
        )
        while not (out.exists() and out.stat().st_size > 44):  # until the sound runs
            assert client.poll() is None
            signal.sigtimedwait([], 0.02)
        process.send_signal(signal.SIGTERM)
        assert finish(process).code == 0
        ran = finish(client)
    assert ran.code == 1 and ran.err.count("\n") == 1 and "1001" in ran.err
    heard(out)


@pytest.mark.parametrize("options", [(), ("--beta",)])
def test_our_client_in_the_older_dialect(options: tuple[str, ...]) -> None:
    async def answered(url: str) -> str:
        silence = engine.Memory(np.zeros(24_000 * 2, np.int16))
        async with engine.connect(silence, url=url, dialect="beta") as conversation:
            conversation.say("Good morning.")
            async for turn in conversation.turns():
                if turn.role == "assistant":
                    return turn.text
        return ""

    with served("--burst", 100, *options) as (_, url):
        if options:
            assert asyncio.run(answered(url)) == "Good morning."
        else:
            with pytest.raises(engine.EngineError, match=r"Beta API is no longer supported|beta_api_shape_disabled"):
                asyncio.run(answered(url))


def test_a_port_that_is_taken_is_one_line_and_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = run("serve", "--port", taken.getsockname()[1])
    assert ran.code == 2 and ran.out == "" and ran.err.count("\n") == 1 and "--port" in ran.err


def test_hosts_of_mcp_servers() -> None:
    need_mcp()
    with served("--mcp-allow", "mcp.example.com", "--mcp-allow", "[::1]:8000") as (process, _):
        process.send_signal(signal.SIGINT)
        assert finish(process).code == 0


@pytest.mark.parametrize("host", ["https://mcp.example.com/", "169.254.169.254", "host:0"])
def test_hosts_that_are_none_are_one_line_and_2(host: str) -> None:
    ran = run("serve", "--port", 0, "--mcp-allow", host)
    assert ran.code == 2 and ran.out == "" and ran.err.count("\n") == 1 and host in ran.err


def test_sessions_are_traced_into_a_file(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    with served("--burst", 100, "--trace-file", trace) as (process, url):
        path = wav(tmp_path / "in.wav", question())
        assert finish(start("file", path, "--fast", "--out", tmp_path / "out.wav", "--server", url)).code == 0
        process.send_signal(signal.SIGINT)
        assert finish(process).code == 0
    names = [json.loads(line)["name"] for line in trace.read_text(encoding="utf-8").splitlines()]
    assert {"session", "turn", "speech"} <= set(names)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--trace-file", "no/such/folder/trace.jsonl"], "traces cannot be written there"),
        (["--trace-file", "trace.jsonl", "--trace-otel"], "use one of them"),
        (["--trace-words"], "--trace-words needs --trace-file or --trace-otel"),
    ],
)
def test_traces_that_can_be_none(options: list[str], problem: str, tmp_path: Path) -> None:
    ran = run("serve", "--port", 0, *options, cwd=tmp_path)
    assert ran.code == 2 and problem in ran.err and ran.err.count("\n") == 1


def test_a_parrot_with_ears_and_a_voice_of_a_file(tmp_path: Path) -> None:
    """What pocketsphinx makes of "Good morning." is at least some words."""
    for needed in ("pocketsphinx", "yaml"):
        pytest.importorskip(needed)
    root = Path(__file__).parents[2]
    caller = read_wav(root / "engine" / "data" / "caller.wav")
    morning = Resampler(caller.rate, 24000).process(caller.samples[caller.rate // 2 : caller.rate * 3 // 2])
    with served("--responder", "parrot", "--speech", root / "examples" / "speech.yaml", "--burst", 100) as (
        process,
        url,
    ):
        path = wav(tmp_path / "in.wav", morning)
        ran = run("file", path, "--fast", "--out", tmp_path / "out.wav", "--server", url)
        assert ran.code == 0, ran.err
        assert re.search(r"assistant: (?!I understood nothing|I heard)\w+", ran.out), ran.out
        process.send_signal(signal.SIGINT)
        assert finish(process).code == 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("recogniser: siri", "line 1: recogniser.kind is 'siri': use pocketsphinx, service"),
        ("voice: {kind: piper}", "line 1: voice model must be given"),
        ("ears: x", "line 1: ears is not known: use recogniser, voice"),
    ],
)
def test_a_bad_file_of_ears_and_voice_is_wrong_usage(tmp_path: Path, text: str, problem: str) -> None:
    pytest.importorskip("yaml")
    (tmp_path / "speech.yaml").write_text(text)
    ran = run("serve", "--speech", tmp_path / "speech.yaml")
    assert ran.code == 2 and problem in ran.err and "Traceback" not in ran.err
