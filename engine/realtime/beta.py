"""The older dialect in terms of today's: messages translated between wire and protocol, one at a time, both ways.

The hosted service refuses the older one since May 2026 (close 4000); compatible servers still speak it. It has flat
sessions, other names for formats, kinds of content and seven events, and one event where today there are two
(conversation.item.added and .done). Pure: JSON in, JSON out. What is not named here passes as it is, so that mistakes
are found where they always are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

HEADERS = MappingProxyType({"OpenAI-Beta": "realtime=v1"})
"""What asks a server for this dialect."""

MAX_OPEN = 256  # items announced and not whole that are remembered; of more, the oldest gets no conversation.item.done

_EVENTS = {
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
    "transcription_session.created": "session.created",
    "transcription_session.updated": "session.updated",
}
_FORMATS: Mapping[str, dict[str, Any]] = {
    "pcm16": {"type": "audio/pcm", "rate": 24000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
_FORMAT_NAMES = {str(form["type"]): name for name, form in _FORMATS.items()}
_PARTS = {"text": "output_text", "audio": "output_audio"}
_PART_NAMES = {new: old for old, new in _PARTS.items()}
# flat name -> where it is today
_PLACES: Mapping[str, tuple[str, ...]] = {
    "modalities": ("output_modalities",),
    "voice": ("audio", "output", "voice"),
    "speed": ("audio", "output", "speed"),
    "input_audio_format": ("audio", "input", "format"),
    "output_audio_format": ("audio", "output", "format"),
    "input_audio_transcription": ("audio", "input", "transcription"),
    "input_audio_noise_reduction": ("audio", "input", "noise_reduction"),
    "turn_detection": ("audio", "input", "turn_detection"),
    "max_response_output_tokens": ("max_output_tokens",),
}
_OF_RESPONSES = ("modalities", "voice", "output_audio_format")
_UNTOUCHED = (b'{"type":"input_audio_buffer.append"', b'{"type":"input_audio_buffer.commit"')

Json = dict[str, Any]


class Beta:
    """Both directions of one connection. `outgoing` and `incoming` never raise: what is no JSON object passes."""

    def __init__(self) -> None:
        self._open: dict[str, None] = {}  # items of responses that are announced and not whole; at most MAX_OPEN

    def outgoing(self, message: bytes | str) -> bytes | str:
        """A client's message of today as the older dialect has it."""
        data = message if isinstance(message, bytes) else message.encode()
        if data.startswith(_UNTOUCHED):
            return message
        event = _parsed(data)
        if event is None:
            return message
        match event["type"]:
            case "session.update":
                session = event.get("session")
                if isinstance(session, dict):
                    if session.get("type") == "transcription":
                        event["type"] = "transcription_session.update"
                    event["session"] = _flat({name: value for name, value in session.items() if name != "type"})
            case "response.create":
                if isinstance(event.get("response"), dict):
                    event["response"] = _old_response(event["response"])
            case "conversation.item.create":
                event["item"] = _with_parts(event.get("item"), _PART_NAMES)
            case _:
                return message
        return msgspec.json.encode(event)

    def incoming(self, message: bytes | str) -> list[bytes | str]:
        """A server's message as today's: one, or two where an item is whole."""
        event = _parsed(message if isinstance(message, bytes) else message.encode())
        if event is None:
            return [message]
        kind = event["type"]
        if kind == "conversation.item.created":
            return [msgspec.json.encode(each) for each in self._created(event)]
        if kind == "response.output_item.done":
            return [msgspec.json.encode(each) for each in self._whole(event)]
        translate = _INCOMING.get(kind)
        if translate is None and kind not in _EVENTS:
            return [message]
        if translate is not None:
            translate(event)
        event["type"] = _EVENTS.get(kind, kind)
        return [msgspec.json.encode(event)]

    def _created(self, event: Json) -> list[Json]:
        """An item in the conversation: begun by the model, or whole."""
        item = event["item"] = _with_parts(event.get("item"), _PARTS)
        added = {**event, "type": "conversation.item.added"}
        if isinstance(item, dict) and item.get("status") == "in_progress":
            self._open[str(item.get("id"))] = None
            if len(self._open) > MAX_OPEN:
                del self._open[next(iter(self._open))]
            return [added]
        return [added, _second(event, "conversation.item.done")]

    def _whole(self, event: Json) -> list[Json]:
        """An item of a response is whole, and with it the conversation's, if it is in there."""
        item = event["item"] = _with_parts(event.get("item"), _PARTS)
        item_id = item.get("id") if isinstance(item, dict) else None
        if item_id not in self._open:
            return [event]
        del self._open[item_id]
        done = {"type": event["type"], "event_id": event.get("event_id"), "item": item}
        return [event, _second(done, "conversation.item.done")]


