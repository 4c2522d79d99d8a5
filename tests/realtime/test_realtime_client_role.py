"""The client's end: what it may not ask, requests that wait, and servers that are late, lossy or careless."""

from __future__ import annotations

import pytest

from engine.errors import LocalProtocolError
from engine.realtime import events as ev
from engine.realtime.asking import MAX_WAITING, Requested
from engine.realtime.protocol import Protocol, Slot, Turn, Verdict
from tests.realtime.scenes import (
    IN_PART,
    TEN_MS,
    client,
    closing,
    created,
    done,
    opening,
    slot_of,
    turn_of,
)


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (ev.ResponseCancel(), "no active response"),
        (ev.ConversationItemTruncate(item_id="a1", content_index=0, audio_end_ms=51), "already shorter than 51ms"),
        (ev.ConversationItemTruncate(item_id="a1", content_index=0, audio_end_ms=0), "Only model output audio"),
        (ev.ConversationItemTruncate(item_id="x", content_index=0, audio_end_ms=1), "does not exist"),
        (ev.OutputAudioBufferClear(), "WebRTC"),
        (ev.SessionUpdate(session={"instructions": "x"}), r"session\.type"),
        (ev.SessionUpdate(session={"type": "realtime", "audio": {"output": {"voice": "echo"}}}), "voice"),
        (ev.SessionCreated(session={}), r"Invalid value: 'session\.created'"),
    ],
)
def test_a_client_cannot_ask_the_impossible(event: ev.Event, why: str) -> None:
    near = client()
    for earlier in (*opening(50), *closing()):
        near.receive(earlier)
    with pytest.raises(LocalProtocolError, match=why):
        near.send(event)
    assert near.outgoing() == []


def test_a_client_may_commit_with_voice_detection_on() -> None:
    near = client()
    near.receive(ev.InputAudioBufferSpeechStarted(audio_start_ms=0, item_id="u1"))
    near.send(ev.InputAudioBufferCommit())
    assert turn_of(near) is Turn.STOPPED
    assert near.receive(ev.InputAudioBufferSpeechStopped(audio_end_ms=5, item_id="u1")) is Verdict.ACCEPTED
    assert near.receive(ev.InputAudioBufferCommitted(item_id="u1")) is Verdict.ACCEPTED
    assert turn_of(near) is Turn.IDLE


def test_switching_detection_off_ends_the_turn() -> None:
    near = client()
    near.receive(ev.InputAudioBufferSpeechStarted(audio_start_ms=0, item_id="u1"))
    near.receive(ev.SessionUpdated(session={"audio": {"input": {"turn_detection": None}}}))
    assert turn_of(near) is Turn.IDLE
    assert near.effective["audio"]["input"]["turn_detection"] is None
    assert near.effective["audio"]["output"]["voice"] == "alloy"


def asking(words: str) -> ev.ResponseCreate:
    return ev.ResponseCreate(response={"instructions": words})


def sent_words(near: Protocol) -> list[object]:
    return [event.response for event in near.outgoing() if isinstance(event, ev.ResponseCreate)]


def test_requests_wait_in_order_for_the_slot() -> None:
    near = client()
    assert near.request_response() is Requested.SENT
    assert near.request_response() is Requested.QUEUED
    assert near.request_response() is Requested.JOINED
    assert near.request_response(asking("a")) is Requested.QUEUED
    assert near.request_response(asking("a")) is Requested.JOINED
    assert near.waiting == 2
    with pytest.raises(LocalProtocolError, match="already has an active response"):
        near.send(ev.ResponseCreate())
    near.receive(created())
    assert sent_words(near) == [ev.UNSET]
    near.receive(done())
    assert sent_words(near) == [ev.UNSET]
    assert slot_of(near) is Slot.REQUESTED
    near.receive(created("r2"))
    near.receive(done("r2"))
    assert sent_words(near) == [{"instructions": "a"}]
    near.receive(created("r3"))
    near.receive(done("r3"))
    assert near.outgoing() == []
    assert (slot_of(near), near.waiting) == (Slot.FREE, 0)


