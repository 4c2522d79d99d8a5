"""One end of a Realtime session, without I/O, clock or randomness.

Events go in, events come out. receive() takes what the peer sent and never raises; send() takes what this end wants to
say and raises LocalProtocolError when the session's state does not allow it; after either, outgoing() has the events to
write, each once, in order. The rules are the table in transitions.py; both roles run the same one.

A client:

    protocol = Protocol(Role.CLIENT, ids=ids)                 # ids("event") -> "event_..."
    for message in arriving:
        event = wire.decode(message, Role.SERVER)             # RemoteProtocolError -> protocol.malformed(error)
        if protocol.receive(event) is Verdict.ACCEPTED:       # IGNORED: late or out of place, drop it
            act_on(event)
        write(wire.encode(e) for e in protocol.outgoing())    # perhaps a response.create that had waited
    protocol.update_session(RealtimeSession(...))             # only what is not in force already is sent
    protocol.request_response()                               # now, or when the slot is free
    if protocol.slot is Slot.ACTIVE:
        protocol.send(ResponseCancel(response_id=protocol.response_id))
    played_ms = min(played_ms, protocol.items.get(item_id).audio_ms(content_index))

A server:

    protocol = Protocol(Role.SERVER, ids=ids)
    protocol.send(SessionCreated(session=session.realtime(...)))         # first of all; event_id is filled in
    verdict = protocol.receive(event)                         # REFUSED: the error is already in outgoing()
    if verdict is Verdict.ACCEPTED and isinstance(event, SessionUpdate):
        protocol.send(SessionUpdated(session=session.merge(protocol.effective, event.session)))
    if verdict is Verdict.ACCEPTED and isinstance(event, InputAudioBufferCommit) and buffered_ms < 100:
        protocol.error(problems.buffer_too_small(buffered_ms), cause=event)     # any error of the server's own
    # An accepted response.create takes the slot at once (REQUESTED): answer it with response.created, whose id may be
    # protocol.response_id, or with protocol.error(problem, cause=event), which frees the slot. WITHDRAWN: it was
    # cancelled before that; send response.created and response.done(cancelled), or the error.
    # An accepted response.cancel only marks the response: end it with its .done events and response.done.
    # previous_item_id that is UNSET in committed, item.added and item.done is filled in.

A response belongs to the default conversation unless `response.conversation_id` is null in response.created.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from msgspec import UNSET

from engine.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from engine.realtime import client_rules, problems
from engine.realtime import events as ev
from engine.realtime.asking import FOLLOWED, Requested
from engine.realtime.redaction import scrub
from engine.realtime.roles import Role
from engine.realtime.succession import Succession
from engine.realtime.transitions import Session, Slot, Turn
from engine.realtime.usage import Prices

__all__ = ["Anomaly", "Protocol", "Requested", "Role", "Session", "Slot", "Turn", "Verdict"]

MAX_OUTGOING = 65_536
"""Events that may wait for outgoing(). More: send() raises, an error answer is dropped and counted as an anomaly."""
MAX_ANOMALIES = 64
"""Newest anomalies kept; older ones are only counted."""


class Verdict(enum.Enum):
    """What receive() made of an event."""

    ACCEPTED = "accepted"  # act on it
    IGNORED = "ignored"  # client: late or out of place; drop it, `anomalies` says why
    REFUSED = "refused"  # server: the answer is in outgoing(); do nothing


class Anomaly(NamedTuple):
    """Something the peer did that the protocol does not foresee: the event's type ("" when it was none), and why."""

    type: str
    why: str


def counting_ids() -> Callable[[str], str]:
    """The default ids: "event_1", "resp_2", ... unique within one Protocol."""
    count = 0

    def make(prefix: str) -> str:
        nonlocal count
        count += 1
        return f"{prefix}_{count}"

    return make


