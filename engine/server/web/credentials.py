"""Who sends a request: the holder of an API key, of a client secret, or nobody.

A credential comes as `Authorization: Bearer ...`, as `api-key`, or, from browsers, which cannot set headers on a
WebSocket, as the subprotocol openai-insecure-api-key.*. One request has one: two different ones are refused, since
somebody between here and the client may have looked at the other one. Credentials that are not needed are not read: on
a server without keys anything may stand there, except a client secret, which must be a good one wherever it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from engine.server.web.keys import KeyRing, Keys, digest_of
from engine.server.web.messages import Answer, Request, refusal
from engine.server.web.registry import Entry, MemoryRegistry, Registry

PREFIX = "ek_"
SUBPROTOCOL = "openai-insecure-api-key."
MAX_CREDENTIAL = 512
"""Characters; a longer one is nobody's."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a request is from. It holds nothing that opens anything, and may be logged."""

    kind: Literal["key", "secret", "nobody"]
    owner: str = ""
    """The name of the key, also for its client secrets: whom limits count for. Empty for nobody."""
    entry: Entry | None = field(default=None, repr=False)
    """What a client secret stands for."""


NOBODY = Identity("nobody")


class Credentials:
    """The keys and client secrets of a server."""

    def __init__(self, ring: KeyRing | None = None, registry: Registry | None = None) -> None:
        self.ring = ring or KeyRing()
        """The keys; without one, none: everybody who comes through the door is welcome."""
        self.registry = registry or MemoryRegistry()

    @property
    def keys(self) -> bool:
        """Whether there are keys, so that everybody has to show something."""
        return bool(self.ring.current)

    def identify(self, request: Request, now: float) -> Identity | Answer:
        """Who sends this request, or the 401 it is answered with. `now` in Unix seconds."""
        return who(request, self.ring.current, self.registry, now)


def presented(request: Request) -> list[str]:
    """The different credentials of a request, in the order Authorization, api-key, subprotocol. Empty ones are none."""
    found = []
    for value in request.all("authorization"):
        scheme, _, rest = value.strip().partition(" ")
        found.append(rest.strip() if scheme.lower() == "bearer" else value.strip())
    found += [value.strip() for value in request.all("api-key")]
    offered = ",".join(request.all("sec-websocket-protocol")).split(",")
    found += [each.strip().removeprefix(SUBPROTOCOL) for each in offered if each.strip().startswith(SUBPROTOCOL)]
    return list(dict.fromkeys(each for each in found if each))


def who(request: Request, keys: Keys, registry: Registry, now: float) -> Identity | Answer:
    """Who sends this request, or the 401 it is answered with. Without keys and secret it is nobody, who may do all."""
    shown = presented(request)
    if not keys:
        shown = [each for each in shown if each.startswith(PREFIX)]
        if not shown:
            return NOBODY
    if not shown:
        return _unknown(
            "You didn't provide an API key. Provide it in the Authorization header (Authorization: Bearer KEY), as "
            f"api-key, or, on a WebSocket, as the subprotocol {SUBPROTOCOL}KEY.",
            None,
        )
    if len(shown) > 1:
        return _unknown("Several different credentials were provided: send one.", "invalid_api_key")
    return _secret(shown[0], keys, registry, now) if shown[0].startswith(PREFIX) else _key(shown[0], keys)


def _key(key: str, keys: Keys) -> Identity | Answer:
    owner = keys.owner(key) if len(key) <= MAX_CREDENTIAL else None
    if owner is None:
        return _unknown("Incorrect API key provided.", "invalid_api_key")
    return Identity("key", owner)


def _secret(secret: str, keys: Keys, registry: Registry, now: float) -> Identity | Answer:
    entry = registry.find(digest_of(secret), now) if len(secret) <= MAX_CREDENTIAL else None
    if entry is None or (keys and entry.owner not in keys):
        return _unknown("Unknown or expired client secret: create a new one.", "invalid_api_key")
    return Identity("secret", entry.owner, entry)


def needs_key(identity: Identity) -> Answer | None:
    """The 403 for a client secret where it is not enough: it opens sockets and posts raw SDP, nothing else."""
    if identity.kind != "secret":
        return None
    message = "A client secret opens sessions and nothing else: this needs an API key."
    return refusal(403, message, code="insufficient_permissions")


def _unknown(message: str, code: str | None) -> Answer:
    return refusal(401, message, code=code, headers=(("www-authenticate", "Bearer"),))


__all__ = ["NOBODY", "PREFIX", "SUBPROTOCOL", "Credentials", "Identity", "needs_key", "presented", "who"]