def test_the_queue_of_requests_has_an_end() -> None:
    near = client()
    near.receive(created())
    for number in range(MAX_WAITING):
        near.request_response(asking(str(number)))
    with pytest.raises(LocalProtocolError, match="16 requests wait"):
        near.request_response(asking("one more"))
    assert near.request_response(asking("0")) is Requested.JOINED


def test_a_refused_request_lets_the_next_go() -> None:
    near = client()
    near.request_response(asking("bad"))
    near.request_response(asking("good"))
    (first,) = near.outgoing()
    near.receive(ev.Error(error={"code": "invalid_value", "message": "no", "event_id": first.event_id}))
    assert sent_words(near) == [{"instructions": "good"}]
    (outcome,) = near.outcomes
    assert (outcome.status, outcome.code, outcome.message) == ("refused", "invalid_value", "no")


def test_a_waiting_request_can_be_withdrawn() -> None:
    near = client()
    near.receive(created())
    near.request_response()
    assert near.withdraw_request()
    assert not near.withdraw_request()
    near.receive(done())
    assert near.outgoing() == []


def active_error(event_id: str | None) -> ev.Error:
    return ev.Error(error={"code": "conversation_already_has_active_response", "message": "", "event_id": event_id})


@pytest.mark.parametrize("named", [True, False])
def test_a_request_that_lost_the_race_is_sent_once_more(named: bool) -> None:
    near = client()
    near.request_response(ev.ResponseCreate(response={"instructions": "mine"}))
    (first,) = near.outgoing()
    near.receive(created("vad_1"))  # the server's own, under way when ours arrived
    near.receive(active_error(first.event_id if named else None))  # type: ignore[arg-type]
    assert slot_of(near) is Slot.ACTIVE
    near.receive(done("vad_1"))
    (second,) = near.outgoing()
    assert isinstance(second, ev.ResponseCreate)
    assert second.response == {"instructions": "mine"}
    assert second.event_id != first.event_id
    near.receive(created("vad_2"))
    near.receive(active_error(second.event_id if named else None))  # type: ignore[arg-type]
    near.receive(done("vad_2"))
    assert near.outgoing() == []
    assert slot_of(near) is Slot.FREE
    assert [(outcome.status, outcome.code) for outcome in near.outcomes][-1] == (
        "refused",
        "conversation_already_has_active_response",
    )


def test_a_request_that_lost_the_race_goes_before_those_that_came_later() -> None:
    near = client()
    near.request_response(asking("first"))
    near.request_response(asking("second"))
    (first,) = near.outgoing()
    near.receive(created("vad_1"))
    near.receive(active_error(str(first.event_id)))
    near.receive(done("vad_1"))
    assert sent_words(near) == [{"instructions": "first"}]


def test_a_race_that_is_told_late_is_still_understood() -> None:
    near = client()
    near.request_response(asking("mine"))
    (first,) = near.outgoing()
    near.receive(created("vad_1"))
    near.receive(done("vad_1"))
    assert near.outgoing() == []  # believed to have been the answer
    near.receive(active_error(str(first.event_id)))
    assert sent_words(near) == [{"instructions": "mine"}]


def test_a_race_against_an_unannounced_response_waits_for_its_end() -> None:
    near = client()
    near.request_response(asking("mine"))
    near.outgoing()
    near.receive(active_error(None))
    assert (near.outgoing(), slot_of(near), near.waiting) == ([], Slot.FREE, 1)
    near.receive(done("never_announced"))
    assert sent_words(near) == [{"instructions": "mine"}]


def test_a_hold_that_never_ends_can_be_given_up() -> None:
    near = client()
    near.request_response(asking("mine"))
    near.outgoing()
    near.receive(active_error(None))
    assert near.expire_request()
    assert sent_words(near) == [{"instructions": "mine"}]


NOTHING_TO_CANCEL = ev.Error(error={"code": "response_cancel_not_active", "message": "Cancellation failed"})


