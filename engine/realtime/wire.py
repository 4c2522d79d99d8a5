"""JSON text to events and back: one event per message.

    event = wire.decode(message, Role.SERVER)     # typed, or Unknown; RemoteProtocolError when it is no event
    message = wire.encode(event)                  # compact UTF-8 JSON

decode is total: any bytes or text give an event or a RemoteProtocolError that carries the code, param and event_id a
server answers with. A type that the sender has not gives Unknown for either sender: a client keeps it and goes on, and
Protocol(Role.SERVER) refuses it. Known events are decoded in one pass in C; only one with unknown members or a mistake
takes the second, slower way.
"""

from __future__ import annotations

import inspect
import re
from functools import reduce
from operator import or_
from typing import Any, NoReturn

import msgspec
from msgspec import UNSET

from engine.errors import LocalProtocolError, RemoteProtocolError
from engine.realtime.event_base import EXTRA, MAX_ID
from engine.realtime.events import EVENTS, AnyEvent, Event, Unknown
from engine.realtime.problems import json_kind
from engine.realtime.roles import Role

MAX_DEPTH = 64
"""Deepest nesting of arrays and objects that is accepted. It keeps every recursive walk over an event safe."""

_OF_CLIENTS: msgspec.json.Decoder[Event] = msgspec.json.Decoder(reduce(or_, EVENTS[Role.CLIENT].values()))
_OF_SERVERS: msgspec.json.Decoder[Event] = msgspec.json.Decoder(reduce(or_, EVENTS[Role.SERVER].values()))
_NAMES: dict[type[Event], frozenset[str]] = {
    cls: frozenset(cls.__struct_encode_fields__) - {EXTRA} for types in EVENTS.values() for cls in types.values()
}
_ENCODER = msgspec.json.Encoder()


def _is_flat(cls: type[Event]) -> bool:
    """Whether no member but `extra` can nest, told from the annotations, which are text here."""
    hints = {name: hint for base in cls.__mro__ for name, hint in inspect.get_annotations(base).items()}
    return not any("Object" in hint or "list" in hint for name, hint in hints.items() if name != "extra")


_FLAT = frozenset(cls for cls in _NAMES if _is_flat(cls))  # types without open members


def decode(data: bytes | bytearray | memoryview | str, sender: Role) -> AnyEvent:
    """The event in one message that `sender` sent. Raises RemoteProtocolError, never anything else."""
    try:
        event: AnyEvent = (_OF_CLIENTS if sender is Role.CLIENT else _OF_SERVERS).decode(data)
        if event.extra is not UNSET:  # type: ignore[union-attr]  # a member really named "*": keep it as an unknown one
            event = _decode_slowly(data, sender)
    except msgspec.ValidationError:
        event = _decode_slowly(data, sender)
    except (msgspec.DecodeError, ValueError) as error:
        raise _not_json(error) from None
    except RecursionError:
        raise _too_deep() from None
    _check_depth(event)
    if sender is Role.CLIENT and isinstance(event.event_id, str) and len(event.event_id) > MAX_ID:
        message = f"Invalid 'event_id': at most {MAX_ID} characters, but got {len(event.event_id)}."
        raise RemoteProtocolError(message, code="invalid_value", param="event_id")
    return event


def encode(event: AnyEvent) -> bytes:
    """Compact JSON of one event. Raises LocalProtocolError when a value in it has no JSON form."""
    try:
        if isinstance(event, Unknown):
            return _ENCODER.encode({"type": event.type, **event.fields})
        if event.extra is UNSET:
            return _ENCODER.encode(event)
        members = msgspec.to_builtins(msgspec.structs.replace(event, extra=UNSET))
        return _ENCODER.encode({**members, **event.extra})
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise LocalProtocolError(f"event {event.type} cannot be written as JSON: {error}") from None


