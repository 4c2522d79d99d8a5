"""What several commands read from files: a key, a session."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import ConfigError


def read_key(key_file: str | None) -> str | None:
    """The key from the file; None without one (OPENAI_API_KEY is found by itself). Never shown in an error."""
    if key_file is None:
        return None
    where = f"key file {key_file!r}"
    try:
        key = Path(key_file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(f"{where} cannot be read: {reason}") from None
    if not key:
        raise ConfigError(f"{where} is empty: put the key on its first line")
    return key


def read_session(path: str | None) -> dict[str, Any]:
    """The session in a JSON file, "-" for stdin, in the wire's shape; empty without one. Its content is never shown: it
    may hold secrets.
    """
    if path is None:
        return {}
    where = "the session on stdin" if path == "-" else f"session file {path!r}"
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        session = msgspec.json.decode(data)
    except OSError as error:
        raise ConfigError(f"{where} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise ConfigError(f'{where} is no JSON: write an object such as {{"model": "gpt-realtime"}}') from None
    if not isinstance(session, dict):
        raise ConfigError(f'{where} is JSON but no object: write one such as {{"model": "gpt-realtime"}}')
    return session
