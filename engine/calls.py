"""Answering the telephone: a signed webhook comes, the call is accepted with a session, and its sideband is a
conversation whose sound the server has.

    async def answer(call: calls.Incoming) -> None:
        async with call.answer({"model": "gpt-realtime", "instructions": "Be brief."}) as conversation:
            conversation.send(events.ResponseCreate())
            async for turn in conversation.turns():
                print(turn.role, turn.text)

    app = calls.CallApp(answer)        # ASGI: uvicorn module:app, or mount it at the webhook's path

Needs the extra `rest`, and a server with the project's SIP address behind it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from engine.conversation import Conversation
from engine.errors import ConfigError, EngineError, NotFoundError, OutcomeUnknown, ServerFaultError, TransportError
from engine.front import connect
from engine.realtime.types import IncomingCall, RealtimeCallIncoming
from engine.rest import Client, Webhook, WebhookApp
from engine.rest.operations import Session
from engine.service import CertificateAuthority

BUSY_HERE = 486  # SIP
MAX_CALLS = 100

_log = logging.getLogger("bargein")

Options = dict[str, Any]


class Incoming:
    """A call that rings. Decide within a few seconds: `answer` it, `reject` it, or return and leave it to others.

    `header` gives its SIP headers, which are a stranger's words; `refer` and `hang_up` act once it is answered.
    """

    def __init__(self, call: IncomingCall, client: Client, options: Options) -> None:
        self.call_id = call.call_id
        self.sip_headers = call.sip_headers
        self._client = client
        self._options = options
        self._decided = asyncio.Event()
        self._up = False

    def __repr__(self) -> str:
        return f"Incoming({self.call_id!r})"

    def header(self, name: str) -> str | None:
        """The first SIP header of this name, in any case; None without one."""
        wanted = name.lower()
        return next((header.value for header in self.sip_headers if header.name.lower() == wanted), None)

    async def accept(self, session: Session) -> None:
        """Answer with this session, without a sideband. `NotFoundError`: the caller has gone."""
        await self._client.accept_call(self.call_id, session)
        self._up = True
        self._decided.set()

    @asynccontextmanager
    async def answer(self, session: Session, **options: Any) -> AsyncIterator[Conversation]:
        """Accept the call and yield its sideband. `options` are `engine.connect`'s.

        When it is not known whether the call was accepted, the sideband tells. Leaving the block does not hang up.
        """
        doubt: TransportError | None = None
        try:
            await self.accept(session)
        except (OutcomeUnknown, ServerFaultError) as error:
            doubt = error
        async with AsyncExitStack() as stack:
            try:
                sideband = connect(call_id=self.call_id, **{**self._options, **options})
                conversation = await stack.enter_async_context(sideband)
            except TransportError:
                if doubt is not None:
                    raise doubt from None
                raise
            self._up = True
            self._decided.set()
            yield conversation

    async def reject(self, status_code: int | None = None) -> None:
        """Refuse with a SIP status, 400 to 699; without one the service says 603, Decline."""
        await self._client.reject_call(self.call_id, status_code)
        self._decided.set()

    async def refer(self, target_uri: str) -> None:
        """Transfer to tel:... or sip:..."""
        await self._client.refer_call(self.call_id, target_uri)
        self._up = False

    async def hang_up(self) -> None:
        """End the call. One that is over already is no error."""
        with suppress(NotFoundError):
            await self._client.hang_up_call(self.call_id)
        self._up = False

    async def decided_or(self, task: asyncio.Task[None]) -> None:
        """Return when the call is decided or the task has ended, whatever comes first."""
        deciding = asyncio.create_task(self._decided.wait())
        try:
            await asyncio.wait({deciding, task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            deciding.cancel()

    @property
    def decided(self) -> bool:
        """Whether it was answered or rejected."""
        return self._decided.is_set()

    @property
    def up(self) -> bool:
        """Whether it was answered, and neither referred nor hung up from here."""
        return self._up


class CallApp(WebhookApp):
    """An ASGI application that hands each incoming call to `answer(call)` in a task of its own.

    The webhook is answered 200 as soon as the call is decided, and 500 when `answer` fails before, so that the sender
    comes again. A caller who has gone is no failure. An `answer` that fails later hangs up: a caller is not left alone.

    `secrets`, else OPENAI_WEBHOOK_SECRET, sign the webhooks; `key`, `url` and `ca` are as in `engine.connect`, for REST
    and sideband. Beyond `max_calls` conversations a call is rejected as busy (486).
    """

    def __init__(
        self,
        answer: Callable[[Incoming], Awaitable[object]],
        *,
        secrets: Sequence[str] | str = (),
        key: str | None = None,
        url: str | None = None,
        ca: CertificateAuthority | None = None,
        max_calls: int = MAX_CALLS,
    ) -> None:
        given = [secrets] if isinstance(secrets, str) else list(secrets)
        named = given or [secret for secret in (os.environ.get("OPENAI_WEBHOOK_SECRET"),) if secret]
        if not named:
            raise ConfigError("secrets is empty: give the webhook's signing secret, or set OPENAI_WEBHOOK_SECRET")
        super().__init__(self._ring, *named)
        self._answer = answer
        self._options: Options = {"key": key, "url": url, "ca": ca}
        self._max_calls = max_calls
        self._talking: set[asyncio.Task[None]] = set()  # at most max_calls; more are rejected as busy
        self._client: Client | None = None

    @property
    def calls(self) -> int:
        """Conversations that are going on."""
        return len(self._talking)

    async def aclose(self) -> None:
        """End every conversation and close what is open. Calls that are up stay up."""
        for task in self._talking:
            task.cancel()
        if self._talking:
            await asyncio.wait(list(self._talking))
        await super().aclose()
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _ring(self, webhook: Webhook) -> None:
        if not isinstance(webhook.event, RealtimeCallIncoming):
            return
        if self._client is None:
            self._client = Client(self._options["key"], base_url=self._options["url"], ca=self._options["ca"])
        call = Incoming(webhook.event.data, self._client, self._options)
        if len(self._talking) >= self._max_calls:
            _log.warning("call %s is rejected: %d conversations are going on", call.call_id, len(self._talking))
            await call.reject(BUSY_HERE)
            return
        task = asyncio.create_task(self._talk(call))
        self._talking.add(task)
        task.add_done_callback(self._talking.discard)
        await call.decided_or(task)
        if task.cancelled():
            raise TransportError(f"call {call.call_id} was not decided before the end")
        if not call.decided:
            task.result()  # raises what it failed with

    async def _talk(self, call: Incoming) -> None:
        try:
            await self._answer(call)
        except Exception as error:
            if not call.decided and isinstance(error, NotFoundError):
                _log.info("call %s: the caller has gone", call.call_id)
                return
            if not call.decided:
                raise
            _log.exception("call %s failed", call.call_id)
            if call.up:
                with suppress(EngineError):
                    await call.hang_up()
