"""Text to speech by an OpenAI-compatible service: POST /v1/audio/speech. Extra `rest`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from engine.errors import ConfigError
from engine.server.formats import RATE, Samples
from engine.server.remote import Service
from engine.server.sound import from_pcm, from_wav

PATH = "/audio/speech"


@dataclass(frozen=True, slots=True)
class ServiceVoiceSettings:
    """`url` is the base (.../v1); `key_env` names the environment variable with the key; `voices` gives the service's
    name for a voice of the session, which is otherwise sent as it is. `format` is "pcm" (int16 at `rate` Hz, which the
    answer does not tell) or "wav". `timeout_s` bounds one sentence.
    """

    url: str
    model: str = "tts-1"
    key_env: str | None = None
    voices: Mapping[str, str] = field(default_factory=dict)
    format: str = "pcm"
    rate: int = RATE
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        if self.format not in ("pcm", "wav"):
            raise ConfigError(f"format is {self.format!r}: use pcm or wav")
        if not 8000 <= self.rate <= 48000:
            raise ConfigError(f"rate is {self.rate}: use 8000 to 48000")


class ServiceVoice:
    """See the module."""

    def __init__(self, settings: ServiceVoiceSettings) -> None:
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

    async def synthesize(self, text: str, voice: str = "alloy", speed: float = 1.0) -> Samples:
        """See `Voice.synthesize`."""
        settings = self._settings
        body = {
            "model": settings.model,
            "input": text,
            "voice": settings.voices.get(voice, voice),
            "response_format": settings.format,
            "speed": speed,
        }
        sound, kind = await self._service.post(PATH, content=msgspec.json.encode(body))
        if settings.format == "wav" or sound[:4] == b"RIFF" or "wav" in kind:
            return from_wav(sound, "what the voice service sent")
        return from_pcm(sound[: len(sound) & ~1], settings.rate)


__all__ = ["ServiceVoice", "ServiceVoiceSettings"]
