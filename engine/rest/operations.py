"""Each endpoint as an operation: what is sent, checked before it is, what the answer means, and whether it may be
repeated. No I/O.

Repeating is a promise about the service, so each operation has its own:
ALWAYS   repeating does no harm. A second key replaces one that nobody got; who has been hung up or rejected stays so.
UNDONE   only when the first attempt surely did nothing: it was not sent, or refused before any work (429, and 503
         with Retry-After). A second `refer` would transfer twice, a second `create` open a second, paid session.
The service documents no idempotency key, so none is sent: it would promise what nobody keeps.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from engine.errors import ConfigError, RemoteProtocolError
from engine.realtime.redaction import secrets_in
from engine.realtime.rules import prepared
from engine.realtime.types import (
    ACCEPT_CALL,
    CREATE_BETA_SESSION,
    CREATE_BETA_TRANSCRIPTION,
    CREATE_CALL,
    CREATE_CLIENT_SECRET,
    HANGUP_CALL,
    REFER_CALL,
    REJECT_CALL,
    BetaSession,
    BetaTranscriptionSession,
    ClientSecret,
    Endpoint,
    EphemeralKey,
    HybridSession,
    Shape,
)
from engine.rest.results import CallAnswer, Done, OldSession
from engine.service import checked_call_id

T = TypeVar("T")
Session = Mapping[str, Any] | Shape
"""A session: a typed one, or a mapping in the wire's shape."""


class Repeat(enum.Enum):
    """When an operation may be sent again."""

    ALWAYS = "always"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def request_id(self) -> str:
        """What the service's support asks for; empty without one."""
        names = ("x-request-id", "apim-request-id", "request-id")
        return next((self.headers[name][:200] for name in names if self.headers.get(name)), "")


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """One POST and what becomes of it. The repr shows neither body nor secrets."""

    doing: str  # for messages: "accept call rtc_1"
    path: str
    read: Callable[[Answer], T]
    body: bytes = b""
    content_type: str | None = None
    accept: str = "application/json"
    repeat: Repeat = Repeat.UNDONE
    gone_is_done: bool = False  # 404 after an attempt whose answer was lost: that attempt did it
    secrets: tuple[str, ...] = ()  # of the body: a server may quote them
    ephemeral: bool = False  # a client secret (ek_) is enough

    def __repr__(self) -> str:
        return f"Operation({self.doing!r})"


# ---- keys


def create_client_secret(
    session: Session | None = None, expires_after_s: int | None = None, *, validate: bool = True
) -> Operation[ClientSecret]:
    """POST /realtime/client_secrets. `expires_after_s`: 10 to 7200, the service's default is 600."""
    body: dict[str, Any] = {}
    if expires_after_s is not None:
        whole = isinstance(expires_after_s, int) and not isinstance(expires_after_s, bool)
        if not whole or not 10 <= expires_after_s <= 7200:
            raise ConfigError(f"expires_after_s is {expires_after_s!r}: use whole seconds from 10 to 7200")
        body["expires_after"] = {"anchor": "created_at", "seconds": expires_after_s}
    if session is not None:
        body["session"] = _checked(session, None, validate)
    read = _reader(ClientSecret.from_wire)
    return _json("create a client secret", CREATE_CLIENT_SECRET, body, read)


def create_session(session: Session | None = None, *, validate: bool = True) -> Operation[OldSession]:
    """POST /realtime/sessions, the old way to a key: the session in the older dialect."""
    body = _checked(session or {}, BetaSession, validate)
    return _json("create a session", CREATE_BETA_SESSION, body, _reader(_old_session))


def create_transcription_session(session: Session | None = None, *, validate: bool = True) -> Operation[OldSession]:
    """POST /realtime/transcription_sessions, the old way to a key for transcription."""
    body = _checked(session or {}, BetaTranscriptionSession, validate)
    read = _reader(lambda value: _with_secret(BetaTranscriptionSession.from_wire(value)))
    return _json("create a transcription session", CREATE_BETA_TRANSCRIPTION, body, read)


# ---- calls


def create_call(
    sdp: str, session: Session | None = None, *, raw: bool = False, validate: bool = True
) -> Operation[CallAnswer]:
    """POST /realtime/calls with a WebRTC offer: multipart with the session, or, `raw`, the offer alone, which is what
    a client secret may post.
    """
    if not isinstance(sdp, str) or not sdp.lstrip().startswith("v="):
        raise ConfigError("sdp is no SDP offer: it begins with v=0")
    if raw and session is not None:
        raise ConfigError("session cannot go with a raw offer: put it into the client secret, or post with an API key")
    secrets: tuple[str, ...] = ()
    if raw:
        body, content_type = sdp.encode(), "application/sdp"
    else:
        parts = {"sdp": ("application/sdp", sdp.encode())}
        if session is not None:
            wire = _realtime(session, validate)
            secrets = tuple(secrets_in(wire))
            parts["session"] = ("application/json", _encoded(wire))
        body, content_type = _multipart(parts)
    return Operation(
        "create a call",
        CREATE_CALL.path,
        _call_answer,
        body,
        content_type,
        accept="application/sdp",
        secrets=secrets,
        ephemeral=True,
    )


