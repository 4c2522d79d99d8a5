"""Our server with Realtime clients that nobody here wrote: each holds one whole conversation with `bargein serve`.

A spoken turn, a tool call whose result is spoken about, and an interruption. The conversation is held once for each
driver; every test looks at another side of it: at what the client told its user, and at what went over the line.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import RemoteProtocolError
from engine.realtime import Role, events, wire
from tests.interop.conftest import need
from tests.interop.environments import Environment, environments
from tests.interop.tap import Message, Recording
from tests.interop.world import DRIVERS, KEY, SENTENCES, Talk, hold, served

BYTES_PER_MS = 48
DELTAS = ("response.output_audio.delta", "response.audio.delta")
BEYOND = {
    "session.object is not known",
    "session.id is not known",
    "session.expires_at is not known",
    "item.content.format is not known",
}
"""What the service sends and the official package has no type for."""
SAID = [
    "This is the information desk.",
    'The weather service says "?light rain, twelve degrees"?.',  # a client may send any result as JSON
    "Very well, I will say no more.",
]
"""What is answered, as regular expressions."""
CLIENTS = [(client, driver) for client in environments().values() for driver in client.drivers]


@pytest.fixture(scope="module", params=CLIENTS, ids=[driver.partition(".")[0] for _, driver in CLIENTS])
def talk(request: pytest.FixtureRequest) -> Iterator[Talk]:
    """The conversation of one driver."""
    client: Environment = request.param[0]
    need(client)
    with served(*client.server, key=KEY) as url:
        held = hold(url, client, request.param[1])
        yield held


def line(talk: Talk) -> Recording:
    """The one connection."""
    assert len(talk.lines) == 1, talk.complaints
    return talk.lines[0]


def sound_of(recording: Recording, response: str) -> bytes:
    """What the server sent for one response."""
    deltas = recording.of("server", *DELTAS)
    return b"".join(base64.b64decode(d.event["delta"]) for d in deltas if d.event["response_id"] == response)


def interruption(recording: Recording) -> tuple[str, list[Message], list[Message]]:
    """The item that was cut off, and what the client and the server said about its length."""
    done = [m for m in recording.of("server", "response.done") if m.event["response"]["status"] == "cancelled"]
    assert len(done) == 1, "one response is cancelled"
    assert done[0].event["response"]["status_details"]["reason"] == "turn_detected"
    return (
        done[0].event["response"]["output"][0]["id"],
        recording.of("client", "conversation.item.truncate"),
        recording.of("server", "conversation.item.truncated"),
    )


def test_it_comes_to_its_end(talk: Talk) -> None:
    assert talk.of("end"), talk.complaints or talk.told
    assert "Traceback" not in talk.complaints


def test_nothing_is_refused(talk: Talk) -> None:
    errors = [message.event["error"] for message in line(talk).of("server", "error")]
    assert [error for error in errors if error["code"] not in talk.client.races] == []
    assert len(errors) <= len(talk.client.races)
    assert [told for told in talk.of("error") if not any(code in told["message"] for code in talk.client.races)] == []


def test_every_property_is_known(talk: Talk) -> None:
    """What the server does not know it refuses; this says by name what that is."""
    unknown = set()
    for message in line(talk).messages:
        if message.sender == "client":
            try:
                event = wire.decode(json.dumps(message.event), Role.CLIENT)
            except RemoteProtocolError as error:
                unknown.add(f"{message.type}: {error}")
                continue
            if isinstance(event, events.Unknown):
                unknown.add(message.type)
            elif event.extra:
                unknown |= {f"{message.type}: {name}" for name in event.extra}
    for refusal in line(talk).of("server", "error"):
        if refusal.event["error"]["code"] == "unknown_parameter":
            unknown.add(str(refusal.event["error"]["param"]))
    print("\n".join(f"unknown to the server: {name}" for name in sorted(unknown)))
    assert not unknown


def test_every_event_is_of_the_official_types(talk: Talk, tmp_path: Path) -> None:
    """Whoever the client is, its server's events are those that the official Python package has types for."""
    if talk.client.dialect == "beta":
        pytest.skip("the official package has types for today's dialect only")
    official = environments()["openai"]
    need(official)
    sent = [json.dumps(message.event) for message in line(talk).messages if message.sender == "server"]
    (tmp_path / "events").write_text("\n".join(sent), encoding="utf-8")
    command = [str(official.python), str(DRIVERS / "check_events.py"), str(tmp_path / "events")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert [told for told in map(json.loads, said.splitlines()) if told["problem"] not in BEYOND] == []


def test_speech_is_understood(talk: Talk) -> None:
    """The client knows what its user said, each sentence as one turn."""
    assert [told["text"] for told in talk.of("user")] == list(SENTENCES.values())
    assert len(line(talk).of("server", "input_audio_buffer.committed")) == len(SENTENCES)


def test_answers_are_spoken(talk: Talk) -> None:
    """Words, and every sample that the server sent."""
    told = [answer["text"] for answer in talk.of("answer")]
    for said in SAID:
        assert any(re.fullmatch(said, text) for text in told), told
    responses = [m.event["response"] for m in line(talk).of("server", "response.done")]
    sent = [sound_of(line(talk), response["id"]) for response in responses if response["status"] == "completed"]
    heard = {answer["sha256"] for answer in talk.of("answer")}
    whole = {hashlib.sha256(sound).hexdigest() for sound in sent if sound}
    assert len(whole) >= len(SAID)
    assert whole <= heard


def test_a_tool_is_called_and_its_result_spoken_about(talk: Talk) -> None:
    recording = line(talk)
    assert talk.of("tool") == [{"saw": "tool", "name": "get_weather", "arguments": {"city": "Rome"}}]
    calls = [m.event["call_id"] for m in recording.of("server", "response.function_call_arguments.done")]
    outputs = [m.event["item"] for m in recording.of("client", "conversation.item.create")]
    assert [item["call_id"] for item in outputs if item["type"] == "function_call_output"] == calls
    assert len(calls) == 1
    assert any(re.fullmatch(SAID[1], answer["text"]) for answer in talk.of("answer"))


def test_an_interruption_leaves_what_was_heard(talk: Talk) -> None:
    """The client is told and cuts the answer; the server keeps that much of it and no word more."""
    recording = line(talk)
    item, asked, done = interruption(recording)
    assert talk.of("interrupted")
    assert [(m.event["item_id"], m.event["audio_end_ms"]) for m in done] == [
        (m.event["item_id"], m.event["audio_end_ms"]) for m in asked
    ]
    assert [m.event["item_id"] for m in asked] == [item]
    kept_ms = asked[0].event["audio_end_ms"]
    deltas = [m for m in recording.of("server", *DELTAS) if m.event["item_id"] == item]
    sent_ms = sum(len(base64.b64decode(m.event["delta"])) for m in deltas) / BYTES_PER_MS
    # Nobody hears more than time has passed since the first sample came; 1 ms for a client that rounds.
    assert 0 < kept_ms <= (asked[0].at - deltas[0].at) * 1000 + 1
    assert kept_ms < sent_ms
    retrieved = [m.event["item"] for m in recording.of("server", "conversation.item.retrieved")]
    parts = [kept["content"][0] for kept in retrieved if kept["id"] == item]
    assert parts, "nobody asked what the server keeps"
    assert len(base64.b64decode(parts[-1]["audio"])) == kept_ms * BYTES_PER_MS
    assert not parts[-1].get("transcript")
