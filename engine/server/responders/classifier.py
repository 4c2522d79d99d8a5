"""`classifier`: a kiosk's menu, offline. What is said is matched with the phrases of a menu (`menu.py`), and nothing
else.

pocketsphinx hears with a grammar made of the menu's phrases, so it always finds the phrase that fits best. Whether it
fits at all is told by comparing its score with that of free phones, and by how much of the speech its words cover;
speech that is none of the phrases is answered with help, which says which phrases there are. Extras `recogniser` and
`script`.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from engine.errors import ConfigError
from engine.server.formats import RATE, Samples
from engine.server.recognisers.base import Heard, Recogniser
from engine.server.recognisers.configured import recogniser_from
from engine.server.recognisers.sphinx import Sphinx, SphinxSettings
from engine.server.responders import yamlfile
from engine.server.responders.base import Part, Turn
from engine.server.responders.menu import Menu, parse_menu
from engine.server.responders.places import Place
from engine.server.responders.script import carry_out
from engine.server.voices.base import Voice
from engine.server.voices.configured import voice_from

LONGEST_S = 20.0
"""Longer speech is none of a menu's phrases, and is not even tried."""
LEAST_COVER = 0.5
"""Share of the speech that a phrase's words must fill; with less, most of it was taken for silence."""
# Score per frame against free phones at which phrases and other speech are about as likely, and how quickly that
# changes around it: measured with espeak-ng's voices.
_MIDDLE, _STEEPNESS = -2.2, 3.0


class Classifier:
    """A menu as a brain. Without a `recogniser` it brings pocketsphinx with the menu's grammar."""

    def __init__(self, menu: Menu, *, recogniser: Recogniser | None = None, voice: Voice | None = None) -> None:
        self.menu = menu
        self.recogniser: Recogniser = recogniser or MenuEars(menu)
        self.voice = voice

    @classmethod
    def load(cls, path: str | Path) -> Classifier:
        """Read a YAML file in the form of `menu.py`. Raises ConfigError naming file, line and field."""
        return cls.of(*yamlfile.load(path, "the classifier's YAML file"))

    @classmethod
    def of(cls, data: Mapping[str, Any], place: Place | None = None) -> Classifier:
        """From a plain dict in that form; `recogniser` and `voice` may stand beside the menu. Raises ConfigError."""
        place = place or Place("menu", {})
        menu = parse_menu(data, place, ("recogniser", "voice"))
        recogniser = recogniser_from(data["recogniser"], place.at("recogniser")) if "recogniser" in data else None
        voice = voice_from(data["voice"], place.at("voice")) if "voice" in data else None
        return cls(menu, recogniser=recogniser, voice=voice)

    @property
    def name(self) -> str:
        """Always "classifier"."""
        return "classifier"

    async def respond(self, turn: Turn) -> AsyncIterator[Part]:
        """See `Responder.respond`."""
        turn = await turn.understood()
        async for part in carry_out(self.menu.steps_for(turn), turn):
            yield part


class MenuEars:
    """Hears the phrases of a menu. Speech that is none of them has no words."""

    def __init__(self, menu: Menu, settings: SphinxSettings | None = None) -> None:
        self._menu = menu
        self._phrases = frozenset(menu.phrases)
        self._sphinx = Sphinx(settings or SphinxSettings(), self._prepare)

    @property
    def name(self) -> str:
        """Always "pocketsphinx"."""
        return "pocketsphinx"

    async def warm_up(self) -> None:
        """Load the model and the grammar. Raises ConfigError for words whose sound nobody knows."""
        await self._sphinx.begin()

    async def aclose(self) -> None:
        """End the process."""
        await self._sphinx.aclose()

    async def transcribe(
        self,
        samples: Samples,
        *,
        language: str | None = None,  # noqa: ARG002 - the menu's
        prompt: str = "",  # noqa: ARG002
    ) -> Heard:
        """The phrase, with the logarithm of how sure it is as `logprob`; or no words."""
        if samples.size > LONGEST_S * RATE:
            return Heard()
        answer = await self._sphinx.ask("decode_menu", samples)
        phrase = str(answer["text"])
        if phrase not in self._phrases:  # none, or one that was left in the middle
            return Heard()
        sure = certainty(float(answer["ratio"]), float(answer["cover"]))
        return Heard(phrase, logprob=math.log(max(sure, 1e-9))) if sure >= self._menu.threshold else Heard()

    def _prepare(self, sphinx: Sphinx) -> None:
        unknown = sphinx.request("learn", words=dict(self._menu.words), used=self._menu.vocabulary)["unknown"]
        if unknown:
            words = ", ".join(repr(word) for word in unknown[:5])
            raise ConfigError(f"the menu has words whose sound is not known: {words}; say how in its `words`")
        sphinx.request("menu", grammar=self._menu.grammar())


def certainty(ratio: float, cover: float) -> float:
    """0 to 1: how sure it is that a phrase was said, from what `sphinx_worker.decode_menu` tells."""
    if cover < LEAST_COVER:
        return 0.0
    return 1.0 / (1.0 + math.exp(min(-_STEEPNESS * (ratio - _MIDDLE), 60.0)))


__all__ = ["Classifier", "MenuEars", "certainty"]
