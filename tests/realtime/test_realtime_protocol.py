"""Both roles of Protocol, told as conversations. Tables hold what is refused, with code, param and the event's id."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import LocalProtocolError, RemoteProtocolError
from engine.realtime import events as ev
from engine.realtime import problems, session
from engine.realtime.protocol import MAX_ANOMALIES, Protocol, Requested, Role, Session, Slot, Turn, Verdict
from engine.realtime.transitions import LIFE_EVENTS, TRANSITIONS

IN_PART: dict[str, Any] = {"response_id": "r1", "item_id": "a1", "output_index": 0, "content_index": 0}
USER = {"id": "u1", "type": "message", "role": "user"}
ASSISTANT = {"id": "a1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
PART = {"type": "audio", "transcript": ""}
TEN_MS = bytes(480)


def server() -> Protocol:
    protocol = Protocol(Role.SERVER)
    protocol.send(ev.SessionCreated(session=session.realtime("sess_1")))
    protocol.outgoing()
    return protocol


def client() -> Protocol:
    protocol = Protocol(Role.CLIENT)
    assert protocol.receive(ev.SessionCreated(session=session.realtime("sess_1"))) is Verdict.ACCEPTED
    return protocol


def created(response_id: str = "r1", conversation: str | None = "conv_1") -> ev.ResponseCreated:
    return ev.ResponseCreated(response={"id": response_id, "status": "in_progress", "conversation_id": conversation})


def done(response_id: str = "r1", status: str = "completed") -> ev.ResponseDone:
    return ev.ResponseDone(response={"id": response_id, "status": status})


def opening(milliseconds: int = 0) -> list[ev.Event]:
    return [
        created(),
        ev.ResponseOutputItemAdded(response_id="r1", output_index=0, item=ASSISTANT),
        ev.ConversationItemAdded(item=ASSISTANT),
        ev.ResponseContentPartAdded(**IN_PART, part=PART),
        *[ev.ResponseOutputAudioDelta(**IN_PART, delta=TEN_MS) for _ in range(milliseconds // 10)],
    ]


def closing(status: str = "completed") -> list[ev.Event]:
    return [
        ev.ResponseOutputAudioDone(**IN_PART),
        ev.ResponseContentPartDone(**IN_PART, part=PART),
        ev.ConversationItemDone(item={**ASSISTANT, "status": status}),
        ev.ResponseOutputItemDone(response_id="r1", output_index=0, item={**ASSISTANT, "status": status}),
        done(status=status),
    ]


def slot_of(protocol: Protocol) -> Slot:
    return protocol.slot  # through a call, so that mypy does not take it for unchanging


def turn_of(protocol: Protocol) -> Turn:
    return protocol.turn


def answer_of(protocol: Protocol) -> ev.Error:
    (event,) = protocol.outgoing()
    assert isinstance(event, ev.Error)
    assert event.error_type == "invalid_request_error"
    assert isinstance(event.event_id, str)
    return event


def refused(protocol: Protocol, event: ev.AnyEvent) -> ev.Error:
    assert protocol.receive(event) is Verdict.REFUSED
    return answer_of(protocol)


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
        assert (item.audio_ms(0), item.done, item.is_assistant_message) == (50, True, True)
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


def test_the_oldest_item_is_forgotten_when_the_list_is_full() -> None:
    near = Protocol(Role.CLIENT, max_items=3)
    near.receive(ev.SessionCreated(session={}))
    for number in range(5):
        near.receive(ev.ConversationItemAdded(item={"id": f"i{number}"}))
        near.receive(ev.ConversationItemDone(item={"id": f"i{number}"}))
    assert list(near.items) == ["i2", "i3", "i4"]
    assert near.items.forgotten == 2


# ---- what a server refuses

REFUSALS: list[tuple[ev.AnyEvent, str | None, str | None, str]] = [
    (
        ev.Unknown(type="response.sing", fields={"event_id": "e1"}),
        "invalid_value",
        "type",
        "'response.sing'",
    ),
    (
        ev.ResponseCancel(event_id="e1"),
        "response_cancel_not_active",
        None,
        "Cancellation failed: no active response found",
    ),
    (
        ev.ConversationItemTruncate(event_id="e1", item_id="x", content_index=0, audio_end_ms=5),
        "item_truncate_invalid_item_id",
        "item_id",
        "does not exist",
    ),
    (
        ev.ConversationItemTruncate(event_id="e1", item_id="u1", content_index=0, audio_end_ms=5),
        "invalid_value",
        "item_id",
        "Only model output audio messages can be truncated",
    ),
    (
        ev.ConversationItemTruncate(event_id="e1", item_id="a1", content_index=0, audio_end_ms=0),
        "invalid_value",
        "item_id",
        "Only model output audio messages can be truncated",
    ),
    (
        ev.ConversationItemTruncate(event_id="e1", item_id="a1", content_index=0, audio_end_ms=57340),
        "invalid_value",
        "audio_end_ms",
        "Audio content of 50ms is already shorter than 57340ms",
    ),
    (
        ev.ConversationItemTruncate(event_id="e1", item_id="a1", content_index=0, audio_end_ms=-1),
        "invalid_value",
        "audio_end_ms",
        "expected a value >= 1",
    ),
    (ev.ConversationItemDelete(event_id="e1", item_id="x"), "item_delete_invalid_item_id", "item_id", "does not exist"),
    (ev.ConversationItemRetrieve(event_id="e1", item_id="x"), "item_retrieve_invalid_item_id", "item_id", "not exist"),
    (ev.OutputAudioBufferClear(event_id="e1"), "invalid_value", "type", "WebRTC"),
    (ev.ConversationItemCreate(event_id="e1", item={}), "missing_required_parameter", "item.type", "'item.type'"),
    (ev.ConversationItemCreate(event_id="e1", item={"type": 1}), "invalid_type", "item.type", "got an integer"),
    (ev.ConversationItemCreate(event_id="e1", item={"type": "song"}), "invalid_value", "item.type", "'song'"),
    (
        ev.ConversationItemCreate(event_id="e1", item={"type": "message", "role": "user"}),
        "missing_required_parameter",
        "item.content",
        "Missing required parameter: 'item.content'.",
    ),
    (
        ev.ConversationItemCreate(
            event_id="e1", item={"type": "message", "role": "assistant", "content": [{"type": "output_audio"}]}
        ),
        "invalid_value",
        "item.content[0].type",
        "'output_audio'",
    ),
    (
        ev.ConversationItemCreate(
            event_id="e1", item={"type": "message", "role": "user", "content": []}, previous_item_id="x"
        ),
        "invalid_value",
        "previous_item_id",
        "does not exist",
    ),
    (
        ev.ConversationItemCreate(event_id="e1", item={"type": "message", "role": "user", "content": [], "id": "u1"}),
        "invalid_value",
        "item.id",
        "already exists",
    ),
    (
        ev.ConversationItemCreate(event_id="e1", item={"type": "function_call_output", "call_id": "c", "output": ""}),
        "invalid_tool_call_id",
        "item.call_id",
        "'c' not found",
    ),
    (
        ev.ResponseCreate(event_id="e1", response={"conversation": "some"}),
        "invalid_value",
        "response.conversation",
        "'some'",
    ),
    (ev.SessionUpdate(event_id="e1", session={}), "missing_required_parameter", "session.type", "'session.type'"),
]


def after_a_turn() -> Protocol:
    far = server()
    for event in (
        ev.ConversationItemAdded(item=USER),
        *opening(50),
        *closing(),
    ):
        far.send(event)
    far.outgoing()
    return far


@pytest.mark.parametrize(("event", "code", "param", "words"), REFUSALS)
def test_a_mistake_of_the_client_is_answered(
    event: ev.AnyEvent, code: str | None, param: str | None, words: str
) -> None:
    far = after_a_turn()
    error = refused(far, event)
    assert (error.code, error.param, error.cause_event_id) == (code, param, "e1")
    assert words in error.message
    assert (far.slot, list(far.items)) == (Slot.FREE, ["u1", "a1"])


def test_a_second_response_is_refused_by_name() -> None:
    far = server()
    far.send(created("resp_7"))
    far.outgoing()
    error = refused(far, ev.ResponseCreate(event_id="e2"))
    assert error.code == "conversation_already_has_active_response"
    assert error.message == (
        "Conversation already has an active response in progress: resp_7. "
        "Wait until the response is finished before creating a new one."
    )
    assert error.cause_event_id == "e2"


def test_a_malformed_message_is_answered() -> None:
    far = server()
    problem = RemoteProtocolError("The 'type' field is missing.", code="invalid_event", event_id="e9")
    assert far.malformed(problem) is Verdict.REFUSED
    error = answer_of(far)
    assert (error.code, error.message, error.cause_event_id) == ("invalid_event", "The 'type' field is missing.", "e9")


def test_the_server_gives_errors_of_its_own() -> None:
    far = server()
    far.error(problems.buffer_too_small(0), cause=ev.InputAudioBufferCommit(event_id="e3"))
    error = answer_of(far)
    assert error.code == "input_audio_buffer_commit_empty"
    assert error.message.endswith("Expected at least 100ms of audio, but buffer only has 0.00ms of audio.")
    assert error.cause_event_id == "e3"


def test_a_refused_request_frees_the_slot() -> None:
    far = server()
    request = ev.ResponseCreate()
    assert far.receive(request) is Verdict.ACCEPTED
    assert slot_of(far) is Slot.REQUESTED
    reserved = far.response_id
    assert reserved in refused(far, ev.ResponseCreate()).message
    far.error(problems.invalid_value("response.tools", "no"), cause=request)
    assert (far.slot, far.response_id) == (Slot.FREE, "")


def test_a_request_may_be_cancelled_before_it_is_created() -> None:
    far = server()
    far.receive(ev.ResponseCreate())
    assert far.receive(ev.ResponseCancel()) is Verdict.ACCEPTED
    assert slot_of(far) is Slot.WITHDRAWN
    far.send(created(far.response_id))
    assert slot_of(far) is Slot.CANCELLING
    far.send(done(far.response_id, "cancelled"))
    assert slot_of(far) is Slot.FREE


def test_the_slot_stays_taken_until_response_done() -> None:
    far = server()
    for event in opening(20):
        far.send(event)
    far.outgoing()
    assert far.receive(ev.ResponseCancel()) is Verdict.ACCEPTED
    assert refused(far, ev.ResponseCreate()).code == "conversation_already_has_active_response"
    assert refused(far, ev.ResponseCancel()).code == "response_cancel_not_active"
    for event in closing("cancelled"):
        far.send(event)
    assert slot_of(far) is Slot.FREE


def test_an_item_in_progress_is_not_deleted() -> None:
    far = server()
    for event in opening(20):
        far.send(event)
    far.outgoing()
    assert refused(far, ev.ConversationItemDelete(item_id="a1")).param == "item_id"
    for event in closing():
        far.send(event)
    far.outgoing()
    assert far.receive(ev.ConversationItemDelete(item_id="a1")) is Verdict.ACCEPTED


def test_truncation_shortens_and_cannot_be_undone() -> None:
    far = after_a_turn()
    assert far.receive(ev.ConversationItemTruncate(item_id="a1", content_index=0, audio_end_ms=50)) is Verdict.ACCEPTED
    far.send(ev.ConversationItemTruncated(item_id="a1", content_index=0, audio_end_ms=30))
    far.outgoing()
    error = refused(far, ev.ConversationItemTruncate(item_id="a1", content_index=0, audio_end_ms=31))
    assert error.message == "Audio content of 30ms is already shorter than 31ms"


def test_lengths_follow_the_output_format() -> None:
    far = server()
    ulaw = {"output": {"format": {"type": "audio/pcmu"}}}
    first, *rest = opening(20)
    assert isinstance(first, ev.ResponseCreated)
    far.send(ev.ResponseCreated(response={**first.response, "audio": ulaw}))
    for event in rest:
        far.send(event)
    item = far.items.get("a1")
    assert item is not None
    assert item.audio_ms() == 2 * 480 // 8


def test_calls_may_clear_the_servers_output() -> None:
    far = Protocol(Role.SERVER, call=True)
    far.send(ev.SessionCreated(session=session.realtime("s")))
    assert far.receive(ev.OutputAudioBufferClear()) is Verdict.ACCEPTED


# ---- what a server may not send


@pytest.mark.parametrize(
    ("before", "event", "why"),
    [
        ([], ev.ResponseOutputAudioDelta(**IN_PART, delta=b""), "unknown response"),
        ([created()], created("r2"), "already has an active response"),
        ([created()], created("r1"), "used before"),
        ([created(), done()], created("r1"), "used before"),
        ([created()], ev.ResponseContentPartAdded(**IN_PART, part=PART), "response.output_item.added first"),
        (opening()[:3], ev.ResponseOutputAudioDelta(**IN_PART, delta=b""), "response.content_part.added first"),
        (opening(), ev.ResponseContentPartAdded(**IN_PART, part=PART), "the part is open"),
        (opening(), ev.ResponseOutputTextDelta(**IN_PART, delta=""), "is of type audio"),
        (opening(), ev.ResponseOutputAudioDelta(**{**IN_PART, "output_index": 1}, delta=b""), "output_index 0"),
        (opening(), done(), "item a1 is open"),
        (opening(10), ev.ResponseContentPartDone(**IN_PART, part=PART), "no done event"),
        (opening(10), ev.ResponseOutputItemDone(response_id="r1", output_index=0, item=ASSISTANT), "part 0"),
        ([*opening(10), closing()[0]], ev.ResponseOutputAudioDelta(**IN_PART, delta=b""), "the audio is done"),
        ([*opening(10), *closing()[:2]], ev.ResponseOutputAudioDelta(**IN_PART, delta=b""), "part 0 is done"),
        ([*opening(10), *closing()[:4]], ev.ResponseOutputAudioDelta(**IN_PART, delta=b""), "item a1 is done"),
        ([*opening(10), *closing()], ev.ResponseOutputAudioDelta(**IN_PART, delta=b""), "finished response"),
        ([*opening(10), *closing()], done(), "not running"),
        (opening(), ev.ConversationItemAdded(item=ASSISTANT), "added before"),
        ([], ev.ConversationItemDone(item={"id": "x"}), "unknown"),
        ([], ev.ConversationItemAdded(item={"id": "x"}, previous_item_id="y"), "not in the conversation"),
        ([], ev.ConversationItemDeleted(item_id="x"), "not in the conversation"),
        ([], ev.InputAudioBufferSpeechStopped(audio_end_ms=1, item_id="u"), "turn is idle"),
        ([], ev.SessionCreated(session={}), "second time"),
        ([], ev.InputAudioBufferClear(), "Invalid value: 'input_audio_buffer.clear'"),
    ],
)
def test_a_server_cannot_send_out_of_turn(before: list[ev.Event], event: ev.Event, why: str) -> None:
    far = server()
    for earlier in before:
        far.send(earlier)
    waiting = len(before)
    with pytest.raises(LocalProtocolError, match=why):
        far.send(event)
    assert len(far.outgoing()) == waiting


def test_nothing_goes_before_session_created() -> None:
    far = Protocol(Role.SERVER)
    with pytest.raises(LocalProtocolError, match=r"before session\.created"):
        far.send(created())
    far.send(ev.Error(error={"type": "server_error", "message": "full"}))
    near = Protocol(Role.CLIENT)
    with pytest.raises(LocalProtocolError, match=r"before session\.created"):
        near.send(ev.ResponseCreate())
    assert near.receive(created()) is Verdict.IGNORED
    assert slot_of(near) is Slot.FREE


def test_nothing_goes_after_close() -> None:
    for end in (client(), server()):
        end.close()
        with pytest.raises(LocalProtocolError, match="closed"):
            end.send(ev.InputAudioBufferClear())
        assert end.receive(ev.InputAudioBufferClear()) is Verdict.IGNORED


# ---- a client


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


def test_requests_wait_for_the_active_response() -> None:
    near = client()
    assert near.request_response() is Requested.SENT
    assert near.request_response() is Requested.QUEUED
    assert near.request_response(ev.ResponseCreate(response={"instructions": "newest"})) is Requested.REPLACED
    with pytest.raises(LocalProtocolError, match="already has an active response"):
        near.send(ev.ResponseCreate())
    near.receive(created())
    assert len(near.outgoing()) == 1
    near.receive(done())
    (sent,) = near.outgoing()
    assert isinstance(sent, ev.ResponseCreate)
    assert sent.response == {"instructions": "newest"}
    assert slot_of(near) is Slot.REQUESTED
    near.receive(created("r2"))
    near.receive(done("r2"))
    assert near.outgoing() == []


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


def test_anomalies_are_bounded() -> None:
    near = client()
    for _ in range(MAX_ANOMALIES + 10):
        near.receive(done("x" * 10_000))
    assert len(near.anomalies) == MAX_ANOMALIES
    assert near.anomaly_count == MAX_ANOMALIES + 10
    assert max(len(anomaly.why) for anomaly in near.anomalies) <= 300


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


def test_out_of_band_responses_are_bounded() -> None:
    far = server()
    aside = ev.ResponseCreate(response={"conversation": "none"})
    verdicts = [far.receive(aside) for _ in range(17)]
    assert verdicts == [Verdict.ACCEPTED] * 16 + [Verdict.REFUSED]
    far.error(problems.invalid_value("response.tools", "no"), cause=aside)
    assert far.receive(aside) is Verdict.ACCEPTED


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
