"""Events and sound that are nearly right: each is obeyed or answered with an error, and the session goes on."""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.server import ServerOptions
from tests.server.harness import Client, Event, run, session

EXAMPLES = int(os.environ.get("BARGEIN_FUZZ_EXAMPLES", "60"))
TYPES = [
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.retrieve",
    "conversation.item.truncate",
    "conversation.item.delete",
    "response.create",
    "response.cancel",
    "output_audio_buffer.clear",
    "session.created",
    "nothing.known",
]
FIELDS = [
    "type", "event_id", "session", "audio", "item", "item_id", "previous_item_id", "content_index", "audio_end_ms",
    "response", "response_id", "input", "output", "format", "turn_detection", "tools", "tool_choice", "voice", "role",
    "content", "text", "transcript", "call_id", "arguments", "model", "instructions", "modalities", "output_modalities",
    "conversation", "metadata", "max_output_tokens", "rate", "name", "parameters", "truncation", "tracing", "speed",
]  # fmt: skip
WORDS = [
    "realtime", "transcription", "message", "function_call", "function_call_output", "user", "assistant", "system",
    "input_text", "input_audio", "output_text", "input_image", "audio/pcm", "audio/pcmu", "server_vad", "semantic_vad",
    "auto", "none", "required", "function", "mcp", "inf", "root", "alloy", "text", "audio", "",
    "data:image/png;base64,AA", "AAAA", "\x00", "\ud7ff", "x" * 600,
]  # fmt: skip
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(WORDS),
    st.text(max_size=20),
)
VALUES = st.recursive(
    ODD,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5)),
    max_leaves=12,
)
EVENTS = st.builds(
    lambda kind, more: {**more, "type": kind},
    st.sampled_from(TYPES),
    st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=5),
)


def good(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "event_id": "event_fuzz", **fields}


GOOD = [
    good("session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": None}}}),
    good(
        "session.update", session={"type": "realtime", "tools": [{"type": "function", "name": "f", "parameters": {}}]}
    ),
    good("input_audio_buffer.append", audio=b64encode(bytes(4800)).decode()),
    good("input_audio_buffer.commit"),
    good(
        "conversation.item.create",
        item={"id": "i", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]},
    ),
    good("conversation.item.truncate", item_id="i", content_index=0, audio_end_ms=10),
    good("response.create", response={"conversation": "none", "input": [], "metadata": {"a": "b"}}),
]


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """A right event with one thing in it that is odd, missing or too much."""
    event: dict[str, Any] = json.loads(json.dumps(draw(st.sampled_from(GOOD))))
    place: Any = event
    while True:
        inner = [value for value in (place.values() if isinstance(place, dict) else place) if value and _deep(value)]
        if not inner or draw(st.booleans()):
            break
        place = draw(st.sampled_from(inner))
    if isinstance(place, list):
        place.append(draw(VALUES))
        return event
    name = draw(st.sampled_from([*place, *FIELDS]))
    if name in place and draw(st.booleans()):
        del place[name]
    else:
        place[name] = draw(VALUES)
    return event


def _deep(value: Any) -> bool:
    return isinstance(value, dict | list)


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """JSON with a piece taken out, doubled, or replaced."""
    data = json.dumps(draw(st.one_of(EVENTS, st.sampled_from(GOOD)))).encode()
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, len(data)))
    return data[:start] + draw(st.one_of(st.binary(max_size=10), st.just(data[start:end] * 2))) + data[end:]


MESSAGES = st.one_of(
    st.one_of(EVENTS, damaged()).map(lambda event: json.dumps(event).encode()), texts(), st.binary(max_size=50)
)


async def answered(client: Client, messages: list[bytes]) -> list[Event]:
    """Send these; afterwards the session still answers. The errors on the way."""
    for message in messages:
        await client.connection.send(message)
    seen = len(client.events)
    await client.send("session.update", event_id="event_alive", session={"nonsense": 1})
    while True:
        error = await client.next("error", after=seen)
        if error["error"].get("event_id") == "event_alive":
            break
        seen = client.position(error) + 1
    errors = client.of("error")
    for each in errors:
        assert set(each["error"]) == {"type", "code", "message", "param", "event_id"}, each
        assert each["error"]["type"] == "invalid_request_error", each
    return errors


