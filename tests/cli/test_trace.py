"""The file of events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.cli.trace import Trace
from engine.clock import run_virtual
from engine.errors import MediaError
from engine.realtime import events as ev

EVENT = ev.Unknown(type="x", fields={})


def traced(path: Path, *messages: bytes, event: ev.AnyEvent | None = EVENT) -> list[dict[str, Any]]:
    async def main() -> None:
        with Trace(path) as trace:
            for message in messages:
                trace.event("received", message, event)
                await asyncio.sleep(0.25)

    run_virtual(main())
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def test_time_direction_and_event(tmp_path: Path) -> None:
    lines = traced(tmp_path / "e", b'{"type":"a","n":1}', b'{"type":"b"}')
    assert lines == [
        {"time": 0.0, "direction": "received", "event": {"type": "a", "n": 1}},
        {"time": 0.25, "direction": "received", "event": {"type": "b"}},
    ]


@pytest.mark.parametrize("name", ["authorization", "headers", "client_secret", "api_key", "key", "token", "API_Key"])
@pytest.mark.parametrize("value", ['"sk-1"', '{"value":"sk-1"}', '["sk-1"]'])
def test_secrets_are_hidden_wherever_they_stand(name: str, value: str, tmp_path: Path) -> None:
    message = f'{{"type":"a","session":{{"tools":[{{"{name}":{value},"kept":1}}]}}}}'
    (line,) = traced(tmp_path / "e", message.encode())
    assert line["event"] == {"type": "a", "session": {"tools": [{name: "***", "kept": 1}]}}


def test_a_name_in_escapes_hides_nothing(tmp_path: Path) -> None:
    (line,) = traced(tmp_path / "e", rb'{"type":"a","\u006bey":"sk-1"}')
    assert line["event"] == {"type": "a", "key": "***"}


def test_words_of_the_model_are_no_secrets(tmp_path: Path) -> None:
    (line,) = traced(tmp_path / "e", b'{"logprobs":[{"token":"tide","logprob":-0.1}],"usage":{"total_tokens":3}}')
    assert line["event"] == {"logprobs": [{"token": "tide", "logprob": -0.1}], "usage": {"total_tokens": 3}}


@pytest.mark.parametrize("message", [b'{"type":\n "a",\r\n"text":"b"}', '{"type":"a","text":"früh\u2028"}'.encode()])
def test_one_event_is_one_line(message: bytes, tmp_path: Path) -> None:
    (line,) = traced(tmp_path / "e", message)
    assert line["event"] == json.loads(message)


@pytest.mark.parametrize("message", [b'{"type": ', b"\xff\x00", b"", b"x" * 10**6, b'{"a":"\xff"}'])
def test_what_is_no_event_is_still_a_line(message: bytes, tmp_path: Path) -> None:
    (line,) = traced(tmp_path / "e", message, event=None)
    assert line["event"] is None and line["bytes"] == len(message) and len(line["start"]) <= 200


def test_broken_text_with_a_secret_is_not_shown(tmp_path: Path) -> None:
    (line,) = traced(tmp_path / "e", b'{"api_key":"sk-1", ', event=None)
    assert line["start"] == "***"


def test_every_second_is_on_the_disk(tmp_path: Path) -> None:
    async def main() -> int:
        with Trace(tmp_path / "e") as trace:
            for _ in range(6):
                trace.event("sent", b"{}", EVENT)
                await asyncio.sleep(0.25)
            return len((tmp_path / "e").read_text().splitlines())

    assert run_virtual(main()) == 5


def in_loop(work: Callable[[], None]) -> None:
    async def main() -> None:
        work()

    asyncio.run(main())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_ends_the_file_and_not_the_conversation() -> None:
    def work() -> None:
        with pytest.raises(MediaError, match=r"/dev/full.*space"), Trace("/dev/full") as trace:
            for _ in range(100):
                trace.event("sent", b'"' + b"x" * 10_000 + b'"', EVENT)

    in_loop(work)


@pytest.mark.parametrize("path", ["", ".", "no/such/folder/e", "nul\0"])
def test_a_file_that_cannot_be_made(path: str, tmp_path: Path) -> None:
    def work() -> None:
        with pytest.raises(MediaError, match="cannot be written"):
            Trace(tmp_path / path if path else tmp_path)

    in_loop(work)
