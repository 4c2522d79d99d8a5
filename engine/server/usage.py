"""Token counts as the service reports them, by estimate: 1 per 100 ms of user audio, 1 per 50 ms of reply audio, 1
per 4 characters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

CHARACTERS_PER_TOKEN = 4
MS_PER_OUTPUT_TOKEN = 50


def text_tokens(text: str) -> int:
    """About four characters to a token, rounded up."""
    return characters_as_tokens(len(text))


def characters_as_tokens(count: int) -> int:
    """Tokens of a text of so many characters."""
    return -(-count // CHARACTERS_PER_TOKEN)


def input_audio_tokens(milliseconds: float) -> int:
    """One token per started 100 ms."""
    return -(-round(milliseconds) // 100)


def output_audio_tokens(milliseconds: float) -> int:
    """One token per started 50 ms."""
    return -(-round(milliseconds) // MS_PER_OUTPUT_TOKEN)


@dataclass(slots=True)
class Usage:
    """What one response read and wrote."""

    input_text: int = 0
    input_audio: int = 0
    output_text: int = 0
    output_audio: int = 0

    @property
    def total(self) -> int:
        """Everything together."""
        return self.input_text + self.input_audio + self.output_text + self.output_audio

    def wire(self) -> dict[str, Any]:
        """The `usage` object of `response.done`. The sums always agree."""
        return {
            "total_tokens": self.total,
            "input_tokens": self.input_text + self.input_audio,
            "output_tokens": self.output_text + self.output_audio,
            "input_token_details": {
                "text_tokens": self.input_text,
                "audio_tokens": self.input_audio,
                "image_tokens": 0,
                "cached_tokens": 0,
                "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
            },
            "output_token_details": {"text_tokens": self.output_text, "audio_tokens": self.output_audio},
        }
