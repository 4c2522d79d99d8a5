"""Whether and how a conversation goes on when its connection ends: waits, bounds, and what is fatal."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from engine.errors import Closing, ConfigError, ConnectionLost, EngineError, HandshakeRefused, TransportError

LEAST_JITTER = 0.75  # a wait is shortened to between so much of it and all of it

ANCHOR = (
    "The connection was renewed; this is still the same conversation. What stands above has been said already: go on "
    "from there, do not greet again and do not repeat it."
)


@dataclass(frozen=True, slots=True)
class Reconnect:
    """How a lost or expiring connection is replaced. Raises `ConfigError` for a value out of range.

    After a loss up to `tries` (1 to 100) connections are tried, the first after `first_s` seconds (0 to 60), each
    further one after twice as long, `most_s` (up to 600) at the most; each wait is shortened at random, to three
    quarters at the least. After an expired session the first is tried at once. `rotate_before_s` (1 to 3600) before a
    session expires, or halfway through a shorter one, it is replaced in the first silence.

    The new session is told what was said: the newest of it, up to `history_items` (0 to 1024) and
    `history_characters` (0 to 262144), and `anchor`, a system message ("" for none). `random` gives numbers in [0, 1),
    `unix_time` seconds since 1970, which only the length of a session is told by.
    """

    tries: int = 5
    first_s: float = 0.5
    most_s: float = 8.0
    rotate_before_s: float = 300.0
    history_items: int = 64
    history_characters: int = 32_768
    anchor: str = ANCHOR
    random: Callable[[], float] = field(default=random.random, repr=False)
    unix_time: Callable[[], float] = field(default=time.time, repr=False)

    def __post_init__(self) -> None:
        for name, least, most in (
            ("tries", 1, 100),
            ("first_s", 0, 60),
            ("most_s", self.first_s, 600),
            ("rotate_before_s", 1, 3600),
            ("history_items", 0, 1024),
            ("history_characters", 0, 2**18),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
                raise ConfigError(f"reconnect.{name} is {value!r}: use {least:g} to {most:g}")

    def waits(self, at_once: bool) -> Iterator[float]:
        """Seconds to wait before each try."""
        for attempt in range(self.tries):
            if at_once and attempt == 0:
                yield 0.0
                continue
            whole = min(self.first_s * 2.0 ** (attempt - at_once), self.most_s)
            yield whole * (LEAST_JITTER + (1 - LEAST_JITTER) * self.random())


def may_pass(failure: EngineError) -> bool:
    """Whether what went wrong with one connection may go well with the next."""
    if isinstance(failure, ConnectionLost):
        return failure.closing is not Closing.FATAL
    if isinstance(failure, HandshakeRefused):
        return failure.may_pass
    return isinstance(failure, TransportError)
