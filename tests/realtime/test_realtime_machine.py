"""No sequence of peer events raises, leaves two active default responses, or is heard after its end.

Three machines: a client that a careless server talks to, a server that a careless client talks to, and the two joined
by lists, where both keep the rules and must come to agree.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.errors import LocalProtocolError
from engine.realtime import events as ev
from engine.realtime import session, wire
from engine.realtime.ledger import MAX_OUT_OF_BAND
from engine.realtime.output import OutputItem
from engine.realtime.protocol import Protocol, Role, Slot, Turn, Verdict
from engine.realtime.transitions import LIFE_EVENTS, Life

RESPONSES = st.sampled_from(["r1", "r2", "r3", "o1", ""])
ITEMS = st.sampled_from(["a", "b", "c", "u", ""])
SMALL = st.integers(-1, 2)
ANYTHING = st.none() | st.integers(-5, 5) | st.text(max_size=3) | st.lists(st.none(), max_size=2)
MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "event_id": st.sampled_from([ev.UNSET, None, "e1", "e2"]),
    "response_id": RESPONSES,
    "item_id": ITEMS,
    "output_index": SMALL,
    "content_index": SMALL,
    "previous_item_id": st.sampled_from([ev.UNSET, None, "root", "a", "b", "x"]),
    "delta": st.sampled_from([b"", b"\0" * 480]),
    "audio": st.sampled_from([b"", b"\0" * 480]),
    "audio_end_ms": st.integers(-1, 30),
    "audio_start_ms": st.integers(-1, 30),
    "item": st.fixed_dictionaries(
        {},
        optional={
            "id": ITEMS | ANYTHING,
            "type": st.sampled_from(["message", "function_call", "function_call_output"]) | ANYTHING,
            "role": st.sampled_from(["user", "assistant"]) | ANYTHING,
            "content": st.just([]) | st.just([{"type": "input_text", "text": "x"}]) | ANYTHING,
            "call_id": st.sampled_from(["c1"]) | ANYTHING,
            "output": st.just(""),
            "name": st.just("f"),
            "arguments": st.just("{}"),
        },
    ),
    "part": st.fixed_dictionaries({}, optional={"type": st.sampled_from(["audio", "text"]) | ANYTHING}),
    "error": st.fixed_dictionaries(
        {},
        optional={
            "code": st.sampled_from(["conversation_already_has_active_response", "invalid_value"]) | ANYTHING,
            "event_id": st.sampled_from(["e1", "event_1", "event_2"]) | ANYTHING,
        },
    ),
    "session": st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["realtime", "transcription"]) | ANYTHING,
            "audio": ANYTHING
            | st.fixed_dictionaries(
                {},
                optional={
                    "input": ANYTHING | st.fixed_dictionaries({"turn_detection": ANYTHING | st.just({"type": "x"})}),
                    "output": ANYTHING | st.fixed_dictionaries({"voice": ANYTHING}),
                },
            ),
            "tracing": ANYTHING,
        },
    ),
    "transcript": st.just(""),
    "text": st.just(""),
    "arguments": st.just("{}"),
    "call_id": st.just("c1"),
    "rate_limits": st.just([]),
    "conversation": st.just({}),
    "start": st.just(0.0),
    "end": st.just(0.0),
}
RESPONSE_OBJECT = st.fixed_dictionaries(
    {},
    optional={
        "id": RESPONSES | ANYTHING,
        "status": st.sampled_from(["in_progress", "cancelled"]) | ANYTHING,
        "conversation_id": st.sampled_from([None, "conv"]),
        "audio": ANYTHING | st.just({"output": {"format": {"type": "audio/pcmu"}}}),
    },
)
RESPONSE_PARAMS = st.sampled_from([ev.UNSET, None, {"conversation": "none"}, {"conversation": "auto"}])


def any_event(sender: Role) -> st.SearchStrategy[ev.AnyEvent]:
    """Typed events of one side with plausible and implausible members; ids from a small pool, so that they meet."""

    def members(cls: type[ev.Event]) -> st.SearchStrategy[ev.AnyEvent]:
        drawn: dict[str, st.SearchStrategy[Any]] = {}
        for name in cls.__struct_fields__:
            if name == "response":
                drawn[name] = RESPONSE_PARAMS if cls is ev.ResponseCreate else RESPONSE_OBJECT
            elif name == "delta" and "output_audio.delta" not in str(cls.__struct_config__.tag):
                drawn[name] = st.just("x")
            elif name in MEMBERS:
                drawn[name] = MEMBERS[name]
            elif name in cls.__struct_fields__ and name in ("id", "speaker", "event"):
                drawn[name] = st.just("s")
            elif name == "received_at":
                drawn[name] = st.just(0)
        return st.builds(cls, **drawn)

    typed = st.sampled_from(list(ev.EVENTS[sender].values())).flatmap(members)
    lively = st.sampled_from([cls for kind, cls in ev.EVENTS[sender].items() if "response" in kind]).flatmap(members)
    unknown: st.SearchStrategy[ev.AnyEvent] = st.just(ev.Unknown(type="novel", fields={}))
    return st.one_of(typed, lively, unknown)


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


def assert_lawful(sent: list[ev.AnyEvent]) -> None:
    """One default response at a time, one end each, output only inside, every event_id once."""
    default: str | None = None
    running: set[str] = set()
    ended: set[str] = set()
    for event in sent:
        if isinstance(event, ev.ResponseCreated):
            assert event.response_id not in running | ended
            running.add(event.response_id)
            if event.response.get("conversation_id", "") is not None:
                assert default is None, "two active default responses"
                default = event.response_id
        elif isinstance(event, ev.ResponseDone):
            assert event.response_id in running
            running.remove(event.response_id)
            ended.add(event.response_id)
            default = None if default == event.response_id else default
        elif isinstance(event, ev.Event) and event.type in LIFE_EVENTS:
            assert event.response_id in running  # type: ignore[attr-defined]


class Joined(RuleBasedStateMachine):
    """A client and a server that keep the rules, with two wires that may lag. They never misunderstand each other."""

    def __init__(self) -> None:
        super().__init__()
        self.client = Protocol(Role.CLIENT)
        self.server = Protocol(Role.SERVER)
        self.up: list[ev.AnyEvent] = []
        self.down: list[ev.AnyEvent] = []
        self.everything: list[ev.AnyEvent] = []
        self.voice_turns = 0
        self.items = 0

    def tell(self, event: ev.Event) -> None:
        self.server.send(event)
        self.flush()

    def flush(self) -> None:
        self.up += self.client.outgoing()
        events = self.server.outgoing()
        self.down += events
        self.everything += events

    @initialize()
    def open(self) -> None:
        self.tell(ev.SessionCreated(session=session.realtime("s")))
        self.client.receive(self.down.pop(0))

    # -- wires

    @precondition(lambda self: self.up)
    @rule()
    def upstream(self) -> None:
        event = self.up.pop(0)
        verdict = self.server.receive(event)
        if verdict is Verdict.ACCEPTED and isinstance(event, ev.ConversationItemCreate):
            self.items += 1
            item = {"id": f"c{self.items}", **event.item}
            after = None if event.previous_item_id == "root" else ev.UNSET
            self.tell(ev.ConversationItemAdded(item=item, previous_item_id=after))
            self.tell(ev.ConversationItemDone(item=item))
        elif verdict is Verdict.ACCEPTED and isinstance(event, ev.ConversationItemTruncate):
            self.tell(
                ev.ConversationItemTruncated(
                    item_id=event.item_id, content_index=event.content_index, audio_end_ms=event.audio_end_ms
                )
            )
        elif verdict is Verdict.ACCEPTED and isinstance(event, ev.ConversationItemDelete):
            self.tell(ev.ConversationItemDeleted(item_id=event.item_id))
        elif verdict is Verdict.REFUSED:
            (error,) = [answer for answer in self.server._outgoing if isinstance(answer, ev.Error)]
            assert error.code in ("conversation_already_has_active_response", "response_cancel_not_active"), error
        self.flush()

    @precondition(lambda self: self.down)
    @rule()
    def downstream(self) -> None:
        event = self.down.pop(0)
        assert self.client.receive(event) is Verdict.ACCEPTED, (event, self.client.anomalies)
        self.flush()

    # -- the client's wishes

    @rule()
    def client_requests(self) -> None:
        self.client.request_response()
        self.flush()

    @precondition(lambda self: self.client.slot in (Slot.ACTIVE, Slot.REQUESTED))
    @rule()
    def client_cancels(self) -> None:
        self.client.send(ev.ResponseCancel())
        self.flush()

    @rule(front=st.booleans())
    def client_adds_text(self, front: bool) -> None:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}
        self.client.send(ev.ConversationItemCreate(item=item, previous_item_id="root" if front else ev.UNSET))
        self.flush()

    @precondition(lambda self: self.truncatable())
    @rule()
    def client_truncates(self) -> None:
        item_id = self.truncatable()[-1]
        self.client.send(ev.ConversationItemTruncate(item_id=item_id, content_index=0, audio_end_ms=7))
        self.flush()

    def truncatable(self) -> list[str]:
        known = [(item_id, self.client.items.get(item_id)) for item_id in self.client.items]
        return [item_id for item_id, item in known if item and not item.kept_ms and item.audio_ms() > 7]

    # -- the server's work

    @rule()
    def server_hears_a_turn(self) -> None:
        if self.server.turn is not Turn.IDLE:
            return
        self.voice_turns += 1
        item = {"id": f"u{self.voice_turns}", "type": "message", "role": "user"}
        self.tell(ev.InputAudioBufferSpeechStarted(audio_start_ms=0, item_id=item["id"]))
        self.tell(ev.InputAudioBufferSpeechStopped(audio_end_ms=9, item_id=item["id"]))
        self.tell(ev.InputAudioBufferCommitted(item_id=item["id"]))
        self.tell(ev.ConversationItemAdded(item=item))
        self.tell(ev.ConversationItemDone(item=item))

    @precondition(lambda self: self.server.slot in (Slot.FREE, Slot.REQUESTED, Slot.WITHDRAWN))
    @rule()
    def server_answers(self) -> None:
        response_id = self.server.response_id or self.server.ids("resp")
        item = {"id": f"a_{response_id}", "type": "message", "role": "assistant"}
        self.tell(ev.ResponseCreated(response={"id": response_id, "conversation_id": "conv"}))
        self.tell(ev.ResponseOutputItemAdded(response_id=response_id, output_index=0, item=item))
        self.tell(ev.ConversationItemAdded(item=item))
        self.tell(ev.ResponseContentPartAdded(**self.place(response_id), part={"type": "audio"}))

    def place(self, response_id: str) -> dict[str, Any]:
        return {"response_id": response_id, "item_id": f"a_{response_id}", "output_index": 0, "content_index": 0}

    def open_output(self) -> OutputItem | None:
        response = self.server.response
        return next((item for item in response.items.values() if item.life is Life.OPEN), None) if response else None

    @precondition(lambda self: self.server.slot is Slot.ACTIVE and self.open_output())
    @rule()
    def server_speaks(self) -> None:
        self.tell(ev.ResponseOutputAudioDelta(**self.place(self.server.response_id), delta=b"\0" * 480))

    @precondition(lambda self: self.open_output())
    @rule()
    def server_ends(self) -> None:
        response_id = self.server.response_id
        item = {"id": f"a_{response_id}", "type": "message", "role": "assistant"}
        self.tell(ev.ResponseOutputAudioDone(**self.place(response_id)))
        self.tell(ev.ResponseContentPartDone(**self.place(response_id), part={"type": "audio"}))
        self.tell(ev.ConversationItemDone(item=item))
        self.tell(ev.ResponseOutputItemDone(response_id=response_id, output_index=0, item=item))
        self.tell(ev.ResponseDone(response={"id": response_id, "status": "completed"}))

    # -- agreement

    @invariant()
    def the_server_was_lawful(self) -> None:
        assert_lawful(self.everything)
        assert self.client.anomaly_count == 0

    def teardown(self) -> None:
        """When both wires have run dry and the server has answered, both ends tell the same story."""
        for _ in range(1000):
            if self.up:
                self.upstream()
            elif self.down:
                self.downstream()
            elif self.server.response is not None:
                self.server_ends()
            elif self.server.slot is not Slot.FREE:
                self.server_answers()
            else:
                break
        client, server = self.client, self.server
        assert (client.slot, server.slot) == (Slot.FREE, Slot.FREE)
        assert list(client.items) == list(server.items)
        for item_id in server.items:
            ours, theirs = client.items.get(item_id), server.items.get(item_id)
            assert ours is not None
            assert theirs is not None
            assert ours.audio_ms() == theirs.audio_ms()


BRISK = settings(max_examples=60, stateful_step_count=40, deadline=None)

TestCarelessServer = CarelessServer.TestCase
TestCarelessServer.settings = BRISK
TestCarelessClient = CarelessClient.TestCase
TestCarelessClient.settings = BRISK
TestJoined = Joined.TestCase
TestJoined.settings = BRISK
