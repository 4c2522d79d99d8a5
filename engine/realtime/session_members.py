"""What the members of a session may hold: one check for each, by name.

Members that only newer servers know (noise_reduction.strength, the cache's marks of a prompt's variables, languages and
keywords of a transcription) are known here and pass; every other unknown one is refused where that is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.realtime import problems
from engine.realtime.checks import Check, any_value, between, check_object, object_of, of, one_of


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
    if isinstance(value, dict):
        if not isinstance(value.get("id"), str):
            raise problems.missing(f"{where}.id")
        check_object(where, value, {"id": _STRING}, strict)


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


def _texts(*, least: int = 0) -> Check:
    def check(where: str, value: Any, strict: bool) -> None:
        _LIST(where, value, strict)
        if value is not None and len(value) < least:
            raise problems.invalid_value(where, f"Invalid '{where}': expected at least {least} entry, but got none.")
        for number, each in enumerate(value or ()):
            of(str, "a string", nullable=False)(f"{where}[{number}]", each, strict)

    return check


def _prompt(where: str, value: Any, strict: bool) -> None:
    object_of({"id": of(str, "a string", nullable=False), "version": _STRING, "variables": _MAPPING})(
        where, value, strict
    )
    if value is None:
        return
    if "id" not in value:
        raise problems.missing(f"{where}.id")
    for name, variable in (value.get("variables") or {}).items():
        _variable(f"{where}.variables.{name[:80]}", variable, strict)


def _variable(where: str, value: Any, strict: bool) -> None:
    """A text, or content with the cache's marks that newer clients send."""
    of((str, dict), "a string or an object", nullable=False)(where, value, strict)
    if isinstance(value, str):
        return
    if "type" not in value:
        raise problems.missing(f"{where}.type")
    one_of(*_VARIABLES)(f"{where}.type", value["type"], strict)
    check_object(where, value, _VARIABLES[value["type"]], strict)


_STRING, _LIST, _BOOL = of(str, "a string"), of(list, "an array"), of(bool, "a boolean", nullable=False)
_MAPPING, _STRING_OR_OBJECT = of(dict, "an object"), of((str, dict), "a string or an object")
_WHOLE = between(0, 2**31, whole=True)
_EFFORTS = ("minimal", "low", "medium", "high", "xhigh")
_BREAKPOINT: Mapping[str, Check] = {"type": any_value, "prompt_cache_breakpoint": object_of({"mode": _STRING})}
_VARIABLES: Mapping[str, Mapping[str, Check]] = {
    "input_text": {**_BREAKPOINT, "text": _STRING},
    "input_image": {**_BREAKPOINT, **dict.fromkeys(("detail", "image_url", "file_id"), _STRING)},
    "input_file": {
        **_BREAKPOINT,
        **dict.fromkeys(("file_id", "filename", "file_data", "file_url", "detail"), _STRING),
    },
}

_RESPONDING: Mapping[str, Check] = {"create_response": _BOOL, "interrupt_response": _BOOL}
SERVER_VAD: Mapping[str, Check] = {
    "type": any_value,
    "threshold": between(0.0, 1.0),
    "prefix_padding_ms": _WHOLE,
    "silence_duration_ms": _WHOLE,
    "idle_timeout_ms": between(5000, 30000, whole=True, nullable=True),
    **_RESPONDING,
}
SEMANTIC_VAD: Mapping[str, Check] = {
    "type": any_value,
    "eagerness": one_of("low", "medium", "high", "auto"),
    **_RESPONDING,
}
INPUT: Mapping[str, Check] = {
    "format": _format,
    "transcription": object_of(
        {
            "model": _STRING,
            "language": _STRING,
            "languages": _texts(least=1),
            "keywords": _texts(),
            "prompt": _STRING,
            "delay": one_of(*_EFFORTS, nullable=True),
        }
    ),
    "noise_reduction": object_of(
        {"type": one_of("near_field", "far_field"), "strength": between(0, 1e9, nullable=True)}
    ),
    "turn_detection": _MAPPING,
}
OUTPUT: Mapping[str, Check] = {"format": _format, "voice": _voice, "speed": between(0.25, 1.5, nullable=True)}
REALTIME: Mapping[str, Check] = {
    "type": any_value,
    "model": _STRING,
    "output_modalities": _modalities,
    "instructions": _STRING,
    "audio": object_of({"input": object_of(INPUT), "output": object_of(OUTPUT)}),
    "include": _include,
    "tools": _LIST,
    "tool_choice": _STRING_OR_OBJECT,
    "parallel_tool_calls": of(bool, "a boolean"),
    "reasoning": object_of({"effort": one_of(*_EFFORTS, nullable=True)}),
    "max_output_tokens": _max_output_tokens,
    "truncation": _truncation,
    "tracing": _tracing,
    "prompt": _prompt,
}


TRANSCRIPTION: Mapping[str, Check] = {
    "type": any_value,
    "audio": object_of({"input": object_of(INPUT)}),
    "include": _include,
}


def check_member(where: str, name: str, value: Any) -> None:
    """Check a member that a response has as the session has it; `where` is its whole path."""
    REALTIME[name](where, value, True)
