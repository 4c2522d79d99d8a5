"""An ASGI application for webhooks: mount it at a path of any framework, or serve it alone."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from engine.errors import WebhookError
from engine.rest.webhook import MAX_BODY_BYTES, Seen, Verifier, Webhook

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Handler = Callable[[Webhook], Awaitable[object]]

MAX_HANDLING = 256  # webhooks handled at a time; the next is answered 503, and the sender comes again

_log = logging.getLogger("bargein")


class WebhookApp:
    """Verifies each webhook and calls `handler(webhook)` once for it: `app = WebhookApp(handler, "whsec_...")`.

    | answer | when |
    | 200 | handled; or its id was handled before, and then nothing is done again |
    | 400 | signature or age is wrong, or it is no event |
    | 405, 413 | not a POST; longer than `max_body` bytes |
    | 500 | the handler raised; the id is not remembered, so the sender's next try is handled |
    | 503 | too many are being handled |

    A repetition that arrives while the first is being handled waits, and is answered as the first. The handler shall
    return within the few seconds that senders wait. `now` gives Unix seconds. One loop.
    """

    def __init__(
        self,
        handler: Handler,
        *secrets: str,
        verifier: Verifier | None = None,
        max_body: int = MAX_BODY_BYTES,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._handler = handler
        self._verifier = verifier or Verifier(*secrets)
        self._max_body = max_body
        self._now = now
        self.seen = Seen(2 * self._verifier.tolerance_s)
        self._handling: dict[str, asyncio.Task[bool]] = {}  # at most MAX_HANDLING; more are refused with 503

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            status = await self._status(scope, receive)
            if status is not None:
                await _reply(send, status)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def aclose(self) -> None:
        """Wait for the handlers that are running."""
        if self._handling:
            await asyncio.wait(list(self._handling.values()))

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.aclose()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _status(self, scope: Scope, receive: Receive) -> int | None:
        """The HTTP status to answer with; None when the client has gone."""
        if scope["method"] != "POST":
            return 405
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            body = await self._body(headers, receive)
            if body is None:
                return None
            webhook = self._verifier.verify(headers, body, self._now())
        except WebhookError as refused:
            _log.warning("webhook refused: %s", refused)
            return refused.status
        return await self._handle(webhook)

    async def _body(self, headers: dict[str, str], receive: Receive) -> bytes | None:
        too_long = WebhookError(f"the body is longer than {self._max_body} bytes", status=413)
        length = next((value for name, value in headers.items() if name.lower() == "content-length"), "")
        if length.isdecimal() and int(length[:20]) > self._max_body:
            raise too_long
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > self._max_body:
                raise too_long
            if not message.get("more_body", False):
                return bytes(body)

    async def _handle(self, webhook: Webhook) -> int:
        name = webhook.id
        if self.seen.has(name, self._now()):
            return 200
        task = self._handling.get(name)
        if task is None:
            if len(self._handling) >= MAX_HANDLING:
                _log.warning("webhook %s comes while %d are being handled: 503", name[:80], MAX_HANDLING)
                return 503
            task = self._handling[name] = asyncio.create_task(self._run(webhook))
        return 200 if await asyncio.shield(task) else 500  # shielded: a sender that hangs up does not undo the work

    async def _run(self, webhook: Webhook) -> bool:
        try:
            await self._handler(webhook)
        except Exception:
            _log.exception("the handler of webhook %s (%s) failed", webhook.id[:80], webhook.event.type[:80])
            return False
        else:
            self.seen.add(webhook.id, self._now())
            return True
        finally:
            del self._handling[webhook.id]


async def _reply(send: Send, status: int) -> None:
    headers = [(b"content-length", b"0")] + ([(b"allow", b"POST")] if status == 405 else [])
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
