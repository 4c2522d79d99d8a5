"""One structured line in the log for every turn and every session: figures, no words, nothing that opens anything.

    time=2026-11-20T18:04:51.310Z event=turn session=sess_9fKq owner=kitchen response=resp_9fKq number=3
        status=completed latency_ms=212 duration_ms=1840 audio_ms=3210 input_tokens=310 output_tokens=74 tools=0

The lines go to the logger `bargein.sessions` at INFO, as logfmt; each record has the same as a dict in `fields`, from
which `JsonLines` makes JSON. `words` is for owners who may read what is said on their server: then each side's words
are lines of their own (`event=words`).
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from engine.realtime.redaction import scrub
from engine.server.figures import About, SessionFigures, TurnFigures, Watcher

LOGGER = "bargein.sessions"
MAX_TEXT = 4096
"""Characters of one value."""

_PLAIN = re.compile(r"[A-Za-z0-9_.:/+@-]+")
Fields = dict[str, Any]


class SessionLog(Watcher):
    """Writes lines. One object serves every session."""

    def __init__(self, *, words: bool = False) -> None:
        self._words = words
        self._log = logging.getLogger(LOGGER)

    def turn(self, about: About, figures: TurnFigures, /) -> None:
        """A line for a response."""
        self._line(
            "turn",
            about,
            response=figures.response,
            number=figures.number,
            status=figures.status,
            reason=figures.reason or None,
            out_of_band=True if figures.out_of_band else None,
            latency_ms=None if figures.latency_s is None else round(figures.latency_s * 1000),
            duration_ms=round(figures.duration_s * 1000),
            audio_ms=figures.audio_ms,
            input_tokens=figures.input_tokens,
            output_tokens=figures.output_tokens,
            tools=figures.tools,
        )

    def words(self, about: About, who: str, text: str, /) -> None:
        """A line, if they are asked for."""
        if self._words:
            self._line("words", about, who=who, text=text)

    def closed(self, about: About, figures: SessionFigures, /) -> None:
        """A line for the session."""
        self._line(
            "session",
            about,
            type=about.type,
            model=about.model or None,
            dialect="beta" if about.beta else None,
            duration_s=round(figures.duration_s, 3),
            turns=figures.turns,
            interrupted=figures.interrupted,
            failed=figures.failed,
            input_tokens=figures.input_tokens,
            output_tokens=figures.output_tokens,
            errors=figures.errors,
            code=figures.code,
        )

    def _line(self, event: str, about: About, **more: Any) -> None:
        if not self._log.isEnabledFor(logging.INFO):
            return
        fields = {"event": event, "session": about.session, "owner": about.owner or None, **more}
        shown = {name: _shown(value) for name, value in fields.items() if value is not None}
        self._log.info("%s", logfmt({"time": _stamp(time.time()), **shown}), extra={"fields": shown})


class JsonLines(logging.Formatter):
    """Records of `bargein.sessions` as lines of JSON. What steers terminals or breaks lines is escaped, C1 included."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        fields: Mapping[str, Any] = getattr(record, "fields", {})
        line = msgspec.json.encode({"time": _stamp(record.created), **fields}).decode()
        if line.isprintable():
            return line
        return "".join(sign if sign.isprintable() else json.dumps(sign)[1:-1] for sign in line)


def logfmt(fields: Mapping[str, Any]) -> str:
    """`name=value` pairs; a value with anything but plain signs in it is quoted as JSON quotes it, on one line."""
    return " ".join(f"{name}={_quoted(value)}" for name, value in fields.items())


def _quoted(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if _PLAIN.fullmatch(text):
        return text
    escaped = "".join(sign if sign.isprintable() else " " for sign in text)
    return msgspec.json.encode(escaped).decode()


def _shown(value: Any) -> Any:
    return scrub(value[:MAX_TEXT]) if isinstance(value, str) else value


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


__all__ = ["LOGGER", "JsonLines", "SessionLog", "logfmt"]
