"""The session's configuration: what a server starts with, how an update changes it, and which updates are refused.

Sessions are plain dicts in the wire's shape. Nothing here keeps state.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from engine.errors import ProtocolError
from engine.realtime import problems
from engine.realtime import session_members as members
from engine.realtime.checks import check_object

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
    turn_detection keeps the rest; another type of it starts from that type's defaults. noise_reduction keeps its
    strength, which newer clients send, until another one is named.
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
_NOISE_REDUCTION = ("audio", "input", "noise_reduction")


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
        elif here == _NOISE_REDUCTION and isinstance(value, Mapping):
            result[name] = {**(present.get(name) or {}), **value}
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
    effective: Mapping[str, Any],
    update: Mapping[str, Any],
    *,
    audio_started: bool = False,
    responding: bool = False,
    strict: bool = True,
) -> None:
    """Raise ProtocolError, with the service's code, message and param, when the update must be refused as a whole.

    `responding`: a response is under way, and the speed is fixed until its end. `strict` refuses unknown members, as
    the service does; a client leaves it off, its server may be newer than we are.
    """
    present = effective.get("type", "realtime")
    _check_type(update, present)
    check_object("session", update, members.TRANSCRIPTION if present == "transcription" else members.REALTIME, strict)
    _check_fixed(effective, update, audio_started)
    if responding:
        _check_speed(effective, update)
    if strict:
        _check_noise_reduction(effective, update)
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


def _check_speed(effective: Mapping[str, Any], update: Mapping[str, Any]) -> None:
    speaking = _dig(update, "audio", "output") or {}
    present = _dig(effective, "audio", "output", "speed")
    if speaking.get("speed", present) not in (present, None):
        message = "Cannot update the speed while a response is in progress: it changes between turns only."
        raise problems.invalid_value("session.audio.output.speed", message)


def _check_noise_reduction(effective: Mapping[str, Any], update: Mapping[str, Any]) -> None:
    wanted, present = _dig(update, *_NOISE_REDUCTION), _dig(effective, *_NOISE_REDUCTION)
    if isinstance(wanted, Mapping) and "type" not in {**(present or {}), **wanted}:
        raise problems.missing("session.audio.input.noise_reduction.type")


def _check_detection(present: Any, update: Mapping[str, Any], strict: bool) -> None:
    where = "session.audio.input.turn_detection"
    kind = update.get("type", present.get("type") if isinstance(present, Mapping) else "server_vad")
    if not isinstance(kind, str) or kind not in _DETECTORS:
        message = f"Invalid value: '{kind!s:.80}'. Supported values are: 'server_vad' and 'semantic_vad'."
        raise problems.invalid_value(f"{where}.type", message)
    check_object(where, update, members.SERVER_VAD if kind == "server_vad" else members.SEMANTIC_VAD, strict)


_KNOWN: Mapping[tuple[str, ...], frozenset[str]] = {
    (): frozenset(members.REALTIME) | {"object", "id", "expires_at"},
    ("audio",): frozenset({"input", "output"}),
    ("audio", "input"): frozenset(members.INPUT),
    ("audio", "output"): frozenset(members.OUTPUT),
}
"""Members of a session and of its branches that this version knows."""


def _dig(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _model(session: Mapping[str, Any]) -> str:
    model = _dig(session, "audio", "input", "transcription", "model")
    return model if isinstance(model, str) else ""
