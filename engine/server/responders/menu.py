"""The menu of a kiosk: phrases, what to do for each, and the grammar that a recogniser needs. Plain data, checked once.

    menu:
      - phrases: ["when are you open", "[what are] your opening hours"]
        do:
          - say: "We are open from nine to six."
      - phrases: ["(a|one) ticket to (the airport|town) [please]"]
        do:
          - call: {name: sell_ticket, arguments: {count: 1}}
        after:                              # when a function that this entry called has answered: {output}
          - say: "Here is your ticket. {output}"
    help: "You can say: {phrases}."         # for everything else
    greeting: "Welcome. {help}"             # for a response that nobody asked for
    threshold: 0.5                          # how sure the recogniser must be: 0 takes anything, 1 nothing
    words: {bargein: "B AA R G IH N"}       # how words sound that its dictionary does not know (ARPAbet)

In a phrase [x] may be left out and (x|y) is one of them. The steps are a script's (`rules.py`): say, text, audio, call,
mcp, delay, fail, stop.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.server.responders.base import McpCall, Say, ToolCall, Turn
from engine.server.responders.places import Place, fields, kind_of
from engine.server.responders.rules import SlowCall, Step, steps

MAX_PHRASES = 2000
"""Phrases of a whole menu, when each with brackets counts as often as it can be said."""
HELP = "I did not understand that. You can say: {phrases}."
_MEMBERS = ("menu", "help", "greeting", "threshold", "words")
_ENTRY = ("phrases", "do", "after")
_TOKEN = re.compile(r"[\[\]()|]|[^\[\]()|\s]+")
_WORD = re.compile(r"[a-z][a-z0-9'._-]*")
_NOT_A_WORD = re.compile(r"[^a-z0-9' ]+")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the menu."""

    shown: str
    """Its first phrase, as help says it."""
    phrases: tuple[str, ...]
    """Every way to say it, in small letters and single spaces."""
    steps: tuple[Step, ...]
    after: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Menu:
    """See the module."""

    entries: tuple[Entry, ...]
    help: str
    greeting: str
    threshold: float
    words: Mapping[str, str]

    @property
    def phrases(self) -> list[str]:
        """Everything that can be said."""
        return [phrase for entry in self.entries for phrase in entry.phrases]

    @property
    def vocabulary(self) -> list[str]:
        """Every word of the phrases, once."""
        return sorted({word for phrase in self.phrases for word in phrase.split()})

    def grammar(self) -> str:
        """The phrases as a JSGF grammar (W3C note "JSpeech Grammar Format", 2000)."""
        return "#JSGF V1.0;\ngrammar menu;\npublic <phrase> = " + "\n  | ".join(self.phrases) + ";\n"

    def entry_for(self, text: str) -> Entry | None:
        """The entry that a text asks for: it is one of its phrases, or holds one; the longest counts."""
        words = f" {plain(text)} "
        found = [(len(phrase), entry) for entry in self.entries for phrase in entry.phrases if f" {phrase} " in words]
        return max(found, key=lambda each: each[0])[1] if found else None

    def entry_calling(self, name: str) -> Entry | None:
        """The first entry that calls this function."""
        calls = (entry for entry in self.entries for step in entry.steps if called_by(step) == name)
        return next(calls, None)

    def steps_for(self, turn: Turn) -> tuple[Step, ...]:
        """What to do in a turn that was `understood`."""
        if turn.tool_outputs:
            called = self.entry_calling(turn.tool_outputs[-1].name)
            return called.after if called is not None and called.after else (Say("{output}"),)
        if entry := self.entry_for(turn.text):
            return entry.steps
        asked = turn.text or turn.heard is not None
        return (Say(self.filled(self.help if asked else self.greeting)),)

    def filled(self, text: str) -> str:
        """A text with {help} and {phrases} filled in."""
        shown = [f'"{entry.shown}"' for entry in self.entries]
        listed = shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + f" or {shown[-1]}"
        return text.replace("{help}", self.help).replace("{phrases}", listed)


def called_by(step: Step) -> str:
    """The name of the function that a step calls; "" when it calls none."""
    if isinstance(step, SlowCall):
        return step.call.name
    return step.name if isinstance(step, ToolCall | McpCall) else ""


def plain(text: str) -> str:
    """A text in small letters, with single spaces and without marks."""
    return " ".join(_NOT_A_WORD.sub(" ", text.lower().replace("\u2019", "'")).split())


