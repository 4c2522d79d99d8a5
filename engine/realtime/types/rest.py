"""What goes over HTTP: client secrets, calls, webhooks, and the paths they go to.

Paths are below the API's base, such as https://api.openai.com/v1. Failures have the usual {"error": {...}} body.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple

from msgspec import UNSET, UnsetType

from engine.realtime.types import vocabulary as known
from engine.realtime.types.beta import BetaSession, BetaTranscriptionSession
from engine.realtime.types.marks import Between, Matches, Secret
from engine.realtime.types.reports import HybridSession, ReportedSession, ReportedTranscription
from engine.realtime.types.session import RealtimeSession, TranscriptionSession
from engine.realtime.types.shape import Object, Shape, Tagged

# ---- client secrets


class ExpiresAfter(Shape, frozen=True, kw_only=True):
    """How long a client secret opens sessions; a running one goes on after that."""

    seconds: Annotated[int, Between(10, 7200)] | UnsetType = UNSET
    """10 to 7200, default 600, counted from the anchor."""
    anchor: Annotated[str, known.ANCHORS] | UnsetType = "created_at"
    """created_at, and nothing else so far."""


class ClientSecretRequest(Shape, frozen=True, kw_only=True):
    """Body of POST /realtime/client_secrets."""

    expires_after: ExpiresAfter | UnsetType = UNSET
    """Default: 600 seconds."""
    session: RealtimeSession | TranscriptionSession | UnsetType = UNSET
    """What its sessions start with; the client that connects may change it."""


class ClientSecret(Shape, frozen=True, kw_only=True):
    """Answer to it: a key for an untrusted client, good for any number of sessions until it expires."""

    value: Annotated[str, Secret()]
    """Such as ek_1234. Never shown."""
    expires_at: int
    """Unix seconds."""
    session: ReportedSession | ReportedTranscription | HybridSession | UnsetType = UNSET
    """The session in force."""


# ---- calls


class CallRequest(Shape, frozen=True, kw_only=True):
    """POST /realtime/calls, as multipart parts `sdp` (application/sdp) and `session` (application/json)."""

    sdp: str
    """The caller's WebRTC offer."""
    session: RealtimeSession | UnsetType = UNSET
    """Default: the service's, or that of the client secret."""


class RejectRequest(Shape, frozen=True, kw_only=True):
    """POST /realtime/calls/{call_id}/reject."""

    status_code: Annotated[int, Between(400, 699)] | UnsetType = UNSET
    """SIP status that the caller gets, 400 to 699; default 603 (Decline)."""


class ReferRequest(Shape, frozen=True, kw_only=True):
    """POST /realtime/calls/{call_id}/refer: hand the call over."""

    target_uri: Annotated[str, Matches(r"(?i:tel|sips?):\S+", "a tel: or sip: address")]
    """Where to, such as tel:+14155550123 or sip:agent@example.com."""


# ---- webhooks


class SipHeader(Shape, frozen=True, kw_only=True):
    """One header of the INVITE."""

    name: str
    """Such as From."""
    value: str
    """As it came."""


class IncomingCall(Shape, frozen=True, kw_only=True):
    """The call that a webhook announces."""

    call_id: str
    """Such as rtc_1234: what accept, reject, refer, hangup and the sideband connection name it by."""
    sip_headers: Sequence[SipHeader] = ()
    """In the order they came."""


class RealtimeCallIncoming(Tagged, frozen=True, kw_only=True, tag="realtime.call.incoming"):
    """Webhook: somebody calls. Answer it 200, whatever becomes of the call, and accept or reject within seconds."""

    id: str
    """The event's, such as evt_1234; for telling repeats apart use the webhook-id header."""
    created_at: int
    """Unix seconds."""
    data: IncomingCall
    """Who calls."""
    object: Annotated[str, known.EVENT_OBJECT] | UnsetType = UNSET
    """event."""


class WebhookEvent(Shape, frozen=True, kw_only=True):
    """Any other webhook, kept and shown."""

    type: str
    """Such as live.call.incoming."""
    id: str | UnsetType = UNSET
    """The event's."""
    created_at: int | UnsetType = UNSET
    """Unix seconds."""
    data: Object | UnsetType = UNSET
    """As it came."""
    object: str | UnsetType = UNSET
    """event."""


# ---- endpoints


class Endpoint(NamedTuple):
    """One path of the API. `{call_id}` in it is filled in with call.format(call_id=...)."""

    method: str
    """POST."""
    path: str
    """Below the base."""
    request: type[Shape] | None
    """Shape of the body; None: none."""
    response: type[Shape] | None
    """None: no body, or, for CREATE_CALL, the answer in SDP with the call's id at the end of the Location header."""


CREATE_CLIENT_SECRET = Endpoint("POST", "/realtime/client_secrets", ClientSecretRequest, ClientSecret)
CREATE_CALL = Endpoint("POST", "/realtime/calls", CallRequest, None)
ACCEPT_CALL = Endpoint("POST", "/realtime/calls/{call_id}/accept", RealtimeSession, None)
REJECT_CALL = Endpoint("POST", "/realtime/calls/{call_id}/reject", RejectRequest, None)
REFER_CALL = Endpoint("POST", "/realtime/calls/{call_id}/refer", ReferRequest, None)
HANGUP_CALL = Endpoint("POST", "/realtime/calls/{call_id}/hangup", None, None)
CREATE_BETA_SESSION = Endpoint("POST", "/realtime/sessions", BetaSession, BetaSession)
"""The answer may be a HybridSession: read it with session_of()."""
CREATE_BETA_TRANSCRIPTION = Endpoint(
    "POST", "/realtime/transcription_sessions", BetaTranscriptionSession, BetaTranscriptionSession
)
ENDPOINTS = (
    CREATE_CLIENT_SECRET,
    CREATE_CALL,
    ACCEPT_CALL,
    REJECT_CALL,
    REFER_CALL,
    HANGUP_CALL,
    CREATE_BETA_SESSION,
    CREATE_BETA_TRANSCRIPTION,
)
