"""A second embedded server behind the first, over real sockets: its answers, its end, its return."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.server import serve as listen

from engine.server import ServerOptions, serve, serve_connection
from engine.server.responders import Audio, Fail, Part, Proxy, Responder, Say, Stop, ToolCall, Turn, responder
from engine.server.voices import ToneVoice
from engine.transport import pair

from .harness import Client, Says, question, wire
from .harness import session as session_in_memory

KEY = "sk-canary-0123456789abcdef"


def run(test: Callable[[], Awaitable[None]]) -> None:
    """In real time: the line is a real socket."""

    async def main() -> None:
        async with asyncio.timeout(60):
            await test()

    asyncio.run(main())


@asynccontextmanager
async def upstream(brain: Responder, **options: Any) -> AsyncIterator[Any]:
    async with serve(responder=brain, voice=ToneVoice(), options=ServerOptions(burst=100, **options)) as server:
        yield server


async def answered(client: Client, after: int = 0) -> dict[str, Any]:
    response: dict[str, Any] = (await client.next("response.done", after=after))["response"]
    return response


async def until(true: Callable[[], bool]) -> None:
    for _ in range(2000):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about")


async def ask(client: Client, text: str) -> dict[str, Any]:
    after = len(client.events)
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    await client.send("conversation.item.create", item=item)
    await client.send("response.create")
    return await answered(client, after)


def said(response: dict[str, Any]) -> str:
    return " ".join(
        part.get("transcript") or part.get("text") or ""
        for item in response["output"]
        for part in item.get("content", [])
    )


def test_the_other_server_answers_with_its_own_voice() -> None:
    async def test() -> None:
        brain = Says([Say("It is raining in Paris today.")])
        async with upstream(brain) as server, session_in_memory(Proxy(server.url)) as client:
            await client.update(instructions="Be brief.")
            response = await ask(client, "How is the weather?")
            assert said(response) == "It is raining in Paris today."
            ours = client.audio_of(response["id"])
            theirs = await ToneVoice().synthesize("It is raining in Paris today.", "alloy", 1.0)
            assert ours == wire(theirs)  # to the sample
            turn = brain.turns[0]
            assert (turn.text, turn.instructions, turn.modality) == ("How is the weather?", "Be brief.", "audio")

    run(test)


def test_what_was_spoken_reaches_it_once_and_stays_in_its_context() -> None:
    async def test() -> None:
        sizes: list[list[int]] = []

        class Ears(Says):
            async def respond(self, turn: Turn) -> AsyncIterator[Part]:
                sounds = [turn.audio_of(item["id"]).size for item in turn.items if item.get("role") == "user"]
                sizes.append(sounds)
                yield Say("I see.")

        async with upstream(Ears()) as server, session_in_memory(Proxy(server.url)) as client:
            for _ in range(2):
                after = len(client.events)
                await client.append(question())
                await answered(client, after)
        assert [len(each) for each in sizes] == [1, 2]
        assert sizes[1][0] == sizes[0][0] > 24000  # the same sound, referred to
        assert all(size > 24000 for size in sizes[1])

    run(test)


def test_text_tools_and_failures_pass_through() -> None:
    async def test() -> None:
        brain = Says(
            [Say("One two three.")],
            [ToolCall("get_weather", '{"city": "Paris"}', "call_7")],
            [Fail("Slow down.", "rate_limit_exceeded", "rate_limit_error")],
            [Say("Cut"), Stop("content_filter")],
        )
        tool = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}
        async with upstream(brain) as server, session_in_memory(Proxy(server.url)) as client:
            await client.update(output_modalities=["text"], tools=[tool])
            assert said(await ask(client, "Count.")) == "One two three."
            call = (await ask(client, "Weather?"))["output"][0]
            assert (call["name"], json.loads(call["arguments"]), call["call_id"]) == (
                "get_weather",
                {"city": "Paris"},
                "call_7",
            )
            assert [each.name for each in brain.turns[1].tools] == ["get_weather"]
            output = {"type": "function_call_output", "call_id": "call_7", "output": "rain"}
            await client.send("conversation.item.create", item=output)
            failed = await ask(client, "And?")
            assert failed["status"] == "failed"
            assert failed["status_details"]["error"]["code"] == "rate_limit_exceeded"
            assert brain.turns[2].items[-2]["output"] == "rain"
            assert (await ask(client, "More?"))["status_details"]["reason"] == "content_filter"

    run(test)


def test_a_cancelled_response_is_cancelled_there_too() -> None:
    async def test() -> None:
        brain = Says([Audio(np.full(24000, 0.1, np.float32), "on"), 100.0])
        async with upstream(brain) as server, session_in_memory(Proxy(server.url)) as client:
            await client.send("response.create")
            await client.next("response.output_audio.delta")
            await client.send("response.cancel")
            assert (await answered(client))["status"] == "cancelled"
            await until(lambda: brain.closed > 0)

    run(test)


def test_responses_beside_the_conversation_run_at_the_same_time() -> None:
    async def test() -> None:
        brain = Says([0.3, Say("Slow.")], [Say("Quick.")])
        async with upstream(brain) as server, session_in_memory(Proxy(server.url)) as client:
            await client.send("response.create")
            await client.next("response.created")
            await client.send("response.create", response={"conversation": "none", "input": [], "metadata": {"a": "b"}})
            await until(lambda: len(client.of("response.done")) == 2)
            done = {said(event["response"]): event["response"] for event in client.of("response.done")}
            assert set(done) == {"Slow.", "Quick."}
            assert done["Quick."]["metadata"] == {"a": "b"}

    run(test)


def test_the_line_dies_in_the_middle_and_the_local_brain_goes_on() -> None:
    async def test() -> None:
        there = Says([Audio(np.full(12000, 0.1, np.float32), "Half"), 100.0])
        here = Says([Say("Local answer.")])
        async with session_with(there, Proxy, fallback=here, notice="Line down.") as (client, server):
            await client.send("response.create")
            await client.next("response.output_audio.delta")
            await server.close()
            response = await answered(client)
            assert response["status"] == "completed"
            assert said(response).endswith("Line down. Local answer.")
            assert said(await ask(client, "Still there?")) == "Local answer."  # told once

    run(test)


@asynccontextmanager
async def session_with(there: Responder, kind: type[Proxy], **settings: Any) -> AsyncIterator[tuple[Client, Any]]:
    async with upstream(there) as server, session_in_memory(kind(server.url, **settings)) as client:
        yield client, server


def test_it_comes_back_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.server.responders.proxy.FIRST_RETRY_S", 0.05)

    async def test() -> None:
        there, here = Says([Say("There.")]), Says([Say("Here.")])
        async with upstream(there) as server:
            port = int(server.url.split(":")[2].split("/")[0])
            proxy = Proxy(server.url, fallback=here, notice="Down.")
            async with session_in_memory(proxy) as client:
                assert said(await ask(client, "one")) == "There."
                await server.close()
                assert said(await ask(client, "two")) == "Down. Here."
                async with serve(port=port, responder=there, voice=ToneVoice()):
                    for _ in range(400):
                        if said(await ask(client, "three")) == "There.":
                            break
                        await asyncio.sleep(0.05)
                    assert there.turns[-1].text == "three"
                    assert len(there.turns[-1].items) > 3  # the whole conversation, what was said here included

    run(test)


def test_without_a_line_from_the_start() -> None:
    async def test() -> None:
        here = Says([Say("Here.")])
        async with session_in_memory(Proxy("ws://127.0.0.1:1/v1/realtime", fallback=here, notice="Down.")) as client:
            assert said(await ask(client, "one")) == "Down. Here."
        ours, theirs = pair()
        client = Client(ours)
        reading = asyncio.create_task(client.read())
        await serve_connection(
            theirs, responder=Proxy("ws://127.0.0.1:1/v1/realtime", fallback=None), voice=ToneVoice()
        )
        await reading
        assert client.types() == ["error"]
        assert client.events[0]["error"]["code"] == "brain_unavailable"

    run(test)


def test_a_refused_key_is_told_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async def never(_: Any) -> None: ...

        def door(socket: Any, request: Any) -> Any:
            assert request.headers["Authorization"] == f"Bearer {KEY}"
            return socket.respond(401, f"no such key: {KEY}\n")

        async with listen(never, "127.0.0.1", 0, process_request=door) as listening:
            port = listening.sockets[0].getsockname()[1]
            ours, theirs = pair()
            client = Client(ours)
            reading = asyncio.create_task(client.read())
            proxy = Proxy(f"ws://127.0.0.1:{port}/v1/realtime", key=KEY)
            await serve_connection(theirs, responder=proxy, voice=ToneVoice())
            await reading
            error = client.events[0]["error"]
            assert error["code"] == "brain_unavailable"
            assert "401" in error["message"]
            assert KEY not in json.dumps(client.events) + caplog.text + repr(proxy) + proxy.name

    run(test)


def test_garbage_from_the_other_server_ends_nothing() -> None:
    async def test() -> None:
        async def talks(socket: Any) -> None:
            await socket.send(json.dumps({"type": "session.created", "event_id": "e1", "session": {}}))
            async for message in socket:
                event = json.loads(message)
                if event["type"] == "session.update":
                    await socket.send(json.dumps({"type": "session.updated", "event_id": "e2", "session": {}}))
                if event["type"] == "response.create":
                    await socket.send("not json")
                    await socket.send(json.dumps({"type": "made.up", "event_id": "e3"}))
                    error = {"type": "invalid_request_error", "code": "invalid_value", "message": "no", "param": None}
                    named = {**error, "event_id": event["event_id"]}
                    await socket.send(json.dumps({"type": "error", "event_id": "e4", "error": named}))

        async with listen(talks, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            async with session_in_memory(Proxy(f"ws://127.0.0.1:{port}/v1/realtime")) as client:
                response = await ask(client, "hello")
                assert response["status"] == "failed"
                assert response["status_details"]["error"]["message"] == "no"

    run(test)


def test_by_name() -> None:
    assert responder("proxy:ws://127.0.0.1:9/v1/realtime?model=m").name == "proxy to ws://127.0.0.1:9/v1/realtime"


def test_words_are_never_cut() -> None:
    from engine.realtime import events as ev
    from engine.server.responders.upstream import _Writing

    where: dict[str, Any] = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
    writing = _Writing(False, ())
    parts: list[Part] = []
    for delta in ("Hel", "lo wor", "ld, how", " are you"):
        parts += writing.parts(ev.ResponseOutputAudioTranscriptDelta(**where, delta=delta))
        parts += writing.parts(ev.ResponseOutputAudioDelta(**where, delta=b64decode("AAAAAA==")))
    parts += writing.parts(ev.ResponseContentPartDone(**where, part={"type": "audio"}))
    words = [part.transcript for part in parts if isinstance(part, Audio)]
    assert words == ["Hello", "world,", "how are", "you"]
    assert sum(part.samples.size for part in parts if isinstance(part, Audio)) == 8
