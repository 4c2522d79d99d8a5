"""What broke other servers, each as a test of this one.

| what went wrong | test |
|---|---|
| an abrupt disconnect took the server down | test_a_socket_cut_anywhere_takes_nobody_with_it |
| one lock served all sessions, one after the other | test_a_slow_brain_delays_nobody_else |
| pings timed healthy sockets out under load | test_pings_are_answered_under_load_and_none_times_a_client_out |
| decoding blocked the loop for every other socket | test_a_huge_append_lets_other_sessions_pass |
| a detector's threads for every socket | test_threads_do_not_grow_with_sessions |
| speech, silence, speech in one append lost the second onset | test_two_turns_in_one_append_are_two_turns |
| a second turn during a response was refused | test_a_turn_during_a_response_waits_for_its_answer |
| cancelling lost transcript and history of the turn | test_an_interrupted_turn_keeps_words_and_items |
| manual commits failed an assertion | test_manual_commits_over_and_over |
| keys in header, subprotocol or query broke the handshake | test_keys_wherever_they_stand_break_nothing |
| the second connection hung | test_connections_one_after_the_other |
| ids were placeholders, unknown events and idle cancels silent | test_ids_are_unique_and_no_mistake_is_silent |
| dictation programs found no local transcription | test_dictation_in_either_dialect |
| create_response, interrupt_response, padding, idle timeout ignored | test_every_setting_of_turn_detection_counts |
| a truncation beyond the end silenced the client for good | test_a_truncation_too_long_says_so_and_nothing_breaks |
| a cancel too late ended calls; sound of before answered later | test_a_cancel_too_late_is_an_error_and_no_more |
| response.created was missing | test_response_created_comes_once_and_first |
| a session was acknowledged before its brain was ready | test_no_session_before_its_brain |
| commit and response.create together answered an empty turn | test_commit_and_create_answer_what_was_committed |
| several session.updates during set-up | test_updates_one_after_the_other_say_the_same |
| no limit of a session's length, or no way on after it | test_the_end_of_a_session_is_foreseen_and_the_next_goes_on |
| the assistant interrupted itself | test_its_own_voice_need_not_interrupt_it |
| a facade over a local pipeline was wanted | test_ears_a_head_and_a_voice_make_a_session |
| every user had a copy of the model | test_one_brain_serves_all |
| chunks of a cancelled answer were dropped by timing | test_a_late_chunk_dies_by_whose_it_is |
| tool events lost their order with speech | test_calls_keep_their_place_in_what_is_said |
| a released session was reused before it had drained | test_nothing_of_a_session_reaches_the_next |

Those of connections and whole sessions are in test_lessons_sessions.py. The ten invariants that the last three stand
for are watched in test_invariants.py.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import numpy as np

from engine.realtime import events as ev
from engine.server import ServerOptions
from engine.server.history import AudioBudget, History
from engine.server.ids import Ids
from engine.server.responders import Echo, Part, Say, Script, ToolCall, Turn
from engine.server.run import ResponseRun
from engine.server.run_settings import RunSettings
from engine.server.usage import Usage
from tests.server import test_lessons_sessions
from tests.server.harness import PCM, Event, Says, run, session, silence, speech, wire
from tests.server.scripted import LoudnessDetector, sound
from tests.server.test_lessons_sessions import HEARD, LONG, say

# ---- listening


def test_two_turns_in_one_append_are_two_turns() -> None:
    twice = wire(silence(0.5), speech("one"), silence(0.8), speech("two"), silence(0.8))

    async def heard(size: int) -> list[tuple[str, int]]:
        async with session(Says([])) as client:
            for start in range(0, len(twice), size):
                await client.append(twice[start : start + size])
            await client.update()
            kinds = {"input_audio_buffer.speech_started": "audio_start_ms"}
            kinds["input_audio_buffer.speech_stopped"] = "audio_end_ms"
            return [(each["type"], each[kinds[each["type"]]]) for each in client.events if each["type"] in kinds]

    whole, pieces = (run(partial(heard, size)) for size in (len(twice), 333))
    assert whole == pieces
    assert len(whole) == 4


def test_a_turn_during_a_response_waits_for_its_answer() -> None:
    async def scene() -> None:
        async with session(Says(LONG, [Say("Both heard.")]), ServerOptions(burst=4)) as client:
            await client.update(audio={"input": {"turn_detection": {"interrupt_response": False}}})
            await client.send("response.create")
            await client.next("response.output_audio.delta")
            await say(client)
            await say(client)
            await asyncio.sleep(30)
            assert not client.of("error")
            assert [each["response"]["status"] for each in client.of("response.done")] == ["completed", "completed"]
            assert len(client.of("input_audio_buffer.committed")) == 2, "one answer, which has heard both"

    run(scene)


def test_an_interrupted_turn_keeps_words_and_items() -> None:
    async def scene() -> None:
        brain = Script(
            {"transcripts": [{"text": "first question", "delay": 3.0}, "second"], "default": [{"say": "word " * 40}]}
        )
        async with session(brain, ServerOptions(burst=1)) as client:
            await client.update(audio={"input": {"transcription": {"model": "gpt-4o-transcribe"}}})
            await say(client)
            await client.next("response.output_audio.delta")
            await asyncio.sleep(0.5)
            await say(client)
            await asyncio.sleep(8)
            first = client.of("response.done")[0]["response"]
            assert first["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
            assert sorted(each["transcript"] for each in client.of(HEARD + "completed")) == ["first question", "second"]
            user = client.of("input_audio_buffer.committed")[0]["item_id"]
            for item_id in (user, first["output"][0]["id"]):
                seen = len(client.events)
                await client.send("conversation.item.retrieve", item_id=item_id)
                kept = await client.next("conversation.item.retrieved", "error", after=seen)
                assert kept["item"]["content"][0]["audio"]
                assert kept["item"]["content"][0]["transcript"]

    run(scene)


def test_manual_commits_over_and_over() -> None:
    async def scene() -> None:
        async with session(Script({"transcripts": ["a", "b", "c"]})) as client:
            await client.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
            for detection in (None, {"type": "server_vad"}, {"type": "semantic_vad"}, None):
                await client.update(audio={"input": {"turn_detection": detection}})
                for _ in range(3):
                    await client.append(wire(silence(0.2)))
                    await client.send("input_audio_buffer.commit")
                    await client.send("input_audio_buffer.commit")
            await asyncio.sleep(5)
            assert len(client.of("input_audio_buffer.committed")) == 12
            assert {each["error"]["code"] for each in client.of("error")} == {"input_audio_buffer_commit_empty"}
            assert len(client.of(HEARD + "completed")) + len(client.of(HEARD + "failed")) == 12
            assert client.closed is None

    run(scene)


def test_every_setting_of_turn_detection_counts() -> None:
    async def scene() -> None:
        async with session(Says(LONG), ServerOptions(burst=2), detector=LoudnessDetector) as client:
            off = {"create_response": False, "interrupt_response": False, "prefix_padding_ms": 50}
            await client.update(audio={"input": {"turn_detection": {**off, "silence_duration_ms": 250}}})
            await client.send("response.create")
            await client.next("response.output_audio.delta")
            turn = (
                sound(0, 24 * 700, False, PCM) + sound(24 * 700, 24 * 500, True, PCM) + sound(0, 24 * 600, False, PCM)
            )
            await say(client, turn)
            started = await client.next("input_audio_buffer.speech_started")
            stopped = await client.next("input_audio_buffer.speech_stopped")
            assert (started["audio_start_ms"], stopped["audio_end_ms"]) == (650, 1450)
            assert (await client.next("response.done"))["response"]["status"] == "completed", "not interrupted"
            await asyncio.sleep(30)
            assert len(client.of("response.created")) == 1, "and not answered"
            on = {"create_response": True, "idle_timeout_ms": 5000}
            await client.update(audio={"input": {"turn_detection": on}})
            await client.send("response.create")
            for _ in range(300):
                await client.append(bytes(4800))
                await asyncio.sleep(0.1)
            assert client.of("input_audio_buffer.timeout_triggered")

    run(scene)


def test_its_own_voice_need_not_interrupt_it() -> None:
    """A loudspeaker and an open microphone: the client's canceller is not at hand, its choice of settings is."""

    async def reply_heard(interrupt: bool) -> Event:
        async with session(Says(LONG, [Say("Hm.")]), ServerOptions(burst=1), detector=LoudnessDetector) as client:
            quiet = {"interrupt_response": interrupt, "create_response": False}
            await client.update(audio={"input": {"turn_detection": quiet}})
            await client.send("response.create")
            seen = 0
            while not client.of("response.done"):
                delta = await client.next("response.output_audio.delta", "response.done", after=seen)
                seen = client.position(delta) + 1
                if delta["type"].endswith("delta"):
                    await client.append(b64decode(delta["delta"]))
            await client.next("input_audio_buffer.speech_started")
            return client.of("response.done")[0]["response"]  # type: ignore[no-any-return]

    assert run(partial(reply_heard, False))["status"] == "completed"
    assert run(partial(reply_heard, True))["status_details"]["reason"] == "turn_detected", "and it says why"


