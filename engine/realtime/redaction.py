"""Keeps secrets out of everything that people read: reprs, logs, traces and errors.

Three ways of knowing one: by the member it stands in (authorization, headers, client_secret), by how it looks (API
keys, `ek_` client secrets, `whsec_` webhook secrets, bearer tokens, ?token=...), wherever it stands, and by having sent
it: `redacted` and `secrets_in`, for the words of a server, which may quote what it was told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

HIDDEN = "[hidden]"

SECRET_MEMBERS = frozenset({"authorization", "headers", "client_secret", "api_key", "api-key", "access_token"})
"""Members whose whole value is hidden, in any case of letters."""

_LOOKS = re.compile(
    r"(?P<prefix>\b(?:sk|ek|rk|pk)[-_]|\bwhsec_|openai-insecure-api-key\.|\bBearer\s+"
    r"|[?&](?:api[-_]?key|access[-_]?token|token|key|sig|signature)=)[A-Za-z0-9%+/=._~-]{4,}",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"://[^/?#\s@\"']+@")  # https://user:password@host
_SHORT = re.compile(r"sk|ek|whsec|bearer|rk|pk|key|token|sig|@", re.IGNORECASE)  # most have none: a cheap first look
SHORTEST = 6
"""A known secret shorter than this is not replaced in a text: it would blot out ordinary words."""


def scrub(text: str) -> str:
    """The text with everything that looks like a key hidden; what kind of key it was stays."""
    if not _SHORT.search(text):
        return text
    return _USERINFO.sub(f"://{HIDDEN}@", _LOOKS.sub(lambda found: found["prefix"] + HIDDEN, text))


def redacted(text: str, known: Iterable[str] = ()) -> str:
    """The text without the `known` secrets, and without anything that looks like a key."""
    return scrub(without(text, known))


def without(text: str, known: Iterable[str]) -> str:
    """The text without the `known` secrets, and otherwise as it is."""
    for secret in sorted({secret for secret in known if len(secret) >= SHORTEST}, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def secrets_in(value: Any) -> Iterator[str]:
    """The secrets that a JSON object carries: values of SECRET_MEMBERS; user, password and query of a `server_url`."""
    if isinstance(value, (list, tuple)):
        for inner in value:
            yield from secrets_in(inner)
    if not isinstance(value, Mapping):
        return
    for name, inner in value.items():
        if isinstance(name, str) and name.lower() in SECRET_MEMBERS:
            yield from _texts(inner)
        elif name == "server_url" and isinstance(inner, str):
            yield from _of_url(inner)
        else:
            yield from secrets_in(inner)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        yield value.partition(" ")[2]  # "Bearer ..." may be quoted without its first word
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)


def _of_url(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        yield url
        return
    yield from filter(None, (parts.username, parts.password, parts.query))


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
