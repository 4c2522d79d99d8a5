"""`bargein serve` with keys, from a file or the environment, read again at SIGHUP; and its log."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from engine.rest import Client
from tests.cli.harness import environment, finish, run, silence, start, wav

KITCHEN, GARAGE = "sk-kitchen-canary-0123456789", "sk-garage-canary-0123456789"


@contextmanager
def served(*options: object, **env: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server that listens, and its URL."""
    process = start("serve", "--port", 0, "--burst", 1000, "--drain", 0, *options, env=environment(**env))
    assert process.stdout is not None and process.stderr is not None
    try:
        line = process.stdout.readline()
        found = re.search(r"ws://\S+/v1/realtime", line)
        assert found, (line, process.stderr.read())
        yield process, found[0]
    finally:
        if process.poll() is None:
            process.terminate()


def opened(url: str, key: str) -> int:
    """The HTTP status that a socket with this key gets; 101 is let in."""

    async def main() -> int:
        try:
            async with connect(url, additional_headers={"Authorization": f"Bearer {key}"}) as socket:
                await socket.recv()
        except InvalidStatus as refused:
            return refused.response.status_code
        return 101

    return asyncio.run(main())


def lines(err: str) -> list[dict[str, str]]:
    """The structured ones of what was written."""
    found = [line for line in err.splitlines() if line.startswith("time=")]
    return [dict(pair.split("=", 1) for pair in shlex.split(line)) for line in found]


def test_keys_of_a_file_and_a_hangup(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"kitchen {KITCHEN}\n")
    file.chmod(0o600)
    with served("--keys-file", file) as (process, url):
        assert process.stderr is not None
        assert (opened(url, KITCHEN), opened(url, GARAGE)) == (101, 401)
        file.write_text(f"garage {GARAGE}\n")
        process.send_signal(signal.SIGHUP)
        seen = []
        while "read again" not in (line := process.stderr.readline()):
            seen.append(line)
        assert line == "bargein: the keys were read again: 1\n"
        assert (opened(url, KITCHEN), opened(url, GARAGE)) == (401, 101)
        file.write_text("")
        process.send_signal(signal.SIGHUP)
        while "stay as they were" not in (line := process.stderr.readline()):
            seen.append(line)
        assert "no key in it" in line
        assert (opened(url, KITCHEN), opened(url, GARAGE)) == (401, 101)
        process.send_signal(signal.SIGTERM)
        ran = finish(process)
    assert ran.code == 0
    written = "".join(seen) + ran.err + ran.out
    assert "canary" not in written
    assert [line["owner"] for line in lines(written)] == ["kitchen", "garage", "garage"]


def test_a_secret_made_and_used_on_the_command_line(tmp_path: Path) -> None:
    path, session = wav(tmp_path / "in.wav", silence(0.2)), tmp_path / "session.json"
    session.write_text('{"instructions": "Be brief.", "tracing": "auto"}')
    with served("--trace-file", tmp_path / "trace", BARGEIN_API_KEYS=KITCHEN) as (process, url):
        base = url.replace("ws:", "http:").removesuffix("/realtime")
        given = ["secret", "create", "--session", session, "--expires-after", 60, "--server", base]
        made = run(*given, env=environment(OPENAI_API_KEY=KITCHEN))
        assert re.fullmatch(r"ek_[\w-]{43}\n", made.out) and "it opens sessions for" in made.err
        secret = made.out.strip()
        talked = run("file", path, "--fast", "--server", url, env=environment(OPENAI_API_KEY=secret))
        assert talked.code == 0, talked.err
        assert run(*given, env=environment(OPENAI_API_KEY="sk-other-0123456789")).code == 1
        process.send_signal(signal.SIGTERM)
        ran = finish(process)
    assert "session" in (tmp_path / "trace").read_text()
    assert secret[3:] not in ran.err + ran.out + (tmp_path / "trace").read_text() + talked.err + talked.out


def test_keys_of_the_environment() -> None:
    with served(BARGEIN_API_KEYS=f"{KITCHEN} {GARAGE}") as (process, url):
        assert [opened(url, key) for key in (KITCHEN, GARAGE, "x", "sk-other-0123456789")] == [101, 101, 401, 401]
        process.send_signal(signal.SIGTERM)
        ran = finish(process)
    assert ran.code == 0 and "canary" not in ran.err + ran.out


@pytest.mark.parametrize("text", ["", "short\n", "ek_0123456789abcdef\n"])
def test_a_keys_file_that_cannot_be_used(text: str, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(text)
    ran = run("serve", "--port", 0, "--keys-file", file)
    assert ran.code == 2 and str(file) in ran.err and len(ran.err.splitlines()) == 1
    assert "0123456789abcdef" not in ran.err


async def turn(url: str, key: str) -> None:
    """A secret, and a session with one turn of words."""
    async with Client(key, base_url=url.removesuffix("/realtime")) as rest:
        made = await rest.create_client_secret({"type": "realtime", "output_modalities": ["text"]})
    async with connect(url, additional_headers={"Authorization": f"Bearer {made.value}"}) as socket:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "canary words"}]}
        for event in ({"type": "conversation.item.create", "item": item}, {"type": "response.create"}):
            await socket.send(json.dumps(event))
        while json.loads(await socket.recv())["type"] != "response.done":
            pass


def rules(path: Path) -> Path:
    """A brain that says the words again."""
    path.write_text('rules: []\ndefault: [{text: "You wrote {text}."}]\n')
    return path


def written(tmp_path: Path, *options: str) -> str:
    """What a server writes on stderr about one turn and session."""
    pytest.importorskip("yaml")
    brain = f"script:{rules(tmp_path / 'rules.yaml')}"
    with served("--responder", brain, *options, BARGEIN_API_KEYS=KITCHEN) as (process, url):
        asyncio.run(turn(url, KITCHEN))
        process.send_signal(signal.SIGTERM)
        ran = finish(process)
    assert (ran.code, len(ran.out.splitlines())) == (0, 0), "its one line was read"
    assert KITCHEN not in ran.err and "ek_" not in ran.err
    return ran.err


def test_a_line_for_a_turn_and_one_for_the_session(tmp_path: Path) -> None:
    err = written(tmp_path)
    told = lines(err)
    assert [line["event"] for line in told] == ["turn", "session"] and len(err.splitlines()) == 2
    assert told[0]["status"] == "completed" and told[0]["owner"].startswith("key-")
    assert told[1]["code"] in ("1000", "1001") and told[1]["turns"] == "1"
    assert told[0]["session"] == told[1]["session"]
    assert "canary" not in err


def test_the_same_in_json(tmp_path: Path) -> None:
    told: list[Any] = [json.loads(line) for line in written(tmp_path, "--log", "json").splitlines()]
    assert [line["event"] for line in told] == ["turn", "session"]
    assert isinstance(told[0]["latency_ms"], int)


def test_words_where_they_are_asked_for(tmp_path: Path) -> None:
    told = lines(written(tmp_path, "--log-words"))
    assert (told[0]["event"], told[0]["text"]) == ("words", "You wrote canary words.")


def test_no_lines(tmp_path: Path) -> None:
    assert written(tmp_path, "--log", "none") == ""
