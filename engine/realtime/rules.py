"""What may be sent, checked before it is: ranges, exclusions, and what the session's state forbids now.

    body = prepared(RealtimeSession(...), extra={"shiny": 1})     # the JSON object; ConfigError names every mistake

A shape and a mapping in the wire's shape are held to the same rules, read from the annotations in engine.realtime.types
(see marks.py there). Names that the server owns are open: an unknown one is logged and sent. `extra` is merged last and
never checked. With validate=False nothing is, and that is logged too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from engine.errors import ConfigError
from engine.realtime.agreement import changes
from engine.realtime.redaction import HIDDEN
from engine.realtime.types import (
    AudioInput,
    AudioOutput,
    McpTool,
    PcmaFormat,
    PcmuFormat,
    RealtimeSession,
    ResponseAudioOutput,
    ResponseRequest,
    SemanticVad,
    ServerVad,
    Shape,
    Transcription,
    TranscriptionSession,
)
from engine.realtime.types.checking import Check, Problem, checked_shape
from engine.realtime.types.shape import merged, plain

_log = logging.getLogger("bargein.realtime")

NO_DETECTION = frozenset({"gpt-realtime-whisper", "gpt-live-transcribe"})
"""Transcription models that take no turn detection in a transcription session."""
NO_PROMPT = frozenset({"gpt-4o-transcribe-diarize", "gpt-realtime-whisper"})


class SessionState(NamedTuple):
    """What of a running session decides whether a change is possible. The default is a session not yet begun."""

    effective: Mapping[str, Any] = {}
    """As session.created and session.updated reported it."""
    audio_started: bool = False
    """Whether the model has spoken: the voice is fixed."""
    responding: bool = False
    """Whether a response is under way: the speed is fixed until response.done."""


NOT_BEGUN = SessionState()


def prepared(
    value: Shape | Mapping[str, Any],
    kind: type[Shape] | None = None,
    *,
    where: str = "session",
    extra: Mapping[str, Any] | None = None,
    validate: bool = True,
    state: SessionState = NOT_BEGUN,
) -> dict[str, Any]:
    """The JSON object to send. Raises ConfigError with every mistake in it, each with its remedy.

    `kind` is the shape that a mapping is meant to have; by default the session of its `type`, a conversation's when it
    has none. `where` names it in messages. Call it for what is to be sent, not for what a server sent.
    """
    kind = kind or (type(value) if isinstance(value, Shape) else _session_kind(value))
    bare, whole = plain(value, extra=False), plain(value)
    config = kind.__struct_config__
    if config.tag_field is not None:
        bare, whole = ({config.tag_field: config.tag, **members} for members in (bare, whole))
    if validate:
        _report(problems(kind, bare, where=where, state=state))
    else:
        _log.warning("validation is off: %s is sent unchecked, and the server may refuse all of it", where)
    return merged(whole, extra) if extra else whole


def problems(
    kind: type[Shape], value: Mapping[str, Any], *, where: str = "session", state: SessionState = NOT_BEGUN
) -> Check:
    """Everything that is wrong or doubtful with a JSON object that is meant to have this shape."""
    check = checked_shape(kind, value, where, _RULES)
    if issubclass(kind, (RealtimeSession, TranscriptionSession)):
        _check_state({**changes(state.effective, value), **_fixed(value)}, where, state, check)
    return check


def _report(check: Check) -> None:
    for doubt in check.doubts:
        _log.warning("%s", doubt)
    if check.problems:
        raise ConfigError("; and ".join(map(str, check.problems)))


def _session_kind(value: Mapping[str, Any]) -> type[Shape]:
    return TranscriptionSession if value.get("type") == "transcription" else RealtimeSession


# ---- what the session's state forbids


def _fixed(value: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": value["type"]} if "type" in value else {}


def _check_state(value: Mapping[str, Any], where: str, state: SessionState, check: Check) -> None:
    present = state.effective
    output = _dig(value, "audio", "output")
    output = output if isinstance(output, Mapping) else {}
    if state.audio_started and "voice" in output:
        rule = "the voice is fixed after the session's first audio"
        check.add(f"{where}.audio.output.voice", output["voice"], rule, "leave it out, or open a new session")
    if state.responding and "speed" in output and output["speed"] != _dig(present, "audio", "output", "speed"):
        rule = "the speed changes only between turns, and a response is under way"
        check.add(f"{where}.audio.output.speed", output["speed"], rule, "send it after response.done")
    for name, remedy in (
        ("type", "open a new session"),
        ("model", "open a new session with this model in its URL"),
        ("tracing", "leave it out, or open a new session"),
    ):
        fixed = present.get(name)
        if name in value and fixed is not None and value[name] != fixed:
            check.add(f"{where}.{name}", value[name], f"it is fixed at {fixed!r} in this session", remedy)


# ---- exclusions within one object


def _check_realtime(value: Mapping[str, Any], where: str, check: Check) -> None:
    _check_modalities(value, where, check)
    for name, place in _BETA.items():
        if name in value:
            check.add(f"{where}.{name}", value[name], "it belongs to the older dialect", f"use {where}.{place}")
    _check_server_members(value, where, check)


def _check_transcription_session(value: Mapping[str, Any], where: str, check: Check) -> None:
    model = _dig(value, "audio", "input", "transcription", "model")
    detection = _dig(value, "audio", "input", "turn_detection")
    if isinstance(model, str) and model in NO_DETECTION and detection is not None:
        rule = f"{model} takes no turn detection"
        check.add(f"{where}.audio.input.turn_detection", detection, rule, "use None, and commit by hand")
    for name in ("model", "output_modalities", "instructions", "tools", "tool_choice", "max_output_tokens"):
        if name in value:
            remedy = f"use {where}.audio.input.transcription.model" if name == "model" else "leave it out"
            check.add(f"{where}.{name}", value[name], "a transcription session has none", remedy)
    _check_server_members(value, where, check)


def _check_server_members(value: Mapping[str, Any], where: str, check: Check) -> None:
    for name in ("id", "object", "expires_at", "client_secret"):
        if name in value:
            seen = HIDDEN if name == "client_secret" else value[name]
            check.add(f"{where}.{name}", seen, "it is the server's to set", "leave it out")


def _check_response(value: Mapping[str, Any], where: str, check: Check) -> None:
    _check_modalities(value, where, check)
    pairs = value.get("metadata")
    for name, text in pairs.items() if isinstance(pairs, Mapping) else ():
        if isinstance(name, str) and len(name) > 64:
            check.add(f"{where}.metadata", name, "a key has 64 characters at most", "shorten it")
        if isinstance(text, str) and len(text) > 512:
            check.add(f"{where}.metadata.{name}", text, "a value has 512 characters at most", "shorten it")
    for name in ("modalities", "voice", "output_audio_format", "temperature", "max_response_output_tokens"):
        if name in value:
            place = f"use {where}.{_BETA[name]}"
            check.add(f"{where}.{name}", value[name], "it belongs to the older dialect", place)


def _check_modalities(value: Mapping[str, Any], where: str, check: Check) -> None:
    asked = value.get("output_modalities")
    if isinstance(asked, list) and asked not in (["audio"], ["text"]):
        rule = "it is either audio (with its transcript) or text, never both and never neither"
        check.add(f"{where}.output_modalities", asked, rule, 'use ["audio"] or ["text"]')


def _check_mcp(value: Mapping[str, Any], where: str, check: Check) -> None:
    given = [name for name in ("server_url", "connector_id", "tunnel_id") if value.get(name) is not None]
    if len(given) != 1:
        rule = "exactly one of server_url, connector_id and tunnel_id says where the tools are"
        remedy = "leave out all but one" if given else "give one of them"
        check.tell(where, f"with {' and '.join(given) or 'none of them'}", rule, remedy)


def _check_g711(value: Mapping[str, Any], where: str, check: Check) -> None:
    if value.get("rate") not in (None, 8000):
        check.add(f"{where}.rate", value["rate"], "G.711 has 8000 samples per second", "leave it out")
    elif "rate" in value:
        check.add(f"{where}.rate", value["rate"], "only audio/pcm takes a rate", "leave it out")


def _check_sound(value: Mapping[str, Any], where: str, check: Check) -> None:
    """A bare word where today's dialect has an object."""
    for name, key in _OBJECTS.items():
        word = value.get(name)
        if isinstance(word, str):
            meant = _FORMATS.get(word, word)
            remedy = f'use {{"{key}": "{meant}"}}' + (", or None to turn it off" if name != "format" else "")
            check.add(f"{where}.{name}", word, "it is an object, not a word", remedy)


