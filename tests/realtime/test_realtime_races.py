"""The response slot when client and service both want it, over wires that lag: every request is answered once, refused
with its reason, or withdrawn by whoever made it; none is lost and none answered twice.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.errors import LocalProtocolError
from engine.realtime import events as ev
from engine.realtime import session
from engine.realtime.asking import MAX_WAITING, NOTHING_TO_CANCEL, RACE_LOST
from engine.realtime.protocol import Protocol, Role, Slot, Verdict


class Races(RuleBasedStateMachine):
    """A client, and a service that starts responses by itself and answers creates and cancels.

    A service that echoes metadata may leave out which create it refuses; one that does not echo names it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.client = Protocol(Role.CLIENT)
        self.up: list[ev.AnyEvent] = []
        self.down: list[ev.AnyEvent] = []
        self.late: list[ev.AnyEvent] = []  # errors that the service tells whenever it likes
        self.active: str | None = None
        self.count = 0
        self.asked: list[str] = []
        self.answered: list[str] = []
        self.given_up: set[str] = set()
        self.attempts: dict[str, int] = {}
        self.echoes = True

    @initialize(echoes=st.booleans())
    def open(self, echoes: bool) -> None:
        self.echoes = echoes
        self.client.receive(ev.SessionCreated(session=session.realtime("s")))
        self.asks()  # one quiet turn, from which the client learns whether metadata come back
        self.service_takes(named=True, late=False, willing=1)
        self.service_ends()
        while self.down:
            self.client_hears()

    def flush(self) -> None:
        self.up += self.client.outgoing()

    # -- the application

    @rule()
    def asks(self) -> None:
        tag = str(len(self.asked))
        try:
            self.client.request_response(ev.ResponseCreate(response={"metadata": {"tag": tag}}))
        except LocalProtocolError:
            assert self.client.waiting >= MAX_WAITING
            return
        self.asked.append(tag)
        self.flush()

    @rule()
    def interrupts(self) -> None:
        if self.client.slot is Slot.ACTIVE:
            self.client.send(ev.ResponseCancel(response_id=self.client.response_id))
        elif self.client.slot is Slot.REQUESTED:
            self.given_up |= {tag_of(request) for request in self.client._requests}
            self.client.send(ev.ResponseCancel())
        self.flush()

    @precondition(lambda self: self.client.waiting)
    @rule()
    def withdraws(self) -> None:
        self.given_up |= {tag_of(waiting.event) for waiting in self.client._waiting}
        assert self.client.withdraw_request()

    # -- the service

    def create(self, metadata: dict[str, Any] | None) -> None:
        self.count += 1
        self.active = f"r{self.count}"
        response: dict[str, Any] = {"id": self.active, "status": "in_progress", "conversation_id": "c"}
        response["metadata"] = metadata if self.echoes else None
        self.down.append(ev.ResponseCreated(response=response))
        if metadata:
            self.answered.append(metadata["tag"])

    def end(self, status: str) -> None:
        self.down.append(ev.ResponseDone(response={"id": self.active, "status": status}))
        self.active = None

    @precondition(lambda self: self.active is None)
    @rule()
    def service_starts_its_own(self) -> None:
        self.create(None)

    @precondition(lambda self: self.active is not None)
    @rule()
    def service_ends(self) -> None:
        self.end("completed")

    @precondition(lambda self: self.up)
    @rule(named=st.booleans(), late=st.booleans(), willing=st.integers(0, 9))
    def service_takes(self, named: bool, late: bool, willing: int) -> None:
        event = self.up.pop(0)
        if isinstance(event, ev.ResponseCreate):
            self.attempts[tag_of(event)] = self.attempts.get(tag_of(event), 0) + 1
            if self.active is not None:
                self.refuse(event, RACE_LOST, named=named, late=late and (named or not self.echoes))
            elif willing == 0:
                self.refuse(event, "rate_limit_exceeded", named=True, late=False)
            else:
                assert isinstance(event.response, dict)
                self.create(event.response["metadata"])
        elif isinstance(event, ev.ResponseCancel):
            if self.active is not None and event.response_id in (ev.UNSET, self.active):
                self.end("cancelled")
            else:
                self.refuse(event, NOTHING_TO_CANCEL, named=named, late=late)

    def refuse(self, event: ev.AnyEvent, code: str, *, named: bool, late: bool) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": code}
        event_id = event.event_id if named or not self.echoes else None
        (self.late if late else self.down).append(ev.Error(error={**error, "event_id": event_id}))

    @precondition(lambda self: self.late)
    @rule()
    def service_tells_late(self) -> None:
        self.down.append(self.late.pop(0))

    # -- the wire

    @precondition(lambda self: self.down)
    @rule()
    def client_hears(self) -> None:
        event = self.down.pop(0)
        verdict = self.client.receive(event)
        late_cancel = isinstance(event, ev.Error) and event.code == NOTHING_TO_CANCEL
        assert verdict is (Verdict.IGNORED if late_cancel else Verdict.ACCEPTED), self.client.anomalies
        self.flush()

    @invariant()
    def no_request_is_answered_twice_or_sent_thrice(self) -> None:
        assert len(self.answered) == len(set(self.answered))
        assert max(self.attempts.values(), default=0) <= 2
        assert self.client.waiting <= MAX_WAITING + 1

    def teardown(self) -> None:
        for _ in range(500):
            if self.late:
                self.service_tells_late()
            elif self.up:
                self.service_takes(named=True, late=False, willing=1)
            elif self.down:
                self.client_hears()
            elif self.active is not None:
                self.end("completed")
            else:
                break
        assert (self.client.slot, self.client.waiting) == (Slot.FREE, 0)
        refused = {outcome.metadata["tag"] for outcome in self.client.outcomes if outcome.status == "refused"}
        for tag in self.asked:
            assert tag in self.answered or tag in refused or tag in self.given_up, f"request {tag} was lost"
            assert not (tag in self.answered and tag in refused), f"request {tag} was answered and refused"


def tag_of(event: ev.ResponseCreate) -> str:
    assert isinstance(event.response, dict)
    return str(event.response["metadata"]["tag"])


TestRaces = Races.TestCase
TestRaces.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
