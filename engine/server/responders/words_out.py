"""From a language model's stream of text to parts of an answer: what it thinks is left out, marks are never spoken."""

from __future__ import annotations

from engine.server.responders.base import Say, Text
from engine.server.responders.clauses import ClauseCutter
from engine.server.responders.markdown import MarkdownFilter
from engine.server.responders.thinking import ThinkingFilter


class Spoken:
    """Words to be said: without thoughts and marks, a clause or sentence at a time."""

    def __init__(self, *, thinking_open: bool = False) -> None:
        self._thinking = ThinkingFilter(inside=thinking_open)
        self._marks = MarkdownFilter()
        self._cutter = ClauseCutter()

    def process(self, text: str) -> list[Say]:
        """What may be said now."""
        return [Say(piece) for piece in self._cutter.process(self._marks.process(self._thinking.process(text)))]

    def flush(self) -> list[Say]:
        """The rest."""
        rest = self._marks.process(self._thinking.flush()) + self._marks.flush()
        return [Say(piece) for piece in (*self._cutter.process(rest), *self._cutter.flush())]


class Written:
    """Words to be written: without thoughts, marks and all, cut at single spaces, which writing puts in again."""

    def __init__(self, *, thinking_open: bool = False) -> None:
        self._thinking = ThinkingFilter(inside=thinking_open)
        self._held = ""
        self._space = False
        self._begun = False

    def process(self, text: str) -> list[Text]:
        """The whole words that are there now."""
        return [piece for sign in self._thinking.process(text) for piece in self._step(sign)]

    def flush(self) -> list[Text]:
        """The rest, without white space at the end."""
        pieces = [piece for sign in self._thinking.flush() for piece in self._step(sign)]
        last = self._held.rstrip()
        self._held, self._space = "", False
        return [*pieces, Text(last)] if last else pieces

    def _step(self, sign: str) -> list[Text]:
        if not self._begun and sign.isspace():  # before the first word, or after a thought
            return []
        self._begun = True
        if sign == " " and self._held and not self._space:
            self._space = True
            return []
        pieces: list[Text] = []
        if self._space:
            # One space and then a word: a cut. More space stays within a piece, as it was.
            self._space = False
            if sign.isspace():
                self._held += " "
            else:
                pieces, self._held = [Text(self._held)], ""
        self._held += sign
        return pieces


__all__ = ["Spoken", "Written"]
