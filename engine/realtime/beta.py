"""The older dialect in terms of today's, on a client's side: messages translated one at a time, both ways.

The hosted service refuses the older one since May 2026 (close 4000); compatible servers still speak it. It has flat
sessions, other names for formats, kinds of content and seven events, and one event where today there are two
(conversation.item.added and .done). Pure: JSON in, JSON out. What is not named here passes as it is, so that mistakes
are found where they always are. The names are in beta_names.py, a server's side is in beta_served.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from engine.realtime.beta_names import (
    EVENTS,
    HEADERS,
    OF_RESPONSES,
    PART_NAMES,
    PARTS,
    Json,
    flat,
    named_flat,
    nest,
    nested,
    parsed,
    part,
    with_parts,
)

__all__ = ["HEADERS", "MAX_OPEN", "Beta"]

MAX_OPEN = 256  # items announced and not whole that are remembered; of more, the oldest gets no conversation.item.done

_NAMES = {
    **EVENTS,
    "transcription_session.created": "session.created",
    "transcription_session.updated": "session.updated",
}
_UNTOUCHED = (b'{"type":"input_audio_buffer.append"', b'{"type":"input_audio_buffer.commit"')


class Beta:
    """Both directions of one connection. `outgoing` and `incoming` never raise: what is no JSON object passes."""

    def __init__(self) -> None:
        self._open: dict[str, None] = {}  # items of responses that are announced and not whole; at most MAX_OPEN

    def outgoing(self, message: bytes | str) -> bytes | str:
        """A client's message of today as the older dialect has it."""
        data = message if isinstance(message, bytes) else message.encode()
        if data.startswith(_UNTOUCHED):
            return message
        event = parsed(data)
        if event is None:
            return message
        match event["type"]:
            case "session.update":
                session = event.get("session")
                if isinstance(session, dict):
                    if session.get("type") == "transcription":
                        event["type"] = "transcription_session.update"
                    event["session"] = flat({name: value for name, value in session.items() if name != "type"})
            case "response.create":
                if isinstance(event.get("response"), dict):
                    event["response"] = _old_response(event["response"])
            case "conversation.item.create":
                event["item"] = with_parts(event.get("item"), PART_NAMES)
            case _:
                return message
        return msgspec.json.encode(event)

    def incoming(self, message: bytes | str) -> list[bytes | str]:
        """A server's message as today's: one, or two where an item is whole."""
        event = parsed(message if isinstance(message, bytes) else message.encode())
        if event is None:
            return [message]
        kind = event["type"]
        if kind == "conversation.item.created":
            return [msgspec.json.encode(each) for each in self._created(event)]
        if kind == "response.output_item.done":
            return [msgspec.json.encode(each) for each in self._whole(event)]
        translate = _INCOMING.get(kind)
        if translate is None and kind not in _NAMES:
            return [message]
        if translate is not None:
            translate(event)
        event["type"] = _NAMES.get(kind, kind)
        return [msgspec.json.encode(event)]

    def _created(self, event: Json) -> list[Json]:
        """An item in the conversation: begun by the model, or whole."""
        item = event["item"] = with_parts(event.get("item"), PARTS)
        added = {**event, "type": "conversation.item.added"}
        if isinstance(item, dict) and item.get("status") == "in_progress":
            self._open[str(item.get("id"))] = None
            if len(self._open) > MAX_OPEN:
                del self._open[next(iter(self._open))]
            return [added]
        return [added, _second(event, "conversation.item.done")]

    def _whole(self, event: Json) -> list[Json]:
        """An item of a response is whole, and with it the conversation's, if it is in there."""
        item = event["item"] = with_parts(event.get("item"), PARTS)
        item_id = item.get("id") if isinstance(item, dict) else None
        if item_id not in self._open:
            return [event]
        del self._open[item_id]
        done = {"type": event["type"], "event_id": event.get("event_id"), "item": item}
        return [event, _second(done, "conversation.item.done")]


def _second(event: Json, kind: str) -> Json:
    """Another event from the same message; its id is its own."""
    event_id = event.get("event_id")
    return {**event, "type": kind, **({"event_id": f"{event_id}.2"} if isinstance(event_id, str) else {})}


# ---- responses


def _old_response(response: Json) -> Json:
    """What a response.create asks for."""
    result = {name: value for name, value in response.items() if name not in ("audio", "output_modalities")}
    result |= named_flat(response, set(OF_RESPONSES))
    if isinstance(response.get("input"), list):
        result["input"] = [with_parts(item, PART_NAMES) for item in response["input"]]
    return result


def _new_response(event: Json) -> None:
    response = event.get("response")
    if not isinstance(response, dict):
        return
    result = {name: value for name, value in response.items() if name not in OF_RESPONSES}
    if isinstance(response.get("output"), list):
        result["output"] = [with_parts(item, PARTS) for item in response["output"]]
    named = {name: value for name, value in response.items() if name in OF_RESPONSES and value is not None}
    nest(result, named)
    event["response"] = result


def _new_session(event: Json) -> None:
    kind = "transcription" if event["type"].startswith("transcription_session.") else "realtime"
    if isinstance(event.get("session"), dict):
        event["session"] = nested(event["session"], kind)


def _new_item(event: Json) -> None:
    event["item"] = with_parts(event.get("item"), PARTS)


def _new_part(event: Json) -> None:
    event["part"] = part(event.get("part"), PARTS)


_INCOMING: Mapping[str, Callable[[Json], None]] = {
    "session.created": _new_session,
    "session.updated": _new_session,
    "transcription_session.created": _new_session,
    "transcription_session.updated": _new_session,
    "response.created": _new_response,
    "response.done": _new_response,
    "response.output_item.added": _new_item,
    "conversation.item.retrieved": _new_item,
    "response.content_part.added": _new_part,
    "response.content_part.done": _new_part,
}