def _check_detection(value: Mapping[str, Any], where: str, check: Check) -> None:
    server = value.get("type") == "server_vad"
    for name in (
        ("eagerness",) if server else ("threshold", "prefix_padding_ms", "silence_duration_ms", "idle_timeout_ms")
    ):
        if name in value:
            other = "semantic_vad" if server else "server_vad"
            check.add(f"{where}.{name}", value[name], f"only {other} has it", f"leave it out, or use {other}")


_OBJECTS = {"format": "type", "turn_detection": "type", "noise_reduction": "type", "transcription": "model"}
_FORMATS = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}


def _check_transcription(value: Mapping[str, Any], where: str, check: Check) -> None:
    model = value.get("model")
    if model in NO_PROMPT and value.get("prompt") is not None:
        check.doubt(f"{where}.prompt", value["prompt"], f"{model} takes no prompt", "leave it out")
    if value.get("delay") is not None and model is not None and model != "gpt-realtime-whisper":
        check.doubt(f"{where}.delay", value["delay"], f"{model} is not known to take a delay", "leave it out")
    if model == "gpt-live-transcribe" and value.get("language") is not None:
        check.doubt(f"{where}.language", value["language"], f"{model} takes `languages` instead", "use languages")


_RULES: Mapping[type[Shape], Callable[[Mapping[str, Any], str, Check], None]] = {
    RealtimeSession: _check_realtime,
    TranscriptionSession: _check_transcription_session,
    ResponseRequest: _check_response,
    McpTool: _check_mcp,
    PcmuFormat: _check_g711,
    PcmaFormat: _check_g711,
    Transcription: _check_transcription,
    ServerVad: _check_detection,
    SemanticVad: _check_detection,
    AudioInput: _check_sound,
    AudioOutput: _check_sound,
    ResponseAudioOutput: _check_sound,
}

_BETA: Mapping[str, str] = {
    "modalities": "output_modalities",
    "voice": "audio.output.voice",
    "speed": "audio.output.speed",
    "input_audio_format": "audio.input.format",
    "output_audio_format": "audio.output.format",
    "input_audio_transcription": "audio.input.transcription",
    "input_audio_noise_reduction": "audio.input.noise_reduction",
    "turn_detection": "audio.input.turn_detection",
    "max_response_output_tokens": "max_output_tokens",
    "temperature": "instructions (there is no temperature any more)",
}
"""Members of the older dialect, and where today's has them."""


def _dig(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


__all__ = ["NOT_BEGUN", "NO_DETECTION", "Check", "Problem", "SessionState", "prepared", "problems"]
