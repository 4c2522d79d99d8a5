"""What the calls' endpoints answer; client secrets and sessions are those of `engine.realtime.types`."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from engine.realtime.types import BetaSession, BetaTranscriptionSession, EphemeralKey, HybridSession


class OldSession(NamedTuple):
    """Answer of the old POST /realtime/sessions (flat, or with `audio`) and /transcription_sessions: the key, which no
    repr shows, and the session in force.
    """

    client_secret: EphemeralKey
    session: BetaSession | HybridSession | BetaTranscriptionSession


class CallAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of POST /realtime/calls: `sdp` for the peer connection, `call_id` (rtc_...) for sideband and hangup,
    None when the server named none.
    """

    sdp: str
    call_id: str | None = None
    request_id: str = ""

    def __repr__(self) -> str:  # SDP has candidates' passwords
        return f"CallAnswer(call_id={self.call_id!r})"


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """An operation without an answer of its own was done. `repeated` tells that an earlier attempt had done it, though
    its answer was lost.
    """

    request_id: str = ""
    repeated: bool = False
