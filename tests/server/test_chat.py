"""`chat` against a service of its own process: what is said, asked, called, refused and broken off."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import AccessError, ConfigError, TransportError
from engine.server.recognisers import Heard
from engine.server.responders import Fail, Part, Say, Stop, Text, Tool, ToolCallDelta, Turn, responder
from engine.server.responders.chat import Chat, ChatSettings

from .service import ChatApp, chat_app, until_left

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


def test_warming_up_tries_the_key_and_warns_of_a_model_that_is_not_there(
    app: ChatApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def warmed(model: str, **settings: Any) -> str:
        async def warm() -> None:
            brain = chat(app, model, **settings)
            try:
                await brain.warm_up()
            finally:
                await brain.aclose()

        caplog.clear()
        asyncio.run(asyncio.wait_for(warm(), 60))
        return caplog.text

    assert warmed("plain") == ""
    assert "chat:no-such-model" in warmed("no-such-model") and "does not list this model; it has " in caplog.text
    monkeypatch.setenv("MY_KEY", "sk-refused-0123456789")
    with pytest.raises(AccessError, match="answered 401: the key is missing, wrong") as raised:
        warmed("plain", key_env="MY_KEY")
    assert "sk-refused" not in str(raised.value)


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
