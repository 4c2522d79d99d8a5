"""MCP servers in a script: what they list, and what their tools answer.

mcp:
  wiki:                              # its server_label; sessions may name it with any URL
    tools: [{name: ask, description: "Asks.", input_schema: {type: object}, annotations: {readOnlyHint: true}}]
    delay: 0.2                       # seconds until its tools are known
    fails: false                     # whether it cannot be asked
rules:
  - match: {text: "wiki"}
    do:
      - mcp: {server: wiki, name: ask, arguments: {about: "rain"}, output: "Rain is wet.", delay: 0.5}   # or error:
  - match: {tool: ask}               # the result, or that the client declined
    do:
      - say: "It says {output}"
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from engine.server.responders.base import McpCall
from engine.server.responders.places import Place, fields, kind_of

_SERVER = ("tools", "delay", "fails")
_CALL = ("server", "name", "arguments", "output", "error", "delay")


def mcp_servers(data: Any, place: Place) -> dict[str, dict[str, Any]]:
    """Check the servers, by label. Raises ConfigError."""
    if not isinstance(data, Mapping):
        raise place.error(f"must be a mapping from labels to servers, not {kind_of(data)}")
    return {str(label): _server(server or {}, place.at(str(label))) for label, server in data.items()}


def _server(data: Any, place: Place) -> dict[str, Any]:
    fields(data, _SERVER, place)
    tools = data.get("tools", [])
    if not isinstance(tools, list):
        raise place.at("tools").error(f"must be a list, not {kind_of(tools)}")
    for number, tool in enumerate(tools):
        if not isinstance(tool, Mapping) or not isinstance(tool.get("name"), str):
            raise place.at("tools").at(number).error("must be a mapping with a name")
    listed = [{"input_schema": {"type": "object"}, **tool} for tool in tools]
    return {"tools": listed, "delay": _seconds(data, place), "fails": bool(data.get("fails", False))}


def mcp_call(data: Any, place: Place) -> McpCall:
    """Check one call. Raises ConfigError."""
    fields(data, _CALL, place)
    for key in ("server", "name"):
        if not isinstance(data.get(key), str):
            raise place.at(key).error("must be given, as a text")
    for key in ("output", "error"):
        if not isinstance(data.get(key, ""), str):
            raise place.at(key).error(f"must be a text, not {kind_of(data[key])}: put it in quotes")
    arguments = data.get("arguments", {})
    return McpCall(
        data["server"],
        data["name"],
        arguments if isinstance(arguments, str) else json.dumps(arguments),
        data.get("output", ""),
        data.get("error", ""),
        _seconds(data, place),
    )


def _seconds(data: Mapping[str, Any], place: Place) -> float:
    value = data.get("delay", 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 3600:
        raise place.at("delay").error(f"is {value!r}: use seconds from 0 to 3600")
    return float(value)


__all__ = ["mcp_call", "mcp_servers"]
