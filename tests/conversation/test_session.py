"""A conversation's settings: checked before anything is sent, changed while it runs, compared with what is in force;
and what it tells of words, tokens and limits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import engine
from engine.conversation import Conversation
from engine.errors import ConfigError
from engine.realtime import Hearing, Prices, session
from engine.realtime import types as t
from tests.conversation.harness import FakeServer, fake, held, question, tones


def asked_at_once(**settings: Any) -> None:
    engine.connect(engine.Memory(question(), 24000), **settings)


def test_a_mistake_is_told_by_connect_itself_with_its_remedy() -> None:
    with pytest.raises(ConfigError, match=r"session\.audio\.output\.speed is 9: the range is 0\.25 to 1\.5; use 1\.5"):
        asked_at_once(session=t.RealtimeSession(audio=t.Audio(output=t.AudioOutput(speed=9))))
    with pytest.raises(ConfigError, match=r"session\.voice is 'ash': it belongs to the older dialect; use session"):
        asked_at_once(session={"voice": "ash"})


def test_typed_settings_names_and_extra_are_joined(caplog: pytest.LogCaptureFixture) -> None:
    wanted = t.RealtimeSession(audio=t.Audio(output=t.AudioOutput(speed=1.25)), extra={"shiny": 1})
    joined = engine.front._session("Be brief.", "marin", wanted, {"audio": {"output": {"speed": 9}}})
    assert joined == {
        "type": "realtime",
        "instructions": "Be brief.",
        "audio": {"output": {"speed": 9, "voice": "marin"}},
        "shiny": 1,
    }
    assert caplog.messages == []
    unchecked = engine.front._session(None, None, {"max_output_tokens": 0}, None, validate=False)
    assert unchecked == {"type": "realtime", "max_output_tokens": 0}
    assert "validation is off" in caplog.text


def test_what_is_in_force_already_is_not_asked_for() -> None:
    in_force = session.realtime("s")
    same = {"audio": {"output": {"voice": in_force["audio"]["output"]["voice"], "speed": 1.0}}}
    talk = held(question(), tones("echo"), session=same)
    assert talk.log.of("sent", "session.update") == []


def test_what_the_server_does_not_take_over_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def server(peer: FakeServer) -> None:
        await peer.created()
        await peer.send("session.updated", session={"audio": {"output": {"voice": "alloy"}}})
        await asyncio.sleep(1.0)
        await peer.connection.close(1000)

    held(question(), fake(server), session={"audio": {"output": {"voice": "ash"}}})
    assert (
        "did not take a setting over: session.audio.output.voice: asked for 'ash', in force is 'alloy'" in caplog.text
    )


def test_settings_change_while_it_runs() -> None:
    results: list[bool] = []

    async def change(conversation: Conversation) -> None:
        results.append(conversation.update(t.RealtimeSession(instructions="Be brief.")))
        await asyncio.sleep(0.5)
        results.append(conversation.update({"instructions": "Be brief."}))
        with pytest.raises(ConfigError, match="max_output_tokens is 0"):
            conversation.update({"max_output_tokens": 0})
        with pytest.raises(ConfigError, match="max_output_tokens is 0"):
            conversation.send({"type": "session.update", "session": {"type": "realtime", "max_output_tokens": 0}})

    talk = held(question(), tones("echo"), during=change)
    assert results == [True, False]
    (update,) = talk.log.of("sent", "session.update")
    assert update["session"] == {"type": "realtime", "instructions": "Be brief."}


def test_words_tokens_and_limits_are_told() -> None:
    talk = held(question(), tones("echo"), prices=Prices(audio_output=64.0, text_output=16.0))
    conversation = talk.conversation
    user, reply = conversation.history
    assert (user.role, reply.role) == ("user", "assistant")
    assert user.hearing is Hearing.NONE
    assert reply.text == talk.turns[1].text
    total = conversation.usage.total
    assert talk.turns[1].usage is not None
    assert total.output == talk.turns[1].usage.output_tokens > 0
    assert total.cost is not None
    assert total.cost > 0
    assert set(conversation.rate_limits) == {"requests", "tokens"}
    assert conversation.outcomes == []


def test_a_response_that_failed_is_told_with_its_reason() -> None:
    async def server(peer: FakeServer) -> None:
        await peer.created()
        await peer.begin("resp_1", "item_1")
        error = {"type": "invalid_request_error", "code": "insufficient_quota", "message": "No quota is left."}
        details = {"type": "failed", "error": error}
        await peer.send("response.done", response={"id": "resp_1", "status": "failed", "status_details": details})
        await peer.connection.close(1000)

    talk = held(question(), fake(server))
    (outcome,) = talk.conversation.outcomes
    assert str(outcome) == "response resp_1 is failed: invalid_request_error, insufficient_quota, No quota is left."
    (turn,) = [turn for turn in talk.turns if turn.role == "assistant"]
    assert turn.error["code"] == "insufficient_quota"
