"""`chat` against a service of its own process: what is said, asked, called, refused and broken off."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigError, ServerFaultError, TransportError
from engine.server import ServerOptions, serve
from engine.server.formats import Samples
from engine.server.recognisers import Heard
from engine.server.responders import Fail, Part, Say, Stop, Text, Tool, ToolCallDelta, Turn, responder
from engine.server.responders.base import McpCall, McpTool
from engine.server.responders.chat import Chat, ChatSettings
from engine.server.responders.chat_answer import MAX_CALLS, ChatAnswer
from engine.server.responders.chat_messages import (
    CUT_OFF,
    NO_OUTPUT,
    UNKNOWN_WORDS,
    mcp_name,
    messages,
    tool_choice,
    tools,
)
from engine.server.responders.sse import EventStream
from engine.server.voices import ToneVoice
from engine.transport.websocket import connect

from .harness import Client
from .service import ChatApp, chat_app

pytest.importorskip("httpx2")

KEY = "sk-test-0123456789abcdef"


@pytest.fixture(scope="module")
def app() -> Iterator[ChatApp]:
    with chat_app() as running:
        yield running


def chat(app: ChatApp, model: str, **settings: Any) -> Chat:
    return Chat(ChatSettings(app.url, model, **settings))


def asked(text: str = "hello", **more: Any) -> Turn:
    items = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}]
    return Turn(number=1, user_turn=1, text=text, **{"items": items, **more})


def answered(brain: Chat, turn: Turn) -> list[Part]:
    async def collect() -> list[Part]:
        try:
            return [part async for part in brain.respond(turn)]
        finally:
            await brain.aclose()

    return asyncio.run(asyncio.wait_for(collect(), 60))


# ---- what is said


def test_an_answer_is_said_clause_by_clause(app: ChatApp) -> None:
    parts = answered(
        chat(app, "plain", temperature=0.5, max_tokens=9, extra={"top_p": 0.9}), asked(instructions="Be kind.")
    )
    assert parts == [Say("You said, and I heard it well,"), Say("hello."), Say("Anything else?"), Stop(None)]
    request = app.last()
    assert request["messages"] == [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hello"}]
    assert (request["stream"], request["temperature"], request["max_tokens"], request["top_p"]) == (True, 0.5, 9, 0.9)
    assert "tools" not in request and request["authorization"] is None


def test_thoughts_and_marks_are_not_said(app: ChatApp) -> None:
    said = [part.text for part in answered(chat(app, "marks"), asked()) if isinstance(part, Say)]
    assert said == ["Opening hours", "We are open from nine to six.", "Monday", "Tuesday", "See you, then."]


def test_in_writing_marks_stay_and_thoughts_do_not(app: ChatApp) -> None:
    parts = answered(chat(app, "marks"), asked(modality="text"))
    text = " ".join(part.text for part in parts if isinstance(part, Text))
    assert text.startswith("# Opening hours\n\nWe are **open** from") and "wants" not in text
    assert "print('never said')" in text


def test_a_service_that_does_not_stream(app: ChatApp) -> None:
    assert answered(chat(app, "whole"), asked()) == [Say("All at once."), Stop(None)]


def test_an_answer_that_is_cut_short_is_incomplete(app: ChatApp) -> None:
    assert answered(chat(app, "short"), asked()) == [Say("It goes on and on"), Stop("max_output_tokens")]


def test_speech_without_words_does_not_reach_the_model(app: ChatApp) -> None:
    seen = len(app.log()["requests"])
    items = [{"type": "message", "role": "user", "content": [{"type": "input_audio", "transcript": None}]}]
    turn = asked("", items=items, heard=Heard(""))
    assert answered(chat(app, "plain", not_understood="Pardon?"), turn) == [Say("Pardon?")]
    failed = replace(turn, heard=Heard(failure="No ears."))
    assert answered(chat(app, "plain"), failed) == [Fail("No ears.", code="transcription_failed")]
    assert len(app.log()["requests"]) == seen


# ---- tools


def test_calls_come_in_pieces_after_the_words(app: ChatApp) -> None:
    parts = answered(chat(app, "tools"), asked(tools=[Tool("get_weather", "Tells it.", {"type": "object"})]))
    assert parts == [
        Say("Let me see."),
        ToolCallDelta("", "get_weather", "call_a", 0),
        ToolCallDelta('{"ci', index=0),
        ToolCallDelta('ty": "Rome"}', index=0),
        ToolCallDelta("{}", "get_time", "call_b", 1),
        Stop(None),
    ]
    request = app.last()
    function = {"name": "get_weather", "description": "Tells it.", "parameters": {"type": "object"}}
    assert request["tools"] == [{"type": "function", "function": function}] and request["tool_choice"] == "auto"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
        ({"type": "mcp", "server_label": "x"}, "auto"),
    ],
)
def test_tool_choice(choice: Any, expected: Any) -> None:
    assert tool_choice(choice) == expected


def test_tools_of_mcp_servers_are_called_whole() -> None:
    known = McpTool("we.ather", "get", "Tells it.")
    assert tools(asked(mcp_tools=[known]))[0]["function"]["name"] == mcp_name("we.ather", "get") == "we_ather__get"
    assert (
        tool_choice({"type": "mcp", "server_label": "we.ather", "name": "get"})["function"]["name"] == "we_ather__get"
    )
    answer = ChatAnswer({"we_ather__get": ("we.ather", "get")})
    for piece in ({"function": {"name": "we_ather__get", "arguments": '{"a"'}}, {"function": {"arguments": ": 1}"}}):
        answer.add(json.dumps({"choices": [{"delta": {"tool_calls": [{"index": 0, **piece}]}}]}))
        assert answer.pieces() == []
    assert answer.rest() == [McpCall("we.ather", "get", '{"a": 1}')]


def test_a_function_without_parameters_has_an_object_of_none() -> None:
    assert tools(asked(tools=[Tool("f")])) == [
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    ]


# ---- the conversation as messages


def message(role: str, *parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": list(parts), **more}


def call(call_id: str) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": '{"a": 1}'}


def output(call_id: str, text: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": text}


def as_called(*ids: str, content: str | None = None) -> dict[str, Any]:
    made = [{"id": each, "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}} for each in ids]
    return {"role": "assistant", "content": content, "tool_calls": made}


def as_output(call_id: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def of(*items: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    return messages(asked(items=items, **more))


def test_words_said_and_written_are_messages() -> None:
    assert of(
        message("system", {"type": "input_text", "text": "Be brief."}),
        message("user", {"type": "input_audio", "transcript": "hello"}, {"type": "input_text", "text": "there"}),
        message("assistant", {"type": "output_audio", "transcript": "Good day."}),
        message("user", {"type": "input_audio", "transcript": None}),
        message("assistant"),
    ) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hello there"},
        {"role": "assistant", "content": "Good day."},
        {"role": "user", "content": UNKNOWN_WORDS},
    ]


def test_a_reply_that_was_cut_off_says_so() -> None:
    assert of(message("assistant", {"type": "output_audio"}, status="completed")) == [
        {"role": "assistant", "content": CUT_OFF}
    ]
    known = message("assistant", {"type": "output_audio"}, id="item_1")
    assert of(known, truncated={"item_1": 1240.0}) == [
        {"role": "assistant", "content": "[The user interrupted this reply after hearing 1.2 s of it.]"}
    ]
    cancelled = message("assistant", {"type": "output_audio", "transcript": "Well,"}, status="incomplete")
    assert of(cancelled) == [{"role": "assistant", "content": f"Well, {CUT_OFF}"}]


def test_outputs_follow_their_calls() -> None:
    between = message("user", {"type": "input_text", "text": "wait"})
    assert of(call("1"), call("2"), between, output("2", "two"), output("1", "one")) == [
        as_called("1", "2"), as_output("1", "one"), as_output("2", "two"), {"role": "user", "content": "wait"},
    ]  # fmt: skip


def test_calls_one_after_the_other_stay_apart_and_words_before_a_call_belong_to_it() -> None:
    said = message("assistant", {"type": "output_text", "text": "Let me see."})
    assert of(said, call("1"), output("1", "one"), call("2"), output("2", "two")) == [
        as_called("1", content="Let me see."), as_output("1", "one"), as_called("2"), as_output("2", "two"),
    ]  # fmt: skip


def test_what_has_no_counterpart_is_made_acceptable() -> None:
    assert of(call("1"), output("gone", "late")) == [
        as_called("1"),
        as_output("1", NO_OUTPUT),
        {"role": "system", "content": "Output of an earlier call (gone): late"},
    ]


def test_calls_of_mcp_servers_are_calls() -> None:
    done = {
        "type": "mcp_call",
        "server_label": "s",
        "id": "1",
        "name": "f",
        "arguments": '{"a": 1}',
        "output": None,
        "error": {"message": "no"},
    }
    called, answer = of(done)
    assert called["tool_calls"][0]["function"]["name"] == "s__f" and answer == as_output("1", "error: no")


def test_pictures_are_shown_or_mentioned() -> None:
    shown = message(
        "user", {"type": "input_text", "text": "see"}, {"type": "input_image", "image_url": "data:image/png,x"}
    )
    content = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "data:image/png,x"}}]
    assert of(shown) == [{"role": "user", "content": content}]
    assert messages(asked(items=[shown]), images=False) == [
        {"role": "user", "content": "see [1 pictures, which cannot be shown]"}
    ]


ITEMS = st.lists(
    st.sampled_from("123").flatmap(lambda n: st.sampled_from([call(n), output(n, "x")]))
    | st.sampled_from(["user", "assistant", "system"]).map(lambda role: message(role, {"type": "text", "text": "w"})),
    max_size=12,
    unique_by=lambda item: json.dumps([item["type"], item.get("call_id"), item.get("role")]),
)


@given(ITEMS)
def test_whatever_the_conversation_a_strict_service_takes_it(items: list[dict[str, Any]]) -> None:
    found = of(*items)
    waiting: list[str] = []
    for each in found:
        if each["role"] == "tool":
            waiting.remove(each["tool_call_id"])
            continue
        assert not waiting, "calls must be answered at once"
        waiting = [made["id"] for made in each.get("tool_calls", ())]
        assert each["content"] or waiting
    assert not waiting


# ---- what the stream may be


@given(st.lists(st.text(max_size=10), max_size=5), st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0, 99)))
def test_events_come_out_the_same_however_they_are_cut(datas: list[str], end: str, places: list[int]) -> None:
    datas = ["".join(sign for sign in data if sign not in "\r\n") for data in datas]
    whole = "".join(f": hello{end}event: x{end}data: {data}{end}data:b{end}{end}" for data in datas).encode()
    edges = sorted({0, len(whole), *(place % (len(whole) + 1) for place in places)})
    events = EventStream()
    found = [event for a, b in itertools.pairwise(edges) for event in events.process(whole[a:b])]
    assert found + events.flush() == [f"{data}\nb" for data in datas]


def test_an_event_without_end_is_given_up() -> None:
    events = EventStream(limit=1000)
    with pytest.raises(TransportError, match="over 1000 bytes"):
        for _ in range(30):
            events.process(b"data: " + b"x" * 90 + b"\n")
    with pytest.raises(TransportError):
        EventStream(limit=1000).process(b"x" * 1001)


def test_odd_ways_to_stream_calls() -> None:
    def made(*pieces: dict[str, Any]) -> list[tuple[str, str, str]]:
        answer, calls = ChatAnswer(), dict[int, tuple[str, str, str]]()
        for piece in (*pieces, None):
            answer.add(json.dumps({"choices": [{"delta": {"tool_calls": [piece] if piece else None}}]}))
            for told in answer.pieces() if piece else answer.rest():
                assert isinstance(told, ToolCallDelta)
                name, arguments, call_id = calls.get(told.index, (told.name, "", told.call_id))
                calls[told.index] = (name, arguments + told.arguments, call_id)
        return list(calls.values())

    whole = {"function": {"name": "f", "arguments": {"a": 1}}}
    assert made({"id": "1", **whole}, {"id": "2", **whole}) == [("f", '{"a":1}', "1"), ("f", '{"a":1}', "2")]
    same = [{"index": 0, "id": str(n), "function": {"name": f"f{n}", "arguments": "{}"}} for n in range(2)]
    assert made(*same) == [("f0", "{}", "0"), ("f1", "{}", "1")]
    late = [{"index": 0, "function": {"arguments": "{"}}, {"index": 0, "id": "x", "function": {"name": "f"}}]
    assert made(*late, {"index": 0, "function": {"arguments": "}"}}) == [("f", "{}", "x")]
    assert made({"index": 0, "id": "1", "function": {"name": "f"}}) == [("f", "{}", "1")]
    assert made({"index": 0, "function": {"arguments": "x"}}) == []
    with pytest.raises(TransportError, match="more than 64 calls"):
        made(*({"index": n, "id": str(n)} for n in range(MAX_CALLS + 1)))
    with pytest.raises(TransportError, match="characters"):
        made(
            {"index": 0, "function": {"name": "f", "arguments": "x" * 2**20}},
            {"index": 0, "function": {"arguments": "x"}},
        )


@pytest.mark.parametrize(
    "data", ["[]", "3", "{", '{"choices": 3}', '{"choices": [{"delta": 3}]}', '{"choices": [3]}', "{}"]
)
def test_nonsense_is_nothing_or_an_error(data: str) -> None:
    answer = ChatAnswer()
    if data in ("[]", "3", "{"):
        with pytest.raises(TransportError):
            answer.add(data)
    else:
        assert answer.add(data) == ""


def test_an_error_within_the_stream() -> None:
    with pytest.raises(ServerFaultError):
        ChatAnswer().add('{"error": {"message": "x"}}')


# ---- what goes wrong


@pytest.mark.parametrize(
    ("model", "code", "kind", "words"),
    [
        ("limit", "rate_limit_exceeded", "rate_limit_error", "answered 429: slow down. Try again in 7 s."),
        ("refuse", "invalid_api_key", "authentication_error", "the key is missing, wrong, or may not do this"),
        ("missing", "model_not_found", "invalid_request_error", "no model 'missing'"),
        ("bad", "odd_message", "invalid_request_error", "messages[0] is odd"),
        ("down", "server_error", "server_error", "answered 500: out of memory"),
        ("moved", "invalid_request", "invalid_request_error", "answered 302"),
        ("garbage", "brain_unavailable", "server_error", "no JSON"),
        ("huge", "brain_unavailable", "server_error", "an event of over"),
    ],
)
def test_failures_have_a_code_and_no_key(
    app: ChatApp,
    model: str,
    code: str,
    kind: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with caplog.at_level(logging.DEBUG):
        parts = answered(chat(app, model, key_env="MY_KEY"), asked())
    [fail] = parts
    assert isinstance(fail, Fail) and (fail.code, fail.type) == (code, kind) and words in fail.message
    assert KEY not in fail.message and KEY not in caplog.text
    assert app.last()["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(("model", "words"), [("broken", "broke off"), ("inside", "broke off with an error")])
def test_what_was_said_before_a_failure_stays_said(app: ChatApp, model: str, words: str) -> None:
    *said, fail = answered(chat(app, model), asked())
    assert said == [Say("This is the first sentence."), Say("And this")]
    assert isinstance(fail, Fail) and words in fail.message


@pytest.mark.parametrize(("model", "limits"), [("silent", {"first_s": 0.2}), ("silent", {"total_s": 0.2})])
def test_a_model_that_never_answers(app: ChatApp, model: str, limits: dict[str, float]) -> None:
    [fail] = answered(chat(app, model, **limits), asked())
    assert isinstance(fail, Fail) and fail.code == "timeout"


def test_nobody_there() -> None:
    brain = Chat(ChatSettings("http://127.0.0.1:9/v1", "m"))
    [fail] = answered(brain, asked())
    assert isinstance(fail, Fail) and fail.code == "brain_unavailable" and "cannot be reached" in fail.message
    with pytest.raises(TransportError, match="cannot be reached"):
        asyncio.run(brain.warm_up())


async def until_left(app: ChatApp, before: int) -> None:
    """Wait until the service has seen one more client go."""
    while (await asyncio.to_thread(app.log))["left"] == before:  # noqa: ASYNC110 - it is another process
        await asyncio.sleep(0.02)


def test_leaving_the_answer_closes_the_stream(app: ChatApp) -> None:
    before = app.log()["left"]
    brain = chat(app, "hang")

    async def leave() -> None:
        async with aclosing(brain.respond(asked())) as parts:  # type: ignore[type-var]
            assert await anext(parts) == Say("This is the first sentence.")
        await until_left(app, before)
        await brain.aclose()

    asyncio.run(asyncio.wait_for(leave(), 60))


def test_cancelling_while_it_waits_closes_the_stream(app: ChatApp) -> None:
    before = app.log()["left"]
    brain = chat(app, "hang")

    async def cancel() -> None:
        said = asyncio.Event()

        async def listen() -> None:
            async for _ in brain.respond(asked()):
                said.set()

        listening = asyncio.create_task(listen())
        await said.wait()
        listening.cancel()
        await until_left(app, before)
        await brain.aclose()

    asyncio.run(asyncio.wait_for(cancel(), 60))


# ---- settings


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"model": "m"}, "has no 'url'"),
        ({"url": "http://127.0.0.1:1/v1"}, "has no 'model'"),
        ({"url": "ftp://x", "model": "m"}, "url is 'ftp://x'"),
        ({"url": "http://h/v1", "model": "m", "temperature": "hot"}, "temperature must be a number, not a text"),
        ({"url": "http://h/v1", "model": "m", "tone": 1}, "tone is not known"),
        ({"url": "http://h/v1", "model": "m", "idle_s": 0}, "idle_s is 0.0: use"),
        ({"url": "http://h/v1", "model": "m", "extra": {"stream": False}}, "extra has 'stream'"),
        ({"url": "http://h/v1", "model": "m", "key_env": "NO_SUCH_KEY"}, "there is no such environment variable"),
        ({"url": "http://h/v1", "model": "m", "key_env": "MY_KEY"}, "a key would travel unencrypted"),
        ({"url": "http://h/v1", "model": "m", "recogniser": "ears"}, "recogniser.kind is 'ears': use"),
        ({"url": "http://h/v1", "model": "m", "voice": {"kind": "piper"}}, "voice model must be given"),
        ([], "must be a mapping"),
    ],
)
def test_bad_settings_are_named(data: Any, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(ConfigError) as raised:
        Chat.of(data)
    assert problem in str(raised.value) and KEY not in str(raised.value)


def test_a_key_that_is_none_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "two words")
    with pytest.raises(ConfigError, match="MY_KEY holds no key") as raised:
        Chat(ChatSettings("https://h/v1", "m", key_env="MY_KEY"))
    assert "two words" not in str(raised.value)


def test_the_example() -> None:
    for needed in ("yaml", "pocketsphinx"):
        pytest.importorskip(needed)
    brain = responder(f"chat:{Path(__file__).parents[2] / 'examples' / 'chat.yaml'}")
    assert brain.name == "chat:llama3.2 at http://127.0.0.1:11434/v1"


# ---- whole


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