class Protocol(Succession):
    """One end of a session. Attributes are read-only for callers; one thread at a time.

    role          which end this is
    session       Session.CONNECTING until session.created, CLOSED after close()
    slot, turn    the default conversation's response slot; the user's turn
    effective     the configuration in force, as session.created/updated reported it
    items         the conversation (Items): order, lengths of model audio, truncations
    response      the default conversation's running Response, or None; response_id is its id
    out_of_band   running out-of-band responses by id
    audio_started whether any model audio has been sent: the voice is fixed from then on
    anomalies     the newest things the peer did wrong (client); anomaly_count counts all

    A client's also:
    outcomes      the newest responses that were not completed, and requests the server would not begin (ev.Outcome)
    usage         tokens and cost per response and in all (Meter), by `prices`
    rate_limits   the newest figures by name
    differences   what the last session.updated did not confirm of what was asked
    refusal       the error that refused the newest update, None once one was accepted; while there is one and no sound
                  has been sent, none is
    history()     the conversation in order, with the words that have come
    suspend(), succeed(old, unsent)   one connection is lost, and another goes on with the conversation

    ids(prefix) makes event and response ids. With call=True the server plays the audio (WebRTC, SIP).
    max_items bounds the conversation's memory; the oldest item is forgotten first. max_out_of_band (at most 16) bounds
    the responses beside the default one.
    """

    def __init__(
        self,
        role: Role,
        *,
        ids: Callable[[str], str] | None = None,
        call: bool = False,
        max_items: int | None = None,
        max_out_of_band: int | None = None,
        prices: Prices | None = None,
    ) -> None:
        bounds = {"max_items": max_items, "max_out_of_band": max_out_of_band}
        super().__init__(role, ids or counting_ids(), call=call, prices=prices, **bounds)
        self.anomalies: deque[Anomaly] = deque(maxlen=MAX_ANOMALIES)  # full: the oldest goes
        self.anomaly_count = 0
        self._outgoing: list[ev.AnyEvent] = []  # bounded by MAX_OUTGOING
        self._current_type = ""
        self._newest: ev.AnyEvent | None = None
        self._ids_tell: bool | None = None  # whether event ids of this server differ from event to event

    # ---- in

    def receive(self, event: ev.AnyEvent) -> Verdict:
        """Take one event from the peer. A client's mistake becomes an error in outgoing(), a server's an anomaly."""
        if type(event) is ev.InputAudioBufferAppend and self._takes_sound(event):
            return Verdict.ACCEPTED
        if self.session is Session.CLOSED:
            return Verdict.IGNORED
        self._current_type = event.type[:64]
        if self.role is Role.CLIENT and self._is_repeated(event):
            self._note("the same event for the second time")
            return Verdict.IGNORED
        try:
            self._apply(self.role.peer, event)
        except ProtocolError as problem:
            if self.role is Role.CLIENT:
                self._note(str(problem))
                self._release(event)
                return Verdict.IGNORED
            self._answer(problem, event)
            return Verdict.REFUSED
        finally:
            self._current_type = ""
        if self.role is Role.CLIENT:
            return self._follow(event)
        return Verdict.ACCEPTED

    def _takes_sound(self, event: ev.InputAudioBufferAppend) -> bool:
        """The short way of nearly all that a server receives: what no rule refuses, and moves no state."""
        allowed = self.role is Role.SERVER and self.session is Session.OPEN
        return allowed and len(event.audio) <= client_rules.MAX_APPEND_BYTES

    def malformed(self, problem: RemoteProtocolError) -> Verdict:
        """Take what wire.decode raised: a server answers with the error, a client notes an anomaly."""
        if self.role is Role.CLIENT or self.session is Session.CLOSED:
            self._note(str(problem))
            return Verdict.IGNORED
        self._queue_error(problem, problem.event_id)
        return Verdict.REFUSED

    # ---- out

    def send(self, event: ev.AnyEvent) -> ev.AnyEvent:
        """Queue one event for the peer; returns it as queued, its ids filled in.

        Raises LocalProtocolError, and changes nothing, when the state does not allow it. Unknown events always pass.
        """
        if self.session is Session.CLOSED:
            raise LocalProtocolError(f"cannot send {event.type}: the session is closed")
        if len(self._outgoing) >= MAX_OUTGOING:
            raise LocalProtocolError(f"cannot send {event.type}: {MAX_OUTGOING} events wait; take them with outgoing()")
        if not self._sound_sent and isinstance(event, ev.InputAudioBufferAppend):
            self._check_sound()
        event = self._complete(event)
        try:
            self._apply(self.role, event)
        except ProtocolError as problem:
            message = scrub(f"cannot send {event.type}: {problem}")
            raise LocalProtocolError(message, code=problem.code, param=problem.param) from None
        if isinstance(event, (ev.SessionUpdate, ev.ResponseCreate)):
            self._asked(event)
        self._outgoing.append(event)
        return event

    def error(
        self, problem: ProtocolError, *, cause: ev.AnyEvent | None = None, kind: str = problems.KIND
    ) -> ev.AnyEvent:
        """Server: answer `cause` with an error event. `kind` is error.type (server_error for the server's own faults).

        When `cause` is the response.create that holds the slot (or an out-of-band one), its request is over.
        """
        event_id = cause.event_id if cause is not None else problem.event_id
        queued = self.send(_error_event(problem, event_id if isinstance(event_id, str) else None, kind))
        if isinstance(cause, ev.ResponseCreate):
            self._refuse_request(cause)
        return queued

    def forget(self, item_id: str) -> None:
        """Server: an item has left the conversation without an event, to make room. It is unknown from now on."""
        self.items.remove(item_id)

    def outgoing(self) -> list[ev.AnyEvent]:
        """Events to write to the transport, in order. Each is returned once."""
        events, self._outgoing = self._outgoing, []
        return events

    def close(self) -> None:
        """The connection is gone: nothing is sent or accepted any more."""
        self.session = Session.CLOSED
        self.withdraw_request()

    # ---- inside

    def _complete(self, event: ev.AnyEvent) -> ev.AnyEvent:
        """Fill in event_id (not in audio appends, whose errors need none, nor in DTMF), previous_item_id, and the id of
        a client's new item, by which its announcement is known again: named so that it is none of the server's."""
        if isinstance(event, (ev.Unknown, ev.InputAudioBufferAppend, ev.InputAudioBufferDtmfEventReceived)):
            return event
        if self.role is Role.SERVER and getattr(event, "previous_item_id", None) is UNSET:
            item_id: str = event.item_id  # type: ignore[attr-defined]  # all events with a previous item have it
            previous = self.items.previous(item_id) if item_id in self.items else self.items.last
            event = msgspec.structs.replace(event, previous_item_id=previous)
        if isinstance(event, ev.ConversationItemCreate) and event.item.get("id") is None:
            event = msgspec.structs.replace(event, item={**event.item, "id": self.ids("client_item")})
        if event.event_id is UNSET:
            event = msgspec.structs.replace(event, event_id=self.ids("event"))
        return event

    def _follow(self, event: ev.AnyEvent) -> Verdict:
        """Client: what an accepted event of the server's leads to."""
        if type(event) not in FOLLOWED:
            return Verdict.ACCEPTED
        worth = self._after_server_event(event)
        self._release(event)
        return Verdict.ACCEPTED if worth else Verdict.IGNORED

    def _answer(self, problem: ProtocolError, cause: ev.AnyEvent) -> None:
        self._queue_error(problem, cause.event_id if isinstance(cause.event_id, str) else None)

    def _queue_error(self, problem: ProtocolError, event_id: str | None) -> None:
        if len(self._outgoing) >= MAX_OUTGOING:
            self._note(f"an error answer was dropped: {MAX_OUTGOING} events wait")
            return
        self._outgoing.append(self._complete(_error_event(problem, event_id, problems.KIND)))

    def _is_repeated(self, event: ev.AnyEvent) -> bool:
        """Whether this is the last event once more: heard twice, a delta of sound would be an echo. Servers that give
        one id to everything are not judged by ids."""
        before, self._newest = self._newest, event
        if before is None or not isinstance(event.event_id, str) or not isinstance(before.event_id, str):
            return False
        same_id, same = event.event_id == before.event_id, event == before
        if same_id and not same:
            self._ids_tell = False
        elif not same_id and self._ids_tell is None:
            self._ids_tell = True
        return same and bool(self._ids_tell)

    def _note(self, why: str) -> None:
        self.anomaly_count += 1
        self.anomalies.append(Anomaly(scrub(self._current_type), scrub(why[:300])))  # peers choose the ids quoted in it


def _error_event(problem: ProtocolError, event_id: str | None, kind: str) -> ev.Error:
    members = {"type": kind, "code": problem.code, "message": str(problem), "param": problem.param}
    return ev.Error(error={**members, "event_id": event_id})
