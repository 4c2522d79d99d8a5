"""Whatever a peer sends, and however often: what is remembered of it has a bound, and here each bound is reached."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import LocalProtocolError, ProtocolError
from engine.realtime import events as ev
from engine.realtime import protocol as protocol_module
from engine.realtime.ledger import MAX_FINISHED, MAX_FRONTED
from engine.realtime.output import MAX_KIND, MAX_OUTPUT_ITEMS, MAX_PARTS
from engine.realtime.protocol import MAX_ANOMALIES, Protocol, Role, Verdict
from tests.realtime.scenes import IN_PART, TEN_MS, client, created, done, opening, server

CALL: dict[str, Any] = {"id": "f1", "type": "function_call", "name": "f", "arguments": "{}"}


def test_the_oldest_item_is_forgotten_when_the_list_is_full() -> None:
    near = Protocol(Role.CLIENT, max_items=3)
    near.receive(ev.SessionCreated(session={}))
    for number in range(5):
        item = {**CALL, "id": f"i{number}", "call_id": f"c{number}"}
        near.receive(ev.ConversationItemAdded(item=item))
        near.receive(ev.ConversationItemDone(item=item))
    assert list(near.items) == ["i2", "i3", "i4"]
    assert near.items.forgotten == 2
    assert [near.items.has_call(f"c{number}") for number in range(5)] == [False, False, True, True, True]


def test_anomalies_are_bounded() -> None:
    near = client()
    for _ in range(MAX_ANOMALIES + 10):
        near.receive(done("x" * 10_000))
    assert len(near.anomalies) == MAX_ANOMALIES
    assert near.anomaly_count == MAX_ANOMALIES + 10
    assert max(len(anomaly.why) for anomaly in near.anomalies) <= 300


def test_an_item_has_one_call_id_however_often_the_server_changes_it() -> None:
    near = client()
    for number in range(1000):
        near.receive(ev.ConversationItemDone(item={**CALL, "call_id": f"call_{number}"}))
    assert near.items._calls == {"call_999": 1}
    near.receive(ev.ConversationItemDone(item={"id": "f1", "type": "message"}))
    assert near.items._calls == {}


def test_a_call_id_that_two_items_share_stays_known_until_both_are_gone() -> None:
    near = client()
    for item_id in ("f1", "f2"):
        near.receive(ev.ConversationItemAdded(item={**CALL, "id": item_id, "call_id": "c"}))
    near.receive(ev.ConversationItemDeleted(item_id="f2"))
    assert near.items.has_call("c")
    near.receive(ev.ConversationItemDeleted(item_id="f1"))
    assert not near.items.has_call("c")


def test_unknown_members_of_a_session_are_those_of_the_newest_report() -> None:
    near = client()
    known = len(near.effective)
    for number in range(1000):
        name = f"novel_{number}"
        branch = {name: number, "input": {name: number}, "output": {name: number, "voice": "ash"}}
        near.receive(ev.SessionUpdated(session={name: number, "audio": branch}))
    audio = near.effective["audio"]
    assert (near.effective["novel_999"], audio["novel_999"], audio["output"]["novel_999"]) == (999, 999, 999)
    assert (len(near.effective), len(audio)) == (known + 1, 3)
    assert "novel_998" not in audio["input"]
    assert near.effective["model"] == "gpt-realtime"  # known members stay when they are not reported
    assert (audio["output"]["voice"], audio["output"]["speed"]) == ("ash", 1.0)


def test_only_parts_with_audio_can_be_truncated() -> None:
    near = client()
    for event in opening(50):
        near.receive(event)
    for index in range(1000):
        near.receive(ev.ConversationItemTruncated(item_id="a1", content_index=index, audio_end_ms=20))
    item = near.items.get("a1")
    assert item is not None
    assert (item.kept_ms, item.audio_ms()) == ({0: 20}, 20)


def test_an_item_of_another_response_begins_anew() -> None:
    near = client()
    for number in range(20):
        place = {**IN_PART, "response_id": f"r{number}", "content_index": number}
        near.receive(created(f"r{number}"))
        near.receive(ev.ResponseOutputAudioDelta(**place, delta=TEN_MS))
        near.receive(ev.ConversationItemTruncated(item_id="a1", content_index=number, audio_end_ms=5))
        near.receive(done(f"r{number}"))
    item = near.items.get("a1")
    assert item is not None
    assert item.kept_ms == {19: 5}


def test_items_and_parts_of_a_response_are_counted_and_their_types_are_short() -> None:
    near = client()
    near.receive(created())
    verdicts = [
        near.receive(
            ev.ResponseOutputItemAdded(response_id="r1", output_index=n, item={"id": f"a{n}", "type": "x" * 10_000})
        )
        for n in range(MAX_OUTPUT_ITEMS + 1)
    ]
    assert verdicts == [Verdict.ACCEPTED] * MAX_OUTPUT_ITEMS + [Verdict.IGNORED]
    verdicts = [
        near.receive(ev.ResponseContentPartAdded(**{**IN_PART, "content_index": n}, part={"type": "y" * 10_000}))
        for n in range(MAX_PARTS + 1)
    ]
    assert verdicts == [Verdict.ACCEPTED] * MAX_PARTS + [Verdict.IGNORED]
    assert near.response is not None
    output, item = near.response.items["a1"], near.items.get("a1")
    assert item is not None
    assert (len(output.kind), len(output.parts[0].kind), len(item.kind)) == (MAX_KIND, MAX_KIND, MAX_KIND)


def test_finished_responses_are_remembered_for_a_while() -> None:
    near = client()
    for number in range(MAX_FINISHED + 10):
        near.receive(created(f"r{number}"))
        near.receive(done(f"r{number}"))
    assert len(near._finished) == MAX_FINISHED
    assert (near.is_finished("r9"), near.is_finished("r10")) == (False, True)


def test_items_put_in_front_and_never_announced_are_forgotten() -> None:
    near = client()
    words = {"type": "message", "role": "user", "content": []}
    for _ in range(MAX_FRONTED + 10):
        near.send(ev.ConversationItemCreate(item=words, previous_item_id="root"))
        near.outgoing()
    assert len(near._fronted) == MAX_FRONTED


@pytest.mark.parametrize("limit", [None, 3])
def test_out_of_band_responses_are_bounded(limit: int | None) -> None:
    far = Protocol(Role.SERVER, max_out_of_band=limit)
    far.send(ev.SessionCreated(session={}))
    aside, most = ev.ResponseCreate(response={"conversation": "none"}), limit or 16
    verdicts = [far.receive(aside) for _ in range(most + 1)]
    assert verdicts == [Verdict.ACCEPTED] * most + [Verdict.REFUSED]
    error = far.outgoing()[-1]
    assert isinstance(error, ev.Error)
    assert (error.code, error.param) == ("too_many_responses", "response.conversation")
    assert f"At most {most} " in error.message
    far.error(ProtocolError("no"), cause=aside)
    assert far.receive(aside) is Verdict.ACCEPTED


def test_a_client_notes_no_more_out_of_band_responses_than_there_may_be() -> None:
    near = client()
    near.receive(created("r1"))
    verdicts = [near.receive(created(f"o{number}", None)) for number in range(20)]
    assert verdicts == [Verdict.ACCEPTED] * 16 + [Verdict.IGNORED] * 4
    assert len(near.out_of_band) == 16


def test_answers_that_nobody_takes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol_module, "MAX_OUTGOING", 10)
    far = server()
    for _ in range(15):
        far.receive(ev.ResponseCancel())
    with pytest.raises(LocalProtocolError, match="10 events wait"):
        far.send(created())
    assert far.anomaly_count == 5
    assert len(far.outgoing()) == 10


def test_a_forgotten_item_is_unknown() -> None:
    far = server()
    far.send(ev.ConversationItemAdded(item={**CALL, "call_id": "c"}))
    far.forget("f1")
    far.forget("f1")
    assert "f1" not in far.items
    assert not far.items.has_call("c")
