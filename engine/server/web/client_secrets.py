"""POST /v1/realtime/client_secrets: a short-lived key for a client that is not trusted with ours.

A secret is `ek_` and 256 random bits in base64url without padding. It is shown once, in this answer; what is kept is
its SHA-256, with the attached session. It opens any number of sessions until it expires, and they outlive it.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from engine.errors import ProtocolError
from engine.realtime import problems
from engine.server.config import reported
from engine.server.ids import Ids
from engine.server.mcp.rules import NONE, McpRules
from engine.server.options import ServerOptions
from engine.server.shapes import fields, integer, mapping, one_of
from engine.server.start import Start, check
from engine.server.web.bodies import json_object, refused
from engine.server.web.credentials import PREFIX, Identity, needs_key
from engine.server.web.keys import digest_of
from engine.server.web.messages import Answer, Headers, Request, json_answer, refusal
from engine.server.web.registry import Entry, Registry, RegistryFull

DEFAULT_S, LEAST_S, MOST_S = 600, 10, 7200
RANDOM_BYTES = 32
UNCACHED: Headers = (("cache-control", "no-store"),)


@dataclass(frozen=True, slots=True)
class Issuer:
    """What secrets are made from."""

    options: ServerOptions
    registry: Registry
    rules: McpRules = NONE
    """MCP servers that attached sessions may name."""
    random: Callable[[int], bytes] = field(default=secrets.token_bytes, repr=False)
    """Gives that many bytes nobody can guess."""

    def issue(
        self, identity: Identity, session: Mapping[str, Any], lasts_s: int, now: float, temperature: float | None = None
    ) -> tuple[str, Entry]:
        """A new secret with this session, which has been checked. Raises RegistryFull."""
        secret = PREFIX + urlsafe_b64encode(self.random(RANDOM_BYTES)).rstrip(b"=").decode()
        entry = Entry(
            owner=identity.owner,
            created_at=now,
            expires_at=int(now) + lasts_s,
            session=msgspec.json.encode(session),
            temperature=temperature,
        )
        self.registry.add(digest_of(secret), entry, now)
        return secret, entry


def start_of(identity: Identity) -> Start | None:
    """What the sessions that somebody opens begin with; None for those who hold no client secret."""
    entry = identity.entry
    return None if entry is None else Start(msgspec.json.decode(entry.session), entry.temperature)


def create_client_secret(request: Request, identity: Identity, issuer: Issuer, now: float) -> Answer:
    """200 with `value`, `expires_at` and the session in force; 400, 403, 413, 415, 429 or 503."""
    return issued(identity, lambda: _create(request, identity, issuer, now))


def issued(identity: Identity, create: Callable[[], Answer]) -> Answer:
    """What `create` answers, or what its errors are answered with."""
    if (forbidden := needs_key(identity)) is not None:
        return forbidden
    try:
        return create()
    except ProtocolError as problem:
        return refused(problem)
    except RegistryFull as full:
        later = (("retry-after", str(full.retry_after_s)),)
        status, code = (503, "client_secrets_exhausted") if full.shared else (429, "rate_limit_exceeded")
        return refusal(status, str(full), code=code, headers=later)


def _create(request: Request, identity: Identity, issuer: Issuer, now: float) -> Answer:
    body = fields("", json_object(request), {"expires_after": expires_after, "session": mapping})
    session = body.get("session", {"type": "realtime"})
    config = check(issuer.options, Start(session), Ids().new("sess"), issuer.rules)
    secret, entry = issuer.issue(identity, session, body.get("expires_after", DEFAULT_S), now)
    told = {"value": secret, "expires_at": entry.expires_at, "session": reported(config)}
    return json_answer(200, told, UNCACHED)


def expires_after(param: str, value: Any) -> int:
    """The seconds of an `expires_after`."""
    checks = {"anchor": one_of("created_at"), "seconds": integer(LEAST_S, MOST_S)}
    return int(fields(param, value, checks).get("seconds", DEFAULT_S))


def no_translations(identity: Identity) -> Answer:
    """Answers POST /v1/realtime/translations/client_secrets, which belongs to a protocol that is not spoken here."""
    return needs_key(identity) or refused(problems.no_translation())


__all__ = ["Issuer", "create_client_secret", "expires_after", "issued", "no_translations", "start_of"]
