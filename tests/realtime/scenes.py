"""Pieces of conversations that the tests of both roles tell: two ends, and the events of one response."""

from __future__ import annotations

from typing import Any

from engine.realtime import events as ev
from engine.realtime import session
from engine.realtime.protocol import Protocol, Role, Slot, Turn, Verdict

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
