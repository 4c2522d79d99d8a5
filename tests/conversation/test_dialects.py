"""Both dialects: the same conversation, and on the wire what each of them says, kept in tests/data/golden."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from engine import clock
from engine.audio import AudioFormat
from engine.conversation import Conversation
from engine.errors import ConfigError
from engine.realtime.beta import MAX_OPEN, Beta
from engine.server.responders.base import Part, Say, ToolCall, Turn
from engine.transport.dialect import in_beta

from .harness import Held, Message, hold, question
from .older import Servers

GOLDEN = Path(__file__).resolve().parents[1] / "data" / "golden"
SESSION = {
    "instructions": "Be brief.",
    "max_output_tokens": 1000,
    "audio": {"output": {"voice": "cedar", "speed": 1.1}, "input": {"noise_reduction": {"type": "near_field"}}},
}


class Brain:
    """Calls a tool for the spoken question, and answers what is typed."""

    name = "brain"

    async def respond(self, turn: Turn) -> AsyncIterator[Part]:
        """See Responder."""
        if turn.tool_outputs or turn.number > 2:
            yield Say("Twenty to five.")
        else:
            yield ToolCall("look_up", '{"what": "tide"}', "call_1")


@engine.tool
def look_up(what: str) -> str:
    """Look it up."""
    return f"{what}: 16:40"


async def types_too(conversation: Conversation) -> None:
    """A typed question once the spoken one is answered."""
    async for turn in conversation.turns():
        if turn.text == "Twenty to five.":
            conversation.say("And the one after that?")
            return


def talk(older: bool, form: AudioFormat = AudioFormat.PCM) -> tuple[Held, Servers]:
    """The same conversation in either dialect."""
    servers = Servers(Brain(), older=older)

    async def main() -> Held:
        way = in_beta(servers) if older else servers
        during: dict[str, Any] = {"during": types_too, "read": False}
        return await hold(question(6.0), way, session=SESSION, audio_format=form, tools=[look_up], **during)

    return clock.run_virtual(main()), servers


def golden(wire: list[tuple[str, Message]]) -> list[str]:
    """One line for each message but the microphone's: ids by number, sound by its length, no times."""
    seen: dict[str, str] = {}

    def numbered(found: re.Match[str]) -> str:
        return seen.setdefault(found.group(), f'"{found.group(1)}_{len(seen)}"')

    lines = []
    for who, message in wire:
        if message["type"] == "input_audio_buffer.append":
            continue
        said = {"from": who, **message}
        if message["type"] in ("response.output_audio.delta", "response.audio.delta"):
            said["delta"] = f"{len(b64decode(message['delta']))} bytes"
        if "session" in message and "expires_at" in message["session"]:
            said["session"] = {**message["session"], "expires_at": 0}
        text = json.dumps(said, sort_keys=True)
        lines.append(re.sub(r'"(event|resp|item|sess|conv)_[A-Za-z0-9_.]+"(?!:)', numbered, text))
    return lines


@pytest.mark.parametrize("dialect", ["ga", "beta"])
def test_what_is_said_on_the_wire_is_what_was_kept(dialect: str) -> None:
    """After a change that is meant: python -m tests.conversation.test_dialects writes the files anew."""
    _, servers = talk(older=dialect == "beta")
    assert golden(servers.wire) == (GOLDEN / f"{dialect}.jsonl").read_text().splitlines()


def test_the_kept_traces_are_of_their_dialects() -> None:
    ga, beta = ((GOLDEN / f"{name}.jsonl").read_text() for name in ("ga", "beta"))
    for name in (
        "response.output_audio.delta",
        "conversation.item.added",
        "output_modalities",
        '"audio/pcm"',
        "conversation.item.done",
    ):
        assert name in ga
        assert name not in beta
    for name in ('"response.audio.delta"', "conversation.item.created", '"modalities"', '"pcm16"', "temperature"):
        assert name in beta
        assert name not in ga


