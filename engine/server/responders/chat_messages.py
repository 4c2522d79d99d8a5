"""A conversation as the messages of a chat completion: instructions, words, pictures, tool calls and their outputs.

Chat services are strict where a conversation is not: the outputs of a message's calls must follow it at once, each call
must have one, and an output without its call is refused. So outputs are moved to their calls, a call that was never
answered gets an output that says so, and an output whose call is gone becomes a note.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from engine.server.responders.base import McpTool, Tool, Turn

CUT_OFF = "[The user interrupted this reply and did not hear all of it.]"
UNKNOWN_WORDS = "[The user said something that could not be understood.]"
NO_OUTPUT = "(no output: the call was not answered)"

Message = dict[str, Any]

_NO_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_CALLS = ("function_call", "mcp_call")


def messages(turn: Turn, *, images: bool = True) -> list[Message]:
    """The messages of a turn that was `understood`. Without `images` a picture is only mentioned."""
    found: list[Message] = []
    if turn.instructions:
        found.append({"role": "system", "content": turn.instructions})
    outputs = _outputs(turn.items)
    calls: list[Mapping[str, Any]] = []  # that follow one another: one message, as the model wrote them
    for item in turn.items:
        if item.get("type") in _CALLS:
            calls.append(item)
            continue
        found += _called(found, calls, outputs)
        calls = []
        if item.get("type") == "message":
            found += _message(item, images, turn.truncated)
    found += _called(found, calls, outputs)
    for call_id, output in outputs.items():
        found.append({"role": "system", "content": f"Output of an earlier call ({call_id}): {output}"})
    return found


def tools(turn: Turn) -> list[dict[str, Any]]:
    """The session's functions and the tools of its MCP servers as a chat completion takes them."""
    named: list[tuple[str, Tool | McpTool]] = [(tool.name, tool) for tool in turn.tools]
    named += [(mcp_name(tool.server, tool.name), tool) for tool in turn.mcp_tools]
    return [
        {
            "type": "function",
            "function": {
                "name": name,
                **({"description": tool.description} if tool.description else {}),
                "parameters": dict(tool.parameters) or {"type": "object", "properties": {}},
            },
        }
        for name, tool in named
    ]


def mcp_name(server: str, tool: str) -> str:
    """The function name under which a chat service knows the tool of an MCP server: its names allow little."""
    return _NO_NAME.sub("_", f"{server}__{tool}")[:64]


def tool_choice(choice: Any) -> Any:
    """The session's tool_choice as a chat completion takes it: a name of one function, else a word."""
    if isinstance(choice, Mapping):
        name = choice.get("name")
        if choice.get("type") == "mcp" and name:
            name = mcp_name(str(choice.get("server_label")), str(name))
        return {"type": "function", "function": {"name": name}} if name else "auto"
    return choice if choice in ("auto", "none", "required") else "auto"


def _message(item: Mapping[str, Any], images: bool, truncated: Mapping[str, float]) -> list[Message]:
    role = str(item.get("role"))
    parts = item.get("content") or ()
    texts = [text for part in parts if (text := _words(part, role))]
    if role == "assistant":
        cut = any(part.get("type") == "output_audio" and "transcript" not in part for part in parts)
        if (heard_ms := truncated.get(str(item.get("id")))) is not None:
            texts.append(f"[The user interrupted this reply after hearing {heard_ms / 1000:.1f} s of it.]")
        elif cut or item.get("status") == "incomplete":
            texts.append(CUT_OFF)
        return [{"role": "assistant", "content": " ".join(texts)}] if texts else []
    pictures = [part for part in parts if part.get("type") == "input_image"]
    if pictures and not images:
        texts.append(f"[{len(pictures)} pictures, which cannot be shown]")
    if pictures and images:
        content: Any = [{"type": "text", "text": " ".join(texts)}] if texts else []
        content += [{"type": "image_url", "image_url": {"url": part["image_url"]}} for part in pictures]
        return [{"role": role, "content": content}]
    return [{"role": role, "content": " ".join(texts)}] if texts else []


def _words(part: Mapping[str, Any], role: str) -> str:
    words = part.get("text") or part.get("transcript") or ""
    if not words and role == "user" and part.get("type") == "input_audio":
        return UNKNOWN_WORDS
    return str(words)


def _call_id(item: Mapping[str, Any]) -> str:
    return str(item.get("call_id") or item.get("id"))


def _outputs(items: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in items:
        if item.get("type") == "function_call_output":
            found[_call_id(item)] = str(item.get("output", ""))
        elif item.get("type") == "mcp_call" and (item.get("output") is not None or item.get("error") is not None):
            error = item.get("error") or {}
            found[_call_id(item)] = str(item.get("output") or f"error: {error.get('message', error)}")
    return found


def _called_name(item: Mapping[str, Any]) -> str:
    name = str(item.get("name"))
    return mcp_name(str(item.get("server_label")), name) if item.get("type") == "mcp_call" else name


def _called(before: list[Message], calls: Sequence[Mapping[str, Any]], outputs: dict[str, str]) -> list[Message]:
    """The messages of calls and their outputs. Words just before them belong to the same message."""
    if not calls:
        return []
    made = [
        {
            "id": _call_id(call),
            "type": "function",
            "function": {"name": _called_name(call), "arguments": call.get("arguments") or "{}"},
        }
        for call in calls
    ]
    answers = [
        {"role": "tool", "tool_call_id": call["id"], "content": outputs.pop(str(call["id"]), NO_OUTPUT)}
        for call in made
    ]
    if before and before[-1]["role"] == "assistant" and "tool_calls" not in before[-1]:
        before[-1]["tool_calls"] = made
        return answers
    return [{"role": "assistant", "content": None, "tool_calls": made}, *answers]


__all__ = ["CUT_OFF", "NO_OUTPUT", "UNKNOWN_WORDS", "messages", "tool_choice", "tools"]
