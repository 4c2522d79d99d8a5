"""POST /v1/realtime/sessions and /v1/realtime/transcription_sessions: the older way to a client secret.

Both take and tell a session in the older dialect, flat, with `client_secret` in it. The secret is one like any other,
and opens sockets of today's dialect too; it lasts a minute.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from engine.errors import ProtocolError
from engine.realtime.beta_served import BetaServed, in_old_words
from engine.server.config import reported
from engine.server.ids import Ids
from engine.server.shapes import fields, nullable
from engine.server.start import Start, check
from engine.server.web.bodies import json_object
from engine.server.web.client_secrets import UNCACHED, Issuer, expires_after, issued
from engine.server.web.credentials import Identity
from engine.server.web.messages import Answer, Request, json_answer

LASTS_S = 60
_SESSION = re.compile(r"\bsession\.(?=[a-z])")
_UPDATES = {"realtime": "session.update", "transcription": "transcription_session.update"}


def create_session(request: Request, identity: Identity, issuer: Issuer, now: float) -> Answer:
    """Answers POST /v1/realtime/sessions."""
    return issued(identity, lambda: _create("realtime", request, identity, issuer, now))


def create_transcription_session(request: Request, identity: Identity, issuer: Issuer, now: float) -> Answer:
    """Answers POST /v1/realtime/transcription_sessions."""
    return issued(identity, lambda: _create("transcription", request, identity, issuer, now))


def _create(kind: str, request: Request, identity: Identity, issuer: Issuer, now: float) -> Answer:
    body = json_object(request)
    key = nullable(_key)("client_secret", body.pop("client_secret", None)) or {}
    dialect = BetaServed()
    try:
        message = dialect.incoming(msgspec.json.encode({"type": _UPDATES[kind], "session": body}))
        session: dict[str, Any] = msgspec.json.decode(message)["session"]
        config = check(issuer.options, Start(session), Ids().new("sess"), issuer.rules)
    except ProtocolError as problem:
        raise _of_the_body(in_old_words(problem)) from None
    temperature = body.get("temperature")  # checked above
    secret, entry = issuer.issue(identity, session, key.get("expires_after", LASTS_S), now, temperature)
    told = dialect.outgoing(msgspec.json.encode({"type": "session.updated", "session": reported(config)}))
    answer = msgspec.json.decode(told or b"{}")["session"]
    answer["client_secret"] = {"value": secret, "expires_at": entry.expires_at}
    return json_answer(200, answer, UNCACHED)


def _key(param: str, value: Any) -> dict[str, Any]:
    """What some SDKs say of the key they want."""
    return fields(param, value, {"expires_after": expires_after})


def _of_the_body(problem: ProtocolError) -> ProtocolError:
    """Here the session is the body itself."""
    param = None if problem.param is None else problem.param.removeprefix("session.")
    return ProtocolError(_SESSION.sub("", str(problem)), code=problem.code, param=param)


__all__ = ["create_session", "create_transcription_session"]
