"""The one contract between a session and whatever carries its messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable


class Connection(Protocol):
    """One end of an open, ordered, reliable stream of messages, one event each. Used from one asyncio loop.

    A WebSocket, a pair in memory or a data channel. `send` waits while the peer is slow (back-pressure); one task
    sends and one receives at a time.
    """

    async def send(self, data: bytes | str) -> None:
        """Hand one message over. Raises `ConnectionLost` when the connection has ended."""

    async def receive(self) -> bytes | str:
        """The next message. Raises `ConnectionLost` with the close code once the connection has ended."""

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """End the connection. Closing twice is allowed; the first code counts."""


@runtime_checkable
class Prompt(Protocol):
    """A `Connection` that can also take and give messages in the same moment, without a task that wakes for each."""

    def deliver(self, taker: Callable[[bytes], bool]) -> None:
        """Offer each message to `taker` from now on, on the loop, as long as none waits for `receive`. What it does not
        take (False) waits for `receive`, and so does what comes after it.
        """

    def post(self, data: bytes) -> bool:
        """As `send`, when that would not wait and cannot fail now; otherwise False, and nothing is sent."""
