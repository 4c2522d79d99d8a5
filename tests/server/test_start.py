"""What a client secret attached is the starting configuration of the sessions that it opens."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.errors import ProtocolError
from engine.realtime import session as rules
from engine.server import ServerOptions, serve_connection
from engine.server.responders import Script, Text
from engine.server.start import Start
from engine.server.voices import ToneVoice
from engine.transport import pair
from tests.server.harness import PCMU, Client, Says, question, run, session
from tests.server.test_beta import OldClient
from tests.server.test_mcp_rules import SCRIPT

SESSION: dict[str, Any] = {
    "type": "realtime",
    "model": "attached",
    "instructions": "Be brief.",
    "output_modalities": ["text"],
    "audio": {
        "input": {"format": {"type": "audio/pcmu"}, "turn_detection": {"silence_duration_ms": 300}},
        "output": {"voice": "marin"},
    },
}


def created(client: Client) -> dict[str, Any]:
    first: dict[str, Any] = client.events[0]["session"]
    return first


def test_it_is_in_force_from_the_first_event_on() -> None:
    async def test() -> None:
        async with session(Says([Text("Yes.")]), start=Start(SESSION)) as client:
            told = created(client)
            assert (told["model"], told["instructions"], told["output_modalities"]) == (
                "attached",
                "Be brief.",
                ["text"],
            )
            assert told["audio"]["input"]["turn_detection"] == {**rules.SERVER_VAD, "silence_duration_ms": 300}
            assert told["audio"]["output"]["voice"] == "marin"
            assert told["expires_at"] > 0 and client.types()[0] == "session.created"
            await client.speak(question(PCMU), format=PCMU)
            done = await client.next("response.done")
            assert done["response"]["output"][0]["content"] == [{"type": "output_text", "text": "Yes."}]
            stopped = client.of("input_audio_buffer.speech_stopped")[0]
            started = client.of("input_audio_buffer.speech_started")[0]
            assert stopped["audio_end_ms"] - started["audio_start_ms"] < 2300, "its 300 ms of silence end the turn"

    run(test)


def test_the_client_may_override_everything_but_type_and_model() -> None:
    async def test() -> None:
        async with session(start=Start(SESSION)) as client:
            answer = await client.update(instructions="Be long.", output_modalities=["audio"])
            assert answer["session"]["instructions"] == "Be long."
            assert answer["session"]["audio"]["output"]["voice"] == "marin", "what is not named stays"
            assert (await client.update(model="other"))["error"]["code"] == "invalid_parameter"
            refused = await client.update(type="transcription")
            assert refused["error"]["code"] == "invalid_parameter"

    run(test)


def test_the_model_of_the_url_goes_before_its_own() -> None:
    async def test() -> None:
        async with session(start=Start(SESSION), model="asked") as client:
            assert created(client)["model"] == "asked"
            assert created(client)["instructions"] == "Be brief."
        async with session(start=Start({"type": "realtime"}), options=ServerOptions(model="house")) as client:
            assert created(client)["model"] == "house"

    run(test)


def test_it_decides_the_type() -> None:
    async def test() -> None:
        start = Start({"type": "transcription", "audio": {"input": {"transcription": {"model": "whisper-1"}}}})
        async with session(start=start) as client:
            assert created(client)["type"] == "transcription"
            assert created(client)["audio"]["input"]["transcription"]["model"] == "whisper-1"
            await client.send("response.create")
            assert (await client.next("error"))["error"]["code"] == "invalid_value"

    run(test)


@pytest.mark.parametrize(
    ("kind", "model", "transcription", "code"),
    [
        ("realtime", None, False, None),
        ("realtime", "other", False, None),
        ("realtime", None, True, "invalid_parameter"),
        ("transcription", None, False, None),
        ("transcription", None, True, None),
        ("transcription", "gpt-realtime", False, "invalid_model"),
    ],
)
def test_what_a_url_may_ask_of_it(kind: str, model: str | None, transcription: bool, code: str | None) -> None:
    problem = Start({"type": kind}).conflict(model=model, transcription=transcription)
    assert (problem.code if problem else None) == code


def test_its_mcp_servers_are_asked_when_the_session_opens() -> None:
    async def test() -> None:
        brain = Script(SCRIPT)
        secret = "Bearer canary0mcp"
        asked = {"type": "mcp", "server_label": "wiki", "server_url": "https://x.example", "authorization": secret}
        async with session(brain, start=Start({"type": "realtime", "tools": [asked]})) as client:
            await client.next("mcp_list_tools.completed")
            assert "canary0mcp" not in str(client.events)

    run(test)


def test_the_older_dialect_is_told_its_temperature() -> None:
    async def test() -> None:
        ours, theirs = pair()
        serving = asyncio.create_task(
            serve_connection(
                theirs, responder=Says([Text("x")]), voice=ToneVoice(), beta=True, start=Start(SESSION, 1.1)
            )
        )
        client = OldClient(ours)
        first = (await client.next("session.created"))["session"]
        assert (first["temperature"], first["voice"], first["input_audio_format"]) == (1.1, "marin", "g711_ulaw")
        await ours.close()
        await serving

    run(test)


def test_one_that_is_refused() -> None:
    async def test() -> None:
        _, theirs = pair()
        with pytest.raises(ProtocolError, match=r"Unknown parameter: 'session\.voice'"):
            await serve_connection(
                theirs,
                responder=Says([Text("x")]),
                voice=ToneVoice(),
                start=Start({"type": "realtime", "voice": "marin"}),
            )

    run(test)
