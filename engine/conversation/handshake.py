"""The first words: session.created, a session.update that the server must accept before any sound is sent, and what
was said before on another line.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.audio import GateMode
from engine.conversation.observer import Observer
from engine.conversation.settings import Settings, turn_detection
from engine.errors import ConfigError, LocalProtocolError, RemoteProtocolError, TransportError
from engine.realtime import Protocol, Role, Verdict, wire
from engine.realtime import events as ev
from engine.realtime.redaction import redacted, secrets_in
from engine.transport import Connection

MAX_EARLY = 4096
TOLD_S = 3.0  # how long the server may take to confirm what it is told; then it is taken as told

_log = logging.getLogger("bargein")


def tell_differences(protocol: Protocol) -> None:
    """Log what the server did not put in force of what was asked."""
    for difference in protocol.differences:
        _log.warning("the server did not take a setting over: %s", difference)


class Hands:
    """The first words on one connection, `protocol` is its state. `early` is what the server said beside: it may greet
    unasked.

    Raises `TransportError` when the other side does not speak the Realtime protocol or says nothing within
    `settings.handshake_s`, `ConfigError` with the server's words when it refuses the session.
    """

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        observer: Observer | None,
        ids: Callable[[str], str] | None = None,
    ) -> None:
        self.protocol = Protocol(Role.CLIENT, call=settings.call, ids=ids, prices=settings.prices)
        self.early: list[ev.AnyEvent] = []  # at most MAX_EARLY; a server that says more has no ear for us
        self._connection = connection
        self._settings = settings
        self._observer = observer

    async def agree(self, asked: Mapping[str, Any]) -> None:
        """Ask for these settings, unless they are nothing but a type, and see that they are in force."""
        settings = self._settings
        try:
            async with asyncio.timeout(settings.handshake_s):
                await self._until(ev.SessionCreated)
                if len(asked) > 1 and await self._ask(asked):
                    await self._until(ev.SessionUpdated)
                    tell_differences(self.protocol)
        except TimeoutError:
            raise TransportError(f"the server did not agree on a session within {settings.handshake_s:g} s") from None
        if not settings.call:
            _check_formats(self.protocol, settings)
        if settings.gate.mode is GateMode.PAUSE and not turn_detection(self.protocol.effective):
            raise ConfigError(
                "gate.mode is pause, but turn detection is off: who commits by hand must send what was said"
            )

    async def tell(self, items: Sequence[Mapping[str, Any]]) -> None:
        """Make the server's conversation begin with these items. One that it refuses is left out and logged."""
        asked: dict[str, str] = {}  # event id by item id, in order, of what is not confirmed
        for item in items:
            sent = self.protocol.send(ev.ConversationItemCreate(item=dict(item)))
            asked[item["id"]] = str(sent.event_id)
        await self._flush()
        try:
            async with asyncio.timeout(TOLD_S):
                while asked:
                    self._confirmed(await self._next(), asked)
        except TimeoutError:
            _log.warning("the server has not confirmed %d items of the conversation it was told", len(asked))

    def _confirmed(self, event: ev.AnyEvent, asked: dict[str, str]) -> None:
        match event:
            case ev.ConversationItemAdded() | ev.ConversationItemCreated() if event.item_id in asked:
                del asked[event.item_id]
            case ev.ConversationItemDone():
                pass
            case ev.Error():
                named = [item_id for item_id, event_id in asked.items() if event_id == event.cause_event_id]
                del asked[(named or list(asked))[0]]
                _log.warning("the server does not take an item of the conversation it is told: %s", event.message)
            case _:
                self.early.append(event)

    async def _ask(self, session: Mapping[str, Any]) -> bool:
        """Ask for what is not in force already; whether that was anything."""
        try:
            asked = self.protocol.send_changes(dict(session)) is not None
        except LocalProtocolError as refused:
            raise ConfigError(f"the session cannot be asked for: {refused}") from None
        await self._flush()
        return asked

    async def _flush(self) -> None:
        for queued in self.protocol.outgoing():
            message = wire.encode(queued)
            if self._observer is not None:
                self._observer.event("sent", message, queued)
            await self._connection.send(message)

    async def _until(self, wanted: type[ev.AnyEvent]) -> None:
        """Receive up to and including the first accepted event of this type."""
        while True:
            event = await self._next()
            if isinstance(event, ev.Error):
                said = redacted(event.message, secrets_in(self._settings.update()))
                raise ConfigError(f"the server refused the session: {said}" + _named(event))
            self.early.append(event)
            if isinstance(event, wanted):
                return
            if len(self.early) >= MAX_EARLY:
                raise TransportError(f"the server said {MAX_EARLY} things and did not agree on a session")

    async def _next(self) -> ev.AnyEvent:
        """The next event that the protocol accepts, or an error."""
        while True:
            event = await self._receive()
            if self.protocol.receive(event) is Verdict.ACCEPTED or isinstance(event, ev.Error):
                return event

    async def _receive(self) -> ev.AnyEvent:
        message = await self._connection.receive()
        data = message if isinstance(message, bytes) else message.encode()
        try:
            event = wire.decode(data, Role.SERVER)
        except RemoteProtocolError as problem:
            raise TransportError(f"the server does not speak the Realtime protocol: {problem}") from None
        if self._observer is not None:
            self._observer.event("received", data, event)
        if (
            not self.protocol.effective
            and not self.protocol.call
            and not isinstance(event, ev.SessionCreated | ev.Error)
        ):
            raise TransportError(f"the server does not speak the Realtime protocol: it began with {event.type[:64]!r}")
        return event


def _named(event: ev.Error) -> str:
    return f" ({event.param})" if event.param else ""


def _check_formats(protocol: Protocol, settings: Settings) -> None:
    """Sound in a form the server does not expect would be noise: fail before any is sent."""
    audio: Any = protocol.effective.get("audio")
    for direction in ("input", "output"):
        side = audio.get(direction) if isinstance(audio, dict) else None
        form = side.get("format") if isinstance(side, dict) else None
        kind = form.get("type") if isinstance(form, dict) else None
        if kind is not None and kind != settings.audio_format.value:
            wanted = settings.audio_format.value
            raise ConfigError(
                f"audio.{direction}.format is {kind!r} on the server, asked was {wanted!r}: it cannot be used"
            )
