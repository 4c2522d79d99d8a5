"""The session's configuration: what a server starts with, how an update changes it, and which updates are refused.

Sessions are plain dicts in the wire's shape. Nothing here keeps state.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from engine.errors import ProtocolError
from engine.realtime import problems
from engine.realtime.checks import Check, any_value, between, check_object, object_of, of, one_of

PCM = {"type": "audio/pcm", "rate": 24000}
"""The default audio format: 24 kHz mono, signed 16-bit little-endian, 48 bytes per millisecond."""

SERVER_VAD: Mapping[str, Any] = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 500,  # as documented; the published session.created example shows 200
    "idle_timeout_ms": None,
    "create_response": True,
    "interrupt_response": True,
}
SEMANTIC_VAD: Mapping[str, Any] = {
    "type": "semantic_vad",
    "eagerness": "auto",
    "create_response": True,
    "interrupt_response": True,
}
_DETECTORS = {"server_vad": SERVER_VAD, "semantic_vad": SEMANTIC_VAD}
_NO_DETECTION = {"gpt-realtime-whisper", "gpt-live-transcribe"}  # transcription models that take no turn detection


def realtime(
    session_id: str, *, model: str = "gpt-realtime", voice: str = "alloy", instructions: str = "", expires_at: int = 0
) -> dict[str, Any]:
    """The full configuration of a new conversation session. `expires_at` is in Unix seconds."""
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": session_id,
        "model": model,
        "output_modalities": ["audio"],
        "instructions": instructions,
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "expires_at": expires_at,
        "audio": {
            "input": _audio_input(),
            "output": {"format": dict(PCM), "voice": voice, "speed": 1.0},
        },
        "include": None,
    }


def transcription(session_id: str, *, expires_at: int = 0) -> dict[str, Any]:
    """The full configuration of a new transcription session: it hears and never answers."""
    return {
        "type": "transcription",
        "object": "realtime.transcription_session",
        "id": session_id,
        "expires_at": expires_at,
        "audio": {"input": _audio_input()},
        "include": None,
    }


def _audio_input() -> dict[str, Any]:
    return {
        "format": dict(PCM),
        "transcription": None,
        "noise_reduction": None,
        "turn_detection": dict(SERVER_VAD),
    }


def transcribes(effective: Mapping[str, Any]) -> bool:
    """Whether the server writes down what the user says."""
    return bool(_dig(effective, "audio", "input", "transcription"))


def bytes_per_ms(response: Mapping[str, Any], effective: Mapping[str, Any]) -> int:
    """Bytes of output audio per millisecond: 8 for pcmu and pcma, 48 for pcm. The response's own format wins."""
    for holder in (response, effective):
        kind = _dig(holder, "audio", "output", "format", "type")
        if isinstance(kind, str):
            return 8 if kind in ("audio/pcmu", "audio/pcma") else 48
    return 48


# ---- changing


