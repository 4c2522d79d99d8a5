"""Rate limits of one session: requests and tokens per minute, on the loop's clock.

Each limit is a bucket that is full at first and refills evenly, a whole limit in a minute. A response takes one request
and the tokens it reads when it begins, and the tokens it has written when it ends; those may bring a bucket below
nothing, and the next response waits the longer. `reset_seconds` is the time after which the bucket would be full.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CODE = "rate_limit_exceeded"
MINUTE_S = 60.0


@dataclass(slots=True)
class _Bucket:
    name: str
    limit: int
    level: float
    at: float
    """Loop time of `level`."""

    def fill(self, now: float) -> None:
        self.level = min(self.level + (now - self.at) * self.limit / MINUTE_S, float(self.limit))
        self.at = now

    def seconds_to(self, level: float) -> float:
        return max(level - self.level, 0.0) * MINUTE_S / self.limit


class RateLimits:
    """What one session may still ask for. `clock` gives seconds."""

    def __init__(self, requests_per_minute: int, tokens_per_minute: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        now = clock()
        self._requests = _Bucket("requests", requests_per_minute, float(requests_per_minute), now)
        self._tokens = _Bucket("tokens", tokens_per_minute, float(tokens_per_minute), now)

    def begin(self, tokens: int) -> dict[str, Any] | None:
        """A response wants to read so many tokens: None when it may, and then they are taken; else the error it fails
        with. One that asks for more than the limit waits for a full bucket.
        """
        self._fill()
        for bucket, wanted in ((self._requests, 1), (self._tokens, tokens)):
            wait = bucket.seconds_to(min(wanted, bucket.limit))
            if wait > 0:
                return _error(bucket, wanted, wait)
        self._requests.level -= 1
        self._tokens.level -= tokens
        return None

    def end(self, tokens: int) -> None:
        """A response has written so many tokens."""
        self._fill()
        self._tokens.level -= tokens

    def wire(self) -> list[dict[str, Any]]:
        """The `rate_limits` of `rate_limits.updated`, as of now."""
        self._fill()
        return [
            {
                "name": bucket.name,
                "limit": bucket.limit,
                "remaining": max(int(bucket.level), 0),
                "reset_seconds": round(bucket.seconds_to(bucket.limit), 3),
            }
            for bucket in (self._requests, self._tokens)
        ]

    def _fill(self) -> None:
        now = self._clock()
        self._requests.fill(now)
        self._tokens.fill(now)


def _error(bucket: _Bucket, wanted: int, wait: float) -> dict[str, Any]:
    used = min(bucket.limit - int(bucket.level), bucket.limit)
    message = (
        f"Rate limit reached on {bucket.name} per min: Limit {bucket.limit}, Used {used}, Requested {wanted}. "
        f"Please try again in {wait:.3f}s."
    )
    return {"type": bucket.name, "code": CODE, "message": message}
