"""What a client may ask, checked on both ends: the client's send() and the server's receive().

Every function raises a ProtocolError with the service's code, message and param. The two ends differ only where a
client cannot know: items it has created but not yet seen announced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import UNSET

from engine.realtime import events as ev
from engine.realtime import problems, session
from engine.realtime.items import Items
from engine.realtime.output import Response
from engine.realtime.roles import Role

MAX_APPEND_BYTES = 15 * 2**20
"""Audio one input_audio_buffer.append may carry, bytes of decoded audio."""


class State(Protocol):
    """The part of a session's state that the rules look at."""

    role: Role
    call: bool
    effective: Mapping[str, Any]
    items: Items
    audio_started: bool
    response: Response | None

    def producing(self, item_id: str) -> bool: ...


def check(state: State, event: ev.ClientEvent) -> None:
    """Raise when the client may not send this now."""
    match event:
        case ev.SessionUpdate():
            strict = state.role is Role.SERVER
            session.check_update(
                state.effective,
                event.session,
                audio_started=state.audio_started,
                responding=strict and state.response is not None,
                strict=strict,
            )
        case ev.InputAudioBufferAppend():
            if len(event.audio) > MAX_APPEND_BYTES:
                message = f"Invalid 'audio': at most {MAX_APPEND_BYTES} bytes per event, but got {len(event.audio)}."
                raise problems.invalid_value("audio", message)
        case ev.ConversationItemCreate():
            _check_create(state, event)
        case ev.ConversationItemRetrieve():
            _check_known(state, "retrieve", event.item_id)
        case ev.ConversationItemDelete():
            _check_delete(state, event)
        case ev.ConversationItemTruncate():
            _check_truncate(state, event)
        case ev.OutputAudioBufferClear() if not state.call:
            raise problems.clear_belongs_to_calls()


def check_response_create(event: ev.ResponseCreate, effective: Mapping[str, Any]) -> None:
    """Raise when no state would allow this response.create."""
    if effective.get("type") == "transcription":
        message = "Responses are not available in a transcription session."
        raise problems.invalid_value("type", message)
    response = event.response if isinstance(event.response, dict) else {}
    conversation = response.get("conversation", "auto")
    if conversation not in ("auto", "none", None):
        if not isinstance(conversation, str):
            raise problems.invalid_type("response.conversation", "a string", conversation)
        message = f"Invalid value: '{conversation[:80]}'. Supported values are: 'auto' and 'none'."
        raise problems.invalid_value("response.conversation", message)
    _check_input(response.get("input"))


def _check_input(entries: Any) -> None:
    if entries is None:
        return
    if not isinstance(entries, list):
        raise problems.invalid_type("response.input", "an array", entries)
    for number, entry in enumerate(entries):
        where = f"response.input[{number}]"
        if not isinstance(entry, dict):
            raise problems.invalid_type(where, "an object", entry)
        if entry.get("type") != "item_reference":
            _check_item(where, entry)


def _check_known(state: State, doing: str, item_id: str) -> None:
    if state.role is Role.SERVER and item_id not in state.items:
        raise problems.no_such_item(doing, item_id)


def _check_delete(state: State, event: ev.ConversationItemDelete) -> None:
    _check_known(state, "delete", event.item_id)
    if state.producing(event.item_id):
        message = f"Item '{event.item_id[:80]}' belongs to a response in progress: delete it after response.done."
        raise problems.invalid_value("item_id", message)


def _check_truncate(state: State, event: ev.ConversationItemTruncate) -> None:
    item = state.items.get(event.item_id)
    if item is None:
        raise problems.no_such_item("truncate", event.item_id)
    present_ms = item.audio_ms(event.content_index)
    if present_ms == 0 or event.audio_end_ms == 0:
        raise problems.not_model_audio()
    if event.audio_end_ms < 0:
        message = f"Invalid 'audio_end_ms': expected a value >= 1, but got {event.audio_end_ms}."
        raise problems.invalid_value("audio_end_ms", message)
    if event.audio_end_ms > present_ms:
        raise problems.already_shorter(present_ms, event.audio_end_ms)


_ITEM_TYPES = {
    "message",
    "function_call",
    "function_call_output",
    "mcp_list_tools",
    "mcp_call",
    "mcp_approval_request",
    "mcp_approval_response",
}
_PARTS_OF_ROLE = {
    "system": {"input_text"},
    "user": {"input_text", "input_audio", "input_image"},
    "assistant": {"output_text", "text"},
}
_REQUIRED = {
    "message": ("role", "content"),
    "function_call": ("name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "mcp_approval_response": ("approval_request_id", "approve"),
}


def _check_create(state: State, event: ev.ConversationItemCreate) -> None:
    kind = _check_item("item", event.item)
    if state.role is Role.SERVER:
        _check_place(state, event, kind)


def _check_item(where: str, item: ev.Object) -> str:
    """Check one item, of the conversation or of response.input, that stands at `where`; gives its type."""
    kind = item.get("type", UNSET)
    if kind is UNSET:
        raise problems.missing(f"{where}.type")
    if not isinstance(kind, str):
        raise problems.invalid_type(f"{where}.type", "a string", kind)
    if kind not in _ITEM_TYPES:
        names = "', '".join(sorted(_ITEM_TYPES))
        raise problems.invalid_value(f"{where}.type", f"Invalid value: '{kind[:80]}'. Supported values are: '{names}'.")
    for name in _REQUIRED.get(kind, ()):
        if name not in item:
            raise problems.missing(f"{where}.{name}")
    if "id" in item and not isinstance(item["id"], str) and item["id"] is not None:
        raise problems.invalid_type(f"{where}.id", "a string", item["id"])
    if kind == "message":
        _check_message(where, item)
    return kind


def _check_message(where: str, item: ev.Object) -> None:
    role = item["role"]
    allowed = _PARTS_OF_ROLE.get(role) if isinstance(role, str) else None
    if allowed is None:
        names = "', '".join(_PARTS_OF_ROLE)
        text = f"Invalid value: '{role!s:.80}'. Supported values are: '{names}'."
        raise problems.invalid_value(f"{where}.role", text)
    content = item["content"]
    if not isinstance(content, list):
        raise problems.invalid_type(f"{where}.content", "an array", content)
    for index, part in enumerate(content):
        place = f"{where}.content[{index}]"
        if not isinstance(part, dict):
            raise problems.invalid_type(place, "an object", part)
        if "type" not in part:
            raise problems.missing(f"{place}.type")
        if not isinstance(part["type"], str) or part["type"] not in allowed:
            names = "', '".join(sorted(allowed))
            text = f"Invalid value: '{part['type']!s:.80}'. Supported values are: '{names}'."
            raise problems.invalid_value(f"{place}.type", text)


def _check_place(state: State, event: ev.ConversationItemCreate, kind: str) -> None:
    item_id = ev.text_of(event.item, "id")
    if item_id in state.items:
        raise problems.invalid_value("item.id", f"An item with id '{item_id[:80]}' already exists.")
    after = event.previous_item_id
    if isinstance(after, str) and after != "root" and after not in state.items:
        message = f"Error creating item: the previous item with id '{after[:80]}' does not exist."
        raise problems.invalid_value("previous_item_id", message)
    call_id = ev.text_of(event.item, "call_id")
    if kind == "function_call_output" and not state.items.has_call(call_id):
        raise problems.unknown_call(call_id)
