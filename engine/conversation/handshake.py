"""The first words: session.created, and a session.update that the server must accept before any sound is sent."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from engine.audio import GateMode
from engine.conversation.observer import Observer
from engine.conversation.settings import Settings, turn_detection
from engine.errors import ConfigError, LocalProtocolError, RemoteProtocolError, TransportError
from engine.realtime import Protocol, Role, Verdict, wire
from engine.realtime import events as ev
from engine.realtime.redaction import redacted, secrets_in
from engine.transport import Connection

_log = logging.getLogger("bargein")


async def shake_hands(
    connection: Connection, settings: Settings, observer: Observer | None
) -> tuple[Protocol, list[ev.AnyEvent]]:
    """Return the protocol with an agreed session, and all that the server has said so far: it may greet unasked.

    Raises `TransportError` when the other side does not speak the Realtime protocol or says nothing within
    `settings.handshake_s`, `ConfigError` with the server's words when it refuses the session.
    """
    protocol = Protocol(Role.CLIENT, call=settings.call, prices=settings.prices)
    hands = _Hands(connection, protocol, observer, tuple(secrets_in(settings.update())))
    try:
        async with asyncio.timeout(settings.handshake_s):
            await hands.until(ev.SessionCreated)
            asked = settings.update()
            if len(asked) > 1 and await hands.ask(asked):
                await hands.until(ev.SessionUpdated)
                tell_differences(protocol)
    except TimeoutError:
        raise TransportError(f"the server did not agree on a session within {settings.handshake_s:g} s") from None
    if not settings.call:
        _check_formats(protocol, settings)
    if settings.gate.mode is GateMode.PAUSE and not turn_detection(protocol.effective):
        raise ConfigError("gate.mode is pause, but turn detection is off: who commits by hand must send what was said")
    return protocol, hands.early


def tell_differences(protocol: Protocol) -> None:
    """Log what the server did not put in force of what was asked."""
    for difference in protocol.differences:
        _log.warning("the server did not take a setting over: %s", difference)


MAX_EARLY = 4096


class _Hands:
    def __init__(
        self, connection: Connection, protocol: Protocol, observer: Observer | None, secrets: tuple[str, ...]
    ) -> None:
        self._connection = connection
        self._secrets = secrets  # a server may quote what it refuses
        self._protocol = protocol
        self._observer = observer
        self.early: list[ev.AnyEvent] = []  # at most MAX_EARLY; a server that says more has no ear for us

    async def ask(self, session: dict[str, Any]) -> bool:
        """Ask for what is not in force already; whether that was anything."""
        try:
            asked = self._protocol.send_changes(session) is not None
        except LocalProtocolError as refused:
            raise ConfigError(f"the session cannot be asked for: {refused}") from None
        for queued in self._protocol.outgoing():
            message = wire.encode(queued)
            if self._observer is not None:
                self._observer.event("sent", message, queued)
            await self._connection.send(message)
        return asked

    async def until(self, wanted: type[ev.AnyEvent]) -> None:
        """Receive up to and including the first accepted event of this type."""
        while True:
            event = await self._receive()
            if isinstance(event, ev.Error):
                said = redacted(event.message, self._secrets)
                raise ConfigError(f"the server refused the session: {said}" + _named(event))
            if self._protocol.receive(event) is not Verdict.ACCEPTED:
                continue
            self.early.append(event)
            if isinstance(event, wanted):
                return
            if len(self.early) >= MAX_EARLY:
                raise TransportError(f"the server said {MAX_EARLY} things and did not agree on a session")

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
            not self._protocol.effective
            and not self._protocol.call
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
