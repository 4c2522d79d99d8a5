"""What this server adds to the protocol's own rules about configuration.

`engine.realtime.session` knows the shape of a session, checks an update as a whole and merges it; here are the few
things that depend on what this server can do, and the check of `response.create`, whose members override the
session's for one response.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from engine.audio import AudioFormat
from engine.realtime import session
from engine.realtime.session_members import check_member
from engine.server.formats import format_object
from engine.server.mcp.rules import NONE, McpRules, check_choice, check_servers, mcp_choice, mcp_tool
from engine.server.refusal import invalid_value
from engine.server.shapes import (
    Check,
    array,
    boolean,
    fields,
    integer,
    mapping,
    metadata,
    nullable,
    one_of,
    text,
)

Config = dict[str, Any]

MAX_TOOLS = 128
MAX_PREFIX_MS = 10_000
MAX_SILENCE_MS = 60_000
MAX_CONFIG_BYTES = 4 * 2**20
"""JSON of a whole configuration: the longest instructions and tools together."""


def updated(config: Config, update: Mapping[str, Any], mcp: McpRules = NONE) -> Config:
    """A new configuration with an update applied that the protocol accepted.

    Raises ProtocolError; `config` is untouched.
    """
    if update.get("tools") is not None:
        update = {**update, "tools": tools("session.tools", update["tools"], mcp)}
    if update.get("tool_choice") is not None:
        tool_choice("session.tool_choice", update["tool_choice"])
    if config["type"] == "transcription":
        update = _with_reported_type(update)
    result = session.merge(config, update)
    check_choice("session.tool_choice", result)
    for side in result["audio"]:
        chosen = AudioFormat(result["audio"][side]["format"]["type"])
        result["audio"][side]["format"] = format_object(chosen)
    _check_detection(result["audio"]["input"]["turn_detection"])
    if result["type"] == "transcription":
        result = without_answers(result)
    if (size := len(msgspec.json.encode(result))) > MAX_CONFIG_BYTES:
        raise invalid_value("session", f"the session would have {size} bytes, at most {MAX_CONFIG_BYTES} are kept.")
    return result


def without_answers(config: Config) -> Config:
    """A transcription session's configuration: its turn detection knows of no responses."""
    listening = config["audio"]["input"]
    detection = listening["turn_detection"]
    if detection is None:
        return config
    kept = {name: value for name, value in detection.items() if name not in _ABOUT_RESPONSES}
    return {**config, "audio": {**config["audio"], "input": {**listening, "turn_detection": kept}}}


_ABOUT_RESPONSES = frozenset({"create_response", "interrupt_response", "idle_timeout_ms"})
_TOLD = ("type", "threshold", "prefix_padding_ms", "silence_duration_ms")


def reported(config: Config) -> Config:
    """The whole session as its client is told of it.

    A transcription session's report of turn detection has four members and one type: semantic_vad is told as the
    server_vad it stands for.
    """
    listening = config["audio"]["input"]
    detection = listening["turn_detection"]
    if config["type"] != "transcription" or detection is None:
        return config
    told = {name: detection.get(name, session.SERVER_VAD[name]) for name in _TOLD} | {"type": "server_vad"}
    return {**config, "audio": {**config["audio"], "input": {**listening, "turn_detection": told}}}


def _with_reported_type(update: Mapping[str, Any]) -> Mapping[str, Any]:
    """A part of a transcription session's turn detection is a part of what was reported."""
    listening = (update.get("audio") or {}).get("input") or {}
    detection = listening.get("turn_detection")
    if not detection or "type" in detection:
        return update
    named = {**listening, "turn_detection": {"type": "server_vad", **detection}}
    return {**update, "audio": {**update["audio"], "input": named}}


def _check_detection(detection: Config | None) -> None:
    if detection is not None and detection["type"] == "server_vad":
        where = "session.audio.input.turn_detection"
        integer(0, MAX_PREFIX_MS)(f"{where}.prefix_padding_ms", detection["prefix_padding_ms"])
        integer(0, MAX_SILENCE_MS)(f"{where}.silence_duration_ms", detection["silence_duration_ms"])


