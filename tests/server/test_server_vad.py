"""server_vad in a session: every setting has its effect, and audio in any pieces has the same events."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.audio import AudioFormat
from engine.server.formats import format_object
from engine.server.responders import Say
from tests.server.harness import PCM, Client, Says, run, session, silence, speech, wire

TALK = speech()
LEAD_MS, TALK_MS = 1000.0, TALK.size / 24


async def offsets(client: Client, data: bytes, sizes: list[int]) -> list[tuple[str, int]]:
    """Append in pieces of these sizes; the speech events with their offsets."""
    at = number = 0
    while at < len(data):
        size = sizes[number % len(sizes)]
        await client.append(data[at : at + size])
        at, number = at + size, number + 1
    await client.send("input_audio_buffer.clear")
    await client.next("input_audio_buffer.cleared")
    found: list[tuple[str, int]] = []
    for event in client.events:
        if event["type"].startswith("input_audio_buffer.speech_"):
            at_ms: int = event["audio_start_ms"] if "audio_start_ms" in event else event["audio_end_ms"]
            found.append((event["type"][-7:], at_ms))
    return found


def heard(detection: dict[str, Any], data: bytes, sizes: tuple[int, ...] = (96_000,), format: AudioFormat = PCM) -> Any:
    async def scene() -> list[tuple[str, int]]:
        async with session(Says([Say("Yes.")])) as client:
            wanted = {"type": "server_vad", **detection}
            await client.update(audio={"input": {"turn_detection": wanted, "format": format_object(format)}})
            return await offsets(client, data, list(sizes))

    return run(scene)


ONE = wire(silence(1.0), TALK, silence(1.5))


def test_prefix_padding_and_silence_duration_move_the_offsets_by_what_they_say() -> None:
    (_, start), (_, stop) = heard({"prefix_padding_ms": 0, "silence_duration_ms": 200}, ONE)
    assert start == pytest.approx(LEAD_MS, abs=60)
    assert stop == pytest.approx(LEAD_MS + TALK_MS + 200, abs=60)
    (_, padded), (_, later) = heard({"prefix_padding_ms": 450, "silence_duration_ms": 900}, ONE)
    assert (start - padded, later - stop) == (450, 700)
    (_, whole), _ = heard({"prefix_padding_ms": 5000, "silence_duration_ms": 200}, ONE)
    assert whole == 0


def test_threshold_decides_what_is_speech() -> None:
    assert len(heard({"threshold": 0.5}, ONE)) == 2
    assert len(heard({"threshold": 0.0}, wire(silence(1.0)))) == 0  # a probability of nothing opens no turn
    assert heard({"threshold": 0.95}, ONE)[0][1] >= heard({"threshold": 0.1}, ONE)[0][1]


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(101, 100_000), min_size=1, max_size=5), st.sampled_from(list(AudioFormat)))
def test_any_pieces_have_the_same_events(sizes: list[int], format: AudioFormat) -> None:
    parts = [silence(0.6), speech("good morning"), silence(0.9), speech("and good night"), silence(0.8)]
    data = wire(*parts, format=format)
    expected = heard({}, data, (len(data),), format)
    assert [name for name, _ in expected] == ["started", "stopped"] * 2
    assert heard({}, data, tuple(size | 1 for size in sizes), format) == expected


@pytest.mark.parametrize("format", ["audio/pcm", "audio/pcmu", "audio/pcma"])
@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000, 0, -1, "24000", 24000.5])
def test_wrong_rates_are_refused(format: str, rate: Any) -> None:
    async def scene() -> None:
        async with session() as client:
            refused = await client.update(audio={"input": {"format": {"type": format, "rate": rate}}})
            assert refused["type"] == "error"
            assert refused["error"]["param"] == "session.audio.input.format.rate"

    run(scene)


IDLE = {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}}


def test_speech_puts_the_idle_timeout_off() -> None:
    async def scene() -> None:
        async with session(Says([Say("Are you there?")])) as client:
            await client.update(audio={"input": IDLE})
            await client.send("response.create")
            await client.next("response.done")
            await client.speak(wire(silence(3.0), TALK, silence(1.0)))
            second = (await client.next("response.created", after=client.position(client.of("response.done")[0])))[
                "response"
            ]
            await client.next("response.done", after=client.position(client.of("response.created")[1]))
            assert client.of("input_audio_buffer.timeout_triggered") == []
            await client.speak(bytes(48 * 8000), frame_ms=100)
            assert len(client.of("input_audio_buffer.timeout_triggered")) == 1  # after the second answer only
            assert second["status"] == "in_progress"

    run(scene)


def test_a_new_response_puts_the_idle_timeout_off() -> None:
    async def scene() -> None:
        async with session(Says([Say("Are you there?")])) as client:
            await client.update(audio={"input": IDLE})
            await client.send("response.create")
            await client.next("response.done")
            await client.speak(bytes(48 * 4000), frame_ms=100)
            await client.send("response.create")
            await client.next("response.done", after=client.position(client.of("response.created")[-1]) + 1)
            await client.speak(bytes(48 * 4000), frame_ms=100)
            assert client.of("input_audio_buffer.timeout_triggered") == []

    run(scene)


@pytest.mark.parametrize("change", [{"idle_timeout_ms": None}, None, {"type": "semantic_vad"}])
def test_taking_the_idle_timeout_away_stops_it(change: Any) -> None:
    async def scene() -> None:
        async with session(Says([Say("Are you there?")])) as client:
            await client.update(audio={"input": IDLE})
            await client.send("response.create")
            await client.next("response.done")
            await client.update(audio={"input": {"turn_detection": change}})
            await client.speak(bytes(48 * 10_000), frame_ms=100)
            assert client.of("input_audio_buffer.timeout_triggered") == []

    run(scene)


@pytest.mark.parametrize("value", [0, 4999, 30_001, -1, "5000", 5000.5, True])
def test_idle_timeout_has_a_range(value: Any) -> None:
    async def scene() -> None:
        async with session() as client:
            refused = await client.update(audio={"input": {"turn_detection": {"idle_timeout_ms": value}}})
            assert refused["error"]["param"] == "session.audio.input.turn_detection.idle_timeout_ms"

    run(scene)


def test_the_silence_of_a_timeout_is_filtered_too_and_as_long_as_it_says() -> None:
    async def scene() -> None:
        async with session(Says([Say("Hello?"), Say("Still there?")])) as client:
            await client.update(audio={"input": {**IDLE, "noise_reduction": {"type": "far_field"}}})
            await client.send("response.create")
            await client.next("response.done")
            await client.speak(bytes(48 * 8000), frame_ms=100)
            timeout = await client.next("input_audio_buffer.timeout_triggered")
            await client.send("conversation.item.retrieve", item_id=timeout["item_id"])
            item = (await client.next("conversation.item.retrieved"))["item"]
            size = len(item["content"][0]["audio"]) * 3 // 4
            assert size / 48 == pytest.approx(timeout["audio_end_ms"] - timeout["audio_start_ms"], abs=1)

    run(scene)
