"""The events of a turn, in the order the protocol's documentation gives."""

from __future__ import annotations

import pytest

from engine.audio import AudioFormat
from engine.server import ServerOptions
from engine.server.responders import Say, Text, ToolCall
from tests.server.harness import Event, Says, question, run, session, speech

VOICE_TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
]
AUDIO_END = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
    "rate_limits.updated",
]


@pytest.mark.parametrize("format", list(AudioFormat))
def test_voice_turn_in_every_format(format: AudioFormat) -> None:
    async def scene() -> None:
        async with session(Says([Say("Sunny, with a light wind. Warm in the evening.")])) as client:
            audio = {"format": {"type": format.value}}
            updated = await client.update(audio={"input": audio, "output": audio})
            assert updated["session"]["audio"]["output"]["format"]["type"] == format.value
            await client.speak(question(format), format=format)
            done = await client.next("response.done")
            await client.next("rate_limits.updated")
            types = client.types()[2:]
            assert types[:9] == VOICE_TURN
            assert set(types[9:-7]) == {"response.output_audio.delta", "response.output_audio_transcript.delta"}
            assert types[-7:] == AUDIO_END

            started = client.of("input_audio_buffer.speech_started")[0]
            stopped = client.of("input_audio_buffer.speech_stopped")[0]
            # Speech begins at 500 ms; 300 ms of padding, 500 ms of silence window, and what the detector lags.
            end_ms = 500 + speech().size / 24 + 500
            assert 190 <= started["audio_start_ms"] <= 230
            assert end_ms - 100 <= stopped["audio_end_ms"] <= end_ms + 50
            user = client.of("conversation.item.added")[0]["item"]
            assert started["item_id"] == stopped["item_id"] == user["id"]

            seconds = len(client.audio_of(done["response"]["id"])) / format.bytes_per_ms / 1000
            words = "".join(event["delta"] for event in client.of("response.output_audio_transcript.delta"))
            assert words == "Sunny, with a light wind. Warm in the evening."
            assert client.of("response.output_audio_transcript.done")[0]["transcript"] == words
            assert done["response"]["output"][0]["content"] == [{"type": "output_audio", "transcript": words}]
            usage = done["response"]["usage"]
            assert usage["output_token_details"]["audio_tokens"] == -(-round(seconds * 1000) // 50)
            assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
            user_ms = stopped["audio_end_ms"] - started["audio_start_ms"]
            assert usage["input_token_details"]["audio_tokens"] == -(-user_ms // 100)

    run(scene)


def test_text_response() -> None:
    async def scene() -> None:
        async with session(Says([Say("Hello"), Say("there.")])) as client:
            await client.update(output_modalities=["text"])
            await client.send("response.create")
            done = await client.next("rate_limits.updated")
            assert done
            assert client.types()[2:] == [
                "response.created",
                "response.output_item.added",
                "conversation.item.added",
                "response.content_part.added",
                "response.output_text.delta",
                "response.output_text.done",
                "response.content_part.done",
                "conversation.item.done",
                "response.output_item.done",
                "response.done",
                "rate_limits.updated",
            ]
            assert "".join(e["delta"] for e in client.of("response.output_text.delta")) == "Hello there."

    run(scene)


def test_message_then_call_in_one_response() -> None:
    async def scene() -> None:
        brain = Says([Say("One moment."), ToolCall("look", '{"where": "here"}')], [Text("Found.")])
        async with session(brain) as client:
            await client.send("response.create")
            done = await client.next("response.done")
            message, call = done["response"]["output"]
            assert (message["type"], call["type"]) == ("message", "function_call")
            assert call["arguments"] == '{"where": "here"}'
            arguments = client.of("response.function_call_arguments.delta")
            assert "".join(event["delta"] for event in arguments) == call["arguments"]
            output = {"type": "function_call_output", "call_id": call["call_id"], "output": "a key"}
            await client.send("conversation.item.create", item=output)
            await client.send("response.create")
            await client.next("response.done", after=client.position(done) + 1)
            seen = brain.turns[1].tool_outputs
            assert [(each.name, each.output) for each in seen] == [("look", "a key")]

    run(scene)


def test_audio_comes_faster_than_it_plays_by_the_chosen_factor() -> None:
    async def scene() -> None:
        for burst in (1.0, 8.0):
            async with session(Says([Say("word " * 40)]), ServerOptions(burst=burst)) as client:
                await client.send("response.create")
                done = await client.next("response.done")
                arrivals = zip(client.times, client.events, strict=True)
                times = [time for time, event in arrivals if event["type"].endswith("audio.delta")]
                seconds = len(client.audio_of(done["response"]["id"])) / 48000
                assert times[-1] - times[0] == pytest.approx(seconds / burst, abs=0.15 / burst + 0.001)

    run(scene)


def test_first_delta_is_short_and_the_transcript_keeps_step() -> None:
    async def scene() -> None:
        async with session(Says([Say("one two three four five six seven eight nine ten")])) as client:
            await client.send("response.create")
            await client.next("response.done")
            deltas = [e for e in client.events if e["type"].endswith((".output_audio.delta", "transcript.delta"))]
            audio = [e for e in deltas if e["type"] == "response.output_audio.delta"]
            assert len(audio[0]["delta"]) == 50 * 48 * 4 // 3
            assert len(audio[1]["delta"]) == 100 * 48 * 4 // 3
            # Words are spread over the audio: neither all at the start nor all at the end.
            words_at = [n for n, e in enumerate(deltas) if "transcript" in e["type"]]
            assert len(words_at) >= 8
            assert words_at[0] == 0
            assert words_at[-1] > len(deltas) // 2

    run(scene)


def test_session_created_is_first_and_whole() -> None:
    async def scene() -> Event:
        async with session(model="gpt-realtime-mini") as client:
            return client.events[0]

    created = run(scene)
    assert created["type"] == "session.created"
    config = created["session"]
    assert config["model"] == "gpt-realtime-mini"
    assert config["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 500
    assert config["audio"]["output"] == {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy", "speed": 1.0}


def test_the_smallest_turn_detection_is_taken() -> None:
    """The reference names no least silence; the official package's own tests ask for none at all."""
    smallest = {"type": "server_vad", "threshold": 0, "prefix_padding_ms": 0, "silence_duration_ms": 0}

    async def scene() -> Event:
        async with session() as client:
            return await client.update(audio={"input": {"turn_detection": smallest}})

    updated = run(scene)
    assert updated["session"]["audio"]["input"]["turn_detection"].items() >= smallest.items()


def test_transcription_fails_honestly_without_a_recogniser() -> None:
    async def scene() -> None:
        async with session() as client:
            await client.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
            await client.speak(question())
            failed = await client.next("conversation.item.input_audio_transcription.failed")
            assert failed["error"]["code"] == "transcription_unavailable"

    run(scene)


def test_event_ids_are_unique() -> None:
    async def scene() -> None:
        async with session() as client:
            await client.speak(question())
            await client.next("rate_limits.updated")
            ids = [event["event_id"] for event in client.events]
            assert len(set(ids)) == len(ids)

    run(scene)