def audio_format(param: str, value: Any) -> Config:
    """A format object. PCM is 24000 Hz only."""
    kinds = one_of(*(format.value for format in AudioFormat))
    checks: dict[str, Check] = {"type": kinds, "rate": nullable(integer(1, 10**6))}
    checked = fields(param, value, checks, required=["type"])
    expected = AudioFormat(checked["type"])
    if checked.get("rate") not in (None, expected.rate):
        problem = f"{expected.value} is {expected.rate} Hz only, but got {checked['rate']}: resample first."
        raise invalid_value(f"{param}.rate", problem)
    return format_object(expected)


def modalities(param: str, value: Any) -> list[str]:
    """["audio"] or ["text"], not both."""
    words = array(param, value)
    if words not in (["audio"], ["text"]):
        raise invalid_value(param, f"supported combinations are ['text'] and ['audio'], but got {words!r:.80}.")
    return list(words)


def voice(param: str, value: Any) -> Any:
    """A name, or the object of a custom voice."""
    if isinstance(value, dict):
        return fields(param, value, {"id": _short_text}, required=["id"])
    return _short_text(param, value)


def max_output_tokens(param: str, value: Any) -> Any:
    """1 to 4096, or "inf"."""
    return value if value == "inf" else integer(1, 4096)(param, value)


def tools(param: str, value: Any, mcp: McpRules | None = None) -> list[Config]:
    """Function tools; in a session (with `mcp`) also MCP servers."""
    checked = [_tool(f"{param}[{n}]", tool, mcp) for n, tool in enumerate(array(param, value, limit=MAX_TOOLS))]
    check_servers(param, checked, mcp or NONE)
    return checked


def _tool(param: str, value: Any, mcp: McpRules | None) -> Config:
    if mapping(param, value).get("type") != "mcp":
        return fields(param, value, _FUNCTION, required=["type", "name"])
    if mcp is None:
        raise invalid_value(f"{param}.type", "MCP servers belong to the session: name them with session.update.")
    return mcp_tool(param, value, mcp)


def tool_choice(param: str, value: Any) -> Any:
    """none, auto, required, one function, or an MCP server's tools."""
    if isinstance(value, str):
        return one_of("none", "auto", "required")(param, value)
    if isinstance(value, dict) and value.get("type") == "mcp":
        return mcp_choice(param, value)
    return fields(param, value, {"type": one_of("function"), "name": _short_text}, required=["type", "name"])


def _short_text(param: str, value: Any) -> str:
    return text(param, value, limit=512)


def _instructions(param: str, value: Any) -> str:
    return "" if value is None else text(param, value)


def _object(param: str, value: Any) -> Config:
    return dict(mapping(param, value))


def _as_in_a_session(name: str) -> Check:
    def check(param: str, value: Any) -> Any:
        check_member(param, name, value)
        return value

    return check


def _with(checks: Mapping[str, Check]) -> Check:
    return lambda param, value: fields(param, value, checks)


_FUNCTION: dict[str, Check] = {
    "type": one_of("function"),
    "name": _short_text,
    "description": nullable(text),
    "parameters": nullable(_object),
    "strict": nullable(boolean),
}

RESPONSE: dict[str, Check] = {
    "output_modalities": modalities,
    "instructions": _instructions,
    "audio": _with({"output": _with({"format": audio_format, "voice": voice})}),
    "tools": tools,
    "tool_choice": tool_choice,
    "parallel_tool_calls": boolean,
    "reasoning": _as_in_a_session("reasoning"),
    "max_output_tokens": max_output_tokens,
    "conversation": nullable(text),  # "auto" or "none": client_rules
    "metadata": metadata,
    "prompt": _as_in_a_session("prompt"),
    "input": nullable(array),
}
"""What the `response` of a response.create may hold; its `input` is checked item by item elsewhere."""