# ---- answering


def test_ids_are_unique_and_no_mistake_is_silent() -> None:
    async def scene() -> None:
        async with session() as client:
            await client.send("response.cancel", event_id="a")
            await client.send("session.uptade", event_id="b")
            await client.send("output_audio_buffer.clear", event_id="c")
            await say(client)
            await client.next("rate_limits.updated")
            assert [each["error"]["event_id"] for each in client.of("error")] == ["a", "b", "c"]
            assert client.of("error")[0]["error"]["code"] == "response_cancel_not_active"
            ids = [event["event_id"] for event in client.events]
            assert len(set(ids)) == len(ids)

    run(scene)


def test_a_truncation_too_long_says_so_and_nothing_breaks() -> None:
    async def scene() -> None:
        async with session(Says([Say("Short.")])) as client:
            await client.send("response.create")
            done = (await client.next("response.done"))["response"]
            item_id, length = done["output"][0]["id"], len(client.audio_of(done["id"])) // 48
            place = {"item_id": item_id, "content_index": 0}
            await client.send("conversation.item.truncate", **place, audio_end_ms=length + 300)
            error = (await client.next("error"))["error"]
            assert error["message"] == f"Audio content of {length}ms is already shorter than {length + 300}ms"
            await client.send("conversation.item.truncate", **place, audio_end_ms=length)
            await client.next("conversation.item.truncated")
            await say(client)
            await client.next("response.done", after=len(client.events))

    run(scene)


