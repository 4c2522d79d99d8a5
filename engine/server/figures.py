"""What one session was like, in figures, made from the events it sends: for the metrics and for the log.

Nothing is told to the client for it. As `tracing`, which records spans, `Figures` sees every event on its way out; here
little is kept, nothing is optional, and whoever wants to know is a `Watcher`. Words are passed on to those who ask for
them only; of keys and connections nothing is known here but the name of an owner.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.realtime import events as ev
from engine.realtime import session

_log = logging.getLogger("bargein.server")


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a session from the beginning on."""

    session: str
    """Its id."""
    type: str
    """`realtime` or `transcription`."""
    model: str = ""
    owner: str = ""
    """The name of the key that opened it; empty on a server without keys."""
    beta: bool = False
    """Whether the client speaks the older dialect."""


@dataclass(frozen=True, slots=True)
class TurnFigures:
    """One response, when it is done. Times in seconds."""

    response: str
    """Its id."""
    number: int
    """Which of the session's it is, from 1."""
    status: str
    """completed, cancelled, failed or incomplete."""
    reason: str
    """turn_detected, client_cancelled, max_output_tokens, content_filter; the code of a failure; or empty."""
    out_of_band: bool
    latency_s: float | None
    """From response.created, which follows the end of the user's turn at once, to the first delta of sound or text;
    None when there was none."""
    duration_s: float
    """From response.created to response.done."""
    audio_ms: int
    """Sound that was sent."""
    input_tokens: int
    output_tokens: int
    tools: int
    """Calls in it."""


@dataclass(frozen=True, slots=True)
class SessionFigures:
    """A session, when it is over."""

    duration_s: float
    turns: int
    """Responses that are done."""
    interrupted: int
    """Of these, the ones that a user's speech cut off."""
    failed: int
    input_tokens: int
    output_tokens: int
    errors: int
    """`error` events."""
    code: int
    """Of the close."""


class Watcher:
    """Is told of sessions; override what you want to know. Called on the loop: it must not block. What it raises ends
    the watching of that session.
    """

    def opened(self, about: About, /) -> None:
        """The client has been told of its session."""

    def turn(self, about: About, figures: TurnFigures, /) -> None:
        """A response is done."""

    def interrupted(self, about: About, latency_s: float, /) -> None:
        """The user's speech cancels a response, so much sound after it began; what still waits in the socket is not
        counted."""

    def late(self, seconds: float, /) -> None:
        """A delta of sound leaves so much later than it was due."""

    def words(self, about: About, who: str, text: str, /) -> None:
        """Somebody (`user` or `assistant`) said something."""

    def closed(self, about: About, figures: SessionFigures, /) -> None:
        """The session is over; told only if it was opened."""


@dataclass(slots=True)
class _Turn:
    number: int
    began: float
    out_of_band: bool
    bytes_per_ms: int
    first: float | None = None
    bytes: int = 0
    tools: int = 0


