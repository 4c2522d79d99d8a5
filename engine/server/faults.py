"""Misbehaviour on purpose, so that a client can be tested against a bad server. All off by default."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong, counted in audio deltas sent by the session (from 1). None means never."""

    close_after_deltas: int | None = None
    """Close the connection with `close_code` right after that delta, in the middle of the response."""
    close_code: int = 1011
    """1006 breaks the connection without a close frame, as far as the carrier can."""
    stall_after_deltas: int | None = None
    """Send nothing for `stall_s` after that delta. Incoming events are still obeyed."""
    stall_s: float = 5.0
    garbage_after_deltas: int | None = None
    """Send one frame that is not JSON after that delta, then go on."""
    huge_after_deltas: int | None = None
    """Send one well-formed `error` event of `huge_bytes` after that delta, then go on."""
    huge_bytes: int = 20 * 10**6

    join_bytes: int | None = None
    """Collect the sound of a part until there are so many bytes of it, and send that as one delta: with 800,000 the
    message is longer than 1 MiB.
    """
    double_every: int | None = None
    """Send every n-th event twice, the same event_id included."""
    swap_every: int | None = None
    """Send every n-th event after the one that follows it, or 50 ms late when none does."""
    wrong_ids_every: int | None = None
    """Send, before every n-th delta of sound, one of a response and an item that do not exist."""
    lost_races: int = 0
    """Begin a response of the server's own in the moment in which the client asks for one, so many times: the request
    is refused with conversation_already_has_active_response.
    """
    errors_name_event: bool = True
    """False: `error` events do not say which event they answer."""
    truncated_late_s: float = 0.0
    """Send conversation.item.truncated so many seconds late."""

    def __post_init__(self) -> None:
        for name in _COUNTS:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"faults.{name} is {value!r}: use 1 or more, or None for never")

    @property
    def any(self) -> bool:
        """Whether anything is set."""
        return self != Faults()


_COUNTS = (
    "close_after_deltas",
    "stall_after_deltas",
    "garbage_after_deltas",
    "huge_after_deltas",
    "join_bytes",
    "double_every",
    "swap_every",
    "wrong_ids_every",
)
GARBAGE = b'{"type": "response.output_audio.delta", "delta": '


def huge_error(size: int) -> bytes:
    """A valid `error` event of about `size` bytes."""
    head = (
        b'{"type":"error","event_id":"event_huge","error":{"type":"server_error","code":null,"param":null,"message":"'
    )
    return head + b"x" * max(size - len(head) - 3, 0) + b'"}}'