def test_a_cancel_too_late_is_an_error_and_no_more() -> None:
    async def scene() -> None:
        async with session(Says([Say("A reply that is played for a while after it has come.")])) as client:
            await client.send("response.create")
            done = (await client.next("response.done"))["response"]
            await client.update(audio={"input": {"turn_detection": {"create_response": False}}})
            await say(client)  # over the playback: there is no response to interrupt any more
            await client.send("response.cancel")
            assert (await client.next("error"))["error"]["code"] == "response_cancel_not_active"
            await client.send(
                "conversation.item.truncate", item_id=done["output"][0]["id"], content_index=0, audio_end_ms=200
            )
            await client.next("conversation.item.truncated")
            # What came before the end of the reply and is cleared then is no part of the next turn.
            await client.update(audio={"input": {"turn_detection": None}})
            await client.append(bytes(48_000))
            await client.send("input_audio_buffer.clear")
            await client.append(bytes(9600))
            seen = len(client.events)
            await client.send("input_audio_buffer.commit")
            item_id = (await client.next("input_audio_buffer.committed", after=seen))["item_id"]
            await client.send("conversation.item.retrieve", item_id=item_id)
            kept = await client.next("conversation.item.retrieved", after=seen)
            assert len(b64decode(kept["item"]["content"][0]["audio"])) == 9600

    run(scene)


