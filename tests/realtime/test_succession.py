"""One client's state takes the place of another's whose connection is gone."""

from __future__ import annotations

from typing import Any

from engine.realtime import Protocol, Role, Slot
from engine.realtime import Turn as InputTurn
from engine.realtime import events as ev


def connected(ids: Protocol | None = None) -> Protocol:
    """A client that has been greeted."""
    protocol = Protocol(Role.CLIENT, ids=ids.ids if ids is not None else None)
    protocol.receive(ev.SessionCreated(event_id="e", session={"type": "realtime", "id": "sess_1"}))
    return protocol


def begun(protocol: Protocol, response_id: str = "resp_1") -> None:
    """A response of the conversation runs."""
    body = {"id": response_id, "status": "in_progress", "conversation_id": "conv_1", "output": []}
    protocol.receive(ev.ResponseCreated(event_id="e", response=body))


def kinds(protocol: Protocol) -> list[str]:
    """What goes out."""
    return [event.type for event in protocol.outgoing()]


def test_what_runs_is_lost_and_told() -> None:
    protocol = connected()
    protocol.receive(ev.InputAudioBufferSpeechStarted(event_id="e", audio_start_ms=0, item_id="item_1"))
    begun(protocol)
    protocol.suspend()
    assert (protocol.slot, protocol.turn, protocol.response) == (Slot.FREE, InputTurn.IDLE, None)
    assert [(outcome.response_id, outcome.status) for outcome in protocol.outcomes] == [("resp_1", "lost")]


def test_requests_without_an_answer_are_asked_again_once() -> None:
    old = connected()
    old.request_response()
    assert kinds(old) == ["response.create"]
    old.suspend()
    new = connected(old)
    assert new.succeed(old, []) == []
    assert kinds(new) == ["response.create"]
    assert new.slot is Slot.REQUESTED


def test_an_unsent_request_is_not_doubled_and_those_that_wait_come_along() -> None:
    old = connected()
    old.request_response()
    old.request_response(ev.ResponseCreate(response={"instructions": "Second."}))
    unsent = old.outgoing()
    old.suspend()
    new = connected(old)
    new.succeed(old, unsent)
    assert kinds(new) == ["response.create"]
    assert new.waiting == 1


def test_a_withdrawn_request_is_forgotten() -> None:
    old = connected()
    old.request_response()
    old.send(ev.ResponseCancel())
    unsent = old.outgoing()
    old.suspend()
    new = connected(old)
    new.succeed(old, unsent)
    assert kinds(new) == []


def test_what_speaks_of_the_old_session_stays_behind() -> None:
    old = connected()
    begun(old)
    part = {"type": "output_audio"}
    where: dict[str, Any] = {"event_id": "e", "response_id": "resp_1", "output_index": 0}
    old.receive(ev.ResponseOutputItemAdded(item={"id": "item_1", "type": "message", "role": "assistant"}, **where))
    old.receive(ev.ResponseContentPartAdded(item_id="item_1", content_index=0, part=part, **where))
    old.receive(ev.ResponseOutputAudioDelta(item_id="item_1", content_index=0, delta=bytes(4800), **where))
    old.send(ev.ResponseCancel(response_id="resp_1"))
    old.send(ev.ConversationItemTruncate(item_id="item_1", content_index=0, audio_end_ms=50))
    old.send(ev.ConversationItemDelete(item_id="item_9"))
    old.send(ev.InputAudioBufferAppend(audio=bytes(480)))
    old.send(ev.InputAudioBufferCommit())
    old.send(ev.SessionUpdate(session={"type": "realtime", "instructions": "Be brief."}))
    new = connected(old)
    unsent = old.outgoing()
    old.suspend()
    new.succeed(old, unsent)
    assert kinds(new) == ["input_audio_buffer.append", "session.update"]


def test_out_of_band_requests_are_sent_if_they_were_not_and_given_up_if_they_were() -> None:
    old = connected()
    old.request_response(ev.ResponseCreate(response={"conversation": "none", "metadata": {"n": "1"}}))
    old.outgoing()
    old.request_response(ev.ResponseCreate(response={"conversation": "none", "metadata": {"n": "2"}}))
    unsent = old.outgoing()
    old.suspend()
    new = connected(old)
    new.succeed(old, unsent)
    (sent,) = new.outgoing()
    assert isinstance(sent, ev.ResponseCreate)
    assert (sent.response or {})["metadata"] == {"n": "2"}
    assert [(outcome.status, outcome.code, outcome.metadata) for outcome in new.outcomes] == [
        ("refused", "connection_lost", {"n": "1"})
    ]


def test_ids_and_accounts_go_on() -> None:
    old = connected()
    first = old.ids("item")
    old.receive(ev.ResponseDone(event_id="e", response={"id": "nobody's", "status": "completed"}))
    anomalies = old.anomaly_count
    assert anomalies
    new = connected(old)
    new.succeed(old, [])
    assert new.ids("item") != first
    assert new.usage is old.usage
    assert new.anomaly_count == anomalies
