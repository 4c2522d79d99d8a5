"""What a recogniser is: sound in, words out. And what was heard, whoever heard it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.server.formats import Samples


@dataclass(frozen=True, slots=True)
class Spoken:
    """Words of one speaker, `start` to `end` seconds from the beginning of the item."""

    text: str
    speaker: str = "A"
    start: float = 0.0
    end: float = 0.0


@dataclass(frozen=True, slots=True)
class Heard:
    """The words of one turn. They come `delay` seconds after it; `failure`, when it is not empty, in their place.

    No words and no failure: there was sound, and no speech that could be understood.
    """

    text: str = ""
    delay: float = 0.0
    segments: Sequence[Spoken] = ()
    languages: Sequence[str] = ()
    logprob: float = -0.1
    failure: str = ""


class Recogniser(Protocol):
    """Something that understands speech. One object serves every session, so it keeps nothing about one in itself.

    It may also have `async def warm_up()` and `async def aclose()`, as a brain may (`responders.base`).
    """

    @property
    def name(self) -> str:
        """Which engine this is, for the log."""

    async def transcribe(self, samples: Samples, *, language: str | None = None, prompt: str = "") -> Heard:
        """The words in `samples`, mono float32 at 24 kHz: one turn of a user.

        `language` (ISO 639-1) and `prompt` are the session's hints, which it may leave aside. Never blocks the loop.
        When cancelled it stops its work. An `EngineError` fails the transcription with its words, which must not hold
        a secret; any other exception only with its name.
        """


__all__ = ["Heard", "Recogniser", "Spoken"]
