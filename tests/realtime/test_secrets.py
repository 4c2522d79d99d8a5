"""One canary of each kind of secret is put wherever a secret can be, and what people read is searched for it."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import pytest

from engine.errors import ConfigError, LocalProtocolError, RemoteProtocolError
from engine.realtime import events as ev
from engine.realtime import redaction, rules, wire
from engine.realtime import types as t
from engine.realtime.protocol import Protocol
from engine.realtime.roles import Role
from tests.realtime.scenes import client

CANARIES = {
    "key": "sk-canary1234567890",
    "project key": "sk-proj-canary_1234-5678",
    "client secret": "ek_canary1234567890",
    "webhook secret": "whsec_canaryMTIzNDU2",
    "bearer": "Bearer canary.token.value",
    "subprotocol": "openai-insecure-api-key.canary123456",
}
LOOKLESS = "canary-without-any-look"
HEART = "canary"

SECRET_TOOL: dict[str, Any] = {
    "type": "mcp",
    "server_label": "files",
    "server_url": "https://example.com/mcp",
    "authorization": LOOKLESS,
    "headers": {"X-Api-Key": LOOKLESS},
}
SESSION: dict[str, Any] = {"type": "realtime", "instructions": CANARIES["key"], "tools": [SECRET_TOOL]}
BETA: dict[str, Any] = {"modalities": ["text"], "client_secret": {"value": LOOKLESS, "expires_at": 1}}


def everything_shown(thing: object) -> str:
    return f"{thing!r} {thing} {[thing]!r} {thing:}"


THINGS: list[object] = [
    t.McpTool.from_wire(SECRET_TOOL),
    t.RealtimeSession.from_wire(SESSION),
    t.RealtimeSession(extra={"tools": [SECRET_TOOL], "client_secret": LOOKLESS}),
    t.BetaSession.from_wire(BETA),
    t.HybridSession(client_secret=t.EphemeralKey(value=LOOKLESS, expires_at=1)),
    t.EphemeralKey(value=LOOKLESS, expires_at=1),
    t.ClientSecret(value=LOOKLESS, expires_at=1, session=t.ReportedSession.from_wire(SESSION)),
    t.ClientSecretRequest(session=t.RealtimeSession.from_wire(SESSION)),
    t.ResponseRequest(tools=[SECRET_TOOL]),
    t.WebhookEvent(type="x", data={"authorization": LOOKLESS, "text": CANARIES["client secret"]}),
    ev.SessionUpdate(session=SESSION),
    ev.SessionUpdated(session=SESSION),
    ev.SessionCreated(session=BETA),
    ev.ResponseCreate(response={"tools": [SECRET_TOOL]}),
    ev.Error(error={"type": "x", "message": f"Incorrect API key provided: {CANARIES['key']}"}),
    ev.Unknown(type="novel", fields={"client_secret": {"value": LOOKLESS}, "note": CANARIES["webhook secret"]}),
    ev.InputAudioBufferClear(extra={"headers": {"a": LOOKLESS}}),
]


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: type(thing).__name__)
def test_no_repr_shows_a_secret(thing: object) -> None:
    text = everything_shown(thing)
    assert HEART not in text
    assert redaction.HIDDEN in text


@pytest.mark.parametrize("kind", CANARIES)
def test_what_looks_like_a_key_is_hidden_wherever_it_stands(kind: str) -> None:
    text = f"before {CANARIES[kind]} after"
    assert HEART not in redaction.scrub(text)
    assert redaction.scrub(text).startswith("before ")
    assert redaction.scrub(text).endswith(" after")
    assert HEART not in everything_shown(ev.ConversationItemCreate(item={"content": [{"text": text}]}))


@pytest.mark.parametrize("text", ["I ask for a task, risk-free.", "week_end", "sketch", "the skies", "packet_loss"])
def test_plain_words_stay(text: str) -> None:
    assert redaction.scrub(text) == text


@pytest.mark.parametrize("kind", CANARIES)
def test_no_error_quotes_a_secret(kind: str) -> None:
    text = f"the server said {CANARIES[kind]}"
    near = client()
    near.send(ev.SessionUpdate(event_id="u", session={"type": "realtime", "shiny": 1}))
    near.receive(ev.Error(error={"code": "invalid_value", "message": text, "event_id": "u"}))
    asked: list[ev.Event] = [
        ev.InputAudioBufferAppend(audio=b""),
        ev.SessionUpdate(session={"type": text}),
        ev.ConversationItemCreate(item={"type": text}),
        ev.ConversationItemTruncate(item_id=text, content_index=0, audio_end_ms=1),
    ]
    for event in asked:
        with pytest.raises(LocalProtocolError) as caught:
            near.send(event)
        assert HEART not in everything_shown(caught.value)
        assert HEART not in "".join(traceback.format_exception(caught.value, chain=False))
    near.receive(ev.ResponseCreated(response={"id": "r1"}))
    failure = {"status_details": {"error": {"message": text}}, "status": "failed", "id": "r1"}
    near.receive(ev.ResponseDone(response=failure))
    assert HEART not in everything_shown(near.outcomes[-1])


def test_neither_rules_nor_their_log_show_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    asked = {**SESSION, "shiny": {"authorization": LOOKLESS}, "client_secret": LOOKLESS, "audio": CANARIES["key"]}
    with caplog.at_level(logging.DEBUG), pytest.raises(ConfigError) as caught:
        rules.prepared(asked)
    assert "session.client_secret" in str(caught.value)
    assert HEART not in str(caught.value)
    assert "session.shiny" in caplog.text
    assert HEART not in caplog.text


def test_neither_the_protocol_nor_the_wire_show_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        wire.decode(b'{"type":"session.update","session":"' + CANARIES["key"].encode() + b'"}', Role.CLIENT)
    near = Protocol(Role.CLIENT)
    near.receive(ev.Unknown(type=CANARIES["key"], fields={}))
    near.receive(ev.SessionCreated(session=SESSION))
    near.receive(ev.ResponseDone(response={"id": CANARIES["client secret"]}))
    shown = f"{caught.value!r} {near.anomalies} {caplog.text}"
    assert HEART not in shown
    assert near.anomaly_count == 1


def test_sound_is_shown_as_its_length() -> None:
    assert repr(ev.InputAudioBufferAppend(audio=bytes(4800))) == "InputAudioBufferAppend(audio=<4800 bytes>)"