@pytest.mark.parametrize("form", [AudioFormat.PCM, AudioFormat.PCMU, AudioFormat.PCMA])
def test_a_conversation_is_the_same_in_both(form: AudioFormat) -> None:
    (new, _), (old, servers) = talk(older=False, form=form), talk(older=True, form=form)
    assert np.array_equal(old.recorded, new.recorded), "what was heard and played"
    assert [(entry.role, entry.text, entry.kind) for entry in old.conversation.history] == [
        (entry.role, entry.text, entry.kind) for entry in new.conversation.history
    ]
    audio = [conversation.session["audio"] for conversation in (old.conversation, new.conversation)]
    assert audio[0] == audio[1]
    assert old.conversation.session["type"] == "realtime"
    assert not old.conversation.anomalies
    assert not [message for who, message in servers.wire if message["type"] == "error"]


def test_what_it_does_not_know_passes_as_it_is() -> None:
    beta = Beta()
    for message in (b"{", b"[]", b'"text"', b'{"type": 5}', b'{"type":"something.new","x":[1]}', "no json"):
        assert beta.incoming(message) == [message]
        assert beta.outgoing(message) == message
    for strange in (b'{"type":"session.updated"}', b'{"type":"response.done","response":5}',
                    b'{"type":"conversation.item.created","item":null}', b'{"type":"response.output_item.done"}',
                    b'{"type":"response.content_part.added","part":[]}'):  # fmt: skip
        assert all(isinstance(json.loads(each), dict) for each in beta.incoming(strange))
    for strange in (b'{"type":"session.update","session":7}', b'{"type":"response.create","response":null}',
                    b'{"type":"conversation.item.create"}'):  # fmt: skip
        assert json.loads(beta.outgoing(strange))["type"]


def test_sound_of_the_microphone_is_not_touched() -> None:
    message = b'{"type":"input_audio_buffer.append","audio":"AAAA"}'
    assert Beta().outgoing(message) is message


def test_a_transcription_session() -> None:
    beta = Beta()
    asked = {
        "type": "transcription",
        "audio": {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": None}},
    }
    sent = json.loads(beta.outgoing(json.dumps({"type": "session.update", "session": asked})))
    assert sent == {
        "type": "transcription_session.update",
        "session": {"input_audio_transcription": {"model": "whisper-1"}, "turn_detection": None},
    }
    report = {"type": "transcription_session.updated", "event_id": "e", "session": {"id": "s", **sent["session"]}}
    (told,) = beta.incoming(json.dumps(report))
    assert json.loads(told) == {"type": "session.updated", "event_id": "e", "session": {"id": "s", **asked}}


def test_text_only_and_an_answer_in_text() -> None:
    beta = Beta()
    sent = json.loads(beta.outgoing('{"type":"response.create","response":{"output_modalities":["text"]}}'))
    assert sent == {"type": "response.create", "response": {"modalities": ["text"]}}
    (told,) = beta.incoming('{"type":"response.text.delta","delta":"a"}')
    assert json.loads(told) == {"type": "response.output_text.delta", "delta": "a"}


def test_memory_of_open_items_is_bounded() -> None:
    beta = Beta()
    for number in range(3 * MAX_OPEN):
        item = {"id": f"item_{number}", "status": "in_progress"}
        assert len(beta.incoming(json.dumps({"type": "conversation.item.created", "item": item}))) == 1
    assert len(beta._open) == MAX_OPEN
    assert len(beta.incoming(json.dumps({"type": "response.output_item.done", "item": {"id": "item_0"}}))) == 1
    last = {"type": "response.output_item.done", "event_id": "e", "item": {"id": f"item_{3 * MAX_OPEN - 1}"}}
    whole, done = (json.loads(each) for each in beta.incoming(json.dumps(last)))
    assert whole == last
    assert (done["type"], done["event_id"]) == ("conversation.item.done", "e.2")


@pytest.mark.parametrize("more", [{"dialect": "old", "url": "ws://127.0.0.1:1"}, {"dialect": "beta"}])
def test_a_dialect_that_cannot_be(more: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="dialect"):
        engine.connect(engine.Memory(question(), 24000), **more)


if __name__ == "__main__":
    for name in ("ga", "beta"):
        (GOLDEN / f"{name}.jsonl").write_text("\n".join(golden(talk(older=name == "beta")[1].wire)) + "\n")
