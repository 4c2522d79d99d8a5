"""Who may interrupt, what of the server's memory is corrected, and that a latched reply stays silent."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import engine
from engine.audio import EventKind
from engine.conversation import Conversation, Settings, Turn, converse
from engine.front import remote
from engine.realtime import events as ev
from engine.server import ServerOptions, responder, serve
from engine.server.voices import ToneVoice

from .harness import HOP, RATE, SCRIPT, BargeIn, Held, Policy, Recorder, caller, held, question, tones

QUIET_SERVER = {"audio": {"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}}}


def spoken(talk: Held) -> list[Turn]:
    """The model's turns."""
    return [turn for turn in talk.turns if turn.role == "assistant"]


def test_never_lets_the_reply_be_heard_to_its_end() -> None:
    talk = held(barge_in=BargeIn(Policy.NEVER), session=QUIET_SERVER)
    assert not [e for e in talk.log.entries if e.type in ("DUCKED", "CONFIRMED", "FADING")]
    assert not talk.log.of("sent", "conversation.item.truncate")
    assert not talk.log.of("sent", "response.cancel")
    first = spoken(talk)[0]
    assert not first.interrupted
    assert first.played_ms == first.received_ms > 20_000
    start = talk.log.reports(EventKind.PLAYING)[0].position
    whole = talk.played_reply(first)
    assert (talk.loudspeaker[start : start + len(whole)] == whole).all()


def test_never_plays_what_came_of_a_reply_that_the_server_ended() -> None:
    slow = ServerOptions(burst=2)  # the answer is still on its way when the second question begins
    talk = held(server=tones(options=slow), barge_in=BargeIn(Policy.NEVER))
    first, second = spoken(talk)
    assert (first.status, first.reason, first.interrupted) == ("cancelled", "turn_detected", False)
    assert first.played_ms == first.received_ms > 5000
    assert not talk.log.of("sent", "conversation.item.truncate")
    assert second.played_ms == second.received_ms > 0


def test_the_server_decides_when_it_is_asked_to() -> None:
    talk = held(barge_in=BargeIn(Policy.SERVER))
    assert talk.log.reports(EventKind.DUCKED)
    assert not talk.log.reports(EventKind.CONFIRMED)
    first, second = spoken(talk)
    assert (first.interrupted, second.interrupted) == (True, False)
    (truncate,) = talk.log.of("sent", "conversation.item.truncate")
    assert truncate["audio_end_ms"] == first.played_ms
    started = talk.log.place("received", "input_audio_buffer.speech_started", talk.log.place("sound", "PLAYING"))
    fading = talk.log.place("sound", "FADING")
    assert fading > started
    fade = talk.log.reports(EventKind.FADING)[0].position
    assert -0.001 <= fade / RATE - talk.log.entries[started].time <= 0.02
    again = talk.log.reports(EventKind.PLAYING)[1].position
    assert not talk.loudspeaker[fade + 480 : again].any()


@pytest.mark.parametrize("policy", [Policy.LOCAL, Policy.EITHER])
def test_where_the_server_does_not_interrupt_this_side_cancels(policy: Policy) -> None:
    slow = ServerOptions(burst=2)
    talk = held(server=tones(options=slow), barge_in=BargeIn(policy), session=QUIET_SERVER)
    (cancel,) = talk.log.of("sent", "response.cancel")
    first, second = spoken(talk)
    assert cancel["response_id"] == first.response_id
    assert (first.status, first.reason, first.interrupted) == ("cancelled", "client_cancelled", True)
    (truncate,) = talk.log.of("sent", "conversation.item.truncate")
    assert truncate["audio_end_ms"] == first.played_ms
    assert talk.log.of("received", "conversation.item.truncated")
    assert not talk.log.of("received", "error")
    assert second.played_ms == second.received_ms


def test_local_does_not_heed_the_servers_speech_started() -> None:
    talk = held(barge_in=BargeIn(Policy.LOCAL, confirm_ms=600))
    (confirmed,) = talk.log.reports(EventKind.CONFIRMED)
    (fading,) = talk.log.reports(EventKind.FADING)
    assert fading.position == confirmed.position
    assert confirmed.position - talk.log.reports(EventKind.DUCKED)[0].position >= 59 * HOP


def test_a_reply_that_arrived_whole_is_truncated_too() -> None:
    talk = held(server=tones(options=ServerOptions(burst=100)))
    first = spoken(talk)[0]
    assert (first.status, first.interrupted) == ("completed", True)
    assert not talk.log.of("sent", "response.cancel")
    (truncate,) = talk.log.of("sent", "conversation.item.truncate")
    assert truncate["audio_end_ms"] == first.played_ms < first.received_ms


def on(kind: type[ev.Event], act: Callable[[Conversation, Any], Any]) -> Callable[[Conversation], Awaitable[Any]]:
    """Do something once, when the first event of a kind has arrived."""

    async def watch(conversation: Conversation) -> None:
        async for event in conversation.events():
            if isinstance(event, kind):
                act(conversation, event)
                return

    return watch


def test_a_reply_of_which_nothing_was_heard_is_deleted() -> None:
    interrupt = on(ev.ResponseOutputAudioDelta, lambda conversation, _: conversation.interrupt())
    talk = held(question(), during=interrupt)
    (turn,) = spoken(talk)
    assert (turn.interrupted, turn.played_ms, turn.status) == (True, 0, "cancelled")
    (delete,) = talk.log.of("sent", "conversation.item.delete")
    assert delete["item_id"] in turn.item_ids
    assert talk.log.of("received", "conversation.item.deleted")[0]["item_id"] == delete["item_id"]
    assert not talk.log.of("sent", "conversation.item.truncate")
    assert not talk.loudspeaker.any()
    done = talk.log.place("received", "response.done")
    assert talk.log.place("sent", "conversation.item.delete") > done