def _parsed(data: bytes) -> Json | None:
    try:
        event = msgspec.json.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("type"), str) else None


def _second(event: Json, kind: str) -> Json:
    """Another event from the same message; its id is its own."""
    event_id = event.get("event_id")
    return {**event, "type": kind, **({"event_id": f"{event_id}.2"} if isinstance(event_id, str) else {})}


# ---- sessions


def _flat(session: Json) -> Json:
    """A session of today's, in the older shape."""
    rest = {name: value for name, value in session.items() if name not in ("audio", "output_modalities")}
    if "max_output_tokens" in rest:
        rest["max_response_output_tokens"] = rest.pop("max_output_tokens")
    return {**rest, **_named_flat(session, set(_PLACES) - {"max_response_output_tokens"})}


def _named_flat(holder: Json, names: set[str]) -> Json:
    result = {}
    for name in sorted(names):
        found, value = _dig(holder, _PLACES[name])
        if found:
            result[name] = _old_value(name, value)
    return result


def _old_value(name: str, value: Any) -> Any:
    if name == "modalities" and value == ["audio"]:
        return ["text", "audio"]
    if name.endswith("_format") and isinstance(value, dict):
        return _FORMAT_NAMES.get(str(value.get("type")), value)
    return value


def _nested(session: Json, kind: str) -> Json:
    """An older session as today's."""
    result = {"type": kind, **{name: value for name, value in session.items() if name not in _PLACES}}
    _nest(result, {name: value for name, value in session.items() if name in _PLACES})
    return result


def _nest(result: Json, named: Json) -> None:
    for name, value in named.items():
        holder = result
        *path, last = _PLACES[name]
        for step in path:
            holder = holder.setdefault(step, {})
        holder[last] = _new_value(name, value)


def _new_value(name: str, value: Any) -> Any:
    if name == "modalities" and isinstance(value, list):
        return ["audio"] if "audio" in value else value
    if name.endswith("_format") and isinstance(value, str):
        return dict(_FORMATS.get(value, {"type": value}))
    return value


def _dig(holder: Any, path: tuple[str, ...]) -> tuple[bool, Any]:
    for name in path:
        if not isinstance(holder, dict) or name not in holder:
            return False, None
        holder = holder[name]
    return True, holder


# ---- items and responses


def _with_parts(item: Any, names: Mapping[str, str]) -> Any:
    """The item with the kinds of an assistant's content renamed."""
    if not isinstance(item, dict) or item.get("role") != "assistant" or not isinstance(item.get("content"), list):
        return item
    return {**item, "content": [_part(part, names) for part in item["content"]]}


def _part(part: Any, names: Mapping[str, str]) -> Any:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        return part
    return {**part, "type": names.get(part["type"], part["type"])}


def _old_response(response: Json) -> Json:
    """What a response.create asks for."""
    result = {name: value for name, value in response.items() if name not in ("audio", "output_modalities")}
    result |= _named_flat(response, set(_OF_RESPONSES))
    if isinstance(response.get("input"), list):
        result["input"] = [_with_parts(item, _PART_NAMES) for item in response["input"]]
    return result


def _new_response(event: Json) -> None:
    response = event.get("response")
    if not isinstance(response, dict):
        return
    result = {name: value for name, value in response.items() if name not in _OF_RESPONSES}
    if isinstance(response.get("output"), list):
        result["output"] = [_with_parts(item, _PARTS) for item in response["output"]]
    named = {name: value for name, value in response.items() if name in _OF_RESPONSES and value is not None}
    _nest(result, named)
    event["response"] = result


def _new_session(event: Json) -> None:
    kind = "transcription" if event["type"].startswith("transcription_session.") else "realtime"
    if isinstance(event.get("session"), dict):
        event["session"] = _nested(event["session"], kind)


def _new_item(event: Json) -> None:
    event["item"] = _with_parts(event.get("item"), _PARTS)


def _new_part(event: Json) -> None:
    event["part"] = _part(event.get("part"), _PARTS)


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
