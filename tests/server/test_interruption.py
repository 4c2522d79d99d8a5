"""Barge-in, cancel, waiting turns and truncation."""

from __future__ import annotations

from base64 import b64decode

import pytest

from engine.audio import AudioFormat
from engine.server import ServerOptions
from engine.server.responders import Say
from tests.server.harness import Client, Event, Says, question, run, session, silence, speech, wire

LONG = [Say("This answer goes on for a long time. " * 12)]
SLOW = ServerOptions(burst=1.5)
CLOSING = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]


async def talking(client: Client) -> Event:
    """Ask for a response and wait for its fifth delta."""
    await client.send("response.create")
    seen = len(client.events)
    for _ in range(5):
        seen = client.position(await client.next("response.output_audio.delta", after=seen)) + 1
    response: Event = client.of("response.created")[-1]["response"]
    return response


async def settle(client: Client) -> None:
    """Let a round trip pass: everything that was on its way has arrived."""
    seen = len(client.events)
    await client.send("conversation.item.retrieve", item_id="nothing")
    await client.next("error", after=seen)


def test_speech_interrupts_and_everything_open_is_closed_first() -> None:
    async def scene() -> None:
        async with session(Says(LONG), SLOW) as client:
            response = await talking(client)
            await client.speak(wire(speech()))
            done = await client.next("response.done")
            assert done["response"]["id"] == response["id"]
            assert done["response"]["status"] == "cancelled"
            assert done["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
            assert done["response"]["output"][0]["status"] == "incomplete"
            types = [event["type"] for event in client.events]
            end = types.index("response.done")
            assert types[end - 5 : end + 1] == CLOSING
            started = types.index("input_audio_buffer.speech_started")
            assert started < end - 5
            # Nothing of the response between the onset and the closing events, nothing after response.done.
            assert not any(kind.endswith(".delta") for kind in types[started:end])
            await client.speak(wire(silence(0.3)))
            assert not any(e.get("response_id") == response["id"] for e in client.events[end + 1 :])

    run(scene)


def test_client_cancel_stops_within_one_delta_and_keeps_the_partial_item() -> None:
    async def scene() -> None:
        brain = Says(LONG)
        async with session(brain, SLOW) as client:
            await client.send(
                "conversation.item.create",
                item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go on."}]},
            )
            response = await talking(client)
            before = len(client.of("response.output_audio.delta"))
            await client.send("response.cancel", response_id=response["id"])
            done = await client.next("response.done")
            assert done["response"]["status_details"]["reason"] == "client_cancelled"
            assert len(client.of("response.output_audio.delta")) <= before + 1
            await settle(client)
            assert brain.closed == 1  # the brain's generator was closed, not left to the garbage collector
            item = done["response"]["output"][0]
            await client.send("conversation.item.retrieve", item_id=item["id"])
            kept = (await client.next("conversation.item.retrieved"))["item"]
            assert b64decode(kept["content"][0]["audio"]) == client.audio_of(response["id"])
            await client.send("response.create")
            await client.next("response.done", after=client.position(done) + 1)
            assert [each["role"] for each in brain.turns[1].items] == ["user", "assistant"]

    run(scene)


def test_without_interrupt_response_the_reply_goes_on_and_the_turn_is_answered_after_it() -> None:
    async def scene() -> None:
        async with session(Says([Say("Still speaking here. " * 6)], [Say("Now you.")]), SLOW) as client:
            await client.update(audio={"input": {"turn_detection": {"interrupt_response": False}}})
            first = await talking(client)
            await client.speak(question())
            first_done = await client.next("response.done")
            assert first_done["response"]["id"] == first["id"]
            assert first_done["response"]["status"] == "completed"
            second_done = await client.next("response.done", after=client.position(first_done) + 1)
            assert second_done["response"]["output"][0]["content"][0]["transcript"] == "Now you."
            assert len(client.of("input_audio_buffer.committed")) == 1
            created = [client.position(event) for event in client.of("response.created")]
            dones = [client.position(event) for event in client.of("response.done")]
            assert created[0] < dones[0] < created[1] < dones[1]
            assert not client.of("error")

    run(scene)


def test_neither_create_nor_interrupt_still_commits() -> None:
    async def scene() -> None:
        async with session() as client:
            off = {"create_response": False, "interrupt_response": False}
            await client.update(audio={"input": {"turn_detection": off}})
            await client.speak(question())
            await client.next("input_audio_buffer.committed")
            await settle(client)
            assert not client.of("response.created")

    run(scene)


def test_a_cancel_in_the_same_moment_as_the_create() -> None:
    async def scene() -> None:
        async with session(Says(LONG)) as client:
            await client.send("response.create")
            await client.send("response.cancel")
            done = await client.next("response.done")
            assert done["response"]["status"] == "cancelled"
            await settle(client)
            assert client.types()[1:4] == ["response.created", "response.done", "rate_limits.updated"]

    run(scene)


@pytest.mark.parametrize("format", list(AudioFormat))
def test_truncate_cuts_the_audio_and_removes_the_transcript(format: AudioFormat) -> None:
    async def scene() -> None:
        brain = Says([Say("Some words that will be cut in the middle.")])
        async with session(brain) as client:
            await client.update(audio={"output": {"format": {"type": format.value}}})
            await client.send("response.create")
            done = await client.next("response.done")
            item_id = done["response"]["output"][0]["id"]
            whole = client.audio_of(done["response"]["id"])
            await client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=437)
            truncated = await client.next("conversation.item.truncated")
            assert (truncated["item_id"], truncated["audio_end_ms"]) == (item_id, 437)
            await client.send("conversation.item.retrieve", item_id=item_id)
            part = (await client.next("conversation.item.retrieved"))["item"]["content"][0]
            assert b64decode(part["audio"]) == whole[: 437 * format.bytes_per_ms]
            assert "transcript" not in part
            await client.send("response.create")
            await client.next("response.done", after=client.position(done) + 1)
            assert brain.turns[1].items[0]["content"] == [{"type": "output_audio"}]
            seen = len(client.events)
            await client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=438)
            error = (await client.next("error", after=seen))["error"]
            assert error["message"] == "Audio content of 437ms is already shorter than 438ms"

    run(scene)