def accept_call(call_id: str, session: Session, *, validate: bool = True) -> Operation[Done]:
    """POST /realtime/calls/{call_id}/accept with the session that answers."""
    return _call("accept", ACCEPT_CALL, call_id, _realtime(session, validate))


def reject_call(call_id: str, status_code: int | None = None) -> Operation[Done]:
    """POST /realtime/calls/{call_id}/reject. `status_code` 400 to 699, SIP's; the service's default is 603."""
    if status_code is not None:
        whole = isinstance(status_code, int) and not isinstance(status_code, bool)
        if not whole or not 400 <= status_code <= 699:
            raise ConfigError(f"status_code is {status_code!r}: use a SIP status from 400 to 699, such as 486 (busy)")
    body = None if status_code is None else {"status_code": status_code}
    return _call("reject", REJECT_CALL, call_id, body, Repeat.ALWAYS)


def refer_call(call_id: str, target_uri: str) -> Operation[Done]:
    """POST /realtime/calls/{call_id}/refer: transfer to `target_uri`, tel: or sip:."""
    scheme, _, rest = target_uri.partition(":") if isinstance(target_uri, str) else ("", "", "")
    if scheme.lower() not in ("tel", "sip", "sips") or not rest or not target_uri.isprintable() or " " in target_uri:
        raise ConfigError(f"target_uri is {target_uri!r:.200}: give tel:+14155550123 or sip:agent@example.com")
    return _call("refer", REFER_CALL, call_id, {"target_uri": target_uri})


def hang_up_call(call_id: str) -> Operation[Done]:
    """POST /realtime/calls/{call_id}/hangup, for SIP and WebRTC."""
    return _call("hang up", HANGUP_CALL, call_id, None, Repeat.ALWAYS)


def _call(
    doing: str, endpoint: Endpoint, call_id: str, body: dict[str, Any] | None, repeat: Repeat = Repeat.UNDONE
) -> Operation[Done]:
    return Operation(
        f"{doing} call {checked_call_id(call_id)}",
        endpoint.path.format(call_id=call_id),
        lambda answer: Done(request_id=answer.request_id),
        b"" if body is None else _encoded(body),
        None if body is None else "application/json",
        accept="*/*",
        repeat=repeat,
        gone_is_done=repeat is Repeat.ALWAYS,
        secrets=tuple(secrets_in(body)),
    )


# ---- bodies


def _json(doing: str, endpoint: Endpoint, body: dict[str, Any], read: Callable[[Answer], T]) -> Operation[T]:
    """A key: losing one is no harm, so these are repeated."""
    secrets = tuple(secrets_in(body))
    encoded = _encoded(body)
    return Operation(doing, endpoint.path, read, encoded, "application/json", repeat=Repeat.ALWAYS, secrets=secrets)


def _encoded(body: Any) -> bytes:
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"session cannot be written as JSON: {error}") from None


def _checked(session: Session, kind: type[Shape] | None, validate: bool) -> dict[str, Any]:
    """The session in the wire's shape, held to the rules of `engine.realtime.rules`."""
    if not isinstance(session, Shape | Mapping):
        raise ConfigError(f"session is a {type(session).__name__}: give a session or a mapping in the wire's shape")
    return prepared(session, kind, validate=validate)


def _realtime(session: Session, validate: bool) -> dict[str, Any]:
    wire = _checked(session, None, validate)
    if wire["type"] != "realtime":
        raise ConfigError(f"session.type is {wire['type']!r}: a call is held by a realtime session")
    return wire


def _multipart(parts: Mapping[str, tuple[str, bytes]]) -> tuple[bytes, str]:
    """multipart/form-data without file names, as the SDKs send it. The boundary follows from the content."""
    boundary = "bargein-" + hashlib.sha256(b"\0".join(content for _, content in parts.values())).hexdigest()[:32]
    body = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\nContent-Type: {kind}\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name, (kind, content) in parts.items()
    )
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


# ---- answers


def _reader(read: Callable[[dict[str, Any]], T]) -> Callable[[Answer], T]:
    def from_answer(answer: Answer) -> T:
        try:
            value = msgspec.json.decode(answer.body)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise RemoteProtocolError(f"the answer is no JSON object ({len(answer.body)} bytes)")
        return read(value)

    return from_answer


def _old_session(value: dict[str, Any]) -> OldSession:
    return _with_secret((HybridSession if "audio" in value else BetaSession).from_wire(value))


def _with_secret(session: BetaSession | HybridSession | BetaTranscriptionSession) -> OldSession:
    if not isinstance(session.client_secret, EphemeralKey):
        raise RemoteProtocolError("the answer has no client_secret with a value")
    return OldSession(session.client_secret, session)


def _call_answer(answer: Answer) -> CallAnswer:
    sdp = answer.body.decode(errors="replace")
    if not sdp.lstrip().startswith("v="):
        raise RemoteProtocolError(f"the answer is no SDP ({len(answer.body)} bytes)")
    last = answer.headers.get("location", "").partition("?")[0].rstrip("/").rpartition("/")[2]
    try:
        call_id: str | None = checked_call_id(last)
    except ConfigError:
        call_id = None
    return CallAnswer(sdp=sdp, call_id=call_id, request_id=answer.request_id)
