"""Every property of the official package's client events, each in an event that has little else.

Prints `{"path", "event"}` a line: the property, and an event with it, the properties that the type requires beside it,
and values of the right types. Where one model has several values of `type`, there is a line with each.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from openai.types.realtime import RealtimeClientEvent
from pydantic import TypeAdapter

DEEPEST = 12
SCHEMA: dict[str, Any] = TypeAdapter(RealtimeClientEvent).json_schema()


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    return schema


def branches(schema: dict[str, Any]) -> list[dict[str, Any]]:
    schema = resolved(schema)
    found = [branch for kind in ("anyOf", "oneOf") for part in schema.get(kind, ()) for branch in branches(part)]
    return found or [schema]


def sample(schema: dict[str, Any], depth: int = 0) -> Any:
    """The least value of a type."""
    schema = branches(schema)[0]
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "object":
        return least(schema, depth)
    simple = {"string": "x", "integer": 1, "number": 1, "boolean": True, "array": [], "null": None}
    return simple.get(schema.get("type", ""), {})


def least(schema: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    """An object with what it must have; `type` is always named where it has one."""
    properties = schema.get("properties", {})
    names = {*schema.get("required", ()), *({"type"} & set(properties))}
    return {name: sample(properties[name], depth + 1) for name in properties if name in names}


def kinds(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The least objects of a type: one for each `type` that it may have."""
    start = least(schema)
    for branch in branches(schema.get("properties", {}).get("type", {})):
        for kind in branch.get("enum", ()):
            yield {**start, "type": kind}
        if "enum" not in branch:
            yield start


def each(schema: dict[str, Any], path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every property within, and a value of the type that has it."""
    for branch in branches(schema) if depth < DEEPEST else ():
        if branch.get("type") == "array":
            for inner, value in each(branch.get("items", {}), f"{path}[]", depth + 1):
                yield inner, [value]
        for name, part in branch.get("properties", {}).items():
            here = f"{path}.{name}".lstrip(".")
            for start in kinds(branch):
                yield here, {**start, name: start["type"] if name == "type" else sample(part)}
                for inner, value in each(part, here, depth + 1):
                    yield inner, {**start, name: value}


for event in branches(SCHEMA):
    kind = event["properties"]["type"]["const"]
    for path, value in each(event):
        print(json.dumps({"path": f"{kind}: {path}", "event": value}))
