"""A client and a server that both keep the rules, joined by wires that lag, come to agree."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.realtime import events as ev
from engine.realtime import session
from engine.realtime.output import OutputItem
from engine.realtime.protocol import Protocol, Role, Slot, Turn, Verdict
from engine.realtime.transitions import Life
from tests.realtime.any_events import assert_lawful


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
        late_cancel = isinstance(event, ev.Error) and event.code == "response_cancel_not_active"
        expected = (
            Verdict.IGNORED if late_cancel else Verdict.ACCEPTED
        )  # a cancel that crossed the end is nobody's news
        assert self.client.receive(event) is expected, (event, self.client.anomalies)
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


TestJoined = Joined.TestCase
TestJoined.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
