"""Keeping secrets out of whatever is shown, logged or recorded.

Two nets: values that are known to be secret are replaced wherever they stand, and text in the shape of a key is
replaced even when nobody knows it. Neither is a reason to log a request: the first rule is to leave it out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

MASK = "***"
SHORTEST = 6
"""A known secret shorter than this is not replaced: it would blot out ordinary words."""

_SHAPES = (
    (re.compile(r"openai-insecure-api-key\.[^\s,;\"']+"), "openai-insecure-api-key." + MASK),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), r"\1 " + MASK),
    (re.compile(r"\b(sk-|ek_|whsec_)[\w+/=.-]{3,}"), r"\1" + MASK),
    (
        re.compile(
            r"(?i)\b(api[-_]?key|access[-_]?token|token|key|signature|sig|authorization|password|secret)=[^&\s\"'<>]+"
        ),
        r"\1=" + MASK,
    ),
)
_SECRET_MEMBERS = frozenset({"authorization", "api-key", "api_key", "client_secret"})


def redacted(text: str, known: Iterable[str] = ()) -> str:
    """The text without the `known` secrets and without anything in the shape of a key."""
    for secret in sorted({secret for secret in known if len(secret) >= SHORTEST}, key=len, reverse=True):
        text = text.replace(secret, MASK)
    for shape, mask in _SHAPES:
        text = shape.sub(mask, text)
    return text


def secrets_in(value: Any) -> Iterator[str]:
    """The secrets that a session or any other wire object carries: MCP authorization, header values, client secrets,
    user, password and query of server URLs.
    """
    if isinstance(value, list | tuple):
        for inner in value:
            yield from secrets_in(inner)
    if not isinstance(value, Mapping):
        return
    for name, inner in value.items():
        if name == "headers" and isinstance(inner, Mapping):
            yield from (each for each in inner.values() if isinstance(each, str))
        elif name in _SECRET_MEMBERS:
            yield from _texts(inner)
        elif name == "server_url" and isinstance(inner, str):
            yield from _of_url(inner)
        else:
            yield from secrets_in(inner)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        _, _, bare = value.partition(" ")  # "Bearer ..." is quoted without its first word
        if bare:
            yield bare
    elif isinstance(value, Mapping):
        yield from (inner for inner in value.values() if isinstance(inner, str))


def _of_url(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        yield url
        return
    yield from filter(None, (parts.username, parts.password, parts.query))


def without_secrets(url: str) -> str:
    """The URL as it may be shown: no user, password or query."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    netloc = (f"[{host}]" if ":" in host else host) + (f":{parts.port}" if parts.port else "")
    return parts._replace(netloc=netloc, query="", fragment="").geturl()