def _decode_slowly(data: bytes | bytearray | memoryview | str, sender: Role) -> AnyEvent:
    """The way for messages that are JSON but not exactly a known event: unknown type, unknown members, or a mistake."""
    try:
        members = msgspec.json.decode(data)
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.DecodeError, ValueError) as error:
        raise _not_json(error) from None
    if not isinstance(members, dict):
        raise RemoteProtocolError("The event is not a JSON object.", code="invalid_event")
    event_id = _event_id(members)
    if "type" not in members:
        raise RemoteProtocolError("The 'type' field is missing.", code="invalid_event", event_id=event_id)
    kind = members.pop("type")
    if not isinstance(kind, str):
        message = f"Invalid type for 'type': expected a string, but got {json_kind(kind)} instead."
        raise RemoteProtocolError(message, code="invalid_type", param="type", event_id=event_id)
    cls = EVENTS[sender].get(kind)
    if cls is None:
        return Unknown(type=kind, fields=members)
    return _convert(cls, members, event_id)


def _convert(cls: type[Event], members: dict[str, Any], event_id: str | None) -> Event:
    names = _NAMES[cls]
    known = {name: value for name, value in members.items() if name in names}
    unknown = {name: value for name, value in members.items() if name not in names}
    if unknown:
        known[EXTRA] = unknown
    try:
        return msgspec.convert(known, cls)
    except msgspec.ValidationError as error:
        _raise_invalid(str(error), members, event_id)
    except RecursionError:
        raise _too_deep() from None


_MISSING = re.compile(r"missing required field `(?P<name>[^`]+)`")
_WRONG = re.compile(r"Expected `(?P<expected>[^`]+)`, got `(?P<got>[^`]+)`")
_PATH = re.compile(r"at `\$\.?(?P<path>[^`]*)`")
_WORDS = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bytes": "a base64 string",
    "object": "an object",
    "array": "an array",
    "bool": "a boolean",
    "null": "null",
}


def _raise_invalid(problem: str, members: dict[str, Any], event_id: str | None) -> NoReturn:
    """Tell msgspec's complaint in the service's words."""
    path_match = _PATH.search(problem)
    path = path_match["path"] if path_match else ""
    if missing := _MISSING.search(problem):
        name = f"{path}.{missing['name']}".lstrip(".")
        message, code = f"Missing required parameter: '{name}'.", "missing_required_parameter"
    elif "base64" in problem:
        name = path
        message = f"Invalid '{name}'. Expected base64-encoded audio bytes but got an invalid value."
        code = "invalid_value"
    elif wrong := _WRONG.search(problem):
        name = path
        expected = " or ".join(_WORDS.get(word.strip(), word.strip()) for word in wrong["expected"].split("|"))
        got = json_kind(members[name]) if name in members else _WORDS.get(wrong["got"], wrong["got"])
        message, code = f"Invalid type for '{name}': expected {expected}, but got {got} instead.", "invalid_type"
    else:
        name = path
        message, code = f"Invalid value for '{name}': {problem}.", "invalid_value"
    raise RemoteProtocolError(message, code=code, param=name or None, event_id=event_id)


def _event_id(members: dict[str, Any]) -> str | None:
    value = members.get("event_id")
    return value if isinstance(value, str) and len(value) <= MAX_ID else None


def _not_json(error: Exception) -> RemoteProtocolError:
    return RemoteProtocolError(f"The event is not valid JSON: {error}", code="invalid_event")


def _too_deep() -> RemoteProtocolError:
    return RemoteProtocolError(f"The event is nested deeper than {MAX_DEPTH} levels.", code="invalid_event")


def _check_depth(event: AnyEvent) -> None:
    """Refuse deep nesting in the open members. Audio and text deltas have none and are not looked at."""
    if type(event) in _FLAT and event.extra is UNSET:  # type: ignore[union-attr]
        return
    if isinstance(event, Unknown):
        level: list[Any] = [event.fields]
    else:
        level = [getattr(event, name) for name in event.__struct_fields__]
    if _deeper(level, MAX_DEPTH):
        raise _too_deep()


def too_deep(value: Any) -> bool:
    """Whether a JSON value nests deeper than MAX_DEPTH, for JSON that comes another way than in events."""
    return _deeper([value], MAX_DEPTH)


def _deeper(level: list[Any], limit: int) -> bool:
    for _ in range(limit + 1):
        level = [
            inner
            for value in level
            if isinstance(value, (dict, list))
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return False
    return True
