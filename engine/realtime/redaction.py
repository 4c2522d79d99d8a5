"""Keeps secrets out of everything that people read: reprs, logs, traces and errors.

Two ways of knowing one: by the member it stands in (authorization, headers, client_secret), and by how it looks (API
keys, `ek_` client secrets, `whsec_` webhook secrets, bearer tokens), wherever it stands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "[hidden]"

SECRET_MEMBERS = frozenset({"authorization", "headers", "client_secret", "api_key", "api-key", "access_token"})
"""Members whose whole value is hidden, in any case of letters."""

_LOOKS = re.compile(
    r"(?P<prefix>\b(?:sk|ek|rk|pk)[-_]|\bwhsec_|openai-insecure-api-key\.|\bBearer\s+)[A-Za-z0-9+/=._~-]{4,}",
    re.IGNORECASE,
)
_SHORT = re.compile(r"sk|ek|whsec|bearer|rk|pk|api-key", re.IGNORECASE)  # most texts have none: a cheap first look


def scrub(text: str) -> str:
    """The text with everything that looks like a key hidden; what kind of key it was stays."""
    return _LOOKS.sub(lambda found: found["prefix"] + HIDDEN, text) if _SHORT.search(text) else text


def redact(value: Any) -> Any:
    """A copy of JSON-like data that may be shown: secrets hidden, bytes as their length. Structs stay: they hide their
    own. Safe for any depth that `wire.decode` lets pass.
    """
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return {scrub(str(name)): _member(name, inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact(inner) for inner in value]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return Bytes(len(value))
    return value


def _member(name: Any, value: Any) -> Any:
    hidden = isinstance(name, str) and name.lower() in SECRET_MEMBERS and value is not None
    return HIDDEN if hidden else redact(value)


class Bytes:
    """Stands for audio in a repr: its length, not its content."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __repr__(self) -> str:
        return f"<{self.length} bytes>"


def shown(name: str, value: Any) -> str:
    """The repr of one member, its secrets hidden. `name` is the member's."""
    return repr(_member(name, value))
