"""No sequence of peer events raises, leaves two active default responses, or is heard after its end.

Two machines: a client that a careless server talks to, and a server that a careless client talks to.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.errors import LocalProtocolError
from engine.realtime import events as ev
from engine.realtime import session, wire
from engine.realtime.ledger import MAX_OUT_OF_BAND
from engine.realtime.protocol import Protocol, Role, Slot, Verdict
from engine.realtime.transitions import LIFE_EVENTS
from tests.realtime.any_events import any_event, assert_lawful


class CarelessServer(RuleBasedStateMachine):
    """A client is sent anything; the application above it asks for what it is allowed to ask."""

    def __init__(self) -> None:
        super().__init__()
        self.client = Protocol(Role.CLIENT, max_items=8)
        self.created: list[str] = []
        self.ended: list[str] = []

    @initialize()
    def open(self) -> None:
        self.client.receive(ev.SessionCreated(session=session.realtime("s")))

    @rule(event=any_event(Role.SERVER))
    def peer_sends(self, event: ev.AnyEvent) -> None:
        before = self.client.response
        verdict = self.client.receive(event)
        assert verdict in (Verdict.ACCEPTED, Verdict.IGNORED)
        if verdict is Verdict.IGNORED:
            return
        if isinstance(event, ev.ResponseCreated):
            assert event.response_id not in self.created, "created twice"
            self.created.append(event.response_id)
            if before is not None and self.client.response is not before:
                self.ended.append(before.response_id)
        elif isinstance(event, ev.ResponseDone):
            response_id = event.response_id or (before.response_id if before else "")
            assert response_id in self.created, "done without created"
            assert response_id not in self.ended, "a second end"
            self.ended.append(response_id)
        elif isinstance(event, ev.Event) and event.type in LIFE_EVENTS:
            response_id = event.response_id  # type: ignore[attr-defined]
            assert response_id in self.created, "output before created"
            assert response_id not in self.ended, "output after the end"

    @rule(event=any_event(Role.CLIENT))
    def we_send(self, event: ev.AnyEvent) -> None:
        free = self.client.slot is Slot.FREE
        try:
            self.client.send(event)
        except LocalProtocolError:
            return
        if isinstance(event, ev.ResponseCreate) and not (event.response and event.response["conversation"] == "none"):
            assert free, "a second request left"

    @rule()
    def we_request(self) -> None:
        self.client.request_response()

    @rule()
    def we_drain(self) -> None:
        for event in self.client.outgoing():
            wire.encode(event)

    @invariant()
    def at_most_one_is_active(self) -> None:
        client = self.client
        active = [response for response in self.created if response not in self.ended]
        default = [response for response in active if response not in client.out_of_band]
        assert default == ([client.response.response_id] if client.response else [])
        assert (client.response is not None) == (client.slot in (Slot.ACTIVE, Slot.CANCELLING))
        assert set(client.out_of_band) <= set(active)

    @invariant()
    def everything_is_bounded(self) -> None:
        assert len(self.client.items) <= 8
        assert len(self.client.items) == len(set(self.client.items))
        assert len(self.client.out_of_band) <= MAX_OUT_OF_BAND
        assert len(self.client._requests) <= MAX_OUT_OF_BAND + 1
        assert len(self.client.anomalies) <= 64


class CarelessClient(RuleBasedStateMachine):
    """A server is sent anything; what it answers and what it sends itself keeps to the rules."""

    def __init__(self) -> None:
        super().__init__()
        self.server = Protocol(Role.SERVER, max_items=8)
        self.sent: list[ev.AnyEvent] = []

    @initialize()
    def open(self) -> None:
        self.server.send(ev.SessionCreated(session=session.realtime("s")))
        self.drain()

    def drain(self) -> list[ev.AnyEvent]:
        events = self.server.outgoing()
        self.sent += events
        for event in events:
            wire.encode(event)
        return events

    @rule(event=any_event(Role.CLIENT))
    def peer_sends(self, event: ev.AnyEvent) -> None:
        verdict = self.server.receive(event)
        answers = self.drain()
        if verdict is Verdict.REFUSED:
            (error,) = answers
            assert isinstance(error, ev.Error)
            assert error.code is not None
            assert error.message
            assert error.cause_event_id == (event.event_id or None)
        else:
            assert verdict is Verdict.ACCEPTED
            assert answers == []

    @rule(event=any_event(Role.SERVER))
    def we_send(self, event: ev.AnyEvent) -> None:
        slot = self.server.slot
        try:
            self.server.send(event)
        except LocalProtocolError:
            assert self.server.outgoing() == []
            assert self.server.slot is slot
            return
        assert len(self.drain()) == 1

    @invariant()
    def what_was_sent_keeps_the_rules(self) -> None:
        assert_lawful(self.sent)
        assert (self.server.response is not None) == (self.server.slot in (Slot.ACTIVE, Slot.CANCELLING))


BRISK = settings(max_examples=60, stateful_step_count=40, deadline=None)

TestCarelessServer = CarelessServer.TestCase
TestCarelessServer.settings = BRISK
TestCarelessClient = CarelessClient.TestCase
TestCarelessClient.settings = BRISK