def test_truncate_while_the_item_still_grows_keeps_the_cut() -> None:
    async def scene() -> None:
        async with session(Says(LONG), SLOW) as client:
            response = await talking(client)
            item_id = client.of("response.output_item.added")[0]["item"]["id"]
            await client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=100)
            await client.next("conversation.item.truncated")
            done = await client.next("response.done")
            assert done["response"]["id"] == response["id"]
            await client.send("conversation.item.retrieve", item_id=item_id)
            part = (await client.next("conversation.item.retrieved"))["item"]["content"][0]
            assert len(b64decode(part["audio"])) == 4800
            assert "transcript" not in part

    run(scene)


def test_an_idle_timeout_tells_only_of_sound_that_was_not_committed() -> None:
    async def scene() -> None:
        async with session(Says([Say("Hm.")])) as client:
            await client.update(audio={"input": {"turn_detection": {"idle_timeout_ms": 5000}}})
            await client.send("response.create")
            await client.next("response.done")
            await client.speak(wire(silence(2.0)), frame_ms=100)
            await client.send("input_audio_buffer.commit")
            await client.speak(wire(silence(5.0)), frame_ms=100)
            timeout = await client.next("input_audio_buffer.timeout_triggered")
            assert timeout["audio_start_ms"] == 2000, "what the client committed is another item's"
            await client.send("conversation.item.retrieve", item_id=timeout["item_id"])
            item = (await client.next("conversation.item.retrieved"))["item"]
            length_ms = len(b64decode(item["content"][0]["audio"])) / 48
            assert length_ms == timeout["audio_end_ms"] - timeout["audio_start_ms"]

    run(scene)


def test_idle_timeout_counts_from_the_end_of_playback() -> None:
    async def scene() -> None:
        async with session(Says([Say("Are you still there?")])) as client:
            await client.update(audio={"input": {"turn_detection": {"idle_timeout_ms": 5000}}})
            await client.send("response.create")
            done = await client.next("response.done")
            playback_ms = len(client.audio_of(done["response"]["id"])) / 48
            begun = client.times[client.position(done)]
            await client.speak(bytes(48 * 9000), frame_ms=100)
            timeout = await client.next("input_audio_buffer.timeout_triggered")
            at = client.times[client.position(timeout)]
            assert at - begun == pytest.approx(playback_ms / 1000 + 5, abs=0.01)
            assert timeout["audio_end_ms"] - timeout["audio_start_ms"] == pytest.approx(5000, abs=101)
            following = [event["type"] for event in client.events[client.position(timeout) + 1 :][:4]]
            assert following == [
                "input_audio_buffer.committed",
                "conversation.item.added",
                "conversation.item.done",
                "response.created",
            ]

    run(scene)
