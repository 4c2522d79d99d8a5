"""What broke other servers, continued: connections, and sessions as a whole. The table is in test_lessons.py."""

from __future__ import annotations

import asyncio
import json
import threading
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from websockets.asyncio.client import connect

from engine.server import Server, ServerOptions
from engine.server.recognisers import Heard
from engine.server.responders import Part, Say, Script, Turn
from tests.server.harness import Client, Says, question, run, session, silence, speech, wire
from tests.server.test_beta import old_session
from tests.server.test_websocket import BOTH, STAGES, drained, expect, with_server

HELLO = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
LONG = [Say("This answer goes on for a long time. " * 8)]
HEARD = "conversation.item.input_audio_transcription."
TURN = wire(silence(0.5), speech(), silence(1.0))


async def say(client: Client, turn: bytes = TURN) -> None:
    """A whole turn at once, and a moment for what it leads to."""
    await client.append(turn)
    await asyncio.sleep(0)


# ---- connections


def test_a_socket_cut_anywhere_takes_nobody_with_it() -> None:
    async def test(server: Server) -> None:
        async with connect(server.url, max_size=None) as other:
            await other.send(json.dumps({"type": "response.create"}))
            await expect(other, "response.created")
            for events, until in STAGES:
                client = await connect(server.url)
                for event in events:
                    await client.send(json.dumps(event))
                await expect(client, until)
                client.transport.abort()
            done = await expect(other, "response.done")
            assert done["response"]["status"] == "completed"
        await drained(server)

    with_server(test, ServerOptions(burst=2))


def test_a_slow_brain_delays_nobody_else() -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            brain = Says([2.0, Say("At last.")])
            clients = [await stack.enter_async_context(session(brain, alone=False)) for _ in range(12)]
            began = loop.time()
            for client in clients:
                await say(client)
            for client in clients:
                await client.next("response.output_audio.delta")
            assert loop.time() - began < 3, "twelve wait no longer than one"

    run(scene)


@BOTH
def test_pings_are_answered_under_load_and_none_times_a_client_out(front: str) -> None:
    async def test(server: Server) -> None:
        clients = [await connect(server.url, max_size=None, max_queue=None) for _ in range(8)]
        for client in clients:
            await expect(client, "session.created")
            await client.send(json.dumps({"type": "input_audio_buffer.append", "audio": b64encode(TURN * 3).decode()}))
        for client in clients:
            await asyncio.wait_for(await client.ping(), 20)
        assert all(each.ping_interval is None for each in server.sockets.open), "it pings nobody, so none is late"
        for client in clients:
            await client.close()

    with_server(test, front=front)


def test_a_huge_append_lets_other_sessions_pass() -> None:
    async def scene() -> None:
        async with session(alone=False) as one, session(alone=False) as other:
            order: list[str] = []

            async def huge() -> None:
                await one.append(bytes(10 * 2**20))
                await one.update()
                order.append("huge")

            async def small() -> None:
                for _ in range(5):
                    await other.update()
                order.append("small")

            await asyncio.gather(huge(), small())
            assert order == ["small", "huge"]

    run(scene)


def test_threads_do_not_grow_with_sessions() -> None:
    async def scene() -> None:
        counts = []
        async with AsyncExitStack() as stack:
            for _ in range(3):
                for _ in range(10):
                    client = await stack.enter_async_context(session(Says([Say("Yes.")]), alone=False))
                    await say(client)
                    await client.next("response.done")
                counts.append(threading.active_count())
        assert counts[0] == counts[-1]

    run(scene)


@pytest.mark.parametrize(
    ("headers", "protocols", "query"),
    [
        ({}, None, ""),
        ({"Authorization": "Bearer sk-anything"}, None, ""),
        ({"Authorization": "Bearer "}, None, ""),
        ({"Authorization": ""}, None, ""),
        ({"api-key": "x"}, None, "&api-key=x"),
        ({}, ["realtime", "openai-insecure-api-key.", "openai-beta.realtime-v1"], ""),
        ({"Authorization": "Bearer sk-x"}, ["realtime"], "&api_key=x"),
        ({}, ["realtime", "openai-insecure-api-key.sk-x"], ""),
    ],
)
def test_keys_wherever_they_stand_break_nothing(headers: dict[str, str], protocols: Any, query: str) -> None:
    async def test(server: Server) -> None:
        url = f"{server.url}?model=m{query}"
        async with connect(url, additional_headers=headers, subprotocols=protocols) as client:
            assert (await expect(client, "session.created"))["session"]["output_modalities"] == ["audio"]

    with_server(test)


def test_connections_one_after_the_other() -> None:
    async def test(server: Server) -> None:
        for _ in range(25):
            async with connect(server.url) as client:
                await expect(client, "session.created")
                await client.send(json.dumps({"type": "response.create"}))
                await expect(client, "response.done")
        await drained(server)

    with_server(test)


# ---- sessions


