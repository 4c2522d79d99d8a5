"""What a new session is told of the conversation so far: a bounded, plain-text memory of it.

What the user said goes in as input_text, what the model said as output_text (its sound cannot be created), each reply
only as far as it was heard. A function call and its output stay together; a call without an output yet is always told,
for the output is still to come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.realtime import Protocol
from engine.realtime.words import Entry

Heard = tuple[int, int]
"""Milliseconds of a reply that were played, and that had been received."""

ANCHOR = "anchor_"
"""How the ids of re-anchoring messages begin: the next session gets a new one, not the old ones."""
MOST_OPEN = 64  # calls without an output that are told whatever the bound; of more, the newest

Item = dict[str, Any]


def anchored(items: list[Item], text: str, anchor_id: str, *, broken_off: bool = False) -> list[Item]:
    """The items and, unless there is nothing to go on from, the re-anchoring message."""
    if not items or not text:
        return items
    if broken_off:
        text += " Your last answer broke off before its end."
    return [*items, {"id": anchor_id, **_message("system", "input_text", text)}]


def remembered(
    protocol: Protocol, heard: Mapping[str, Heard], most_items: int, most_characters: int
) -> tuple[list[Item], int]:
    """The newest items of a conversation as a client may create them again, in order, and how many had to be left out.

    `heard` tells of replies that were cut off and of which the server has not confirmed it.
    """
    entries = [entry for entry in protocol.history() if not entry.item_id.startswith(ANCHOR)]
    calls = {entry.call_id for entry in entries if _is_whole_call(entry)}
    shaped = [
        (entry, item)
        for entry in entries
        if (item := _shaped(entry, calls, heard.get(entry.item_id) or _truncation(protocol, entry))) is not None
    ]
    kept = _newest([entry for entry, _ in shaped], most_items, most_characters)
    items = [item for entry, item in shaped if _unit(entry) in kept]
    return items, len(entries) - len(items)


def _is_whole_call(entry: Entry) -> bool:
    """Not one whose arguments had not all come when the line was lost."""
    return entry.kind == "function_call" and entry.done and bool(entry.text) and bool(entry.call_id)


def _unit(entry: Entry) -> str:
    """What is told together: a call and its outputs, or one message."""
    return f"call {entry.call_id}" if entry.call_id else f"item {entry.item_id}"


def _newest(entries: Sequence[Entry], most_items: int, most_characters: int) -> set[str]:
    count: dict[str, int] = {}
    size: dict[str, int] = {}
    answered = {_unit(entry) for entry in entries if entry.kind == "function_call_output"}
    for entry in entries:
        unit = _unit(entry)
        count[unit] = count.get(unit, 0) + 1
        size[unit] = size.get(unit, 0) + len(entry.text)
    kept: set[str] = set()
    full, unanswered = False, 0
    for entry in reversed(entries):
        unit = _unit(entry)
        if unit in kept:
            continue
        if entry.call_id and unit not in answered:
            unanswered += 1
            if unanswered <= MOST_OPEN:
                kept.add(unit)
            continue
        full = full or count[unit] > most_items or size[unit] > most_characters
        if not full:
            kept.add(unit)
            most_items -= count[unit]
            most_characters -= size[unit]
    return kept


def _truncation(protocol: Protocol, entry: Entry) -> Heard | None:
    item = protocol.items.get(entry.item_id)
    if entry.truncated_ms is None or item is None or item.output is None:
        return None
    return entry.truncated_ms, sum(item.output.audio_bytes.values()) // item.bytes_per_ms


def _shaped(entry: Entry, calls: set[str], heard: Heard | None) -> Item | None:
    """The entry as an item; None for what cannot be created (unheard, unwritten, an MCP server's) or means nothing."""
    if _is_whole_call(entry):
        call = {"name": entry.name, "arguments": entry.text}
        return {"id": entry.item_id, "type": entry.kind, "call_id": entry.call_id, **call}
    if entry.kind == "function_call_output" and entry.call_id in calls:
        return {"id": entry.item_id, "type": entry.kind, "call_id": entry.call_id, "output": entry.text}
    if entry.kind != "message" or entry.role not in ("user", "assistant", "system"):
        return None
    text = as_heard(entry.text, heard) if heard is not None else entry.text
    if not text:
        return None
    part = "output_text" if entry.role == "assistant" else "input_text"
    return {"id": entry.item_id, **_message(entry.role, part, text)}


def _message(role: str, part: str, text: str) -> Item:
    return {"type": "message", "role": role, "content": [{"type": part, "text": text}]}


def as_heard(text: str, heard: Heard) -> str:
    """The words up to where a reply was cut off, by its share of the sound: no server tells when which word is said."""
    played, received = heard
    if played >= received:
        return text if received else ""
    end = len(text) * max(played, 0) // received
    begun = text[:end].rpartition(" ")[0] if end < len(text) and text[end] != " " else text[:end]
    return f"{begun.rstrip()} …" if begun.strip() else ""
