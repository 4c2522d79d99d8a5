"""What the model is told of a Python function, and what of its arguments reaches the function."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import jsonschema
import msgspec
import pytest

import engine
from engine import ToolCall
from engine.conversation.schema import documented
from engine.conversation.tool import declarations
from engine.errors import ConfigError
from engine.realtime.types import FunctionTool, McpTool


class Unit(enum.Enum):
    C = "celsius"
    F = "fahrenheit"


@dataclass
class Place:
    city: str
    country: str = "France"


@dataclass
class Tree:
    name: str
    children: list[Tree]


def bare() -> None: ...
def texts(city: str, note: str = "none") -> None: ...
def numbers(n: int, x: float = 0.5, flag: bool = False) -> None: ...
def choice(unit: Literal["C", "F"], other: Unit = Unit.C) -> None: ...
def nested(place: Place, many: list[Place] | None = None) -> None: ...
def recursive(tree: Tree) -> None: ...
def marked(count: Annotated[int, msgspec.Meta(ge=1, le=9, description="How many.")], to: Annotated[str, "Whom."]) -> None: ...  # noqa: E501  # fmt: skip
def lists(names: list[str] = ["a"]) -> None: ...  # noqa: B006
def with_call(call: ToolCall, city: str) -> None: ...


@pytest.mark.parametrize(
    ("function", "good", "bad"),
    [
        (bare, ["{}", "", "  "], ['{"x": 1}', "[]", "null", "{"]),
        (texts, ['{"city": "Paris"}', '{"city": "", "note": "x"}'], ["{}", '{"city": 1}', '{"city": null}']),
        (numbers, ['{"n": 3}', '{"n": -1, "x": 2, "flag": true}'], ['{"n": "3"}', '{"n": 1.5}', '{"n": 1, "flag": 1}']),
        (choice, ['{"unit": "C"}', '{"unit": "F", "other": "fahrenheit"}'],
         ['{"unit": "K"}', '{"unit": "C", "other": "C"}']),
        (nested, ['{"place": {"city": "Lyon"}}', '{"place": {"city": "L"}, "many": [{"city": "M"}]}'],
         ['{"place": {}}', '{"place": "Lyon"}']),
        (recursive, ['{"tree": {"name": "a", "children": [{"name": "b", "children": []}]}}'],
         ['{"tree": {"name": "a"}}']),
        (marked, ['{"count": 9, "to": "x"}'], ['{"count": 0, "to": "x"}', '{"count": 10, "to": "x"}']),
        (lists, ["{}", '{"names": ["b"]}'], ['{"names": [1]}']),
        (with_call, ['{"city": "Paris"}'], ['{"city": "Paris", "call": 1}', "{}"]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)  # fmt: skip
def test_the_schema_and_the_function_agree_on_what_is_good(
    function: Callable[..., Any], good: list[str], bad: list[str]
) -> None:
    tool = engine.tool(function)
    jsonschema.Draft202012Validator.check_schema(tool.parameters)
    assert tool.parameters["type"] == "object" and tool.parameters["additionalProperties"] is False
    validator = jsonschema.Draft202012Validator(tool.parameters)
    for text in good:
        tool._arguments.decode(text)
        assert validator.is_valid(msgspec.json.decode(text.strip() or "{}")), text
    for text in bad:
        with pytest.raises(ValueError, match="arguments"):
            tool._arguments.decode(text)


def test_the_schema_is_flat_where_it_can_be() -> None:
    assert "$ref" not in str(engine.tool(nested).parameters)
    assert "$defs" in engine.tool(recursive).parameters


def test_a_changed_default_is_not_shared() -> None:
    first = engine.tool(lists)._arguments.decode("{}")["names"]
    first.append("b")
    assert engine.tool(lists)._arguments.decode("{}")["names"] == ["a"]


def test_wrong_arguments_name_the_place_and_not_the_value() -> None:
    with pytest.raises(ValueError, match=r"\$\.city") as told:
        engine.tool(texts)._arguments.decode('{"city": {"secret": "hush"}}')
    assert "hush" not in str(told.value)


def google(city: str, days: int = 1) -> str:
    """The weather of a city.

    Ask once per city.

    Args:
        city: Name of the city,
            in English.
        days (int): How many days.

    Returns:
        A sentence.

    Raises:
        OSError: never.
    """
    return ""


def sphinx(city: str, days: int = 1) -> str:
    """The weather of a city.

    :param city: Name of the city,
        in English.
    :param int days: How many days.
    :returns: A sentence.
    :raises OSError: never.
    """
    return ""


@pytest.mark.parametrize("function", [google, sphinx])
def test_the_docstring_is_the_models(function: Callable[..., Any]) -> None:
    tool = engine.tool(function)
    properties = tool.parameters["properties"]
    assert properties["city"]["description"] == "Name of the city, in English."
    assert properties["days"] == {"type": "integer", "description": "How many days.", "default": 1}
    assert tool.parameters["required"] == ["city"]
    assert tool.description.startswith("The weather of a city.")
    assert "Returns: A sentence." in tool.description
    assert "OSError" not in tool.description and "How many" not in tool.description


def test_words_of_the_annotation_win_and_keep_the_limits() -> None:
    properties = engine.tool(marked).parameters["properties"]
    assert properties["count"] == {"type": "integer", "description": "How many.", "minimum": 1, "maximum": 9}
    assert properties["to"]["description"] == "Whom."


def test_no_docstring_is_no_description() -> None:
    assert documented(bare) == ("", {})
    assert "description" not in engine.tool(bare).to_wire()


def test_a_tool_is_still_its_function() -> None:
    @engine.tool(name="add_up")
    def add(a: int, b: int = 2) -> int:
        """Adds."""
        return a + b

    assert add(1) == 3 and add.name == "add_up" and add.__doc__ == "Adds."


def test_the_call_is_given_and_not_in_the_schema() -> None:
    assert list(engine.tool(with_call).parameters["properties"]) == ["city"]


def star(*cities: str) -> None: ...
def stars(**cities: str) -> None: ...
def positional(city: str, /) -> None: ...
def untyped(city) -> None: ...  # type: ignore[no-untyped-def]
def unknown(city: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def no_json(city: Callable[[], int]) -> None: ...


def misdocumented(city: str) -> None:
    """Weather.

    Args:
        town: The city.
    """


class Thing:
    def method(self, city: str) -> str:
        return city


@pytest.mark.parametrize(
    ("function", "options", "words"),
    [
        (star, {}, "cannot be given by name"),
        (stars, {}, "cannot be given by name"),
        (positional, {}, "cannot be given by name"),
        (untyped, {}, "'city' has no type"),
        (unknown, {}, "Nowhere"),
        (no_json, {}, "no JSON Schema"),
        (misdocumented, {}, "'town'"),
        (Thing.method, {}, "bound"),
        (lambda: None, {}, "name="),
        (bare, {"name": "two words"}, "1 to 64"),
        (bare, {"name": "x" * 65}, "1 to 64"),
        (bare, {"timeout_s": 0}, "timeout_s"),
        (bare, {"timeout_s": float("nan")}, "timeout_s"),
        (bare, {"progress_after_s": -1}, "progress_after_s"),
        (7, {}, "give a function"),
    ],
)
def test_what_cannot_be_a_tool_is_refused_at_once(function: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        engine.tool(**options)(function)


def test_a_bound_method_is_a_tool() -> None:
    assert engine.tool(Thing().method).parameters["required"] == ["city"]


def test_declarations_of_every_kind() -> None:
    wire = {"type": "function", "name": "mine"}
    made = declarations([engine.tool(bare), texts, FunctionTool(name="typed"), McpTool(server_label="wiki"), wire])
    names = [entry.get("name", entry.get("server_label")) for entry in made]
    assert names == ["bare", "texts", "typed", "wiki", "mine"]


@pytest.mark.parametrize(
    ("tools", "before"),
    [([bare, bare], []), ([bare], [{"type": "function", "name": "bare"}]), ([McpTool(server_label="a")] * 2, None)],
)
def test_a_name_twice_is_refused(tools: list[Any], before: Any) -> None:
    with pytest.raises(ConfigError, match="twice"):
        declarations(tools, before)
