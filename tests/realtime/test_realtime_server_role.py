"""The server's end: what it refuses, with code, param and the event's id, and what it may not send itself."""

from __future__ import annotations

import pytest

from engine.errors import LocalProtocolError, RemoteProtocolError
from engine.realtime import events as ev
from engine.realtime import problems, session
from engine.realtime.protocol import Protocol, Role, Slot, Verdict
from tests.realtime.scenes import (
    ASSISTANT,
    IN_PART,
    PART,
    USER,
    answer_of,
    client,
    closing,
    created,
    done,
    opening,
    refused,
    server,
    slot_of,
)

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