@settings(max_examples=EXAMPLES)
@given(st.lists(MESSAGES, min_size=1, max_size=6))
def test_events_that_are_nearly_right(messages: list[bytes]) -> None:
    async def scene() -> None:
        async with session(options=ServerOptions(burst=1000)) as client:
            # What the client's own view of the rules makes of its rubbish is not asked here.
            client.protocol.receive = lambda event: None  # type: ignore[method-assign,assignment,return-value]
            await answered(client, messages)

    run(scene)


@pytest.mark.parametrize("size", [100, 5_000, 1_000_000])
@pytest.mark.parametrize("around", ["[{}]", '{{"type":"session.update","session":{}}}', '{{"type":"x","a":{}}}'])
def test_json_that_goes_deep(size: int, around: str) -> None:
    for left, right in ("[]", ('{"a":', "}")):
        message = around.format(left * size + ("1" if left != "[" else "") + right * size).encode()

        async def scene(message: bytes = message) -> None:
            async with session() as client:
                assert len(await answered(client, [message])) == 2

        run(scene)


@pytest.mark.parametrize(
    "message", [b"", b"\xff\xfe", b"null", b'"x"', b"1" * 10_000, b'{"type":' + b"9" * 5000 + b"}"]
)
def test_what_is_no_object(message: bytes) -> None:
    async def scene() -> None:
        async with session() as client:
            assert len(await answered(client, [message])) == 2

    run(scene)


AUDIO = st.one_of(
    st.binary(max_size=400).map(lambda data: b64encode(data).decode()),
    st.text("ABCabc019+/=-_ \n", max_size=40),
    st.sampled_from(
        ["", "=", "====", "A", "AA", "AAA", "AA==", "AA=A", "UklGRiQAAABXQVZF", "\u0661\u0662", "AAAA" * 5000]
    ),
)


@settings(max_examples=EXAMPLES)
@given(
    st.sampled_from(["audio/pcm", "audio/pcmu", "audio/pcma"]),
    st.lists(AUDIO, min_size=1, max_size=12),
    st.booleans(),
)
def test_sound_that_is_nearly_right(kind: str, pieces: list[str], detected: bool) -> None:
    """What is taken counts to the byte, what is not taken counts nothing."""

    async def scene() -> None:
        async with session(options=ServerOptions(burst=1000)) as client:
            listening: dict[str, Any] = {"format": {"type": kind}}
            if not detected:
                listening["turn_detection"] = None
            assert (await client.update(audio={"input": listening}))["type"] == "session.updated"
            taken, refused = b"", 0
            for piece in pieces:
                seen = len(client.events)
                await client.send("input_audio_buffer.append", event_id="event_sound", audio=piece)
                await client.send("conversation.item.delete", event_id="event_mark", item_id="none")
                told = await client.next("error", after=seen)
                if told["error"]["event_id"] == "event_sound":
                    refused += 1
                else:
                    taken += bytes_of(piece)
            least = 100 * (48 if kind == "audio/pcm" else 8)
            if detected:
                return
            seen = len(client.events)
            await client.send("input_audio_buffer.commit")
            done = await client.next("input_audio_buffer.committed", "error", after=seen)
            assert (done["type"] == "error") == (len(taken) < least)
            if done["type"] != "error":
                await client.send("conversation.item.retrieve", item_id=done["item_id"])
                kept = await client.next("conversation.item.retrieved")
                whole = taken[: len(taken) // 2 * 2] if kind == "audio/pcm" else taken
                assert bytes_of(kept["item"]["content"][0]["audio"]) == whole

    run(scene)


def bytes_of(text: str) -> bytes:
    return b64decode(text, validate=True)
