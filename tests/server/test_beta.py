"""The older dialect, served: what its clients send is obeyed, what they are told is in their words."""

from __future__ import annotations

import asyncio
import json
import random
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from engine import clock
from engine.realtime.beta_names import EVENTS, PLACES
from engine.realtime.beta_served import BetaServed
from engine.server import Server, ServerOptions, serve_connection
from engine.server.responders import Responder, Say, Script, Text
from engine.server.voices import ToneVoice
from engine.server.web.asked import asks_for_beta
from engine.transport import Connection, pair
from engine.transport.dialect import in_beta
from tests.conversation import older
from tests.conversation.harness import hold
from tests.conversation.harness import question as asked_aloud
from tests.conversation.test_dialects import SESSION, Brain, look_up, types_too
from tests.server.harness import Says, question, run
from tests.server.test_websocket import BOTH, expect, with_server

HEADERS = {"OpenAI-Beta": "realtime=v1"}
Message = dict[str, Any]


class OldClient:
    """A client of then: plain messages in, plain messages out."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.events: list[Message] = []

    async def send(self, type: str, **fields: Any) -> None:
        """Send one event."""
        await self.connection.send(json.dumps({"type": type, **fields}))

    async def next(self, *types: str) -> Message:
        """Read up to the first event of one of these types."""
        async with asyncio.timeout(60):
            while True:
                event: Message = json.loads(await self.connection.receive())
                self.events.append(event)
                if event["type"] in types:
                    return event

    async def ask(self, **session: Any) -> Message:
        """Send session.update and return the answer."""
        await self.send("session.update", session=session, event_id="asked")
        return await self.next("session.updated", "error")

    def types(self) -> list[str]:
        """The types so far, runs of deltas as one."""
        kinds = [event["type"] for event in self.events]
        return [kind for n, kind in enumerate(kinds) if n == 0 or kind != kinds[n - 1] or not kind.endswith(".delta")]


@asynccontextmanager
async def old_session(responder: Responder, **settings: Any) -> AsyncIterator[OldClient]:
    """A session whose client speaks the older dialect."""
    ours, theirs = pair()
    serving = asyncio.create_task(
        serve_connection(
            theirs, responder=responder, voice=ToneVoice(), rng=random.Random(1), **{"beta": True, **settings}
        )
    )
    try:
        yield OldClient(ours)
    finally:
        await ours.close()
        await serving


def test_a_session_is_flat_and_the_conversation_is_announced() -> None:
    async def scene() -> None:
        async with old_session(Says([Say("Yes.")])) as client:
            created = (await client.next("session.created"))["session"]
            expected: Message = {"modalities": ["text", "audio"], "voice": "alloy", "input_audio_format": "pcm16"}
            expected |= {"output_audio_format": "pcm16", "input_audio_transcription": None, "temperature": 0.8}
            expected |= {
                "max_response_output_tokens": "inf",
                "tool_choice": "auto",
                "input_audio_noise_reduction": None,
            }
            assert {name: created[name] for name in expected} == expected
            assert created["turn_detection"]["type"] == "server_vad"
            assert not {"type", "audio", "output_modalities", "max_output_tokens", "truncation"} & set(created)
            conversation = (await client.next("conversation.created"))["conversation"]
            assert conversation["object"] == "realtime.conversation"
            asked: Message = {
                "voice": "echo",
                "input_audio_format": "g711_ulaw",
                "temperature": 0.7,
                "modalities": ["text"],
            }
            asked |= {"max_response_output_tokens": 500, "turn_detection": {"type": "server_vad", "threshold": 0.6}}
            told = (await client.ask(**asked))["session"]
            assert told["turn_detection"].pop("silence_duration_ms") == 500
            assert {name: told[name] for name in asked} | {"turn_detection": asked["turn_detection"]} == asked
            assert (await client.ask(instructions="Be brief."))["session"]["temperature"] == 0.7
            assert (await client.ask(turn_detection=None))["session"]["turn_detection"] is None

    run(scene)


def test_a_voice_turn_has_the_older_events() -> None:
    async def scene() -> None:
        async with old_session(Says([Say("Sunny.")])) as client:
            await client.send("input_audio_buffer.append", audio=b64encode(question()).decode())
            done = (await client.next("response.done"))["response"]
            assert client.types() == [
                "session.created", "conversation.created",
                "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped",
                "input_audio_buffer.committed",
                "conversation.item.created", "response.created", "response.output_item.added",
                "conversation.item.created", "response.content_part.added", "response.audio_transcript.delta",
                "response.audio.delta", "response.audio.done", "response.audio_transcript.done",
                "response.content_part.done", "response.output_item.done", "response.done",
            ]  # fmt: skip
            assert done["output"][0]["content"] == [{"type": "audio", "transcript": "Sunny."}]
            assert (done["modalities"], done["voice"], done["temperature"]) == (["text", "audio"], "alloy", 0.8)
            assert "audio" not in done and "output_modalities" not in done

    run(scene)


def test_one_response_may_have_its_own_settings() -> None:
    async def scene() -> None:
        brain = Says([Text("Written.")], [Say("Said.")])
        async with old_session(brain) as client:
            words = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hello?"}]}
            await client.send("conversation.item.create", item=words)
            assert (await client.next("conversation.item.created"))["item"]["content"][0]["type"] == "text"
            wanted = {"modalities": ["text"], "temperature": 1.1, "max_response_output_tokens": 99, "input": [words]}
            await client.send("response.create", response=wanted)
            done = (await client.next("response.done"))["response"]
            assert (done["modalities"], done["temperature"], done["max_output_tokens"]) == (["text"], 1.1, 99)
            assert done["output"][0]["content"] == [{"type": "text", "text": "Written."}]
            assert brain.turns[0].items[0]["content"][0]["type"] == "output_text"
            await client.send("response.create", response={"voice": "ash", "output_audio_format": "g711_alaw"})
            done = (await client.next("response.done"))["response"]
            assert (done["voice"], done["output_audio_format"], done["temperature"]) == ("ash", "g711_alaw", 0.8)

    run(scene)


REFUSED: list[tuple[str, Message, str, str | None]] = [
    ("session.update", {"session": {"type": "realtime"}}, "unknown_parameter", "session.type"),
    ("session.update", {"session": {"audio": {}}}, "unknown_parameter", "session.audio"),
    ("session.update", {"session": {"max_output_tokens": 5}}, "unknown_parameter", "session.max_output_tokens"),
    ("session.update", {"session": {"shiny": 5}}, "unknown_parameter", "session.shiny"),
    ("session.update", {"session": {"temperature": 0.5}}, "invalid_value", "session.temperature"),
    ("session.update", {"session": {"temperature": "hot"}}, "invalid_type", "session.temperature"),
    ("session.update", {"session": {"modalities": ["audio"]}}, "invalid_value", "session.modalities"),
    ("session.update", {"session": {"modalities": "text"}}, "invalid_type", "session.modalities"),
    ("session.update", {"session": {"voice": 7}}, "invalid_type", "session.voice"),
    ("session.update", {"session": {"speed": 9}}, "invalid_value", "session.speed"),
    ("session.update", {"session": {"input_audio_format": "pcm24"}}, "invalid_value", "session.input_audio_format"),
    ("session.update", {"session": {"output_audio_format": 3}}, "invalid_type", "session.output_audio_format"),
    (
        "session.update",
        {"session": {"input_audio_transcription": {"enabled": True}}},
        "unknown_parameter",
        "session.input_audio_transcription.enabled",
    ),
    (
        "session.update",
        {"session": {"turn_detection": {"type": "server_vad", "threshold": 2}}},
        "invalid_value",
        "session.turn_detection.threshold",
    ),
    (
        "session.update",
        {"session": {"max_response_output_tokens": 5000}},
        "invalid_value",
        "session.max_response_output_tokens",
    ),
    ("transcription_session.update", {"session": {}}, "invalid_parameter", None),
    ("response.create", {"response": {"output_modalities": []}}, "unknown_parameter", "response.output_modalities"),
    ("response.create", {"response": {"temperature": 2}}, "invalid_value", "response.temperature"),
    ("session.update", {}, "missing_required_parameter", "session"),
    ("session.update", {"session": 5}, "invalid_type", "session"),
]  # fmt: skip


def test_refusals_name_fields_in_the_older_words_and_change_nothing() -> None:
    async def scene() -> None:
        async with old_session(Says([Say("Yes.")])) as client:
            before = (await client.next("session.created"))["session"]
            for kind, fields, code, param in REFUSED:
                await client.send(kind, event_id="mine", **fields)
                error = (await client.next("error"))["error"]
                assert (error["code"], error["event_id"]) == (code, "mine"), (fields, error)
                assert param is None or error["param"] == param, (fields, error)
                assert "session.audio." not in error["message"] and "audio/pcm" not in error["message"], error
            assert (await client.ask())["session"] == before
            await client.send("response.create", response={"temperature": 1.0, "conversation": 5})
            await client.next("error")
            await client.send("input_audio_buffer.append", audio=b64encode(question()).decode())
            assert (await client.next("response.created"))["response"]["temperature"] == 0.8

    run(scene)


def test_a_transcription_session_has_its_older_names() -> None:
    async def scene() -> None:
        async with old_session(Script({"transcripts": ["what is the weather"]}), transcription=True) as client:
            created = (await client.next("transcription_session.created"))["session"]
            assert created["object"] == "realtime.transcription_session"
            assert "temperature" not in created and "audio" not in created
            listening = {"input_audio_transcription": {"model": "gpt-4o-transcribe"}, "input_audio_format": "pcm16"}
            await client.send("transcription_session.update", session=listening)
            told = (await client.next("transcription_session.updated", "error"))["session"]
            assert {name: told[name] for name in listening} == listening
            await client.send("input_audio_buffer.append", audio=b64encode(question()).decode())
            done = await client.next("conversation.item.input_audio_transcription.completed")
            assert done["transcript"] == "what is the weather"
            assert "conversation.created" not in client.types()
            await client.send("session.update", session={})
            assert (await client.next("error"))["error"]["code"] == "invalid_parameter"

    run(scene)


class Beta(older.Servers):
    """The server inside in the older dialect of its own, listened to on the wire."""

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Connection]:
        ours, theirs = pair()
        end = older.Heard(theirs, self.wire)
        serving = asyncio.create_task(
            serve_connection(
                end, responder=Brain(), voice=ToneVoice(), rng=random.Random(1), beta=True, detector=older.Loud
            )
        )
        try:
            yield ours
        finally:
            await ours.close()
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving


def said(wire: list[tuple[str, Message]]) -> list[Message]:
    """What the server said, ids by number; without what only ours says."""
    seen: dict[str, str] = {}
    kept = [{**event, "event_id": ""} for who, event in wire if who == "server"]
    kept = [event for event in kept if event["type"] != "conversation.created"]
    numbered = r'"(resp|item|sess|conv|call)_[A-Za-z0-9_.]+"(?!:)'
    text = re.sub(
        numbered, lambda found: seen.setdefault(found.group(), f'"{found.group(1)}_{len(seen)}"'), json.dumps(kept)
    )
    result: list[Message] = json.loads(text)
    return result


def contains(whole: Any, part: Any) -> bool:
    """Whether every member of `part` is in `whole`."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(
            name in whole and contains(whole[name], value) for name, value in part.items() if name != "expires_at"
        )
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) == len(whole) and all(map(contains, whole, part))
    return bool(whole == part)


