"""Our client with a Realtime server that nobody here wrote: @copilotkit/aimock.

It speaks the GA dialect without sound, turn detection or truncation, and leaves out part of what the reference
promises: a user's item is never `done`, a commit names no item, and a cancel is answered by an event that the reference
does not have. The client must do its work nevertheless.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any

import numpy as np
import pytest

import engine
from engine import Conversation, Turn, events
from engine.errors import Closing, ConfigError, ConnectionLost, TransportError
from engine.realtime import Role, wire
from engine.transport import websocket
from tests.audio.sounds import voice

from .conftest import Aimock

LIMIT_S = 60  # a hang ends as a failure
TEXT = {"output_modalities": ["text"]}
SPOKEN = {
    "type": "transcription",
    "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}, "turn_detection": None}},
}


def connect(aimock: Aimock, **settings: Any) -> AbstractAsyncContextManager[Conversation]:
    silence = np.zeros(24000 * LIMIT_S, dtype=np.int16)  # it ends no test by ending
    return engine.connect(engine.Memory(silence), **{"url": aimock.url, "key": aimock.key, **settings})


@asynccontextmanager
async def talking(aimock: Aimock, **settings: Any) -> AsyncIterator[tuple[Conversation, AsyncIterator[Turn]]]:
    """A conversation and the assistant's turns."""
    async with asyncio.timeout(LIMIT_S), connect(aimock, **settings) as conversation:

        async def replies() -> AsyncGenerator[Turn, None]:
            async for turn in conversation.turns():
                if turn.role == "assistant":
                    yield turn

        async with aclosing(replies()) as turns:
            yield conversation, turns


def test_typed_questions_are_answered_in_text(aimock: Aimock) -> None:
    async def run() -> list[Turn]:
        async with talking(aimock) as (conversation, turns):
            conversation.say("hello")
            conversation.say("hello again")  # its answer waits for the end of the first
            return [await anext(turns), await anext(turns)]

    first, second = asyncio.run(run())
    assert (first.text, first.status) == (second.text, second.status) == ("Good day to you.", "completed")
    assert first.response_id != second.response_id
    assert first.usage is not None


def test_a_session_update_is_agreed(aimock: Aimock) -> None:
    async def run() -> dict[str, object]:
        async with talking(aimock, instructions="Be brief.", voice="marin") as (conversation, _):
            return conversation.session

    session = asyncio.run(run())
    assert session["instructions"] == "Be brief."


def test_two_calls_of_a_tool_get_one_answer(aimock: Aimock) -> None:
    weather = {"Paris": "rain", "Oslo": "snow"}
    asked: list[str] = []
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    tool = {"type": "function", "name": "get_weather", "description": "", "parameters": parameters}

    async def run() -> Turn:
        async with talking(aimock, session={"tools": [tool]}) as (conversation, turns):
            conversation.say("How is the weather in Paris and in Oslo?")
            async for event in conversation.events():
                if isinstance(event, events.ResponseFunctionCallArgumentsDone):
                    asked.append(json.loads(event.arguments)["city"])
                    output = weather[asked[-1]]
                    item = {"type": "function_call_output", "call_id": event.call_id, "output": output}
                    conversation.send(events.ConversationItemCreate(item=item))
                elif isinstance(event, events.ResponseDone):
                    break
            conversation.send(events.ResponseCreate())
            async for turn in turns:
                if turn.text:
                    return turn
            raise AssertionError("no answer")

    assert asyncio.run(run()).text == "Rain in Paris, snow in Oslo."
    assert asked == ["Paris", "Oslo"]


def test_a_transcription_session_gives_the_words(aimock: Aimock) -> None:
    async def run() -> tuple[str, str]:
        heard = ""
        async with asyncio.timeout(LIMIT_S), connect(aimock, session=SPOKEN) as conversation:
            conversation.send(events.InputAudioBufferAppend(audio=bytes(48000)))
            conversation.send(events.InputAudioBufferCommit())
            async for event in conversation.events():
                if isinstance(event, events.ConversationItemInputAudioTranscriptionDelta):
                    heard += event.delta if isinstance(event.delta, str) else ""
                elif isinstance(event, events.ConversationItemInputAudioTranscriptionCompleted):
                    return heard, event.transcript
        raise AssertionError("no transcript")

    heard, transcript = asyncio.run(run())
    assert heard == transcript == "Two rolls and a loaf of rye, please."


