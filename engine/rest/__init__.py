"""The REST half of the Realtime API: short-lived keys, calls, webhooks. The HTTP client comes with the extra `rest`.

client.py      Client (asyncio) and SyncClient: one method for each endpoint
operations.py  what each endpoint is asked, checked before anything is sent, and what its answer means
attempts.py    when an operation is repeated, and which error it ends with
results.py     the answers as types
webhook.py     signature, age and repetition of incoming webhooks; nothing of it needs the extra
mount.py       an ASGI application that takes them
"""

from engine.rest.client import Client, SyncClient
from engine.rest.mount import WebhookApp
from engine.rest.results import CallAnswer, ClientSecret, Done, Ephemeral, OldSession
from engine.rest.webhook import CallIncoming, SipHeader, Verifier, WebhookEvent, sign

__all__ = [
    "CallAnswer",
    "CallIncoming",
    "Client",
    "ClientSecret",
    "Done",
    "Ephemeral",
    "OldSession",
    "SipHeader",
    "SyncClient",
    "Verifier",
    "WebhookApp",
    "WebhookEvent",
    "sign",
]
