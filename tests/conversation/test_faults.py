"""A server that misbehaves in every way it can: the conversation goes on, the books are right, the client no worse."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from engine.audio import BargeIn, Policy
from engine.conversation import Conversation
from engine.errors import ConfigError
from engine.realtime import Protocol, Role, Verdict
from engine.realtime import events as ev
from engine.server import Faults, ServerOptions

from .harness import SCRIPT
from .sessions import BRIEF, Servers, chatter
from .test_rotation import Ran, run

RACE = "conversation_already_has_active_response"
SECONDS = 34.0


async def asks(conversation: Conversation) -> None:
    """A typed question between two spoken ones."""
    await asyncio.sleep(11)
    conversation.say("And the one after that?")


def talked(faults: Faults, **options: Any) -> Ran:
    """Two spoken questions and a typed one."""
    servers = Servers(ServerOptions(faults=faults, **options), ServerOptions(), brain=BRIEF)
    return run(servers, chatter(SECONDS, every=18), SECONDS, during=asks)


BAD = {
    "nothing": Faults(),
    "stall": Faults(stall_after_deltas=5, stall_s=4.0),
    "stall before the first sound": Faults(stall_after_deltas=1, stall_s=2.0),
    "close in a reply": Faults(close_after_deltas=5, close_code=1011),
    "a message cut off, and the line with it": Faults(garbage_after_deltas=5, close_after_deltas=5, close_code=1006),
    "half a message": Faults(garbage_after_deltas=5),
    "a message of 1.5 MB": Faults(huge_after_deltas=5, huge_bytes=1_500_000),
    "everything twice": Faults(double_every=1),
    "some twice": Faults(double_every=3),
    "every other out of order": Faults(swap_every=2),
    "some out of order": Faults(swap_every=5),
    "few out of order": Faults(swap_every=17),
    "wrong ids": Faults(wrong_ids_every=2),
    "a lost race": Faults(lost_races=1),
    "a lost race and an error that names nothing": Faults(lost_races=1, errors_name_event=False),
    "all at once": Faults(
        stall_after_deltas=9, stall_s=1.0, double_every=4, swap_every=7, wrong_ids_every=3, lost_races=1
    ),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("burst", [8.0, 1000.0])
def test_a_bad_server_is_survived(name: str, burst: float) -> None:
    ran = talked(BAD[name], burst=burst)
    replies = [turn for turn in ran.turns if turn.role == "assistant"]
    breaks = BAD[name].close_after_deltas is not None
    races = BAD[name].lost_races
    assert len(replies) >= 3 + races
    assert [turn.status for turn in replies].count("completed") >= len(replies) - breaks
    for turn in replies:
        assert 0 < turn.played_ms <= turn.received_ms
        assert turn.played_ms == turn.received_ms, "nobody interrupted"
    assert replies[-1].text.startswith("The next high tide")
    errors = {message["event_id"]: message["error"]["code"] for message in ran.log.of("received", "error")}
    assert [code for code in errors.values() if code is not None] == [RACE] * races, "no mistake of the client's"
    assert ran.left_out_ms == 0
    if not breaks:
        assert np.array_equal(ran.servers.audio, chatter(SECONDS, every=18)[: len(ran.servers.audio)])


def test_what_comes_twice_is_heard_once() -> None:
    once, twice = talked(Faults()), talked(Faults(double_every=1))
    assert [turn.received_ms for turn in twice.turns] == [turn.received_ms for turn in once.turns]
    assert [turn.text for turn in twice.turns] == [turn.text for turn in once.turns]
    assert np.array_equal(twice.recorded, once.recorded)


def test_a_message_longer_than_a_mebibyte_is_played() -> None:
    options = ServerOptions(burst=1000, faults=Faults(join_bytes=800_000))
    servers = Servers(options, brain=SCRIPT)
    ran = run(servers, chatter(40, every=60), 40)
    assert servers.sessions[0].longest > 2**20
    (reply,) = [turn for turn in ran.turns if turn.role == "assistant"]
    assert reply.played_ms == reply.received_ms > 17_000


def test_a_truncation_that_is_confirmed_late() -> None:
    servers = Servers(ServerOptions(faults=Faults(truncated_late_s=6.0)), brain=SCRIPT)
    ran = run(servers, chatter(30, every=7), 30, barge_in=BargeIn(policy=Policy.LOCAL))
    cut = [turn for turn in ran.turns if turn.interrupted]
    assert cut
    assert ran.log.of("sent", "conversation.item.truncate")
    assert ran.log.of("received", "conversation.item.truncated")
    assert not ran.log.of("received", "error")
    assert not ran.log.of("sent", "conversation.item.delete")


def test_faults_that_cannot_be() -> None:
    for name in ("double_every", "swap_every", "join_bytes", "close_after_deltas"):
        wrong: dict[str, Any] = {name: 0}
        with pytest.raises(ConfigError, match=name):
            Faults(**wrong)


def delta(event_id: str, text: str = "a") -> ev.AnyEvent:
    """Words of a response that runs."""
    where: dict[str, Any] = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
    return ev.ResponseOutputTextDelta(event_id=event_id, delta=text, **where)


@pytest.mark.parametrize(
    ("ids", "words", "kept"),
    [
        (["e1", "e2", "e2", "e3"], "aaaa", 3),
        (["e1", "e2", "e2", "e2"], "aaaa", 2),
        (["e", "e", "e", "e"], "aaaa", 4),
        (["e1", "e2", "e2", "e2"], "aaba", 4),
        (["e1", "e2", "e1", "e2"], "aaaa", 4),
    ],
)
def test_what_counts_as_the_same_event(ids: list[str], words: str, kept: int) -> None:
    protocol = Protocol(Role.CLIENT)
    protocol.receive(ev.SessionCreated(event_id="e", session={"type": "realtime", "id": "sess_1"}))
    body = {"id": "resp_1", "status": "in_progress", "conversation_id": "conv_1", "output": []}
    protocol.receive(ev.ResponseCreated(event_id="e", response=body))
    protocol._newest, protocol._ids_tell = None, None
    verdicts = [protocol.receive(delta(name, word)) for name, word in zip(ids, words, strict=True)]
    assert verdicts.count(Verdict.ACCEPTED) == kept