def test_transcribe_settles_at_a_pause(aimock: Aimock) -> None:
    """Without turn detection, which the server does not have; its commit names no item."""
    speech = np.zeros(24000 * 3, dtype=np.int16)
    speech[12000:36000] = voice(24000)
    how: dict[str, Any] = {
        "url": aimock.url,
        "key": aimock.key,
        "session": {"audio": {"input": {"turn_detection": None}}},
    }

    async def run() -> str:
        async with asyncio.timeout(LIMIT_S), engine.transcribe(engine.Memory(speech), **how) as transcript:
            async for line in transcript.lines():
                return line.text
        raise AssertionError("no line")

    assert asyncio.run(run()) == "Two rolls and a loaf of rye, please."


@pytest.mark.parametrize("prompt", ["cut me off", "vanish"])
def test_a_line_that_breaks_in_an_answer_is_told(aimock: Aimock, prompt: str) -> None:
    async def run() -> None:
        async with talking(aimock, reconnect=None) as (conversation, turns):
            conversation.say(prompt)
            async for turn in turns:
                assert turn.status != "completed"

    with pytest.raises(ConnectionLost) as lost:
        asyncio.run(run())
    assert lost.value.code == 1006
    assert lost.value.closing is Closing.RETRY


def test_the_conversation_goes_on_over_a_new_line(aimock: Aimock) -> None:
    async def run() -> tuple[Turn, str]:
        async with talking(aimock) as (conversation, turns):
            conversation.say("cut me off")
            broken = await anext(turns)
            conversation.say("hello")
            async for turn in turns:
                if turn.status == "completed" and turn.text:
                    return broken, turn.text
        raise AssertionError("no answer")

    broken, answer = asyncio.run(run())
    assert (broken.status, broken.reason) == ("incomplete", "connection_lost")
    assert answer == "Good day to you."


@pytest.mark.parametrize(
    ("prompt", "code"), [("no money", "insufficient_quota"), ("nothing that it knows", "no_fixture_match")]
)
def test_a_failed_answer_is_a_turn_with_its_error(aimock: Aimock, prompt: str, code: str) -> None:
    async def run() -> tuple[Turn, Turn]:
        async with talking(aimock) as (conversation, turns):
            conversation.say(prompt)
            failed = await anext(turns)
            conversation.say("hello")
            return failed, await anext(turns)

    failed, following = asyncio.run(run())
    assert failed.status == "failed"
    assert failed.error["code"] == code
    assert following.text == "Good day to you."


def test_the_answer_to_a_cancel_that_no_reference_knows_is_kept(aimock: Aimock) -> None:
    """It comes after response.done, as the server takes messages in turn."""

    async def run() -> tuple[list[str], Turn]:
        kinds: list[str] = []
        async with talking(aimock) as (conversation, turns):
            conversation.say("Tell me a long story.")
            async for event in conversation.events():
                kinds.append(event.type)
                if isinstance(event, events.ResponseOutputTextDelta) and "response.cancelled" not in kinds:
                    conversation.interrupt()
                if event.type == "response.cancelled":
                    assert isinstance(event, events.Unknown)
                    break
            conversation.say("hello")
            async for turn in turns:
                if turn.text == "Good day to you.":
                    return kinds, turn
        raise AssertionError("no answer")

    kinds, turn = asyncio.run(run())
    assert kinds.count("response.done") <= 1
    assert turn.status == "completed"


def test_the_beta_dialect_is_refused_by_name(aimock: Aimock) -> None:
    async def run() -> None:
        async with asyncio.timeout(LIMIT_S), connect(aimock, headers={"OpenAI-Beta": "realtime=v1"}):
            raise AssertionError("it let the older dialect in")

    with pytest.raises((ConfigError, TransportError), match="Realtime Beta API is no longer supported"):
        asyncio.run(run())


def test_the_beta_dialect_is_closed_for_good(aimock: Aimock) -> None:
    """By an error, then close code 4000: trying again would end the same."""

    async def run() -> None:
        headers = {"Authorization": f"Bearer {aimock.key}", "OpenAI-Beta": "realtime=v1"}
        url = aimock.url.replace("http://", "ws://") + "/realtime?model=gpt-realtime"
        async with asyncio.timeout(LIMIT_S), websocket.connect(url, headers=headers) as connection:
            first = wire.decode(await connection.receive(), Role.SERVER)
            assert isinstance(first, events.Error)
            assert first.code == "beta_api_shape_disabled"
            await connection.receive()

    with pytest.raises(ConnectionLost) as lost:
        asyncio.run(run())
    assert lost.value.code == 4000
    assert lost.value.closing is Closing.FATAL


def test_a_wrong_key_is_told_and_not_shown(aimock: Aimock) -> None:
    async def run() -> None:
        async with asyncio.timeout(LIMIT_S), connect(aimock, key="sk-wrong-1234567890"):
            raise AssertionError("it let a wrong key in")

    with pytest.raises(TransportError) as refused:
        asyncio.run(run())
    assert "401" in str(refused.value)
    assert "1234567890" not in str(refused.value)
