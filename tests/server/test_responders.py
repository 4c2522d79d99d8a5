"""Brains: scripts, echo, and looking them up."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.endpoints.wav import WavWriter
from engine.errors import ConfigError, MissingExtraError
from engine.server.recognisers import Heard
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
    with pytest.raises(ConfigError, match="use 'echo', 'parrot'"):
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


def test_a_script_plays_a_file(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    with WavWriter(tmp_path / "jingle.wav", 48000, 1) as file:
        file.write(np.full(48000, 8192, np.int16))
    (tmp_path / "rules.yaml").write_text(
        "default:\n- audio: {file: jingle.wav, transcript: La la la.}\n- audio: jingle.wav"
    )
    first, second = answer(responder(f"script:{tmp_path / 'rules.yaml'}"), asked("music"))
    assert isinstance(first, Audio) and isinstance(second, Audio)
    assert (first.transcript, second.transcript, first.samples.size) == ("La la la.", "", 24000)
    assert float(np.median(first.samples)) == pytest.approx(0.25, abs=1e-3)


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        ({"audio": "none.wav"}, "no such file"),
        ({"audio": {"transcript": "x"}}, "must be the path of a WAV file"),
        ({"audio": {"file": "x.wav", "volume": 3}}, "volume is not known"),
    ],
)
def test_a_bad_sound_in_a_script_is_named(step: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as raised:
        Script({"default": [step]})
    assert str(raised.value).startswith("script: default[0].audio")


# ---- parrot


def test_the_parrot_says_what_was_understood_and_admits_that_it_was_nothing() -> None:
    brain = responder("parrot")
    assert answer(brain, asked("good day")) == [Say("good day")]
    assert answer(brain, asked("")) == [Say("I heard nothing.")]
    deaf = Turn(number=1, user_turn=1, text="", heard=Heard(failure="There is no recogniser."))
    assert answer(brain, deaf) == [Say("I understood nothing. There is no recogniser.")]
    assert answer(brain, Turn(number=1, user_turn=1, text="", heard=Heard())) == [Say("I understood nothing.")]


# ---- brains of other packages


ORACLE = """
from engine.errors import ConfigError

class Oracle:
    name = "oracle"
    def __init__(self, argument):
        self.argument = argument
    async def respond(self, turn):
        from engine.server.responders import Say
        yield Say(self.argument or "Perhaps.")

def make(argument):
    if argument == "bad":
        raise ConfigError("there is no such god")
    if argument == "worse":
        raise RuntimeError("struck by lightning")
    return 7 if argument == "no brain" else Oracle(argument)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with brains, as an installer leaves it."""
    (tmp_path / "oracle_brain.py").write_text(ORACLE)
    info = tmp_path / "oracle_brain-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: oracle-brain\nVersion: 1.0\n")
    points = "[bargein.responders]\noracle = oracle_brain:make\nghost = no_such_module:make\necho = oracle_brain:make\n"
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "oracle_brain", raising=False)


@pytest.mark.usefixtures("package")
def test_a_brain_of_another_package_is_found_by_its_name() -> None:
    assert answer(responder("oracle"), asked("?")) == [Say("Perhaps.")]
    assert answer(responder("oracle:Never: ever"), asked("?")) == [Say("Never: ever")]
    assert isinstance(responder("echo"), Echo)  # ours stay ours


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("oracle:bad", "responder 'oracle' of oracle-brain (oracle_brain:make): there is no such god"),
        ("oracle:worse", "(oracle_brain:make) cannot be loaded: RuntimeError: struck by lightning"),
        ("oracle:no brain", "is no brain: it gave a int without a name and respond(turn)"),
        ("ghost", "responder 'ghost' of oracle-brain (no_such_module:make) cannot be loaded: ModuleNotFoundError"),
        ("delphi", "'proxy:URL', echo, ghost, oracle"),
        ("chat", "responder is 'chat': use 'echo', 'parrot', 'script:PATH.yaml'"),
    ],
)
def test_errors_of_other_packages_name_them(name: str, problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        responder(name)
    assert problem in str(raised.value)


@pytest.mark.usefixtures("package")
def test_a_brain_of_another_package_holds_a_conversation() -> None:
    async def test() -> None:
        async with session(responder("oracle")) as client:
            await client.send("response.create")
            done = (await client.next("response.done"))["response"]
            assert done["output"][0]["content"][0]["transcript"] == "Perhaps."

    run(test)