def test_response_created_comes_once_and_first() -> None:
    async def scene() -> None:
        brain = Says(LONG, [ToolCall("f")], [], [Say("x")])
        async with session(brain) as client:
            for aside in ("auto", "none", "auto", "none"):
                seen = len(client.events)
                await client.send("response.create", response={"conversation": aside})
                await client.next("response.done", after=seen)
            await say(client)
            await client.next("response.done", after=len(client.events))
            first: dict[str, str] = {}
            for event in client.events:
                response_id = event.get("response_id") or event.get("response", {}).get("id")
                if response_id:
                    first.setdefault(response_id, event["type"])
            assert len(first) == 5
            assert set(first.values()) == {"response.created"}
            assert len(client.of("response.created")) == 5

    run(scene)


def test_commit_and_create_answer_what_was_committed() -> None:
    async def scene() -> None:
        async with session(Echo()) as client:
            await client.update(audio={"input": {"turn_detection": None}})
            for number in (5, 9):
                said = np.full(9600, number * 1000, "<i2").tobytes()
                seen = len(client.events)
                await client.append(said)
                await client.send("input_audio_buffer.commit")
                await client.send("response.create")
                done = await client.next("response.done", after=seen)
                assert client.audio_of(done["response"]["id"]) == said

    run(scene)


def test_calls_keep_their_place_in_what_is_said() -> None:
    async def scene() -> None:
        async with session(
            Says([Say("Before."), ToolCall("one"), Say("Between."), ToolCall("two"), Say("After.")])
        ) as client:
            await client.send("response.create")
            done = (await client.next("response.done"))["response"]
            told = [each.get("name") or each["content"][0]["transcript"] for each in done["output"]]
            assert told == ["Before.", "one", "Between.", "two", "After."]
            places = [each["output_index"] for each in client.of("response.output_item.done")]
            assert places == sorted(places) == list(range(5))

    run(scene)


class Late:
    """A brain that takes being cancelled for a bad moment of its own and goes on."""

    name = "late"

    def __init__(self) -> None:
        self.begun = 0

    async def respond(self, turn: Turn) -> AsyncIterator[Part]:
        """See Responder."""
        self.begun += 1
        words = "old " if self.begun == 1 else "new "
        for _ in range(6):
            try:
                await asyncio.sleep(0.2)
            except asyncio.CancelledError:
                await asyncio.sleep(0.3)
            yield Say(words * 3)


def test_a_late_chunk_dies_by_whose_it_is() -> None:
    async def scene() -> None:
        async with session(Late()) as client:
            await client.send("response.create")
            old = (await client.next("response.created"))["response"]["id"]
            await client.next("response.output_audio.delta")
            await client.send("response.cancel")
            await client.send("response.create")
            await client.next("response.done", after=client.position(await client.next("response.done")) + 1)
            words = {old: "", **{each["response"]["id"]: "" for each in client.of("response.created")}}
            for event in client.of("response.output_audio_transcript.delta"):
                words[event["response_id"]] += event["delta"]
            new = next(text for response_id, text in words.items() if response_id != old)
            assert "old" in words[old] and "new" not in words[old]
            assert "new" in new and "old" not in new

    run(scene)


def test_a_response_that_is_over_says_nothing_more_whoever_asks_it_to() -> None:
    sent: list[ev.Event] = []
    ids, budget = Ids(), AudioBudget(2**20)
    config: dict[str, Any] = {"output_modalities": ["audio"], "max_output_tokens": "inf"}
    config["audio"] = {"output": {"format": {"type": "audio/pcm"}, "voice": "alloy"}}
    response = ResponseRun(
        RunSettings(config, None, "conv"),
        ids=ids,
        emit=sent.append,
        history=History(budget, 100, 2**20),
        budget=budget,
        usage=Usage(),
        ended=lambda _: None,
    )
    response.begin()
    response.audio(bytes(960))
    response.finish("cancelled", reason="client_cancelled")
    count = len(sent)
    response.audio(bytes(960))
    response.text("late")
    response.transcript("late")
    response.function_call("late", "{}", "")
    response.finish("completed")
    assert len(sent) == count
    assert sent[-1].type == "response.done"


def test_the_table_names_the_tests() -> None:
    named = [line.split("|")[2].strip() for line in (__doc__ or "").splitlines() if line.startswith("| ")]
    assert [
        name for name in named[1:] if not callable(globals().get(name) or getattr(test_lessons_sessions, name, None))
    ] == []
    assert len(set(named)) == 28
