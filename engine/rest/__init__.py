"""The REST half of the Realtime API: short-lived keys, calls, webhooks. The HTTP client comes with the extra `rest`.

client.py      Client (asyncio) and SyncClient: one method for each endpoint
operations.py  what each endpoint is asked, checked before anything is sent, and what its answer means
attempts.py    when an operation is repeated, and which error it ends with
results.py     what engine.realtime.types does not have of the answers
webhook.py     signature, age and repetition of incoming webhooks; nothing of it needs the extra
mount.py       an ASGI application that takes them
"""

from engine.rest.client import Client, SyncClient
from engine.rest.mount import WebhookApp
from engine.rest.results import CallAnswer, Done, OldSession
from engine.rest.webhook import Verifier, Webhook, sign

__all__ = [
    "CallAnswer",
    "Client",
    "Done",
    "OldSession",
    "SyncClient",
    "Verifier",
    "Webhook",
    "WebhookApp",
    "sign",
]
