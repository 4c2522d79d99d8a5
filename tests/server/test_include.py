"""`include`: log probabilities of what was heard, wherever a transcript is sent, and only when they are asked for."""

from __future__ import annotations

import pytest

from engine.server import ServerOptions
from engine.server.formats import Samples
from engine.server.recognisers import Heard
from tests.server.harness import question, run, session

LOGPROBS = "item.input_audio_transcription.logprobs"
PREFIX = "conversation.item.input_audio_transcription."


class Listener:
    """Always understands the same."""

    name = "listener"

    async def transcribe(self, samples: Samples, *, language: str | None = None, prompt: str = "") -> Heard:
        del samples, language, prompt
        return Heard("what is it like", logprob=-0.25)


@pytest.mark.parametrize("transcription", [False, True])
@pytest.mark.parametrize("model", ["whisper-1", "gpt-4o-transcribe", "gpt-4o-transcribe-diarize"])
def test_log_probabilities_in_every_session_and_every_event_that_has_words(model: str, transcription: bool) -> None:
    async def scene() -> None:
        async with session(recogniser=Listener(), options=ServerOptions(), transcription=transcription) as client:
            kind = {"type": "transcription" if transcription else "realtime"}
            listening = {"input": {"transcription": {"model": model}}}
            updated = await client.update(**kind, audio=listening, include=[LOGPROBS])
            assert updated["session"]["include"] == [LOGPROBS]
            await client.speak(question())
            completed = await client.next(PREFIX + "completed")
            assert "".join(each["token"] for each in completed["logprobs"]) == "what is it like"
            assert {each["logprob"] for each in completed["logprobs"]} == {-0.25}
            assert all(bytes(each["bytes"]).decode() == each["token"] for each in completed["logprobs"])
            for delta in client.of(PREFIX + "delta"):
                assert "".join(each["token"] for each in delta["logprobs"]) == delta["delta"]
            assert bool(client.of(PREFIX + "delta")) is (model != "whisper-1")
            seen = len(client.events)
            await client.update(**kind, include=None)
            await client.speak(question())
            await client.next(PREFIX + "completed", after=seen)
            assert not any(event.get("logprobs") for event in client.events[seen:])

    run(scene)


def test_what_cannot_be_included() -> None:
    async def scene() -> None:
        async with session() as client:
            refused = await client.update(include=[LOGPROBS, "message.input_image.image_url"])
            error = refused["error"]
            assert (error["code"], error["param"]) == ("invalid_value", "session.include[1]")

    run(scene)