def test_a_conversation_is_as_an_independent_translation_has_it() -> None:
    """older.py was written from the list of differences; our client sits on the other end of both."""
    heard = []
    for servers in (Beta(Brain(), older=True), older.Servers(Brain(), older=True)):

        async def main(way: Any = in_beta(servers)) -> Any:  # noqa: B008 - one for each
            return await hold(asked_aloud(6.0), way, session=SESSION, tools=[look_up], during=types_too, read=False)

        heard.append((clock.run_virtual(main()), said(servers.wire)))
    (ours, told), (theirs, expected) = heard
    assert np.array_equal(ours.recorded, theirs.recorded)
    assert not ours.conversation.anomalies
    assert [event["type"] for event in told] == [event["type"] for event in expected]
    for event, other in zip(told, expected, strict=True):
        if other["type"] in ("session.created", "session.updated"):
            assert contains(event, other)
        elif "response" in other:
            assert contains(event["response"], other["response"])
        else:
            assert event == other


# ---- over sockets


def test_the_header_is_served_behind_the_option_and_refused_without_it() -> None:
    async def on(server: Server) -> None:
        async with connect(server.url + "?model=m", additional_headers=HEADERS) as client:
            created = (await expect(client, "session.created"))["session"]
            assert created["modalities"] == ["text", "audio"]
        async with connect(server.url + "?model=m") as client:
            assert (await expect(client, "session.created"))["session"]["output_modalities"] == ["audio"]
        async with connect(server.url + "?intent=transcription", additional_headers=HEADERS) as client:
            await expect(client, "transcription_session.created")

    async def off(server: Server) -> None:
        for path in ("?model=m", "?intent=transcription"):
            async with connect(server.url + path, additional_headers=HEADERS) as client:
                first = json.loads(await client.recv())
                error = first["error"]
                assert (first["type"], error["type"]) == ("error", "invalid_request_error")
                assert (error["code"], error["param"]) == ("beta_api_shape_disabled", None)
                assert error["message"] == (
                    "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
                )
                with pytest.raises(ConnectionClosed) as closed:
                    await client.recv()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 4000
                assert closed.value.rcvd.reason == "invalid_request_error.beta_api_shape_disabled"

    with_server(on, ServerOptions(beta=True))
    with_server(off)


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/translations?model=gpt-realtime-translate", "translation_not_supported", "Use /v1/realtime?model="),
        ("?model=gpt-realtime-translate", "translation_not_supported", "/v1/realtime?intent=transcription"),
        ("?intent=transcription&model=whisper-1", "invalid_model", "You must not provide a model parameter"),
    ],
)
def test_what_is_not_served_is_answered_with_a_clear_error(path: str, code: str, words: str) -> None:
    async def test(server: Server) -> None:
        async with connect(server.url + path) as client:
            error = (await expect(client, "error"))["error"]
            assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, None)
            assert words in error["message"]
            with pytest.raises(ConnectionClosed) as closed:
                await client.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 4000

    with_server(test)


