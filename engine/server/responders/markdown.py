"""Markdown as it arrives, made fit to be spoken: words stay, marks go, code blocks and addresses are left out.

One character after the other with a bounded memory, so what comes out never depends on how the stream was cut. It reads
what language models write, not all of CommonMark: headings, lists, quotes, rules, tables, fences, emphasis, code,
links, images, HTML tags and escapes. A mark that turns out to be none (2 * 3, a lone bracket) is kept.
"""

from __future__ import annotations

import re

MAX_HELD = 400
"""Characters held back at most while it is not known whether they are a tag or the beginning of a line."""
MAX_LINK = 200
"""The same for the words of a link. They may hold brackets within brackets, each a call deeper."""

# The beginning of a line that may still become a mark; and the marks themselves.
_UNDECIDED = re.compile(
    r"[ \t]*(?:#{1,6}|(?:>[ \t]?)+(?:[-*+]|\d{1,9}[.)]?)?|[-*+](?:[ \t]+\[?[ xX]?\]?)?|\d{1,9}[.)]?|`{1,2}|~{1,2}"
    r"|[|:\- \t]+|(?:[-*_=][ \t]*)+)?"
)
_FENCE = re.compile(r"[ \t]*(```|~~~)")
_RULE = re.compile(r"[ \t]*(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,}|={3,}|[|:\- \t]*-[|:\- \t]*)")
_LEAD = re.compile(
    r"[ \t]*(?:>[ \t]?)*[ \t]*"
    r"(?:#{1,6}(?=[ \t])|[-*+](?=[ \t])(?:[ \t]+\[[ xX]\])?|(\d{1,9})[.)](?=[ \t]))?[ \t]*"
)
_TAG = re.compile(r"</?[a-zA-Z!][^<>]*>|<!--")
_ADDRESS = re.compile(r"<((?:https?|mailto):?[^<>\s]*)>")


