"""What a model thinks aloud, taken out of its words as they arrive: `<think>...</think>` and its like.

One character after the other, so what comes out never depends on how the stream was cut.
"""

from __future__ import annotations

_NAMES = ("think", "thinking", "thought", "reasoning", "reflection", "analysis")
_OPEN = frozenset(f"<{name}>" for name in _NAMES)
_CLOSE = frozenset(f"</{name}>" for name in _NAMES)
_TAGS = _OPEN | _CLOSE
_BEGINNINGS = frozenset(tag[:length] for tag in _TAGS for length in range(1, len(tag)))


class ThinkingFilter:
    """Keeps what is not thought. `inside` begins within a thought, for models whose prompt already opened it."""

    def __init__(self, *, inside: bool = False) -> None:
        self._inside = inside
        self._held = ""  # the beginning of what may be a tag: shorter than the longest tag

    def process(self, text: str) -> str:
        """What of the next piece of text is certainly no thought, in order."""
        return "".join(map(self._step, text))

    def flush(self) -> str:
        """The stream has ended: what looked like the beginning of a tag was none."""
        held, self._held = self._held, ""
        return "" if self._inside else held

    def _step(self, sign: str) -> str:
        held = self._held + sign
        tag = held.lower()
        if tag in _BEGINNINGS:
            self._held = held
            return ""
        self._held = ""
        if tag in _TAGS:
            self._inside = tag in _OPEN  # a closing tag without an opening one is dropped
            return ""
        if sign == "<" and len(held) > 1:  # "<<think>": the earlier sign was no tag, this one may begin one
            self._held = sign
            held = held[:-1]
        return "" if self._inside else held


__all__ = ["ThinkingFilter"]