def merge(effective: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration after a session.update that check_update has passed. Neither argument is changed.

    Absent members stay. `null` clears: to None where the configuration may be empty, else to the default. A partial
    turn_detection keeps the rest; another type of it starts from that type's defaults.
    """
    merged = _merged(effective, update, ())
    listening = _dig(merged, "audio", "input")
    if isinstance(listening, dict) and merged.get("type") == "transcription" and _model(merged) in _NO_DETECTION:
        listening["turn_detection"] = None
    return merged


_CLEARED: Mapping[tuple[str, ...], Any] = {
    ("instructions",): "",
    ("tools",): [],
    ("tool_choice",): "auto",
    ("output_modalities",): ["audio"],
    ("max_output_tokens",): "inf",
    ("truncation",): "auto",
    ("audio", "input", "format"): PCM,
    ("audio", "output", "format"): PCM,
    ("audio", "output", "speed"): 1.0,
}
_MERGED_DEEPLY = {("audio",), ("audio", "input"), ("audio", "output")}
_TURN_DETECTION = ("audio", "input", "turn_detection")


def _merged(present: Mapping[str, Any], update: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    result = {name: copy.deepcopy(value) for name, value in present.items()}
    for name, value in update.items():
        here = (*path, name)
        if value is None:
            if here not in _MERGED_DEEPLY:  # clearing a whole branch means nothing: it stays
                result[name] = copy.deepcopy(_CLEARED.get(here))
        elif here in _MERGED_DEEPLY and isinstance(value, Mapping):
            result[name] = _merged(present.get(name) or {}, value, here)
        elif here == _TURN_DETECTION and isinstance(value, Mapping):
            result[name] = _merged_detection(present.get(name), value)
        else:
            result[name] = copy.deepcopy(value)
    return result


def _merged_detection(present: Any, update: Mapping[str, Any]) -> dict[str, Any]:
    kind = update.get("type") or (present.get("type") if isinstance(present, Mapping) else None) or "server_vad"
    kept = present if isinstance(present, Mapping) and present.get("type") == kind else _DETECTORS[kind]
    return {**kept, **update, "type": kind}


def merge_report(effective: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    """A client's view after session.created/updated: reported members replace the present ones, `null` included.

    Compatible servers sometimes report only what changed, so known members that are missing stay. Members this version
    does not know are kept from the newest report only: servers choose their names, so no number of reports may add up.
    """
    return _reported(effective, report, ())


def _reported(present: Mapping[str, Any], report: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    known = _KNOWN[path]
    result = {name: value for name, value in present.items() if name in known}
    for name, value in report.items():
        here = (*path, name)
        deep = here in _MERGED_DEEPLY and isinstance(value, Mapping)
        inner = result.get(name)
        result[name] = _reported(inner if isinstance(inner, Mapping) else {}, value, here) if deep else value
    return result


# ---- refusing


def check_update(
    effective: Mapping[str, Any], update: Mapping[str, Any], *, audio_started: bool = False, strict: bool = True
) -> None:
    """Raise ProtocolError, with the service's code, message and param, when the update must be refused as a whole.

    `strict` refuses unknown members, as the service does; a client leaves it off, its server may be newer than we are.
    """
    present = effective.get("type", "realtime")
    _check_type(update, present)
    check_object("session", update, _TRANSCRIPTION if present == "transcription" else _REALTIME, strict)
    _check_fixed(effective, update, audio_started)
    detection = _dig(update, *_TURN_DETECTION)
    if isinstance(detection, Mapping):
        _check_detection(_dig(effective, *_TURN_DETECTION), detection, strict)
        model = _model(update) or _model(effective)
        if present == "transcription" and model in _NO_DETECTION:
            message = "Turn detection is not supported for this transcription model."
            raise problems.invalid_value("session.audio.input.turn_detection", message)


def _check_type(update: Mapping[str, Any], present: str) -> None:
    if "type" not in update:
        raise problems.missing("session.type")
    wanted = update["type"]
    if not isinstance(wanted, str):
        raise problems.invalid_type("session.type", "a string", wanted)
    if wanted not in ("realtime", "transcription"):
        message = f"Invalid value: '{wanted[:80]}'. Supported values are: 'realtime' and 'transcription'."
        raise problems.invalid_value("session.type", message)
    if wanted != present:
        raise problems.session_type_is_fixed(wanted, present)


def _check_fixed(effective: Mapping[str, Any], update: Mapping[str, Any], audio_started: bool) -> None:
    if audio_started and "voice" in (_dig(update, "audio", "output") or {}):
        raise problems.voice_is_fixed()
    if "model" in update and effective.get("model", update["model"]) != update["model"]:
        raise ProtocolError("Cannot change a session's model.", code="invalid_parameter", param="session.model")
    if effective.get("tracing") is not None and update.get("tracing", effective["tracing"]) != effective["tracing"]:
        message = "Cannot change tracing once it is enabled."
        raise ProtocolError(message, code="invalid_parameter", param="session.tracing")


def _check_detection(present: Any, update: Mapping[str, Any], strict: bool) -> None:
    where = "session.audio.input.turn_detection"
    kind = update.get("type", present.get("type") if isinstance(present, Mapping) else "server_vad")
    if not isinstance(kind, str) or kind not in _DETECTORS:
        message = f"Invalid value: '{kind!s:.80}'. Supported values are: 'server_vad' and 'semantic_vad'."
        raise problems.invalid_value(f"{where}.type", message)
    check_object(where, update, _SERVER_VAD if kind == "server_vad" else _SEMANTIC_VAD, strict)


def _format(where: str, value: Any, strict: bool) -> None:
    object_of({"type": one_of("audio/pcm", "audio/pcmu", "audio/pcma"), "rate": any_value})(where, value, strict)
    if value is None:
        return
    if "type" not in value:
        raise problems.missing(f"{where}.type")
    rate = value.get("rate")
    if rate is not None and (value["type"] != "audio/pcm" or isinstance(rate, bool) or rate != 24000):
        only = "24000" if value["type"] == "audio/pcm" else "none"
        raise problems.invalid_value(f"{where}.rate", f"Invalid value: '{rate!s:.80}'. Supported values are: '{only}'.")


def _modalities(where: str, value: Any, strict: bool) -> None:
    of(list, "an array")(where, value, strict)
    if value not in (None, ["audio"], ["text"]):
        shown = str(value)[:80]
        text = f"Invalid modalities: {shown}. Supported combinations are: ['text'] and ['audio']."
        raise problems.invalid_value(where, text)


def _max_output_tokens(where: str, value: Any, strict: bool) -> None:
    if value not in (None, "inf"):
        between(1, 4096, whole=True)(where, value, strict)


def _voice(where: str, value: Any, strict: bool) -> None:
    of((str, dict), "a string or an object", nullable=False)(where, value, strict)
    if isinstance(value, dict) and not isinstance(value.get("id"), str):
        raise problems.missing(f"{where}.id")


def _truncation(where: str, value: Any, strict: bool) -> None:
    if isinstance(value, str):
        one_of("auto", "disabled")(where, value, strict)
        return
    _STRING_OR_OBJECT(where, value, strict)
    if value is None:
        return
    for name in ("type", "retention_ratio"):
        if name not in value:
            raise problems.missing(f"{where}.{name}")
    limits = object_of({"post_instructions": between(0, 2**31, whole=True, nullable=True)})
    members = {"type": one_of("retention_ratio"), "retention_ratio": between(0.0, 1.0), "token_limits": limits}
    check_object(where, value, members, strict)


def _tracing(where: str, value: Any, strict: bool) -> None:
    if isinstance(value, str):
        one_of("auto")(where, value, strict)
        return
    _STRING_OR_OBJECT(where, value, strict)
    if value is not None:
        check_object(where, value, {"workflow_name": _STRING, "group_id": _STRING, "metadata": _MAPPING}, strict)


def _include(where: str, value: Any, strict: bool) -> None:
    _LIST(where, value, strict)
    for number, each in enumerate(value or () if strict else ()):
        one_of("item.input_audio_transcription.logprobs")(f"{where}[{number}]", each, strict)


_STRING, _LIST, _BOOL = of(str, "a string"), of(list, "an array"), of(bool, "a boolean", nullable=False)
_MAPPING, _STRING_OR_OBJECT = of(dict, "an object"), of((str, dict), "a string or an object")
_WHOLE = between(0, 2**31, whole=True)

_RESPONDING: Mapping[str, Check] = {"create_response": _BOOL, "interrupt_response": _BOOL}
_SERVER_VAD: Mapping[str, Check] = {
    "type": any_value,
    "threshold": between(0.0, 1.0),
    "prefix_padding_ms": _WHOLE,
    "silence_duration_ms": _WHOLE,
    "idle_timeout_ms": between(5000, 30000, whole=True, nullable=True),
    **_RESPONDING,
}
_SEMANTIC_VAD: Mapping[str, Check] = {
    "type": any_value,
    "eagerness": one_of("low", "medium", "high", "auto"),
    **_RESPONDING,
}
_INPUT: Mapping[str, Check] = {
    "format": _format,
    "transcription": object_of(
        {
            "model": _STRING,
            "language": _STRING,
            "languages": _LIST,
            "keywords": _LIST,
            "prompt": _STRING,
            "delay": _STRING,
        }
    ),
    "noise_reduction": object_of(
        {"type": one_of("near_field", "far_field"), "strength": between(0, 1e9, nullable=True)}
    ),
    "turn_detection": _MAPPING,
}
_OUTPUT: Mapping[str, Check] = {"format": _format, "voice": _voice, "speed": between(0.25, 1.5, nullable=True)}
_REALTIME: Mapping[str, Check] = {
    "type": any_value,
    "model": _STRING,
    "output_modalities": _modalities,
    "instructions": _STRING,
    "audio": object_of({"input": object_of(_INPUT), "output": object_of(_OUTPUT)}),
    "include": _include,
    "tools": _LIST,
    "tool_choice": _STRING_OR_OBJECT,
    "parallel_tool_calls": of(bool, "a boolean"),
    "reasoning": _MAPPING,
    "max_output_tokens": _max_output_tokens,
    "truncation": _truncation,
    "tracing": _tracing,
    "prompt": _MAPPING,
}
_TRANSCRIPTION: Mapping[str, Check] = {
    "type": any_value,
    "audio": object_of({"input": object_of(_INPUT)}),
    "include": _include,
}
_KNOWN: Mapping[tuple[str, ...], frozenset[str]] = {
    (): frozenset(_REALTIME) | {"object", "id", "expires_at"},
    ("audio",): frozenset({"input", "output"}),
    ("audio", "input"): frozenset(_INPUT),
    ("audio", "output"): frozenset(_OUTPUT),
}
"""Members of a session and of its branches that this version knows."""


def _dig(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _model(session: Mapping[str, Any]) -> str:
    model = _dig(session, "audio", "input", "transcription", "model")
    return model if isinstance(model, str) else ""
