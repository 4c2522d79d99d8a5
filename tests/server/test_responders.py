"""Brains: scripts, echo, and looking them up."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import ConfigError, MissingExtraError
from engine.server.responders import (
    Audio,
    Echo,
    Fail,
    Part,
    Responder,
    Say,
    Script,
    Stop,
    Text,
    ToolCall,
    ToolOutput,
    Turn,
    responder,
)
from tests.server.harness import run, session

RULES: dict[str, Any] = {
    "rules": [
        {"match": {"tool": "weather", "output": "rain"}, "do": [{"say": "Take an umbrella: {output}."}]},
        {"match": {"tool": "weather"}, "do": [{"say": "It is {output}."}]},
        {"match": {"turn": [2, 3], "text": "bye"}, "do": [{"text": "Bye in turn {turn}."}, {"stop": None}]},
        {"match": {"text": "weather|rain"}, "do": [{"call": {"name": "weather", "arguments": {"city": "Rome"}}}]},
        {"match": {"text": "break"}, "do": [{"delay": 0.5}, {"fail": {"code": "quota", "message": "No."}}]},
    ],
    "default": [{"say": "You said {text}."}],
}


def answer(brain: Responder, turn: Turn) -> list[Part]:
    async def collect() -> list[Part]:
        return [part async for part in brain.respond(turn)]

    return asyncio.run(collect())


def asked(text: str, number: int = 1, outputs: list[ToolOutput] | None = None) -> Turn:
    return Turn(number=number, user_turn=number, text=text, tool_outputs=outputs or [])


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        (asked("hello {turn}"), [Say("You said hello {turn}.")]),
        (asked("The WEATHER?"), [ToolCall("weather", '{"city": "Rome"}')]),
        (asked("weather", 1, [ToolOutput("1", "weather", "rain")]), [Say("Take an umbrella: rain.")]),
        (asked("weather", 1, [ToolOutput("1", "weather", "sun")]), [Say("It is sun.")]),
        (asked("bye", 1), [Say("You said bye.")]),
        (asked("bye", 2), [Text("Bye in turn 2."), Stop(None)]),
        (asked("break"), [Fail("No.", "quota")]),
    ],
)
def test_rules(turn: Turn, expected: list[Part]) -> None:
    assert answer(Script(RULES), turn) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("rules: 3", r"line 1: rules must be a list"),
        ("rules:\n  - match: {turn: 0}\n    do: []", r"line 2: rules\[0\]\.match\.turn is 0"),
        ("rules:\n  - do:\n      - say: 3", r"line 3: rules\[0\]\.do\[0\]\.say must be a text"),
        ("rules:\n  - do:\n      - sing: la", r"line 3: rules\[0\]\.do\[0\]\.sing is not known: use say"),
        ("rules:\n  - match: {text: '('}\n    do: []", r"line 2: rules\[0\]\.match\.text is not a regular expression"),
        ("rules:\n  - match: {}\n", r"line 2: rules\[0\] has no 'do'"),
        ("rules:\n  - do: [{delay: -1}]", r"rules\[0\]\.do\[0\]\.delay is -1: use seconds"),
        ("rules:\n  - do: [{call: {}}]", r"call\.name must be the name"),
        ("rules:\n  - do: [{say: a, text: b}]", r"exactly one of"),
        ("answer: x", r"line 1: answer is not known: use rules, default"),
        ("default: hello", r"line 1: default must be a list of steps"),
        ("a: [", r"line 1: not YAML"),
        ("", r"must be a mapping"),
        ("x: 2001-99-99", r"not known|not YAML"),
    ],
)
def test_a_bad_script_names_line_and_field(text: str, problem: str, tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    file = tmp_path / "rules.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=problem) as raised:
        Script.load(file)
    assert str(raised.value).startswith(str(file))


def test_script_files_that_cannot_be_read(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        responder(f"script:{tmp_path / 'none.yaml'}")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        responder(f"script:{tmp_path / 'binary.yaml'}")


def test_the_example_script_loads() -> None:
    pytest.importorskip("yaml")
    brain = responder(f"script:{Path(__file__).parents[2] / 'examples' / 'script.yaml'}")
    [first] = answer(brain, asked("", 1))
    assert isinstance(first, Say)
    assert len(first.text) > 200  # long enough to be interrupted


def test_without_pyyaml_a_dict_works_and_a_file_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingExtraError, match=r"bargein\[script\]"):
        Script.load(tmp_path / "rules.yaml")
    assert answer(Script(RULES), asked("x")) == [Say("You said x.")]


@pytest.mark.parametrize("name", ["", "eco", "echo:x", "script", "script:"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(ConfigError, match="use 'echo',"):
        responder(name)


def test_echo_gives_words_back_as_they_came() -> None:
    sound = np.linspace(-0.5, 0.5, 60_000, dtype=np.float32)
    spoken = Turn(number=1, user_turn=1, text="", load_audio=lambda: sound)
    parts = answer(Echo(), spoken)
    samples = [part.samples for part in parts if isinstance(part, Audio)]
    assert np.array_equal(np.concatenate(samples), sound)
    assert answer(Echo(), asked("hi")) == [Say("hi")]
    written = Turn(number=1, user_turn=1, text="", modality="text", load_audio=lambda: sound)
    assert answer(Echo(), written) == [Say("[2.5 s of audio]")]


def test_a_script_in_a_session_calls_a_tool_and_uses_its_output() -> None:
    async def scene() -> None:
        async with session(Script(RULES)) as client:
            await client.update(output_modalities=["text"])
            question = {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "any rain today?"}],
            }
            await client.send("conversation.item.create", item=question)
            await client.send("response.create")
            done = await client.next("response.done")
            [call] = done["response"]["output"]
            output = {"type": "function_call_output", "call_id": call["call_id"], "output": "rain at noon"}
            await client.send("conversation.item.create", item=output)
            await client.send("response.create")
            done = await client.next("response.done", after=client.position(done) + 1)
            assert done["response"]["output"][0]["content"][0]["text"] == "Take an umbrella: rain at noon."

    run(scene)
