"""The speed of answers: any sound is stretched, whoever made it, with its pitch kept and its words in step."""

from __future__ import annotations

from base64 import b64decode

import numpy as np
import pytest

from engine.audio import AudioFormat
from engine.server import ServerOptions
from engine.server.formats import Samples, decode_all
from engine.server.responders import Audio, Part, Say
from tests.audio.test_stretch import pitch, voiced
from tests.server.harness import Client, Event, Says, question, run, session


async def answer(client: Client, **response: object) -> tuple[Event, Samples]:
    """One response and its sound."""
    seen = len(client.events)
    await client.send("response.create", response=response)
    done: Event = (await client.next("response.done", after=seen))["response"]
    format = AudioFormat(done["audio"]["output"]["format"]["type"])
    return done, decode_all(client.audio_of(done["id"]), format)


@pytest.mark.parametrize("format", list(AudioFormat))
@pytest.mark.parametrize("speed", [0.25, 0.6, 1.5])
def test_a_brains_own_sound_is_stretched_and_keeps_its_pitch(speed: float, format: AudioFormat) -> None:
    async def scene() -> None:
        sound = voiced(127, 3.0)
        parts = [Audio(sound[start : start + 10_000], "la") for start in range(0, sound.size, 10_000)]
        async with session(Says(parts)) as client:
            await client.update(audio={"output": {"speed": speed, "format": {"type": format.value}}})
            done, heard = await answer(client)
            assert heard.size * speed == pytest.approx(sound.size, rel=0.02)
            assert pitch(heard) == pytest.approx(127, rel=0.01)
            assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": " ".join(["la"] * 8)}]

    run(scene)


def test_echo_and_voice_too() -> None:
    async def scene() -> None:
        async with session() as client:
            await client.update(audio={"output": {"speed": 0.5}, "input": {"turn_detection": None}})
            await client.append(question())
            await client.send("input_audio_buffer.commit")
            _, heard = await answer(client)
            assert heard.size == pytest.approx(2 * len(question()) / 2, rel=0.02)
        lengths = []
        for speed in (1.0, 0.5):
            async with session(Says([Say("One sentence. And another one, which is longer than it.")])) as client:
                await client.update(audio={"output": {"speed": speed}})
                lengths.append((await answer(client))[1].size)
        assert lengths[1] == pytest.approx(2 * lengths[0], rel=0.02)

    run(scene)


def test_a_new_speed_is_for_the_time_between_responses() -> None:
    async def scene() -> None:
        sound = voiced(100, 2.0)
        async with session(Says([Audio(sound)]), ServerOptions(burst=1)) as client:
            await client.send("response.create")
            await client.next("response.output_audio.delta")
            refused = await client.update(audio={"output": {"speed": 0.5}})
            assert refused["error"]["param"] == "session.audio.output.speed"
            assert "session" in await client.update(audio={"output": {"speed": 1.0}})  # no change
            done = (await client.next("response.done"))["response"]
            assert len(client.audio_of(done["id"])) == 2 * sound.size  # as it was
            updated = await client.update(audio={"output": {"speed": 0.5}})
            assert updated["session"]["audio"]["output"]["speed"] == 0.5
            _, heard = await answer(client)
            assert heard.size == pytest.approx(2 * sound.size, rel=0.02)

    run(scene)


@pytest.mark.parametrize("speed", [0.25, 1.0, 1.5])
def test_words_are_in_step_with_the_stretched_sound(speed: float) -> None:
    """Ten words over two pieces of sound: every one comes with the delta in which it begins."""

    async def scene() -> None:
        sound = voiced(100, 4.0)
        words = " ".join(f"word{n}" for n in range(10))
        async with session(Says([Audio(sound[:48_000], words[:29]), Audio(sound[48_000:], words[30:])])) as client:
            await client.update(audio={"output": {"speed": speed}})
            await answer(client)
            begun: list[float] = []
            seconds = 0.0
            for event in client.events:
                if event["type"] == "response.output_audio_transcript.delta":
                    begun += [seconds] * len(event["delta"].split())
                elif event["type"] == "response.output_audio.delta":
                    seconds += len(b64decode(event["delta"])) / 48_000
            due = np.array([2.0 * (n // 5) + n % 5 * 6 / 29 * 2.0 for n in range(10)]) / speed  # by letters
            # A delta is 0.1 s long, and a stretched sound is up to 0.03 s of its source off its share.
            assert len(begun) == 10
            assert np.all(np.array(begun) <= due + 0.03 / speed + 0.01)
            assert np.all(np.array(begun) >= due - 0.1 - 0.03 / speed - 0.01)

    run(scene)


@pytest.mark.parametrize("speed", [0.2, 1.6])
def test_other_speeds_are_refused(speed: float) -> None:
    async def scene() -> None:
        async with session() as client:
            refused = await client.update(audio={"output": {"speed": speed}})
            assert (refused["error"]["code"], refused["error"]["param"]) == (
                "invalid_value",
                "session.audio.output.speed",
            )

    run(scene)


@pytest.mark.parametrize("piece_ms", [5, 20, 90])
@pytest.mark.parametrize("speed", [0.25, 0.8, 1.5])
def test_it_does_not_matter_how_small_the_pieces_are(speed: float, piece_ms: int) -> None:
    """A brain that gives a little now and then, as a line to another server does."""

    async def scene() -> None:
        sound = voiced(127, 2.0)
        size = piece_ms * 24
        parts: list[Part | float] = []
        for start in range(0, sound.size, size):
            parts += [Audio(sound[start : start + size], "la"), piece_ms / 1000]
        async with session(Says(parts)) as client:
            await client.update(audio={"output": {"speed": speed}})
            done, heard = await answer(client)
            assert heard.size * speed == pytest.approx(sound.size, rel=0.02)
            assert pitch(heard) == pytest.approx(127, rel=0.01)
            said = done["output"][0]["content"][0]["transcript"]
            assert said == " ".join(["la"] * (len(parts) // 2))

    run(scene)
