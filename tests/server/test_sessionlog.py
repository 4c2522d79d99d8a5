"""The lines of the log: figures of turns and sessions, no words unless asked, nothing that opens anything."""

from __future__ import annotations

import json
import logging
import shlex

import pytest

from engine.server import ServerOptions
from engine.server.figures import About, SessionFigures, TurnFigures
from engine.server.responders import Text
from engine.server.sessionlog import LOGGER, JsonLines, SessionLog, logfmt
from tests.server.harness import Says, run, session

ABOUT = About("sess_1", "realtime", "gpt-realtime", "kitchen")
TURN = TurnFigures("resp_1", 3, "cancelled", "turn_detected", False, 0.2124, 1.84, 3210, 310, 74, 1)
SESSION = SessionFigures(61.23456, 3, 1, 0, 900, 200, 2, 1000)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, LOGGER)
    return caplog


def fields(line: str) -> dict[str, str]:
    """A line as any reader of logfmt takes it."""
    return dict(pair.split("=", 1) for pair in shlex.split(line))


def test_a_turn(log: pytest.LogCaptureFixture) -> None:
    SessionLog().turn(ABOUT, TURN)
    told = fields(log.messages[0])
    assert told.pop("time").endswith("Z")
    assert told == {
        "event": "turn",
        "session": "sess_1",
        "owner": "kitchen",
        "response": "resp_1",
        "number": "3",
        "status": "cancelled",
        "reason": "turn_detected",
        "latency_ms": "212",
        "duration_ms": "1840",
        "audio_ms": "3210",
        "input_tokens": "310",
        "output_tokens": "74",
        "tools": "1",
    }


def test_a_session(log: pytest.LogCaptureFixture) -> None:
    SessionLog().closed(About("sess_1", "transcription", beta=True), SESSION)
    told = fields(log.messages[0])
    assert told.pop("time")
    assert told == {
        "event": "session",
        "session": "sess_1",
        "type": "transcription",
        "dialect": "beta",
        "duration_s": "61.235",
        "turns": "3",
        "interrupted": "1",
        "failed": "0",
        "input_tokens": "900",
        "output_tokens": "200",
        "errors": "2",
        "code": "1000",
    }


def test_the_same_as_json(log: pytest.LogCaptureFixture) -> None:
    SessionLog().turn(ABOUT, TURN)
    told = json.loads(JsonLines().format(log.records[0]))
    assert (told["event"], told["latency_ms"], told["reason"]) == ("turn", 212, "turn_detected")
    assert told["time"].startswith("20") and "\n" not in JsonLines().format(log.records[0])


def test_words_are_lines_only_where_they_are_asked_for(log: pytest.LogCaptureFixture) -> None:
    SessionLog().words(ABOUT, "user", "my number is 12")
    assert not log.messages
    SessionLog(words=True).words(ABOUT, "user", 'he said "no"\nand left')
    assert len(log.messages) == 1 and "\n" not in log.messages[0]
    assert fields(log.messages[0])["text"] == 'he said "no" and left'


@pytest.mark.parametrize("text", ["a b", 'a"b', "a=b", "a\nb", "a\x1b[31mb", "a\u2028b", "", "\\", "a\tb"])
def test_no_value_can_forge_a_line_or_a_field(text: str) -> None:
    line = logfmt({"model": text, "after": 1})
    assert line.isprintable() and len(line.splitlines()) == 1
    assert set(fields(line)) == {"model", "after"}


@pytest.mark.parametrize("text", ["a\x9b31mb", "a\u2028b", "a\x7fb", "a\x1b[31mb\n", "é ü 😀", "a\U000e0001b"])
def test_no_value_steers_a_terminal_from_a_line_of_json(text: str, log: pytest.LogCaptureFixture) -> None:
    SessionLog(words=True).words(ABOUT, "user", text)
    line = JsonLines().format(log.records[0])
    assert line.isprintable() and json.loads(line)["text"] == text


def test_what_looks_like_a_key_is_hidden_wherever_it_stands(log: pytest.LogCaptureFixture) -> None:
    about = About("sess_1", "realtime", "sk-canary-0123456789", "kitchen")
    SessionLog(words=True).words(about, "user", "my key is ek_canary0123456789")
    SessionLog().closed(about, SESSION)
    assert len(log.messages) == 2 and "canary" not in log.text
    assert "canary" not in str([record.__dict__ for record in log.records])


def test_lines_of_a_conversation(log: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        options = ServerOptions(watchers=(SessionLog(),))
        async with session(Says([Text("Words nobody wrote down.")]), options, owner="garage") as client:
            await client.send("response.create")
            await client.next("response.done")

    run(test)
    lines = [fields(record.message) for record in log.records if record.name == LOGGER]
    assert [line["event"] for line in lines] == ["turn", "session"]
    assert {line["owner"] for line in lines} == {"garage"} and len({line["session"] for line in lines}) == 1
    assert "nobody" not in log.text
