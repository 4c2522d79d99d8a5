"""Every event of a conversation as a line of JSON in a file.

One line: {"time": seconds on the loop's clock since the file was opened, "direction": "sent" or "received", "event":
the event as it was on the wire}. A message that could not be decoded has "event": null, its size in "bytes" and its
beginning in "start".

What could be a secret is written as "***": the value of every member named authorization, headers, client_secret,
api_key, key or token, wherever it stands; and in any text the key of this conversation and what looks like one. Audio
stays as it is, in base64.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from engine.audio import AudioEvent, ItemKey
from engine.errors import MediaError
from engine.realtime import events as ev
from engine.realtime.redaction import SHORTEST, redacted

SECRETS = frozenset({"authorization", "headers", "client_secret", "api_key", "key", "token"})
HIDDEN = "***"
BUFFER_BYTES = 256 * 1024  # then it is written, sooner than the second
FLUSH_S = 1.0
SHOWN_BYTES = 200  # of a message that is no event

# A backslash may hide a name (k\u0065y), a line break would end the line: such messages are decoded and encoded anew.
_SUSPECT = re.compile(
    rb"[\r\n]|\\u|\"(?:" + "|".join(sorted(SECRETS)).encode() + rb")\"|[seprk]k[-_]|whsec_|bearer |api-key|[?&]\w+=",
    re.IGNORECASE,
)


class Trace:
    """An `Observer` that writes a file of JSON lines, without the `known` secrets; a context manager, used on the
    loop's thread.

    Raises MediaError when the file cannot be made, and on leaving the block when it could not be written to its end:
    a full disk ends the file, never the conversation.
    """

    def __init__(self, path: str | os.PathLike[str], known: Sequence[str] = ()) -> None:
        self._path = Path(path)
        self._known = tuple(secret for secret in known if len(secret) >= SHORTEST)
        self._known_bytes = tuple(secret.encode() for secret in self._known)
        self._loop = asyncio.get_running_loop()
        self._start = self._flushed = self._loop.time()
        self._failure: OSError | None = None
        try:
            self._file = self._path.open("wb", buffering=BUFFER_BYTES)
        except (OSError, ValueError) as error:
            raise self._error(error) from None

    def event(self, direction: str, message: bytes, event: ev.AnyEvent | None) -> None:
        """See `Observer.event`."""
        now = self._loop.time()
        shown = self._event(message) if event is not None else None
        rest = b'"event":' + shown if shown is not None else self._undecodable(message)
        self._write(b'{"time":%.6f,"direction":"%b",%b}\n' % (now - self._start, direction.encode(), rest))
        if now - self._flushed >= FLUSH_S:
            self._flushed = now
            self._flush()

    def sound(self, event: AudioEvent, item: ItemKey | None) -> None:
        """See `Observer.sound`. Reports of the audio threads are not on the wire and not in the file."""

    def close(self) -> None:
        """Write what is left and close. A second call does nothing."""
        if self._file.closed:
            return
        self._flush()
        try:
            self._file.close()
        except OSError as error:
            self._failure = self._failure or error
        if self._failure is not None:
            raise self._error(self._failure)

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self.close()
        except MediaError:
            if error is None:  # else the conversation's own failure is the one to tell
                raise

    def _write(self, line: bytes) -> None:
        if self._failure is None:
            try:
                self._file.write(line)
            except OSError as error:
                self._failure = error

    def _flush(self) -> None:
        if self._failure is None:
            try:
                self._file.flush()
            except OSError as error:
                self._failure = error

    def _error(self, error: OSError | ValueError) -> MediaError:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        return MediaError(f"{str(self._path)!r}: cannot be written ({reason}); choose another place or make room")

    def _event(self, message: bytes) -> bytes | None:
        """The message on one line and without secrets; None when it is not whole JSON after all."""
        if message.isascii() and not self._suspect(message):
            return message
        try:
            return msgspec.json.encode(_redacted(msgspec.json.decode(message), self._known))
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return None

    def _suspect(self, message: bytes) -> bool:
        return _SUSPECT.search(message) is not None or any(secret in message for secret in self._known_bytes)

    def _undecodable(self, message: bytes) -> bytes:
        start = message[:SHOWN_BYTES]
        shown = HIDDEN if self._suspect(start) else start.decode(errors="replace")
        return b'"event":null,"bytes":%d,"start":%b' % (len(message), msgspec.json.encode(shown))


def _redacted(value: Any, known: Sequence[str]) -> Any:
    if isinstance(value, dict):
        return {
            name: HIDDEN if name.lower() in SECRETS and not _is_word(name, value) else _redacted(inner, known)
            for name, inner in value.items()
        }
    if isinstance(value, str):
        return redacted(value, known)
    return [_redacted(inner, known) for inner in value] if isinstance(value, list) else value


def _is_word(name: str, around: dict[str, Any]) -> bool:
    """Whether this "token" is a word the model wrote, as in logprobs."""
    return name == "token" and "logprob" in around
