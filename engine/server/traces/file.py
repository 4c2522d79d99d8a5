"""Traces as lines of JSON, one per span, written when it ends."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import ConfigError
from engine.server.traces.base import Value

_log = logging.getLogger("bargein.server")

MAX_BYTES = 2**30
"""A file that has become so large is written no further, which the log says once."""
MAX_NOTES = 64
"""Of one span; further ones are only counted."""


class TraceFile:
    """Appends to `path`. Each line: trace_id, span_id, parent_span_id (null for a session), name, start and end (Unix
    seconds), status ("ok" or "error"), message, attributes, events.

    A line goes to the operating system at once, so it is there after a crash of ours. A full disk ends the tracing, not
    the sessions. Raises ConfigError for a file that cannot be written.
    """

    def __init__(self, path: str | Path, max_bytes: int = MAX_BYTES) -> None:
        self._path = Path(path)
        self._left = max_bytes
        try:
            self._file: Any = self._path.open("ab", buffering=0)
            self._left -= self._path.stat().st_size
        except OSError as error:
            raise ConfigError(f"{path}: traces cannot be written there: {error.strerror or error}") from None

    def begin(self, name: str, at: float, parent: _Span | None, attributes: Mapping[str, Value]) -> _Span:
        """See `Trace.begin`."""
        trace_id = parent.trace_id if parent is not None else secrets.token_hex(16)
        parent_id = parent.span_id if parent is not None else None
        return _Span(self, trace_id, secrets.token_hex(8), parent_id, name, at, dict(attributes))

    def write(self, line: dict[str, Any]) -> None:
        """One span, as a line."""
        if self._file is None:
            return
        data = msgspec.json.encode(line) + b"\n"
        try:
            if len(data) > self._left:
                raise OSError(0, "it has its largest size")
            self._file.write(data)
            self._left -= len(data)
        except OSError as error:
            _log.warning("%s: traces are written no further: %s", self._path, error.strerror or error)
            self.close()

    def close(self) -> None:
        """Write no more. May be called twice."""
        if self._file is not None:
            self._file.close()
            self._file = None


@dataclass(slots=True)
class _Span:
    file: TraceFile
    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    start: float
    attributes: dict[str, Value]
    notes: list[dict[str, Any]] = field(default_factory=list)  # at most MAX_NOTES
    left_out: int = 0

    def set(self, name: str, value: Value) -> None:
        self.attributes[name] = value

    def note(self, name: str, at: float, attributes: Mapping[str, Value]) -> None:
        if len(self.notes) < MAX_NOTES:
            self.notes.append({"name": name, "at": round(at, 6), "attributes": dict(attributes)})
        else:
            self.left_out += 1

    def end(self, at: float, failure: str = "") -> None:
        left_out = {"bargein.events_left_out": self.left_out} if self.left_out else {}
        self.file.write(
            {
                "trace_id": self.trace_id,
                "span_id": self.span_id,
                "parent_span_id": self.parent_id,
                "name": self.name,
                "start": round(self.start, 6),
                "end": round(at, 6),
                "status": "error" if failure else "ok",
                "message": failure,
                "attributes": self.attributes | left_out,
                "events": self.notes,
            }
        )
