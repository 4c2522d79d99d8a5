"""When an operation is repeated, how long is waited, and which error it ends with. No I/O, no clock, no chance."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeVar

import msgspec

from engine.errors import (
    AccessError,
    ApiError,
    NotFoundError,
    OutcomeUnknown,
    RateLimitError,
    RemoteProtocolError,
    ServerFaultError,
    TransportError,
)
from engine.realtime.redaction import redacted
from engine.rest.operations import Answer, Operation, Repeat
from engine.rest.results import Done

T = TypeVar("T")

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 8.0
LONGEST_RETRY_AFTER_S = 60.0
"""A server that wants to be left alone for longer gets its wish: the error is raised at once and tells how long."""
SHOWN = 500  # characters of a server's words


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer came. `sent` tells whether the request may have reached the server."""

    why: str
    sent: bool


class Attempts(Generic[T]):
    """The attempts at one operation. Show each outcome to `judge`: it gives the seconds to wait before the next
    attempt, or None when `result` has come, and raises the error when there is no use in going on.

    `retries` is how many times it may be repeated; `chance` gives 0..1 for the jitter (waits are shortened by up to a
    quarter); `now` gives Unix seconds, for a Retry-After that is a date. `known` are secrets no error may show.
    """

    def __init__(
        self,
        operation: Operation[T],
        *,
        retries: int,
        chance: Callable[[], float],
        now: Callable[[], float],
        known: tuple[str, ...] = (),
    ) -> None:
        self.result: T
        self._operation = operation
        self._left = retries
        self._made = 0
        self._chance = chance
        self._now = now
        self._known = (*known, *operation.secrets)
        self._unsure = False  # an attempt may have been carried out

    def judge(self, outcome: Answer | Failure) -> float | None:
        """See the class."""
        self._made += 1
        if isinstance(outcome, Failure):
            return self._failed(outcome)
        if 200 <= outcome.status < 300:
            self.result = self._read(outcome)
            return None
        if outcome.status == 404 and self._unsure and self._operation.gone_is_done:
            self.result = Done(request_id=outcome.request_id, repeated=True)  # type: ignore[assignment]  # T is Done
            return None
        error = self._error(outcome)
        repeatable = _repeatable(outcome, error, self._operation.repeat)
        self._unsure = self._unsure or not _undone(outcome)
        asked = error.retry_after_s
        if not repeatable or self._left <= 0 or (asked or 0.0) > LONGEST_RETRY_AFTER_S:
            raise error
        return self._again(asked)

    def _failed(self, failure: Failure) -> float:
        self._unsure = self._unsure or failure.sent
        if self._left <= 0 or (failure.sent and self._operation.repeat is Repeat.UNDONE):
            doubt = "; it may have been done, and is not repeated by itself" if self._unsure else ""
            tries = f" ({self._made} attempts)" if self._made > 1 else ""
            kind = OutcomeUnknown if self._unsure else TransportError
            raise kind(f"cannot {self._operation.doing}: {redacted(failure.why, self._known)}{tries}{doubt}")
        return self._again(None)

    def _again(self, asked: float | None) -> float:
        self._left -= 1
        if asked is not None and asked > 0:
            return asked
        longest = min(FIRST_WAIT_S * 2.0 ** min(self._made - 1, 10), LONGEST_WAIT_S)
        return longest * (1.0 - 0.25 * self._chance())

    def _read(self, answer: Answer) -> T:
        try:
            return self._operation.read(answer)
        except RemoteProtocolError as problem:
            named = f" (request {answer.request_id})" if answer.request_id else ""
            raise RemoteProtocolError(f"cannot {self._operation.doing}: {problem}{named}") from None

    def _error(self, answer: Answer) -> ApiError:
        told = _error_object(answer.body)
        said = redacted(str(told.get("message") or ""), self._known)[:SHOWN].rstrip(". ")
        words = [f"cannot {self._operation.doing}: the server answered {answer.status}", said, _hint(answer, told)]
        return _kind(answer.status)(
            ": ".join(filter(None, words[:2])) + (f"; {words[2]}" if words[2] else ""),
            status=answer.status,
            code=self._word(told.get("code")),
            type=self._word(told.get("type")),
            param=self._word(told.get("param")),
            request_id=answer.request_id or None,
            retry_after_s=retry_after(answer, self._now()),
        )

    def _word(self, value: Any) -> str | None:
        return redacted(value, self._known)[:SHOWN] if isinstance(value, str) else None


_HINTS = {
    401: "the key is missing, wrong or expired: check OPENAI_API_KEY, or the key that was given",
    403: "the key may not do this: check its project and permissions",
    404: "the call is over or was never there, or the base URL is wrong",
    413: "the request is too large",
    429: "too many requests: try again later",
    503: "the server is busy: try again later",
    **dict.fromkeys((301, 302, 303, 307, 308), "it redirects elsewhere: name that base URL yourself"),
}


def _hint(answer: Answer, told: dict[str, Any]) -> str:
    if told.get("code") == "insufficient_quota":
        return "waiting does not help: check plan and billing"
    return _HINTS.get(answer.status, "")


def _kind(status: int) -> type[ApiError]:
    if status in (401, 403):
        return AccessError
    if status >= 500:
        return ServerFaultError
    return {404: NotFoundError, 429: RateLimitError}.get(status, ApiError)


def _error_object(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}
    inner = value.get("error") if isinstance(value, dict) else None
    if isinstance(inner, str):
        return {"message": inner}
    return inner if isinstance(inner, dict) else {}


def _undone(answer: Answer) -> bool:
    """Whether this refusal says that nothing was done."""
    return (answer.status < 500 and answer.status not in (408, 409)) or _busy(answer)


def _busy(answer: Answer) -> bool:
    return answer.status == 429 or (answer.status == 503 and "retry-after" in answer.headers)


def _repeatable(answer: Answer, error: ApiError, repeat: Repeat) -> bool:
    told = answer.headers.get("x-should-retry")
    if told in ("true", "false"):
        return told == "true"
    if error.code == "insufficient_quota":
        return False  # waiting buys none
    return _busy(answer) or (repeat is Repeat.ALWAYS and (answer.status in (408, 409) or answer.status >= 500))


def retry_after(answer: Answer, now: float) -> float | None:
    """Seconds that the server asks to wait: `retry-after-ms`, or Retry-After as seconds or a date; None without."""
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(answer.headers[name]) / scale
        except (KeyError, ValueError):
            continue
        if math.isfinite(seconds):
            return max(seconds, 0.0)
    try:
        return max(parsedate_to_datetime(answer.headers["retry-after"]).timestamp() - now, 0.0)
    except (KeyError, ValueError, TypeError, OverflowError, IndexError):
        return None


__all__ = ["Attempts", "Failure", "retry_after"]