@pytest.mark.parametrize(
    ("headers", "asked"),
    [([], False), (["realtime=v1"], True), (["assistants=v2, realtime=v1"], True), (["realtime=v10"], False)],
)
def test_which_header_asks_for_it(headers: list[str], asked: bool) -> None:
    assert asks_for_beta(headers) is asked


@BOTH
def test_a_page_asks_for_it_by_subprotocol(front: str) -> None:
    """Which has no other header; where the dialect is not served, such a page gets today's, as it always did."""

    def test(first: str) -> Callable[[Server], Awaitable[None]]:
        async def asked(server: Server) -> None:
            offered: Any = ["realtime", "openai-insecure-api-key.sk-none", "openai-beta.realtime-v1"]
            async with connect(server.url, subprotocols=offered) as client:
                session = (await expect(client, "session.created"))["session"]
                assert first in session
                assert client.subprotocol == "realtime"

        return asked

    with_server(test("modalities"), ServerOptions(beta=True), front=front)
    with_server(test("output_modalities"), front=front)


def test_the_translation_knows_every_name_both_ways() -> None:
    beta = BetaServed()
    for old, new in EVENTS.items():
        assert beta.outgoing(f'{{"type":"{new}","delta":"AA"}}'.encode()) == f'{{"type":"{old}","delta":"AA"}}'.encode()
    for name, path in PLACES.items():
        where = ".".join(path)
        error = {"type": "error", "error": {"param": f"session.{where}", "message": f"Wrong: 'session.{where}'."}}
        told = json.loads(beta.outgoing(json.dumps(error).encode()) or b"")
        assert told["error"] == {"param": f"session.{name}", "message": f"Wrong: 'session.{name}'."}


def test_errors_have_no_word_of_today() -> None:
    known = {"session.audio.input.format.type": "session.input_audio_format", "response.max_output_tokens": None}
    for param, expected in known.items():
        error = {"type": "error", "error": {"param": param, "message": "Supported values are: 'audio/pcm'."}}
        told = json.loads(BetaServed().outgoing(json.dumps(error).encode()) or b"")["error"]
        assert told == {"param": expected or param, "message": "Supported values are: 'pcm16'."}


@pytest.mark.parametrize("message", [b"{", b"[]", b'"x"', b'{"type": 5}', b'{"type":"new.event","x":1}', "no json"])
def test_what_is_no_event_passes_as_it_is(message: bytes | str) -> None:
    beta = BetaServed()
    assert beta.incoming(message) == message
    if isinstance(message, bytes):
        assert beta.outgoing(message) == message