def parse_menu(data: Any, place: Place, others: Sequence[str] = ()) -> Menu:
    """Check a plain dict. `others` are members that are somebody else's. Raises ConfigError."""
    fields(data, (*_MEMBERS, *others), place)
    listed = data.get("menu")
    if not isinstance(listed, list) or not listed:
        raise place.at("menu").error("must be a list of entries with phrases and do")
    entries = tuple(_entry(entry, place.at("menu").at(number)) for number, entry in enumerate(listed))
    if sum(len(entry.phrases) for entry in entries) > MAX_PHRASES:
        raise place.at("menu").error(f"can be said in more than {MAX_PHRASES} ways: use fewer brackets")
    _check_twice(entries, place)
    return Menu(
        entries,
        _text(data, "help", place, HELP),
        _text(data, "greeting", place, "Hello. You can say: {phrases}."),
        _threshold(data.get("threshold", 0.5), place.at("threshold")),
        _words(data.get("words", {}), place.at("words")),
    )


def _entry(data: Any, place: Place) -> Entry:
    fields(data, _ENTRY, place)
    listed = data.get("phrases")
    if not isinstance(listed, list) or not listed or not all(isinstance(each, str) for each in listed):
        raise place.at("phrases").error("must be a list of texts")
    if "do" not in data:
        raise place.error("has no 'do': say what should happen, e.g. do: [{say: Hello}]")
    phrases = [way for n, phrase in enumerate(listed) for way in expand(phrase, place.at("phrases").at(n))]
    done = steps(data["do"], place.at("do"))
    after = steps(data["after"], place.at("after")) if "after" in data else ()
    if after and not any(called_by(step) for step in done):
        raise place.at("after").error("is never done: this entry calls no function")
    return Entry(max(expand(listed[0], place), key=len), tuple(dict.fromkeys(phrases)), done, after)


def expand(phrase: str, place: Place) -> list[str]:
    """Every way to say a phrase. Raises ConfigError for brackets that do not match, and for what is no word."""
    tokens = [found[0].lower() for found in _TOKEN.finditer(phrase.replace("\u2019", "'"))]
    for token in tokens:
        if token not in "[]()|" and not _WORD.fullmatch(token.strip(",.?!")):
            raise place.error(f"has {token!r}, which is no word: write it as it is said, with the letters a to z")
    ways, rest = _alternatives(tokens, place)
    if rest:
        raise place.error(f"has a {rest[0]!r} too many")
    if any(not way for way in ways):
        raise place.error("can be said without any word")
    return list(dict.fromkeys(ways))


def _alternatives(tokens: list[str], place: Place) -> tuple[list[str], list[str]]:
    """The ways to say x|y|z up to a closing bracket, and what follows."""
    ways: list[str] = []
    while True:
        some, tokens = _sequence(tokens, place)
        ways += some
        if not tokens or tokens[0] != "|":
            return ways, tokens
        tokens = tokens[1:]


def _sequence(tokens: list[str], place: Place) -> tuple[list[str], list[str]]:
    ways = [""]
    while tokens and tokens[0] not in ("|", "]", ")"):
        first, tokens = tokens[0], tokens[1:]
        if first in "[(":
            inner, tokens = _alternatives(tokens, place)
            if not tokens or tokens[0] != {"[": "]", "(": ")"}[first]:
                raise place.error(f"has a {first!r} that is not closed")
            tokens = tokens[1:]
            options = [*inner, ""] if first == "[" else inner
        else:
            options = [first.strip(",.?!")]
        ways = [" ".join(f"{way} {option}".split()) for way in ways for option in options]
        if len(ways) > MAX_PHRASES:
            raise place.error(f"can be said in more than {MAX_PHRASES} ways: use fewer brackets")
    return ways, tokens


def _check_twice(entries: Sequence[Entry], place: Place) -> None:
    seen: dict[str, int] = {}
    for number, entry in enumerate(entries):
        for phrase in entry.phrases:
            if seen.setdefault(phrase, number) != number:
                raise place.at("menu").at(number).error(f"has {phrase!r}, which entry {seen[phrase]} has too")


def _text(data: Mapping[str, Any], key: str, place: Place, otherwise: str) -> str:
    value = data.get(key, otherwise)
    if not isinstance(value, str) or not value:
        raise place.at(key).error(f"must be a text, not {kind_of(value)}")
    return value


def _threshold(value: Any, place: Place) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise place.error(f"is {value!r}: use a number from 0 to 1")
    return float(value)


def _words(data: Any, place: Place) -> dict[str, str]:
    if not isinstance(data, Mapping):
        raise place.error(f"must be a mapping from words to how they sound, not {kind_of(data)}")
    for word, sound in data.items():
        if not isinstance(word, str) or not isinstance(sound, str) or not set(sound.split()) <= PHONES or not sound:
            known = " ".join(sorted(PHONES))
            raise place.at(str(word)).error(f"is {sound!r}: use some of {known}")
    return {word.lower(): " ".join(sound.split()) for word, sound in data.items()}


_VOWELS = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW"
_CONSONANTS = "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH"
PHONES = frozenset(f"{_VOWELS} {_CONSONANTS}".split())
"""The sounds of US English, as the dictionary writes them (ARPAbet without stress)."""


__all__ = ["HELP", "MAX_PHRASES", "PHONES", "Entry", "Menu", "expand", "parse_menu", "plain"]
