"""A stream of words cut into pieces to be spoken: the first one early, so that an answer begins while it is written.

Cut after sentences and at the ends of lines; the first piece, which somebody waits for, also after a comma or the like,
and a long one wherever it may be. One character after the other, so the pieces never depend on how the stream was cut.
"""

from __future__ import annotations

FIRST = 24
"""Characters from which the first piece may end with a clause; a shorter one sounds torn off."""
LATER = 120
"""The same for later pieces: they are spoken while others are, so they may be whole sentences."""
LONGEST = 240
"""A piece is cut at a space, or anywhere, before it is longer."""

_SENTENCE = ".!?\u2026"
_SENTENCE_AT_ONCE = "\u3002\uff01\uff1f"  # of scripts that write no space after them
_CLAUSE = ",;:\u2013\u2014"
_CLOSING = "\"')]\u201d\u2019\u00bb"
_SHORT = frozenset(
    {"mr", "mrs", "ms", "dr", "prof", "st", "vs", "e.g", "i.e", "etc", "approx", "z.b", "d.h", "bzw", "ca"}
)


class ClauseCutter:
    """Gives pieces without white space at their ends; joined with spaces they are the text, white space apart."""

    def __init__(self, first: int = FIRST, later: int = LATER) -> None:
        self._least = first
        self._later = later
        self._held = ""  # at most LONGEST

    def process(self, text: str) -> list[str]:
        """The pieces that the next piece of text completes."""
        pieces = [piece for sign in text for piece in self._step(sign)]
        return [piece for piece in pieces if piece]

    def flush(self) -> list[str]:
        """The stream has ended: the last piece, if there is one."""
        last, self._held = self._held.strip(), ""
        return [last] if _says_something(last) else []

    def _step(self, sign: str) -> list[str]:
        if sign == "\n":
            return self._cut(len(self._held))
        if sign.isspace():
            if self._ends():
                return self._cut(len(self._held))
            sign = " "
            if not self._held or self._held[-1] == " ":
                return []
        self._held += sign
        if sign in _SENTENCE_AT_ONCE:
            return self._cut(len(self._held))
        if len(self._held) < LONGEST:
            return []
        comma = max(self._held.rfind(f"{mark} ") for mark in _CLAUSE) + 1
        return self._cut(comma or self._held.rfind(" ") + 1 or len(self._held))

    def _ends(self) -> bool:
        """Whether what is held is a piece, now that a space follows it."""
        words = self._held.rstrip(_CLOSING)
        if not words:
            return False
        if words[-1] in _SENTENCE:
            last = words.rsplit(" ", 1)[-1]
            return not (last.endswith(".") and (last[:-1].lower() in _SHORT or _initial(last)))
        return words[-1] in _CLAUSE and len(words) >= self._least

    def _cut(self, at: int) -> list[str]:
        piece, self._held = self._held[:at].strip(), self._held[at:].lstrip()
        if not _says_something(piece):
            return []
        self._least = self._later
        return [piece]


def _says_something(piece: str) -> bool:
    """A mark by itself is nothing to say."""
    return any(sign.isalnum() for sign in piece)


def _initial(word: str) -> bool:
    """Whether a word is a name's initial: "J." """
    return len(word) == 2 and word[0].isupper()


__all__ = ["FIRST", "LATER", "LONGEST", "ClauseCutter"]