class Figures:
    """Those of one session."""

    def __init__(self, about: About, watchers: Sequence[Watcher] = (), now: Callable[[], float] | None = None) -> None:
        self._about = about
        self._watchers = tuple(watchers)
        self._now = now or asyncio.get_running_loop().time
        self._began: float | None = None
        self._turns: dict[str, _Turn] = {}  # by response; as many as are in progress
        self._count = self._interrupted = self._failed = self._errors = 0
        self._input_tokens = self._output_tokens = 0
        self._seen: dict[type[Any], Callable[[Any], None]] = {}
        if watchers:
            self._seen = {
                ev.SessionCreated: self._opened,
                ev.ResponseCreated: self._turn_began,
                ev.ResponseOutputAudioDelta: self._sound,
                ev.ResponseOutputTextDelta: self._text,
                ev.ResponseOutputItemDone: self._item_done,
                ev.ResponseDone: self._turn_over,
                ev.ResponseOutputAudioTranscriptDone: lambda event: self._words("assistant", event.transcript),
                ev.ResponseOutputTextDone: lambda event: self._words("assistant", event.text),
                ev.ConversationItemInputAudioTranscriptionCompleted: lambda event: self._words(
                    "user", event.transcript
                ),
                ev.Error: self._error,
            }

    def see(self, event: ev.AnyEvent) -> None:
        """One event for the client."""
        seen = self._seen.get(type(event))
        if seen is not None:
            seen(event)

    def interrupted(self, latency_s: float) -> None:
        """See `Watcher.interrupted`."""
        if self._seen:
            self._tell(lambda watcher: watcher.interrupted(self._about, latency_s))

    def late(self, seconds: float) -> None:
        """See `Watcher.late`."""
        if self._seen:
            self._tell(lambda watcher: watcher.late(seconds))

    def end(self, code: int) -> None:
        """The connection has ended. The first call counts."""
        began, self._began = self._began, None
        if began is not None:
            figures = SessionFigures(
                duration_s=self._now() - began,
                turns=self._count - len(self._turns),
                interrupted=self._interrupted,
                failed=self._failed,
                input_tokens=self._input_tokens,
                output_tokens=self._output_tokens,
                errors=self._errors,
                code=code,
            )
            self._tell(lambda watcher: watcher.closed(self._about, figures))
        self._seen.clear()

    def _tell(self, what: Callable[[Watcher], None]) -> None:
        for watcher in self._watchers:
            try:
                what(watcher)
            except Exception:  # somebody's; the conversation goes on, and so do the others
                _log.exception("%s failed: it is told no more of %s", type(watcher).__name__, self._about.session)
                self._watchers = tuple(each for each in self._watchers if each is not watcher)

    # ---- events

    def _opened(self, _event: ev.SessionCreated) -> None:
        self._began = self._now()
        self._tell(lambda watcher: watcher.opened(self._about))

    def _turn_began(self, event: ev.ResponseCreated) -> None:
        self._count += 1
        response = event.response
        self._turns[event.response_id] = _Turn(
            number=self._count,
            began=self._now(),
            out_of_band=response.get("conversation_id") is None,
            bytes_per_ms=session.bytes_per_ms(response, {}),
        )

    def _sound(self, event: ev.ResponseOutputAudioDelta) -> None:
        turn = self._turns.get(event.response_id)
        if turn is not None:
            turn.bytes += len(event.delta)
            if turn.first is None:
                turn.first = self._now()

    def _text(self, event: ev.ResponseOutputTextDelta) -> None:
        turn = self._turns.get(event.response_id)
        if turn is not None and turn.first is None:
            turn.first = self._now()

    def _item_done(self, event: ev.ResponseOutputItemDone) -> None:
        turn = self._turns.get(event.response_id)
        if turn is not None and event.item.get("type") in ("function_call", "mcp_call"):
            turn.tools += 1

    def _turn_over(self, event: ev.ResponseDone) -> None:
        turn = self._turns.pop(event.response_id, None)
        if turn is None:
            return
        usage, failed = event.usage, event.status == "failed"
        figures = TurnFigures(
            response=event.response_id,
            number=turn.number,
            status=event.status,
            reason=_code(event.failure) if failed else event.reason,
            out_of_band=turn.out_of_band,
            latency_s=None if turn.first is None else turn.first - turn.began,
            duration_s=self._now() - turn.began,
            audio_ms=turn.bytes // turn.bytes_per_ms,
            input_tokens=usage.input_tokens if usage is not None else 0,
            output_tokens=usage.output_tokens if usage is not None else 0,
            tools=turn.tools,
        )
        self._interrupted += figures.reason == "turn_detected"
        self._failed += failed
        self._input_tokens += figures.input_tokens
        self._output_tokens += figures.output_tokens
        self._tell(lambda watcher: watcher.turn(self._about, figures))

    def _words(self, who: str, text: str) -> None:
        self._tell(lambda watcher: watcher.words(self._about, who, text))

    def _error(self, _event: ev.Error) -> None:
        self._errors += 1


def figures_of(config: Mapping[str, Any], watchers: Sequence[Watcher], *, owner: str, beta: bool) -> Figures:
    """Those of a session with this configuration."""
    return Figures(About(config["id"], config["type"], config.get("model") or "", owner, beta), watchers)


def _code(failure: Mapping[str, Any]) -> str:
    return str(failure.get("code") or "failed")


__all__ = ["About", "Figures", "SessionFigures", "TurnFigures", "Watcher", "figures_of"]
