"""Speech to text by an OpenAI-compatible service: POST /v1/audio/transcriptions with a WAV file. Extra `rest`."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from engine.errors import ConfigError, TransportError
from engine.server.formats import Samples
from engine.server.recognisers.base import Heard
from engine.server.remote import Service
from engine.server.sound import to_wav

PATH = "/audio/transcriptions"


@dataclass(frozen=True, slots=True)
class ServiceRecogniserSettings:
    """`url` is the base (.../v1); `key_env` names the environment variable with the key; `language` (ISO 639-1) is sent
    when the session names none; `rate` is the sample rate sent, in Hz; `timeout_s` bounds one turn, in seconds.
    """

    url: str
    model: str = "whisper-1"
    key_env: str | None = None
    language: str | None = None
    rate: int = 16_000
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        if not 8000 <= self.rate <= 48000:
            raise ConfigError(f"rate is {self.rate}: use 8000 to 48000")


class ServiceRecogniser:
    """See the module."""

    def __init__(self, settings: ServiceRecogniserSettings) -> None:
        self._settings = settings
        self._service = Service(settings.url, key_env=settings.key_env, timeout_s=settings.timeout_s)

    @property
    def name(self) -> str:
        """Which model where."""
        return f"{self._settings.model} at {self._service.shown}"

    async def warm_up(self) -> None:
        """Whether the service is there."""
        await self._service.check()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._service.aclose()

    async def transcribe(self, samples: Samples, *, language: str | None = None, prompt: str = "") -> Heard:
        """See `Recogniser.transcribe`."""
        settings = self._settings
        form = {"model": settings.model, "response_format": "json"}
        if spoken := language or settings.language:
            form["language"] = spoken
        if prompt:
            form["prompt"] = prompt
        wav = to_wav(samples, settings.rate)
        body, _ = await self._service.post(PATH, data=form, files={"file": ("turn.wav", wav, "audio/wav")})
        try:
            answer = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError):
            answer = None
        if not isinstance(answer, dict) or not isinstance(answer.get("text"), str):
            raise TransportError(f"{self._service.shown} sent no transcript (JSON with a text is expected)")
        return Heard(answer["text"].strip())


__all__ = ["ServiceRecogniser", "ServiceRecogniserSettings"]
