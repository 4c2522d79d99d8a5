"""What the REST calls answer. Secrets are in no repr; fields that a newer service adds are kept where sessions are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Ephemeral(msgspec.Struct, frozen=True):
    """A short-lived key: `value` is the secret itself, `expires_at` Unix seconds. Its repr hides the value."""

    value: str
    expires_at: int = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}(expires_at={self.expires_at})"

    def expired(self, now: float) -> bool:
        """Whether it opens no more sessions at `now` (Unix seconds); a session that runs goes on."""
        return 0 < self.expires_at <= now


class ClientSecret(Ephemeral, frozen=True, kw_only=True):
    """Answer of POST /realtime/client_secrets. `value` (ek_...) opens WebSockets and posts raw SDP until it expires,
    as often as you like. `session` is the effective configuration in the wire's shape.
    """

    session: Mapping[str, Any] = {}
    request_id: str = ""

    __repr__ = Ephemeral.__repr__


class OldSession(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the old POST /realtime/sessions and /transcription_sessions: the key, and every other member of the
    answer in `session`, in the old shape (modalities, voice, input_audio_format, ...) or the mixed one with `audio`.
    """

    client_secret: Ephemeral
    session: Mapping[str, Any] = {}
    request_id: str = ""

    def __repr__(self) -> str:
        return f"OldSession(client_secret={self.client_secret!r})"


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
