"""What a brain is shown: the conversation, or a response's private input, as a `Turn`; and what it counts in tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from engine.server.hearing import Hearing
from engine.server.history import History
from engine.server.items import Item, from_client
from engine.server.recognisers.base import Heard
from engine.server.refusal import Refusal
from engine.server.responders.base import McpTool, Tool, ToolOutput, Turn
from engine.server.run import snapshot
from engine.server.run_settings import RunSettings
from engine.server.shapes import Check, fields, text
from engine.server.state import SessionState

MAX_UNKNOWN = 16
"""Spoken items whose words one turn waits for, the newest: a client may put in hundreds at once."""

_REFERENCE: dict[str, Check] = {"type": text, "id": text}


def private_input(entries: Sequence[dict[str, Any]], state: SessionState) -> list[Item]:
    """The items of response.input: whole items, or references into the conversation.

    Raises ProtocolError for a bad one.
    """
    result: list[Item] = []
    for number, entry in enumerate(entries):
        param = f"response.input[{number}]"
        if entry["type"] == "item_reference":  # client_rules has seen that each is an object with a type
            wanted = fields(param, entry, _REFERENCE, required=["id"])["id"]
            if wanted not in state.history:
                message = f"Item with id '{wanted:.100}' not found in the conversation."
                raise Refusal("invalid_value", message, f"{param}.id")
            result.append(state.history[wanted])
        else:
            result.append(from_client(param, entry, state.new_item_id(), state.input_format))
    return result


def turn_for(
    context: Sequence[Item],
    settings: RunSettings,
    number: int,
    history: History,
    hearing: Hearing,
    mcp_tools: Sequence[McpTool] = (),
) -> Turn:
    """The view of one turn. The audio is read when asked for, so an echo costs nothing for other brains; and words are
    recognised when asked for.
    """
    users = [item for item in context if item.role == "user"]
    last = users[-1] if users else None
    after = context[context.index(last) + 1 :] if last is not None else context
    turn = Turn(
        number=number,
        user_turn=len(users),
        text=(last.text() or last.understood) if last is not None else "",
        instructions=settings.config["instructions"],
        modality=settings.modality,
        voice=settings.voice,
        tools=[_tool(tool) for tool in settings.config["tools"] if tool["type"] == "function"],
        mcp_tools=mcp_tools,
        tool_choice=settings.config["tool_choice"],
        tool_outputs=[output for item in after if (output := _output(item, history)) is not None],
        metadata=settings.metadata,
        items=[_view(item, item.understood) for item in context],
        truncated={item.id: clip.duration_ms for item in context for clip in item.clips.values() if clip.truncated},
        load_audio=lambda: last.samples() if last is not None else np.zeros(0, np.float32),
        load_item=lambda item_id: next(
            (item.samples() for item in context if item.id == item_id), np.zeros(0, np.float32)
        ),
    )
    return replace(turn, load_words=lambda: _understood(turn, context, last, hearing))


async def _understood(turn: Turn, context: Sequence[Item], last: Item | None, hearing: Hearing) -> Turn:
    """The turn with words for all that was said: what is known already is not asked for again."""
    heard = Heard(turn.text) if last is not None and last.clips else None
    items = list(turn.items)
    unknown = [
        place
        for place, item in enumerate(context)
        if item.role == "user" and item.clips and not (item.understood or item.text())
    ]
    for place in unknown[-MAX_UNKNOWN:]:
        found = await hearing.understand(context[place])
        items[place] = _view(context[place], found.text)
        if context[place] is last:
            heard = found
    text = turn.text or (heard.text if heard is not None else "")
    return replace(turn, text=text, items=items, heard=heard, load_words=None)


def _view(item: Item, words: str) -> dict[str, Any]:
    """An item for a brain: its wire object, where words of the user's speech stand that nobody may have asked for."""
    wire = snapshot(item)
    spoken = [part for part in wire.get("content", ()) if part.get("type") == "input_audio"]
    if words and spoken and not any(part.get("transcript") for part in spoken):
        spoken[0]["transcript"] = words
    return wire


def _tool(wire: dict[str, Any]) -> Tool:
    return Tool(wire["name"], wire.get("description") or "", wire.get("parameters") or {})


def _output(item: Item, history: History) -> ToolOutput | None:
    if item.type == "mcp_call" and (item.wire["output"] is not None or item.wire["error"] is not None):
        return ToolOutput(item.id, item.wire["name"], item.wire["output"] or f"error: {item.wire['error']['message']}")
    if item.type == "mcp_approval_response" and not item.wire["approve"]:
        asked = item.wire["approval_request_id"]
        name = history[asked].wire["name"] if asked in history else ""
        return ToolOutput(item.id, name, f"declined: {item.wire.get('reason') or 'no reason given'}")
    if item.type != "function_call_output":
        return None
    call_id = item.wire["call_id"]
    call = history.call_named(call_id)
    return ToolOutput(call_id, call.wire["name"] if call is not None else "", item.wire["output"])
