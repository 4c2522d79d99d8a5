"""The table, and both roles of Protocol together: a voice turn, the list of items, responses out of band."""

from __future__ import annotations

import pytest

from engine.errors import LocalProtocolError
from engine.realtime import events as ev
from engine.realtime import session
from engine.realtime.protocol import Protocol, Role, Session, Slot, Turn, Verdict
from engine.realtime.transitions import LIFE_EVENTS, TRANSITIONS
from tests.realtime.scenes import (
    USER,
    client,
    closing,
    created,
    done,
    opening,
    refused,
    server,
    slot_of,
)

# ---- the table


def test_every_state_has_a_row_and_every_row_leads_to_its_own_kind() -> None:
    known = {*ev.CLIENT_EVENTS, *ev.SERVER_EVENTS, "refused", "lost", "off", "begin", "more", "end"}
    for kind in (Session, Slot, Turn):
        assert set(kind) <= set(TRANSITIONS)
    for state, row in TRANSITIONS.items():
        assert set(row) <= known
        assert all(type(after) is type(state) for after in row.values())
    assert set(LIFE_EVENTS) <= set(ev.SERVER_EVENTS)


def test_a_response_begins_only_in_a_slot_that_holds_none() -> None:
    holding_none = {Slot.FREE, Slot.REQUESTED, Slot.WITHDRAWN}
    assert {slot for slot in Slot if "response.created" in TRANSITIONS[slot]} == holding_none
    assert [slot for slot in Slot if "response.create" in TRANSITIONS[slot]] == [Slot.FREE]


# ---- a voice turn, both ends


def test_a_whole_voice_turn_passes_both_ends() -> None:
    near, far = client(), server()
    turn: list[ev.Event] = [
        ev.InputAudioBufferSpeechStarted(audio_start_ms=0, item_id="u1"),
        ev.InputAudioBufferSpeechStopped(audio_end_ms=900, item_id="u1"),
        ev.InputAudioBufferCommitted(item_id="u1"),
        ev.ConversationItemAdded(item=USER),
        ev.ConversationItemDone(item=USER),
        *opening(50),
        *closing(),
        ev.RateLimitsUpdated(rate_limits=[]),
    ]
    for event in turn:
        far.send(event)
        for sent in far.outgoing():
            assert near.receive(sent) is Verdict.ACCEPTED
    assert near.anomaly_count == 0
    for end in (near, far):
        assert (end.slot, end.turn, end.response) == (Slot.FREE, Turn.IDLE, None)
        assert list(end.items) == ["u1", "a1"]
        item = end.items.get("a1")
        assert item is not None
        assert (item.audio_ms(0), item.done, item.kind, item.role) == (50, True, "message", "assistant")
        assert end.is_finished("r1")


def test_a_server_fills_in_ids_and_links() -> None:
    far = server()
    for event in (
        ev.InputAudioBufferCommitted(item_id="u1"),
        ev.ConversationItemAdded(item={"id": "u1"}),
        ev.ConversationItemDone(item={"id": "u1"}),
        ev.ConversationItemAdded(item={"id": "u2"}),
        ev.ConversationItemDone(item={"id": "u2"}),
    ):
        far.send(event)
    sent = far.outgoing()
    assert [event.previous_item_id for event in sent] == [None, None, None, "u1", "u1"]  # type: ignore[union-attr]
    assert len({event.event_id for event in sent}) == 5
    assert far.outgoing() == []


def test_items_are_linked_by_previous_item_id() -> None:
    near = client()
    for item_id, after in (("b", None), ("d", "b"), ("c", "b")):
        near.receive(ev.ConversationItemAdded(item={"id": item_id}, previous_item_id=after))
    words = {"type": "message", "role": "user", "content": []}
    sent = near.send(ev.ConversationItemCreate(item=words, previous_item_id="root"))
    assert isinstance(sent, ev.ConversationItemCreate)
    near.receive(ev.ConversationItemAdded(item=sent.item, previous_item_id=None))
    near.receive(ev.ConversationItemAdded(item={"id": "e"}, previous_item_id=None))  # a server that always says null
    first = sent.item["id"]
    assert list(near.items) == [first, "b", "c", "d", "e"]
    assert near.receive(ev.ConversationItemDeleted(item_id="c")) is Verdict.ACCEPTED
    assert near.receive(ev.ConversationItemDeleted(item_id="c")) is Verdict.IGNORED
    assert list(near.items) == [first, "b", "d", "e"]


# ---- out of band


def test_out_of_band_responses_run_beside_the_default_one() -> None:
    far = server()
    far.send(created("r1"))
    assert far.receive(ev.ResponseCreate(response={"conversation": "none"})) is Verdict.ACCEPTED
    far.send(created("o1", None))
    assert (far.slot, far.response_id, list(far.out_of_band)) == (Slot.ACTIVE, "r1", ["o1"])
    assert far.receive(ev.ResponseCancel(response_id="o1")) is Verdict.ACCEPTED
    assert slot_of(far) is Slot.ACTIVE
    item = {"id": "x1", "type": "message", "role": "assistant"}
    far.send(ev.ResponseOutputItemAdded(response_id="o1", output_index=0, item=item))
    with pytest.raises(LocalProtocolError, match="out-of-band"):
        far.send(ev.ConversationItemAdded(item=item))
    far.send(ev.ResponseOutputItemDone(response_id="o1", output_index=0, item=item))
    far.send(done("o1", "cancelled"))
    assert (far.slot, far.out_of_band, list(far.items)) == (Slot.ACTIVE, {}, [])


def test_null_conversation_id_means_little_from_a_server_that_never_names_one() -> None:
    near = client()
    near.receive(created("r1", None))
    assert (near.slot, near.response_id) == (Slot.ACTIVE, "r1")
    near.receive(done("r1"))
    near.receive(created("r2", "conv_1"))
    near.receive(done("r2"))
    near.receive(created("o1", None))
    assert (near.slot, list(near.out_of_band)) == (Slot.FREE, ["o1"])


# ---- a transcription session


def test_a_transcription_session_has_no_responses() -> None:
    far = Protocol(Role.SERVER)
    far.send(ev.SessionCreated(session=session.transcription("s")))
    far.outgoing()
    assert "transcription session" in refused(far, ev.ResponseCreate()).message
