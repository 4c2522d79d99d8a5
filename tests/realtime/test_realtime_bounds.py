"""Whatever a peer sends, and however often: what is remembered of it has a bound, and here each bound is reached."""

from __future__ import annotations

from engine.realtime import events as ev
from engine.realtime.protocol import MAX_ANOMALIES, Protocol, Role
from tests.realtime.scenes import (
    client,
    done,
)


def test_the_oldest_item_is_forgotten_when_the_list_is_full() -> None:
    near = Protocol(Role.CLIENT, max_items=3)
    near.receive(ev.SessionCreated(session={}))
    for number in range(5):
        near.receive(ev.ConversationItemAdded(item={"id": f"i{number}"}))
        near.receive(ev.ConversationItemDone(item={"id": f"i{number}"}))
    assert list(near.items) == ["i2", "i3", "i4"]
    assert near.items.forgotten == 2


def test_anomalies_are_bounded() -> None:
    near = client()
    for _ in range(MAX_ANOMALIES + 10):
        near.receive(done("x" * 10_000))
    assert len(near.anomalies) == MAX_ANOMALIES
    assert near.anomaly_count == MAX_ANOMALIES + 10
    assert max(len(anomaly.why) for anomaly in near.anomalies) <= 300
