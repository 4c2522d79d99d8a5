"""Token counts as the service reports them, by estimate: 1 per 100 ms of user audio, 1 per 50 ms of reply audio, 1
per 4 characters, and pictures by their size (see engine.server.pictures).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from engine.server.items import Item

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


class Tokens(NamedTuple):
    """Tokens by kind."""

    text: int = 0
    audio: int = 0
    image: int = 0

    @property
    def total(self) -> int:
        """All kinds together."""
        return self.text + self.audio + self.image


NOTHING = Tokens()


def item_tokens(item: Item) -> Tokens:
    """What an item costs to read, as it is now: a truncated one has less sound and no words."""
    if item.tokens is not None:
        return Tokens._make(item.tokens)
    count = output_audio_tokens if item.role == "assistant" else input_audio_tokens
    tokens = Tokens(
        text=text_tokens(_text_read(item)),
        audio=sum(count(clip.duration_ms) for clip in item.clips.values()),
        image=item.image_tokens,
    )
    if not item.in_progress and not item.type.startswith("mcp_"):  # of those nothing tells when they are whole
        item.tokens = tokens
    return tokens


def _text_read(item: Item) -> str:
    wire = item.wire
    if item.type == "message":
        # The transcript of what a user said is for the reader of the conversation; the model hears the sound.
        words = ("text", "transcript") if item.role == "assistant" else ("text",)
        return " ".join(part[word] for part in wire["content"] for word in words if part.get(word))
    if item.type == "mcp_list_tools":
        return msgspec.json.encode(wire["tools"]).decode()
    parts = (wire.get("name"), wire.get("arguments"), wire.get("output"), (wire.get("error") or {}).get("message"))
    return "".join(part for part in parts if part)


@dataclass(slots=True)
class Usage:
    """What one response read and wrote. `cached` is a part of `input`."""

    input: Tokens = NOTHING
    cached: Tokens = NOTHING
    output_text: int = 0
    output_audio: int = 0

    @property
    def total(self) -> int:
        """Everything together."""
        return self.input.total + self.output_text + self.output_audio

    def wire(self) -> dict[str, Any]:
        """The `usage` object of `response.done`. The sums always agree."""
        return {
            "total_tokens": self.total,
            "input_tokens": self.input.total,
            "output_tokens": self.output_text + self.output_audio,
            "input_token_details": {
                **_wire(self.input),
                "cached_tokens": self.cached.total,
                "cached_tokens_details": _wire(self.cached),
            },
            "output_token_details": {"text_tokens": self.output_text, "audio_tokens": self.output_audio},
        }


def _wire(tokens: Tokens) -> dict[str, int]:
    return {"text_tokens": tokens.text, "audio_tokens": tokens.audio, "image_tokens": tokens.image}
