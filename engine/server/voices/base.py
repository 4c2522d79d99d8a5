"""What a voice is, and how a text is cut for it."""

from __future__ import annotations

import re
from typing import Protocol

from engine.server.formats import Samples

SENTENCE_LIMIT = 240
"""A longer sentence is cut at a comma or a space: one piece is never more than about 15 s of speech."""

_TITLES = "".join(rf"(?<!\b{word})" for word in ("Mr", "Mrs", "Ms", "Dr", "Prof", "St", "vs", "e.g", "i.e"))
_END = re.compile(_TITLES + "([.!?\u2026][\"')\\]]*)\\s+|([\u3002\uff01\uff1f])")


class Voice(Protocol):
    """Something that can speak. One voice object serves every session of a process."""

    @property
    def name(self) -> str:
        """Which engine this is, for the log and for `session` metadata."""

    async def synthesize(self, text: str, voice: str = "alloy", speed: float = 1.0) -> Samples:
        """Speak `text` (one sentence at a time is best) as mono float32 in [-1, 1] at 24 kHz.

        `voice` is an API voice name; an unknown one gets the default. `speed` is 0.25-1.5; a session asks for 1 and
        stretches what it gets, whoever made it. Never blocks the loop.
        Silence (no samples) for a text without anything to say.
        """


def sentences(text: str, limit: int = SENTENCE_LIMIT) -> list[str]:
    """Cut a text into sentences of at most `limit` characters.

    Joined again with spaces they are the text, whitespace apart.
    """
    pieces: list[str] = []
    for part in _END.sub(lambda end: f"{end[1] or end[2]}\n", text).split("\n"):
        rest = " ".join(part.split())
        while len(rest) > limit:
            cut = max(rest.rfind(", ", 0, limit) + 1, 0) or rest.rfind(" ", 0, limit)
            cut = cut if cut > 0 else limit
            pieces.append(rest[:cut])
            rest = rest[cut:].lstrip()
        if rest:
            pieces.append(rest)
    return pieces
