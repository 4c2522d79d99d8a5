"""`chat` in whole sessions: a server of ours, and a language model in a process of its own."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.errors import TransportError
from engine.server import ServerOptions, serve
from engine.server.formats import Samples
from engine.server.responders import responder
from engine.server.responders.chat import Chat, ChatSettings
from engine.server.voices import ToneVoice
from engine.transport.websocket import connect

from .harness import Client
from .service import ChatApp, chat_app, until_left

pytest.importorskip("httpx2")


@pytest.fixture(scope="module")
def app() -> Iterator[ChatApp]:
    with chat_app() as running:
        yield running


def chat(app: ChatApp, model: str, **settings: Any) -> Chat:
    return Chat(ChatSettings(app.url, model, **settings))


def test_a_conversation_with_ears_voice_and_tools_over_http(app: ChatApp, tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    file = tmp_path / "chat.yaml"
    file.write_text(
        f"url: {app.url}\nmodel: tools\n"
        f"recogniser: {{kind: service, url: '{app.url}', model: whisper-1}}\n"
        f"voice: {{kind: service, url: '{app.url}', voices: {{alloy: af_sky}}}}\n"
    )

    async def test() -> None:
        brain = responder(f"chat:{file}")
        options = ServerOptions(burst=1000)
        async with (
            serve(responder=brain, options=options) as server,
            connect(server.url) as connection,
        ):
            client = Client(connection)
            reading = asyncio.create_task(client.read())
            tool = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
            await client.update(
                tools=[tool], audio={"input": {"turn_detection": None, "transcription": {"model": "x"}}}
            )
            await client.append(bytes(48_000))
            await client.send("input_audio_buffer.commit")
            await client.next("conversation.item.input_audio_transcription.completed")
            await client.send("response.create")
            done = (await client.next("response.done"))["response"]
            assert [item["type"] for item in done["output"]] == ["message", "function_call", "function_call"]
            assert len(client.audio_of(done["id"])) > 48 * 50
            for name, text in (("call_a", "rain"), ("call_b", "noon")):
                item = {"type": "function_call_output", "call_id": name, "output": text}
                await client.send("conversation.item.create", item=item)
            seen = len(client.events)
            await client.send("response.create")
            done = (await client.next("response.done", after=seen))["response"]
            assert done["output"][0]["content"][0]["transcript"] == "It is rain and noon."
            await connection.close()
            await reading

    asyncio.run(asyncio.wait_for(test(), 60))
    asked_chat = [request for request in app.log()["requests"] if "messages" in request][-1]
    roles = [each["role"] for each in asked_chat["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "tool"]
    assert asked_chat["messages"][1]["content"] == "what is the weather"
    spoken = [request for request in app.log()["requests"] if "input" in request][-1]
    assert (spoken["voice"], spoken["response_format"]) == ("af_sky", "pcm")


@asynccontextmanager
async def talking(brain: Chat) -> AsyncIterator[Client]:
    """A client of a server with this brain, in real time."""
    async with (
        serve(responder=brain, voice=ToneVoice(), options=ServerOptions(burst=1000)) as server,
        connect(server.url) as connection,
    ):
        client = Client(connection)
        reading = asyncio.create_task(client.read())
        yield client
        await connection.close()
        await reading


def test_the_first_clause_is_heard_while_the_model_still_writes_and_a_cancel_stops_it(app: ChatApp) -> None:
    async def test() -> None:
        before = app.log()["left"]
        async with talking(chat(app, "hang", idle_s=600, total_s=600)) as client:
            await client.send("response.create")
            await client.next("response.output_audio.delta")
            assert app.log()["left"] == before and not client.of("response.done")
            await client.send("response.cancel")
            assert (await client.next("response.done"))["response"]["status"] == "cancelled"
            await until_left(app, before)

    asyncio.run(asyncio.wait_for(test(), 60))


def test_a_failure_is_a_failed_response_and_the_session_lives(app: ChatApp) -> None:
    async def test() -> None:
        async with talking(chat(app, "limit")) as client:
            for _ in range(2):
                seen = len(client.events)
                await client.send("response.create")
                done = (await client.next("response.done", after=seen))["response"]
                assert done["status"] == "failed"
                assert done["status_details"]["error"]["code"] == "rate_limit_exceeded"

    asyncio.run(asyncio.wait_for(test(), 60))


def test_a_voice_that_fails_fails_the_response_with_its_words(app: ChatApp) -> None:
    class Hoarse(ToneVoice):
        async def synthesize(self, text: str, voice: str = "alloy", speed: float = 1.0) -> Samples:
            raise TransportError("the voice service answered 500")

    async def test() -> None:
        brain = Chat(ChatSettings(app.url, "plain"), voice=Hoarse())
        async with talking(brain) as client:
            await client.send("response.create")
            error = (await client.next("response.done"))["response"]["status_details"]["error"]
            assert error["message"] == "The answer broke off: the voice service answered 500"

    asyncio.run(asyncio.wait_for(test(), 60))


def test_a_service_that_is_down_is_told_before_the_session(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        brain = Chat(ChatSettings("http://127.0.0.1:9/v1", "m"))
        async with serve(responder=brain, voice=ToneVoice()) as server, connect(server.url) as connection:
            error = json.loads(await connection.receive())["error"]
            assert error["code"] == "brain_unavailable" and "127.0.0.1:9" in error["message"]

    with caplog.at_level(logging.CRITICAL, "bargein.server"):
        asyncio.run(asyncio.wait_for(test(), 60))
