"""What `import engine` promises: the names, that they exist, and that each says what it is."""

from __future__ import annotations

import enum
import inspect
import tomllib
from pathlib import Path

import pytest

import engine

# Taking a name away breaks somebody's program; adding one is a decision. Either is made here as well.
PROMISED = [
    "ApprovalRequest", "AudioFormat", "BargeIn", "ConfigError", "Conversation", "Device", "DeviceError", "Endpoint",
    "EngineError", "Gate", "GateMode", "Hearing", "MediaError", "Memory", "Policy", "ProtocolError", "RealtimeSession",
    "ToolCall", "ToolError", "ToolFinished", "TranscriptionSession", "TransportError", "Turn", "WavFile", "__version__",
    "connect", "errors", "events", "tool", "transcribe", "types",
]  # fmt: skip


def test_the_list_of_names_is_the_promised_one_and_sorted() -> None:
    assert engine.__all__ == PROMISED
    assert sorted(engine.__all__) == engine.__all__


def test_no_promised_name_is_listed_twice() -> None:
    assert len(set(engine.__all__)) == len(engine.__all__)


@pytest.mark.parametrize("name", PROMISED)
def test_every_name_exists_and_is_documented(name: str) -> None:
    thing = getattr(engine, name)
    if name == "__version__":
        assert thing
        return
    text = inspect.getdoc(thing) or ""
    assert len(text) > 20, f"{name} has no docstring worth reading"
    if inspect.isclass(thing):
        assert "__doc__" in vars(thing), f"{name} inherits its docstring"
        assert not text.startswith(f"{thing.__name__}("), f"{name} has the docstring that dataclass makes up"


@pytest.mark.parametrize("name", [name for name in PROMISED if name[0].isupper()])
def test_every_public_method_is_documented(name: str) -> None:
    thing = getattr(engine, name)
    for member, value in vars(thing).items():
        if member.startswith("_") or isinstance(thing, enum.EnumMeta):
            continue
        if inspect.isfunction(value) or isinstance(value, property):
            assert inspect.getdoc(value), f"{name}.{member} has no docstring"


def test_the_front_tells_of_each_thing_it_gives() -> None:
    assert engine.__doc__ is not None
    for name in (
        "connect",
        "Conversation",
        "Turn",
        "Device",
        "WavFile",
        "Memory",
        "BargeIn",
        "Gate",
        "AudioFormat",
        "errors",
        "events",
    ):
        assert name in engine.__doc__, f"{name} is not in the table of contents"


def test_errors_have_one_root_and_three_kinds() -> None:
    for name in ("ConfigError", "DeviceError", "MediaError", "ProtocolError", "TransportError"):
        assert issubclass(getattr(engine, name), engine.EngineError)


def test_the_version_is_the_packages() -> None:
    project = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text())["project"]
    assert engine.__version__ == project["version"]


def test_nothing_of_the_server_or_an_extra_is_public() -> None:
    assert not {"server", "cli", "Server", "serve", "sounddevice"} & set(engine.__all__)