class MarkdownFilter:
    """Takes the marks out of a text. A newline that ends a line of words stays, so that a heading ends a clause."""

    def __init__(self) -> None:
        self._lead: str | None = ""  # the line so far, while its kind is open; None within its words
        self._fence = ""  # the mark of the code block that is open
        self._line = ""  # of a code block: its beginning, to find the end
        self._table = False
        self._marks = ""  # a run of * _ ~ or `
        self._before = "\n"  # the last sign before the run
        self._bracket: str | None = None  # from "[" on; None outside
        self._image = False  # "!" came just before it, and is held
        self._address = 0  # depth of parentheses within a link's address
        self._tag: str | None = None
        self._escaped = False

    def process(self, text: str) -> str:
        """What of the next piece of text is to be spoken, in order."""
        return "".join(map(self._step, text))

    def flush(self) -> str:
        """The stream has ended: what was held back is decided."""
        if self._fence:
            return ""
        out = ""
        if self._lead is not None:
            lead, self._lead = self._lead, None
            if not _RULE.fullmatch(lead) and not _FENCE.match(lead):
                out = "".join(map(self._inline, self._begin_line(lead)))
        return out + self._settle()

    # ---- lines

    def _step(self, sign: str) -> str:
        if self._fence:
            self._skip_code(sign)
            return ""
        if self._lead is None:
            return self._inline(sign)
        if sign == "\n":
            return self._end_lead()
        self._lead += sign
        if found := _FENCE.match(self._lead):
            self._fence, self._lead, self._line = found[1], "", "?"
            return ""
        if len(self._lead) < MAX_HELD and (_UNDECIDED.fullmatch(self._lead) or _RULE.fullmatch(self._lead)):
            return ""
        lead, self._lead = self._lead, None
        return "".join(map(self._inline, self._begin_line(lead)))

    def _end_lead(self) -> str:
        """A line that held nothing but what may be a mark."""
        lead, self._lead = self._lead or "", None
        if not lead.strip() or _RULE.fullmatch(lead):
            self._lead = ""
            return ""
        return "".join(map(self._inline, self._begin_line(lead + "\n")))

    def _begin_line(self, lead: str) -> str:
        """The first words of a line without its marks; the number of a list stays, as "2, "."""
        found = _LEAD.match(lead)
        assert found is not None
        rest = lead[found.end() :]
        self._table = rest.startswith("|")
        self._before = "\n"
        return (f"{found[1]}, " if found[1] else "") + (rest[1:].lstrip(" \t") if self._table else rest)

    def _skip_code(self, sign: str) -> None:
        if sign != "\n":
            self._line = (self._line + sign)[:80]
            return
        if self._line.strip() and set(self._line.strip()) == {self._fence[0]} and len(self._line.strip()) >= 3:
            self._fence = ""
            self._lead = ""
        self._line = ""

    # ---- within a line

    def _inline(self, sign: str) -> str:
        if self._address:
            return self._skip_address(sign)
        if self._bracket is not None:
            return self._in_bracket(sign)
        if self._tag is not None:
            return self._in_tag(sign)
        if self._escaped:
            self._escaped = False
            return self._say(sign) if not (sign.isalnum() or sign.isspace()) else self._say("\\") + self._inline(sign)
        if self._image:
            return self._after_bang(sign)
        if sign in "*_~`" and (not self._marks or self._marks[-1] == sign) and len(self._marks) < MAX_HELD:
            self._marks += sign
            return ""
        out = self._close_marks(sign)
        if sign in "*_~`":
            self._marks = sign
        elif sign == "\\":
            self._escaped = True
        elif sign == "[":
            self._bracket = "["
        elif sign == "!":
            self._image = True
        elif sign == "<":
            self._tag = "<"
        elif sign == "|" and self._table:
            return out + self._say(",")
        elif sign == "\n":
            self._lead, self._table = "", False
            self._before = "\n"
            return out + "\n"
        else:
            return out + self._say(sign)
        return out

    def _say(self, text: str) -> str:
        self._before = text[-1:] or self._before
        return text

    def _close_marks(self, after: str) -> str:
        """A run of marks is over: emphasis goes, a lone star or tilde between words or numbers stays."""
        marks, self._marks = self._marks, ""
        if not marks or marks[0] == "`":
            return ""
        within = self._before.isalnum() and after.isalnum()
        apart = self._before.isspace() and after.isspace()
        if marks[0] == "_":
            return self._say(" ") if within else ""
        if len(marks) == 1 and (apart or (within and self._before.isdigit() and after.isdigit())):
            return self._say(marks)
        return self._say(marks) if marks == "~" and after.isdigit() else ""

    def _in_bracket(self, sign: str) -> str:
        held = (self._bracket or "") + sign
        if held.endswith("]("):
            words, image = held[1:-2], self._image
            self._bracket, self._image, self._address = None, False, 1
            return "" if image else self._say(plain(words))  # what a picture shows is no part of what is said
        closed = held.find("]")
        if closed in (-1, len(held) - 1) and sign != "\n" and len(held) < MAX_LINK:
            self._bracket = held
            return ""
        # No link: the bracket is a bracket. Its words have marks of their own, and may hold another bracket.
        self._bracket = None
        return self._bang() + self._say("[") + "".join(map(self._inline, held[1:]))

    def _after_bang(self, sign: str) -> str:
        if sign == "[":
            self._bracket = "["
            return ""
        return self._bang() + self._inline(sign)

    def _bang(self) -> str:
        held, self._image = self._image, False
        return self._say("!") if held else ""

    def _skip_address(self, sign: str) -> str:
        self._address += {"(": 1, ")": -1}.get(sign, 0)
        if sign == "\n":
            self._address = 0
            return self._inline(sign)
        return ""

    def _in_tag(self, sign: str) -> str:
        held = (self._tag or "") + sign
        first = held[1]
        if first.isascii() and (first.isalpha() or first in "/!") and sign not in "<\n" and len(held) < MAX_HELD:
            if sign != ">":
                self._tag = held
                return ""
            self._tag = None
            if address := _ADDRESS.fullmatch(held):
                return self._say(address[1])
            if _TAG.fullmatch(held):
                return self._say(" ") if held.lower().startswith(("<br", "<p", "</p", "<li", "</li")) else ""
            return self._say(held)
        self._tag = None
        return self._say("<") + "".join(map(self._inline, held[1:]))

    def _settle(self) -> str:
        """What is held back at the end of the stream."""
        out = self._close_marks("\n")
        if self._escaped:
            self._escaped = False
            out += "\\"
        if self._bracket is not None:
            held, self._bracket = self._bracket, None
            out += self._bang() + self._say("[") + "".join(map(self._inline, held[1:])) + self._settle()
        if self._tag is not None:
            held, self._tag = self._tag, None
            out += self._say("<") + "".join(map(self._inline, held[1:])) + self._settle()
        return out + self._bang()


def plain(text: str) -> str:
    """A whole text without its marks."""
    marks = MarkdownFilter()
    return marks.process(text) + marks.flush()


__all__ = ["MAX_HELD", "MAX_LINK", "MarkdownFilter", "plain"]
