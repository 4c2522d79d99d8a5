"""Commits by hand: what each takes with it, what became of it, and what stays behind it."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

import engine
from engine import clock
from engine.audio import BargeIn, EventKind, Policy
from engine.conversation import CommitOutcome, Conversation, Settings, converse
from engine.endpoints import Elsewhere
from engine.errors import LocalProtocolError
from engine.realtime import events as ev
from engine.server import ServerOptions

from .harness import HOP, RATE, FakeServer, caller, fake, held, question, tones
from .test_controls import MANUAL, QUIET, appended

ALL_AT_ONCE = ServerOptions(burst=1000)


def test_a_commit_takes_all_that_was_captured_before_it_and_nothing_after() -> None:
    results: list[Any] = []

    async def by_hand(conversation: Conversation) -> None:
        await asyncio.sleep(2.005)
        at = conversation.sound.duplex.captured
        results.append((at, await conversation.commit()))
        await asyncio.sleep(1)
        results.append((at + RATE, await conversation.commit(at + RATE)))

    talk = held(question(), during=by_hand, read=False, session=MANUAL)
    assert [result.outcome for _, result in results] == [CommitOutcome.COMMITTED] * 2
    commits = [place for place, entry in enumerate(talk.log.entries) if entry.type == "input_audio_buffer.commit"]
    for (at, result), place in zip(results, commits, strict=True):
        sound = appended(talk, place)
        assert 0 <= len(sound) - at < HOP
        assert (sound == question()[: len(sound)]).all()
        assert result.position == at
    ids = [event["item_id"] for event in talk.log.of("received", "input_audio_buffer.committed")]
    assert [result.item_id for _, result in results] == ids
    assert results[0][1].audio_ms == len(appended(talk, commits[0])) // 24
    assert results[1][1].audio_ms == (len(appended(talk, commits[1])) - len(appended(talk, commits[0]))) // 24


def test_a_commit_waits_for_sound_that_is_held_over_a_reply() -> None:
    outcomes: list[Any] = []
    speech = caller()[round(0.6 * RATE) : round(1.4 * RATE)]
    microphone = np.concatenate([np.zeros(3 * RATE, np.int16), speech, np.zeros(2 * RATE, np.int16)])

    async def over_a_reply(conversation: Conversation) -> None:
        conversation.say("Tell me a story.")
        while not conversation.stats()[0].hops > 307:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        outcomes.append(await conversation.commit())

    talk = held(microphone, tones(options=ALL_AT_ONCE), during=over_a_reply, read=False, session=MANUAL)
    ducked = talk.log.reports(EventKind.DUCKED)[0].position
    position = outcomes[0].position
    assert ducked < position < ducked + 12 * HOP, "asked for while it was undecided"
    sound = appended(talk, talk.log.place("sent", "input_audio_buffer.commit"))
    held_part = microphone[ducked : position // HOP * HOP]
    windows = np.lib.stride_tricks.sliding_window_view(sound, len(held_part))
    assert (windows == held_part).all(axis=1).any()


def test_too_little_is_not_committed_and_the_outcome_says_so() -> None:
    results: list[Any] = []

    async def taps(conversation: Conversation) -> None:
        await asyncio.sleep(0.5)
        results.extend(await asyncio.gather(conversation.commit(), conversation.commit()))
        await asyncio.sleep(0.05)
        results.append(await conversation.commit())
        await asyncio.sleep(0.2)
        results.append(await conversation.commit())

    talk = held(QUIET, during=taps, read=False, session=MANUAL)
    kinds = [result.outcome for result in results]
    assert kinds == [
        CommitOutcome.COMMITTED, CommitOutcome.EMPTY, CommitOutcome.TOO_SHORT, CommitOutcome.COMMITTED,
    ]  # fmt: skip
    assert 40 <= results[2].audio_ms <= 70
    assert len(talk.log.of("sent", "input_audio_buffer.commit")) == 2
    assert len(talk.log.of("sent", "input_audio_buffer.clear")) == 1
    assert not talk.log.of("received", "error")


def test_what_is_sent_after_a_commit_stays_behind_it() -> None:
    async def in_order(conversation: Conversation) -> None:
        await asyncio.sleep(1)
        conversation.send(ev.InputAudioBufferCommit())
        conversation.send(ev.ResponseCreate())
        conversation.send(ev.InputAudioBufferClear())
        await asyncio.sleep(5)

    deaf = BargeIn(Policy.NEVER)
    talk = held(question(), tones("echo"), during=in_order, read=False, session=MANUAL, barge_in=deaf)
    sent = [entry.type for entry in talk.log.entries if entry.kind == "sent"]
    commit = sent.index("input_audio_buffer.commit")
    assert sent[commit + 1 : commit + 3] == ["response.create", "input_audio_buffer.clear"]
    assert talk.log.of("received", "response.done")[0]["response"]["status"] == "completed"


def test_a_refused_commit_and_a_lost_connection_are_outcomes() -> None:
    results: list[Any] = []

    async def server(peer: FakeServer) -> None:
        await peer.created()
        while not (commits := peer.of("input_audio_buffer.commit")):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        error = {"type": "invalid_request_error", "code": "no", "message": "Not now.", "param": None}
        await peer.send("error", error={**error, "event_id": commits[0]["event_id"]})
        while len(peer.of("input_audio_buffer.commit")) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await peer.connection.close(1000)

    async def main() -> None:
        async with converse(engine.Memory(QUIET, RATE), fake(server), Settings()) as conversation:
            for _ in range(2):
                await asyncio.sleep(0.5)
                results.append(await conversation.commit())

    clock.run_virtual(main())
    assert [result.outcome for result in results] == [CommitOutcome.REFUSED, CommitOutcome.LOST]
    assert results[0].message == "Not now."


def test_with_turn_detection_the_server_commits() -> None:
    async def by_hand(conversation: Conversation) -> None:
        with pytest.raises(LocalProtocolError, match="turn detection is on"):
            await conversation.commit()

    held(question(), during=by_hand)


def test_beside_a_call_a_commit_waits_for_no_sound() -> None:
    results: list[Any] = []
    received: list[str] = []

    async def server(peer: FakeServer) -> None:
        await peer.created()
        for count in (1, 2):
            while len(peer.of("input_audio_buffer.commit")) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await peer.send("input_audio_buffer.committed", item_id=f"item_{count}", previous_item_id=None)
        received.extend(message["type"] for message in peer.received)

    async def main() -> None:
        async with converse(Elsewhere(), fake(server), Settings(call=True)) as conversation:
            conversation.send(ev.InputAudioBufferCommit())
            results.append(await conversation.commit())  # the answer to the first is not taken for its own

    clock.run_virtual(main())
    assert (results[0].outcome, results[0].item_id) == (CommitOutcome.COMMITTED, "item_2")
    assert received == ["input_audio_buffer.commit"] * 2
