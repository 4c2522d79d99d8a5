"""Small checks for values that clients send: each takes where the value stands and the value, and returns it or
refuses it.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.server.refusal import Refusal, invalid_type, invalid_value, missing, unknown_parameter

Check = Callable[[str, Any], Any]


def text(param: str, value: Any, *, limit: int = 1_000_000) -> str:
    """A string of at most `limit` characters."""
    if not isinstance(value, str):
        raise invalid_type(param, "a string", value)
    if len(value) > limit:
        raise invalid_value(param, f"at most {limit} characters, but got {len(value)}.")
    return value


def boolean(param: str, value: Any) -> bool:
    """true or false; null is refused, as the service does."""
    if not isinstance(value, bool):
        raise invalid_type(param, "a boolean", value)
    return value


def number(least: float, most: float) -> Check:
    """A number in a range."""

    def check(param: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise invalid_type(param, "a number", value)
        if not least <= value <= most:
            raise invalid_value(param, f"expected {least:g} to {most:g}, but got {value!r}.")
        return value

    return check


def integer(least: int, most: int) -> Check:
    """An integer in a range."""

    def check(param: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise invalid_type(param, "an integer", value)
        if not least <= value <= most:
            raise invalid_value(param, f"expected {least} to {most}, but got {value}.")
        return value

    return check


def one_of(*values: str) -> Check:
    """One of some words."""

    def check(param: str, value: Any) -> str:
        text(param, value)
        if value not in values:
            raise invalid_value(param, f"supported values are {', '.join(map(repr, values))}, but got {value!r:.80}.")
        return str(value)

    return check


def nullable(check: Check) -> Check:
    """null, or what `check` takes."""
    return lambda param, value: None if value is None else check(param, value)


def array(param: str, value: Any, *, limit: int = 1000) -> list[Any]:
    """A JSON array of at most `limit` members."""
    if not isinstance(value, list):
        raise invalid_type(param, "an array", value)
    if len(value) > limit:
        raise invalid_value(param, f"at most {limit} entries, but got {len(value)}.")
    return value


def mapping(param: str, value: Any) -> Mapping[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise invalid_type(param, "an object", value)
    return value


def fields(param: str, value: Any, checks: Mapping[str, Check], *, required: Sequence[str] = ()) -> dict[str, Any]:
    """A JSON object in which each member passes its check and none is unknown."""
    result: dict[str, Any] = {}
    for key, member in mapping(param, value).items():
        name = f"{param}.{key}" if param else key
        check = checks.get(key)
        if check is None:
            raise unknown_parameter(name)
        result[key] = check(name, member)
    for key in required:
        if key not in result:
            raise missing(f"{param}.{key}" if param else key)
    return result


def metadata(param: str, value: Any) -> dict[str, str] | None:
    """At most 16 pairs of texts: keys to 64 characters, values to 512."""
    if value is None:
        return None
    pairs = mapping(param, value)
    if len(pairs) > 16:
        raise invalid_value(param, f"at most 16 pairs, but got {len(pairs)}.")
    for key, word in pairs.items():
        if len(key) > 64:
            raise invalid_value(param, f"a key has at most 64 characters, but got {len(key)}.")
        text(f"{param}.{key}", word, limit=512)
    return dict(pairs)


def base64_audio(param: str, value: Any, limit: int) -> bytes:
    """Base64 text of at most `limit` bytes of audio."""
    text(param, value, limit=limit * 4 // 3 + 4)
    try:
        return b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(
            "invalid_value", f"Invalid '{param}'. Expected base64-encoded audio bytes but got an invalid value.", param
        ) from None
