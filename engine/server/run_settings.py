"""What one response was created with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.audio import AudioFormat


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What a response was created with: the session's configuration, with the overrides of response.create."""

    config: dict[str, Any]
    """output_modalities, max_output_tokens, audio.output and so on, as in a session."""
    metadata: dict[str, str] | None
    conversation_id: str | None
    """None for an out-of-band response."""

    @property
    def modality(self) -> str:
        """The one output modality, "audio" or "text"; an audio response has a transcript too."""
        return str(self.config["output_modalities"][0])

    @property
    def voice(self) -> str:
        """The voice's name; a custom voice's id."""
        voice = self.config["audio"]["output"]["voice"]
        return str(voice["id"] if isinstance(voice, dict) else voice)

    @property
    def format(self) -> AudioFormat:
        """How its audio travels."""
        return AudioFormat(self.config["audio"]["output"]["format"]["type"])