def test_a_reply_interrupted_before_its_first_sound_is_deleted() -> None:
    interrupt = on(ev.ResponseContentPartAdded, lambda conversation, _: conversation.interrupt())
    talk = held(question(), during=interrupt)
    (turn,) = spoken(talk)
    assert turn.played_ms == 0
    assert not talk.loudspeaker.any()
    assert len(talk.log.of("sent", "conversation.item.delete")) == 1
    assert not talk.log.of("sent", "conversation.item.truncate")


def test_a_reply_that_was_heard_whole_is_left_alone() -> None:
    async def interrupt_after_the_end(conversation: Conversation) -> None:
        async for turn in conversation.turns():
            if turn.role == "assistant":
                conversation.interrupt()

    talk = held(question(), tones("echo"), during=interrupt_after_the_end, read=False)
    assert not talk.log.of("sent", "conversation.item.truncate")
    assert not talk.log.of("sent", "conversation.item.delete")
    assert not talk.log.of("sent", "response.cancel")
    assert talk.log.reports(EventKind.SILENT)


def test_interrupting_while_nothing_is_said_does_nothing() -> None:
    async def interrupt(conversation: Conversation) -> None:
        for _ in range(5):
            conversation.interrupt()
            await asyncio.sleep(0.05)

    talk = held(question(), tones("echo"), during=interrupt)
    assert not talk.log.of("sent", "response.cancel")
    (turn,) = spoken(talk)
    assert not turn.interrupted
    assert turn.played_ms == turn.received_ms > 0


def test_what_was_cut_is_gone_from_the_servers_memory() -> None:
    items: list[Any] = []

    async def look(conversation: Conversation) -> None:
        async for event in conversation.events():
            if isinstance(event, ev.ConversationItemTruncated):
                conversation.send(ev.ConversationItemRetrieve(item_id=event.item_id))
            if isinstance(event, ev.ConversationItemRetrieved):
                items.append(event.item)

    talk = held(during=look)
    (truncate,) = talk.log.of("sent", "conversation.item.truncate")
    (item,) = items
    (part,) = item["content"]
    assert not part.get("transcript"), "the server keeps no words that were not heard"
    assert len(part["audio"]) * 3 // 4 // 48 == pytest.approx(truncate["audio_end_ms"], abs=1)


# ---- a loop that sleeps


@contextmanager
def server_of_its_own() -> Iterator[str]:
    """The embedded server on a thread and loop of its own, so that it goes on while the client's loop stands still."""
    ready: list[str] = []
    started = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def main() -> None:
        async with serve(port=0, responder=responder(SCRIPT), voice=ToneVoice()) as running:
            ready.append(running.url)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    started.wait()
    try:
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def test_a_loop_frozen_for_two_seconds_lets_nothing_of_the_interrupted_reply_be_heard() -> None:
    voice = caller()
    speech = voice[round(0.6 * RATE) : round(1.4 * RATE)]  # "Good morning."
    pause = np.zeros(round(1.2 * RATE), np.int16)
    microphone = np.concatenate([pause[: RATE // 5], speech, pause, speech, pause, pause])
    log, turns, memory = Recorder(), [], engine.Memory(microphone, RATE)
    thawed = []
    inserted = 0

    async def main(url: str) -> None:
        nonlocal inserted
        async with converse(memory, remote(url), Settings(), log) as conversation:
            async for event in conversation.events():
                if isinstance(event, ev.ResponseOutputAudioDelta):
                    break
            while conversation.sound.seconds < 2.1:  # noqa: ASYNC110  # 0.1 s before the second "Good morning" begins
                await asyncio.sleep(0.005)
            time.sleep(2.0)  # noqa: ASYNC251  # the loop stands still: that is what is tested
            thawed.append(conversation.sound.seconds)
            inserted = conversation.stats()[1].playout.inserted_samples_for_deceleration
            async for turn in conversation.turns():
                turns.append(turn)
                if len(turns) == 4:  # the second reply has been heard to its end, so its PLAYING is in the log
                    break

    with server_of_its_own() as url:
        asyncio.run(main(url))
    (confirmed,) = log.reports(EventKind.CONFIRMED)
    assert confirmed.position / RATE < thawed[0] - 1, "C decided while the loop slept"
    first = next(turn for turn in turns if turn.role == "assistant")
    assert first.interrupted
    arrived = log.place("sound", "CONFIRMED")
    late = [e for e in log.entries[:arrived] if e.type == "response.output_audio.delta" and e.time > 0]
    assert late, "deltas of the dead reply were read before the report"
    playing = [event.position for event in log.reports(EventKind.PLAYING)]
    silence = memory.recorded[confirmed.position + 480 : playing[1], 1]
    assert len(silence) > RATE // 2
    assert not silence.any()
    (truncate,) = log.of("sent", "conversation.item.truncate")
    assert truncate["audio_end_ms"] == first.played_ms
    # what was slowed while little was at hand took longer than it is; the ledger counts the source
    assert abs(first.played_ms - (confirmed.position - playing[0] - inserted) / 24) <= 1