def test_dictation_in_either_dialect() -> None:
    """A program that writes down, over plain ws on this machine, with an empty key: as it begins, speaks and ends."""
    words = "take a note"
    audio = b64encode(question()).decode()

    async def test(server: Server) -> None:
        url = server.url + "?intent=transcription"  # from http://host/v1: ws, and /realtime behind it
        for beta in (False, True):
            headers = {"Authorization": "Bearer ", **({"OpenAI-Beta": "realtime=v1"} if beta else {})}
            prefix = "transcription_session" if beta else "session"
            async with connect(url, additional_headers=headers) as client:
                await expect(client, f"{prefix}.created")
                today = {"type": "transcription", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}
                wanted = {"input_audio_transcription": {"model": "whisper-1"}} if beta else today
                await client.send(json.dumps({"type": f"{prefix}.update", "session": wanted}))
                await expect(client, f"{prefix}.updated")
                await client.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
                assert (await expect(client, HEARD + "completed"))["transcript"] == words

    with_server(test, ServerOptions(beta=True), Script({"transcripts": [words]}))

    async def old_names() -> None:
        async with old_session(Script({"transcripts": [words]}), transcription=True) as client:
            await client.send("session.update", session={})
            assert (await client.next("error"))["error"]["code"] == "invalid_parameter"

    run(old_names)


class Warming(Says):
    """Needs a while before it can answer, or cannot."""

    def __init__(self, problem: Exception | None = None) -> None:
        super().__init__([Say("Ready.")])
        self.problem = problem
        self.warmed = 0

    async def warm_up(self) -> None:
        """See WarmsUp."""
        await asyncio.sleep(1.5)
        self.warmed += 1
        if self.problem is not None:
            raise self.problem


def test_no_session_before_its_brain() -> None:
    async def scene() -> None:
        brain = Warming()
        async with session(brain) as client:
            assert brain.warmed == 1
            assert client.times[0] >= 1.5
            await say(client)
            await client.next("response.done")

    run(scene)


def test_a_brain_that_cannot_be_had_is_told_and_the_line_closed() -> None:
    async def test(server: Server) -> None:
        async with connect(server.url) as client:
            first = json.loads(await client.recv())
            assert (first["type"], first["error"]["type"]) == ("error", "server_error")
            await client.wait_closed()
            assert client.close_code == 1011

    with_server(test, responder=Warming(OSError("no model")))


def test_updates_one_after_the_other_say_the_same() -> None:
    async def scene() -> None:
        async with session() as client:
            wanted = {"instructions": "Be brief.", "audio": {"input": {"turn_detection": {"threshold": 0.6}}}}
            told = [(await client.update(**wanted))["session"] for _ in range(4)]
            assert all(each == told[0] for each in told)
            assert told[0] == {
                **client.events[0]["session"],
                "instructions": "Be brief.",
                "audio": told[0]["audio"],
            }
            assert told[0]["audio"]["input"]["turn_detection"]["threshold"] == 0.6

    run(scene)


def test_the_end_of_a_session_is_foreseen_and_the_next_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    options = ServerOptions(session_s=30, expiry_warning_s=10, expiry_reminder=True)

    async def scene() -> None:
        brain = Says([Say("Noted.")])
        async with session(brain, options) as client:
            await client.send("conversation.item.create", item={**HELLO, "id": "first"})
            await client.send("response.create")
            reply = (await client.next("response.done"))["response"]["output"][0]
            await asyncio.sleep(21)
            assert "ends in 10 s" in caplog.text
            assert client.of("session.updated")[-1]["session"]["expires_at"] > 0
            await asyncio.sleep(10)
            assert client.closed is not None and client.closed.code == 1001
        async with session(brain, options) as client:
            said = [{"type": "output_text", "text": reply["content"][0]["transcript"]}]
            await client.send("conversation.item.create", item={**HELLO, "id": "first"})
            again = {"type": "message", "role": "assistant", "content": said, "id": reply["id"]}
            await client.send("conversation.item.create", item=again)
            await client.send("response.create")
            await client.next("response.done")
            assert [item["id"] for item in brain.turns[-1].items] == ["first", reply["id"]]

    run(scene)


class Ears:
    """Hears the same words always."""

    name = "ears"

    async def transcribe(self, samples: Any, *, language: str | None = None, prompt: str = "") -> Heard:
        """See Recogniser."""
        await asyncio.sleep(0.2)
        return Heard("two rolls")


class Head:
    """Answers what was understood."""

    name = "head"

    async def respond(self, turn: Turn) -> AsyncIterator[Part]:
        """See Responder."""
        turn = await turn.understood()
        yield Say(f"You want {turn.text}.")


def test_ears_a_head_and_a_voice_make_a_session() -> None:
    async def scene() -> None:
        async with session(Head(), recogniser=Ears()) as client:
            await say(client)
            done = (await client.next("response.done"))["response"]
            assert done["output"][0]["content"][0]["transcript"] == "You want two rolls."
            assert client.audio_of(done["id"])

    run(scene)


def test_one_brain_serves_all() -> None:
    async def test(server: Server) -> None:
        clients = [await connect(server.url) for _ in range(12)]
        for client in clients:
            await client.send(json.dumps({"type": "response.create"}))
        for client in clients:
            await expect(client, "response.done")
            await client.close()
        assert brain.warmed == 1
        assert len(brain.turns) == 12

    brain = Warming()
    with_server(test, responder=brain)


def test_nothing_of_a_session_reaches_the_next() -> None:
    async def scene() -> None:
        brain = Says(LONG)
        async with session(brain, ServerOptions(burst=1)) as client:
            await say(client)
            await client.next("response.output_audio.delta")
            first = client.events[0]["session"]
        async with session(brain) as client:
            await asyncio.sleep(30)
            assert [event["type"] for event in client.events] == ["session.created"]
            told = client.events[0]["session"]
            assert {**told, "expires_at": 0} == {**first, "expires_at": 0}  # the ids are the same by the test's seed
            assert brain.closed == 1

    run(scene)
