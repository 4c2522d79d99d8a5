"""Webhooks as Standard Webhooks signs them: who sent it, when, and whether it was handled before. No I/O.

The signature is HMAC-SHA256 over `id.timestamp.body`, base64, in a space-separated list of `v1,...` (a list, so that
a secret can be changed without a gap). Times are Unix seconds, passed in.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from engine.errors import ConfigError, RemoteProtocolError, WebhookError
from engine.realtime.types import RealtimeCallIncoming, WebhookEvent

TOLERANCE_S = 300
MAX_BODY_BYTES = 256 * 1024
MAX_SIGNATURES = 16  # of one webhook that are compared; a sender that changes its secret needs two
MAX_REMEMBERED = 65_536  # ids; see `Seen`
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_MAX_ID = 256


class Webhook(NamedTuple):
    """A verified webhook. `id` is the header's, which repetitions have in common; `event` is what happened."""

    id: str
    event: RealtimeCallIncoming | WebhookEvent


class Verifier:
    """Checks webhooks against one or more secrets (whsec_...; several while one replaces another).

    `tolerance_s` is how far the sender's clock may be from `now`, either way. The repr shows no secret.
    """

    def __init__(self, *secrets: str, tolerance_s: int = TOLERANCE_S) -> None:
        if not secrets:
            raise ConfigError("secret is missing: give the webhook's signing secret, whsec_...")
        if not 1 <= tolerance_s <= 86_400:
            raise ConfigError(f"tolerance_s is {tolerance_s!r}: use 1 to 86400 seconds")
        self._keys = [_key(secret) for secret in secrets]
        self.tolerance_s = tolerance_s

    def __repr__(self) -> str:
        return f"Verifier({len(self._keys)} secrets, tolerance_s={self.tolerance_s})"

    def verify(self, headers: Mapping[str, str], body: bytes, now: float) -> Webhook:
        """The webhook, or `WebhookError` (`status` 400). Header names in any case.

        The time it takes tells nothing about the secret or about which check failed: every signature is computed and
        compared in constant time whatever the age, and nothing of the body is parsed before.
        """
        given = {name.lower(): value for name, value in headers.items()}
        webhook_id = given.get("webhook-id", "")
        timestamp = given.get("webhook-timestamp", "")
        authentic = self._signed(webhook_id, timestamp, body, given.get("webhook-signature", ""))
        timely = bool(_TIMESTAMP.fullmatch(timestamp)) and abs(now - int(timestamp)) <= self.tolerance_s
        named = 0 < len(webhook_id) <= _MAX_ID
        if not (authentic & timely & named):
            raise WebhookError(_why(authentic, timely))
        return Webhook(webhook_id, _event(body))

    def _signed(self, webhook_id: str, timestamp: str, body: bytes, signatures: str) -> bool:
        signed = f"{webhook_id}.{timestamp}.".encode(errors="surrogateescape") + body
        found = False
        given = [entry.partition(",") for entry in signatures.split(" ", MAX_SIGNATURES)[:MAX_SIGNATURES]]
        for key in self._keys:
            wanted = _signature(key, signed)
            for version, _, signature in given:
                same = hmac.compare_digest(signature.encode(errors="surrogateescape"), wanted)
                found |= same & (version == "v1")
        return found


def _why(authentic: bool, timely: bool) -> str:
    if not authentic:
        return "the signature is missing or wrong: is this the secret of this webhook?"
    if not timely:
        return "the timestamp is too far from this machine's clock: an old webhook, or a clock that is wrong"
    return "webhook-id is missing or longer than 256 characters"


def _event(body: bytes) -> RealtimeCallIncoming | WebhookEvent:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
        raise WebhookError(f"the body is no JSON: {problem}") from None
    if not isinstance(value, dict):
        raise WebhookError("the body is no event but other JSON")
    kind = RealtimeCallIncoming if value.get("type") == "realtime.call.incoming" else WebhookEvent
    try:
        return kind.from_wire(value)
    except RemoteProtocolError as problem:
        raise WebhookError(f"the body is no event: {problem}") from None


def _key(secret: str) -> bytes:
    """The HMAC key: the decoded rest of whsec_..., or a secret of another form as it is."""
    if not isinstance(secret, str) or not secret.strip():
        raise ConfigError("secret is empty: give the webhook's signing secret, whsec_...")
    secret = secret.strip()
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise ConfigError("secret begins with whsec_ but is no base64 after it: copy it whole")
    return key


def _signature(key: bytes, signed: bytes) -> bytes:
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256))


def sign(secret: str, webhook_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of a webhook: for tests, and for servers that send some. `timestamp` in Unix seconds."""
    signature = _signature(_key(secret), f"{webhook_id}.{timestamp}.".encode() + body)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature.decode()}",
    }


class Seen:
    """The ids of webhooks that have been handled, each remembered for `keep_s` seconds: twice the tolerance, since that
    is how long one signed message can pass as new. Bounded: beyond `limit` the oldest id is forgotten and `forgotten`
    counts it; only signed messages come here, so no stranger fills it.
    """

    def __init__(self, keep_s: float, limit: int = MAX_REMEMBERED) -> None:
        self.forgotten = 0
        self._keep_s = keep_s
        self._limit = limit
        self._until: OrderedDict[str, float] = OrderedDict()  # at most `limit`, in the order in which they came

    def __len__(self) -> int:
        return len(self._until)

    def has(self, webhook_id: str, now: float) -> bool:
        """Whether this id was handled."""
        self._expire(now)
        return webhook_id in self._until

    def add(self, webhook_id: str, now: float) -> None:
        """Remember an id, once its handler has succeeded."""
        self._expire(now)
        self._until.pop(webhook_id, None)
        self._until[webhook_id] = now + self._keep_s
        while len(self._until) > self._limit:
            self._until.popitem(last=False)
            self.forgotten += 1

    def _expire(self, now: float) -> None:
        while self._until and next(iter(self._until.values())) < now:  # at its last instant a message still passes
            self._until.popitem(last=False)