def test_a_cancel_that_crosses_the_end_is_nobodys_news() -> None:
    near = client()
    near.receive(created())
    near.send(ev.ResponseCancel(response_id="r1"))
    near.receive(done())
    assert near.receive(NOTHING_TO_CANCEL) is Verdict.IGNORED
    assert near.anomaly_count == 0
    assert slot_of(near) is Slot.FREE


def test_a_cancel_before_its_response_is_sent_again_by_id() -> None:
    near = client()
    near.request_response()
    near.send(ev.ResponseCancel())
    near.outgoing()
    near.receive(NOTHING_TO_CANCEL)
    near.receive(created("r1"))
    (cancel,) = near.outgoing()
    assert isinstance(cancel, ev.ResponseCancel)
    assert cancel.response_id == "r1"
    assert slot_of(near) is Slot.CANCELLING
    near.receive(done("r1", "cancelled"))
    assert slot_of(near) is Slot.FREE


def test_a_refused_request_frees_the_clients_slot() -> None:
    near = client()
    near.send(ev.ResponseCreate(event_id="mine"))
    near.receive(ev.Error(error={"code": "invalid_value", "message": "no", "event_id": "other"}))
    assert slot_of(near) is Slot.REQUESTED
    near.receive(ev.Error(error={"code": "invalid_value", "message": "no", "event_id": "mine"}))
    assert slot_of(near) is Slot.FREE


def test_an_unanswered_request_can_be_given_up() -> None:
    near = client()
    assert not near.expire_request()
    near.send(ev.ResponseCreate())
    assert near.expire_request()
    assert slot_of(near) is Slot.FREE
    assert [outcome.code for outcome in near.outcomes] == ["no_answer"]
    assert near.receive(created()) is Verdict.ACCEPTED


def test_late_deltas_are_ignored() -> None:
    near = client()
    delta = ev.ResponseOutputAudioDelta(**IN_PART, delta=TEN_MS)
    assert near.receive(delta) is Verdict.IGNORED
    for event in (*opening(20), *closing("cancelled")):
        assert near.receive(event) is Verdict.ACCEPTED
    assert near.receive(delta) is Verdict.IGNORED
    assert near.receive(done()) is Verdict.IGNORED
    assert [anomaly.type for anomaly in near.anomalies] == [delta.type, delta.type, "response.done"]
    item = near.items.get("a1")
    assert item is not None
    assert item.audio_ms() == 20


def test_a_lost_response_gives_way_to_the_next() -> None:
    near = client()
    for event in opening(20):
        near.receive(event)
    assert near.receive(created("r2")) is Verdict.ACCEPTED
    assert near.response_id == "r2"
    assert near.receive(ev.ResponseOutputAudioDelta(**IN_PART, delta=TEN_MS)) is Verdict.IGNORED
    assert near.receive(done("r1")) is Verdict.IGNORED
    assert slot_of(near) is Slot.ACTIVE


def test_a_server_that_leaves_out_the_beginnings_is_understood() -> None:
    near = client()
    near.receive(created())
    assert near.receive(ev.ResponseOutputAudioDelta(**IN_PART, delta=TEN_MS)) is Verdict.ACCEPTED
    assert near.receive(ev.ResponseOutputAudioDelta(**IN_PART, delta=TEN_MS)) is Verdict.ACCEPTED
    assert near.receive(done()) is Verdict.ACCEPTED
    assert near.anomaly_count == 2
    near.send(ev.ConversationItemTruncate(item_id="a1", content_index=0, audio_end_ms=20))


def test_the_end_of_a_response_ends_its_items() -> None:
    near = client()
    for event in (*opening(20), done(status="cancelled")):
        near.receive(event)
    item = near.items.get("a1")
    assert item is not None
    assert item.done
    near.send(ev.ConversationItemDelete(item_id="a1"))


def test_an_unknown_event_is_kept_and_harmless() -> None:
    near = client()
    assert near.receive(ev.Unknown(type="response.cancelled", fields={})) is Verdict.ACCEPTED
    assert near.anomaly_count == 0
