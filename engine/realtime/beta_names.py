"""Where the two dialects differ: names, places of settings, kinds of content. One list for both directions.

A client's side of the translation is in beta.py, a server's in beta_served.py. Pure functions on JSON objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

HEADERS = MappingProxyType({"OpenAI-Beta": "realtime=v1"})
"""What asks a server for this dialect."""

EVENTS: Mapping[str, str] = {
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
}
"""Older name -> today's, of events that differ in nothing else. conversation.item.created (added and done today) and
transcription_session.* (session.* today) are the others.
"""
FORMATS: Mapping[str, dict[str, Any]] = {
    "pcm16": {"type": "audio/pcm", "rate": 24000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
FORMAT_NAMES = {str(form["type"]): name for name, form in FORMATS.items()}
PARTS: Mapping[str, str] = {"text": "output_text", "audio": "output_audio"}
"""Kinds of an assistant's content: older -> today's."""
PART_NAMES = {new: old for old, new in PARTS.items()}
PLACES: Mapping[str, tuple[str, ...]] = {
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
"""Flat name -> where the setting is today."""
OF_RESPONSES = ("modalities", "voice", "output_audio_format")
"""Those that a response has, too."""

Json = dict[str, Any]


def parsed(data: bytes) -> Json | None:
    """The JSON object of a message that has a type; None for anything else."""
    try:
        event = msgspec.json.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("type"), str) else None


# ---- sessions


def flat(session: Json) -> Json:
    """A session of today's, in the older shape."""
    rest = {name: value for name, value in session.items() if name not in ("audio", "output_modalities")}
    if "max_output_tokens" in rest:
        rest["max_response_output_tokens"] = rest.pop("max_output_tokens")
    return {**rest, **named_flat(session, set(PLACES) - {"max_response_output_tokens"})}


def named_flat(holder: Json, names: Iterable[str]) -> Json:
    """Those of these settings that a session or response of today's has, under their flat names."""
    result = {}
    for name in sorted(names):
        found, value = _dig(holder, PLACES[name])
        if found:
            result[name] = _old_value(name, value)
    return result


def _old_value(name: str, value: Any) -> Any:
    if name == "modalities" and value == ["audio"]:
        return ["text", "audio"]
    if name.endswith("_format") and isinstance(value, dict):
        return FORMAT_NAMES.get(str(value.get("type")), value)
    return value


def nested(session: Json, kind: str) -> Json:
    """An older session as today's, of this type."""
    result = {"type": kind, **{name: value for name, value in session.items() if name not in PLACES}}
    nest(result, {name: value for name, value in session.items() if name in PLACES})
    return result


def nest(result: Json, named: Json) -> None:
    """Put settings with flat names where they are today."""
    for name, value in named.items():
        holder = result
        *path, last = PLACES[name]
        for step in path:
            holder = holder.setdefault(step, {})
        holder[last] = _new_value(name, value)


def _new_value(name: str, value: Any) -> Any:
    if name == "modalities" and isinstance(value, list):
        return ["audio"] if "audio" in value else value
    if name.endswith("_format") and isinstance(value, str):
        return dict(FORMATS.get(value, {"type": value}))
    return value


def _dig(holder: Any, path: tuple[str, ...]) -> tuple[bool, Any]:
    for name in path:
        if not isinstance(holder, dict) or name not in holder:
            return False, None
        holder = holder[name]
    return True, holder


# ---- items


def with_parts(item: Any, names: Mapping[str, str]) -> Any:
    """The item with the kinds of an assistant's content renamed."""
    if not isinstance(item, dict) or item.get("role") != "assistant" or not isinstance(item.get("content"), list):
        return item
    return {**item, "content": [part(each, names) for each in item["content"]]}


def part(value: Any, names: Mapping[str, str]) -> Any:
    """A part with its kind renamed."""
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return value
    return {**value, "type": names.get(value["type"], value["type"])}
