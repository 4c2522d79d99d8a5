"""Misbehaviour on purpose, so that a client can be tested against a bad server. All off by default."""

from __future__ import annotations

from dataclasses import dataclass


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

    @property
    def any(self) -> bool:
        """Whether anything is set."""
        return any(
            n is not None
            for n in (
                self.close_after_deltas,
                self.stall_after_deltas,
                self.garbage_after_deltas,
                self.huge_after_deltas,
            )
        )


GARBAGE = b'{"type": "response.output_audio.delta", "delta": '


def huge_error(size: int) -> bytes:
    """A valid `error` event of about `size` bytes."""
    head = (
        b'{"type":"error","event_id":"event_huge","error":{"type":"server_error","code":null,"param":null,"message":"'
    )
    return head + b"x" * max(size - len(head) - 3, 0) + b'"}}'
