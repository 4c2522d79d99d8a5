"""Holds a JSON object against a shape: the types and marks of its members, on every level.

engine.realtime.rules adds what one member says about another. Nothing here raises; what is found is collected.
"""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias, Union, get_args, get_origin

from engine.realtime.redaction import HIDDEN, redact
from engine.realtime.types import reading
from engine.realtime.types.marks import Between, Length, Matches, Secret, Vocabulary
from engine.realtime.types.shape import Shape

SHOWN = 80  # characters of a value in a message

CLEARED_BY_NULL = frozenset(
    {
        "instructions",
        "tools",
        "tool_choice",
        "output_modalities",
        "max_output_tokens",
        "truncation",
        "audio.input.format",
        "audio.output.format",
        "audio.output.speed",
        "audio",
        "audio.input",
        "audio.output",
    }
)
"""Members of a session that an update clears with null, although the reference does not list null among their types."""


class Problem(NamedTuple):
    """One mistake: which field, its value as it may be shown, the rule it breaks, and what to do."""

    field: str
    value: str
    rule: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.field} is {self.value}: {self.rule}; {self.remedy}"


@dataclass
class Check:
    """What a check has found: problems, which must not be sent, and doubts, which are."""

    problems: list[Problem] = field(default_factory=list)
    doubts: list[Problem] = field(default_factory=list)

    def add(self, where: str, value: Any, rule: str, remedy: str) -> None:
        """A problem."""
        self.problems.append(Problem(where, shown(value), rule, remedy))

    def tell(self, where: str, what: str, rule: str, remedy: str) -> None:
        """A problem whose value is told in words."""
        self.problems.append(Problem(where, what, rule, remedy))

    def doubt(self, where: str, value: Any, rule: str, remedy: str) -> None:
        """A doubt."""
        self.doubts.append(Problem(where, shown(value), rule, remedy))


Rules: TypeAlias = Mapping[type[Shape], Callable[[Mapping[str, Any], str, Check], None]]


def shown(value: Any) -> str:
    """A value for a message: short, without secrets."""
    text = HIDDEN if value == HIDDEN else repr(redact(value))
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def checked_shape(kind: type[Shape], value: Mapping[str, Any], where: str, rules: Rules) -> Check:
    """Everything that is wrong or doubtful with this object as a `kind`."""
    checker = _Checker(where, rules)
    checker.shape(kind, value, where)
    return checker.check


class _Checker:
    def __init__(self, root: str, rules: Rules) -> None:
        self.root = root
        self.rules = rules
        self.check = Check()

    def shape(self, kind: type[Shape], value: Mapping[str, Any], where: str) -> None:
        config = kind.__struct_config__
        members = {member.wire_name: member for member in reading.plan(kind)}
        excluded = len(self.check.problems)
        for base in kind.__mro__:
            if base in self.rules:
                self.rules[base](value, where, self.check)
        refused = {problem.field for problem in self.check.problems[excluded:]}
        for name, inner in value.items():
            place = f"{where}.{name}"
            if name == config.tag_field or place in refused:
                continue
            if name in members:
                self.member(members[name], inner, place)
            else:
                like = difflib.get_close_matches(str(name), members, 1)
                meant = f"did you mean {like[0]}? If not, " if like else ""
                self.check.doubt(place, inner, "it is not known here", f"{meant}put it into extra={{...}}")
        for member in members.values():
            if member.required and member.wire_name not in value:
                self.check.tell(
                    f"{where}.{member.wire_name}", "missing", "it is required", f"give it: {_words(member.hint)}"
                )

    def member(self, member: reading.Member, value: Any, where: str) -> None:
        secret = member.mark(Secret) is not None
        hints = _parts(member.hint)
        if value is None and (type(None) in hints or self._cleared(where)):
            return
        if not self._fits(hints, value):
            rule = f"it must be {_words(member.hint)}"
            self.check.add(where, HIDDEN if secret else value, rule, "change its type")
            return
        for mark in member.marks:
            self._mark(mark, value, where, secret)
        self._inside(hints, value, where)

    def _cleared(self, where: str) -> bool:
        return where.removeprefix(f"{self.root}.") in CLEARED_BY_NULL

    # ---- types

    def _fits(self, hints: tuple[Any, ...], value: Any) -> bool:
        for hint in hints:
            origin = get_origin(hint)
            if origin is Literal:
                fits = value in get_args(hint)
            elif _is_shape(hint):
                fits = isinstance(value, Mapping)
            elif origin is not None:
                fits = isinstance(value, list if issubclass(origin, Sequence) else Mapping)
            elif hint is Any:
                fits = True
            elif hint is float:
                fits = isinstance(value, (int, float)) and not isinstance(value, bool)
            else:
                fits = isinstance(value, hint) and (hint is bool or not isinstance(value, bool))
            if fits:
                return True
        return False

    def _inside(self, hints: tuple[Any, ...], value: Any, where: str) -> None:
        if isinstance(value, list):
            inner = next((get_args(hint)[0] for hint in hints if _is_sequence(hint)), Any)
            for number, element in enumerate(value):
                self._element(inner, element, f"{where}[{number}]")
        elif isinstance(value, Mapping):
            shapes = [hint for hint in hints if _is_shape(hint)]
            if shapes:
                self._one_of(shapes, value, where)
                return
            inner = next((get_args(hint)[1] for hint in hints if get_origin(hint) is not None), Any)
            for name, element in value.items():
                self._element(inner, element, f"{where}.{name}")

    def _element(self, hint: Any, value: Any, where: str) -> None:
        hints = _parts(hint)
        if not self._fits(hints, value):
            self.check.add(where, value, f"it must be {_words(hint)}", "change its type")
            return
        self._inside(hints, value, where)

    def _one_of(self, shapes: list[type[Shape]], value: Mapping[str, Any], where: str) -> None:
        """Which of several shapes is meant is told by the type, then by what else is fixed."""
        untagged = [kind for kind in shapes if kind.__struct_config__.tag_field is None]
        tagged = [kind for kind in shapes if kind.__struct_config__.tag == value.get("type", "")]
        if tagged:
            meant = [kind for kind in tagged if _fixed_fits(kind, value)] or tagged
            self.shape(meant[0], value, where)
        elif untagged and len(untagged) == len(shapes):
            self.shape(untagged[0], value, where)
        elif "type" not in value and not untagged:
            names = ", ".join(str(kind.__struct_config__.tag) for kind in shapes)
            self.check.tell(f"{where}.type", "missing", "it is required", f"give one of {names}")
        elif "type" in value:
            names = ", ".join(str(kind.__struct_config__.tag) for kind in shapes if kind not in untagged)
            remedy = f"known are {names}; it is sent as it is"
            self.check.doubt(f"{where}.type", value["type"], "it is not known here", remedy)
        else:
            self.shape(untagged[0], value, where)

    # ---- marks

    def _mark(self, mark: Any, value: Any, where: str, secret: bool) -> None:
        seen = HIDDEN if secret else value
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if isinstance(mark, Between) and is_number and not mark.least <= value <= mark.most:
            self._out_of_range(mark, value, where)
        elif isinstance(mark, Length) and isinstance(value, (str, list, Mapping)):
            if not mark.least <= len(value) <= mark.most:
                rule = (
                    f"it must have {mark.least} to {mark.most} entries" if mark.most < 2**31 else "it must not be empty"
                )
                self.check.add(where, seen, rule, "leave it out" if len(value) < mark.least else "shorten it")
        elif isinstance(mark, Matches) and isinstance(value, str) and not re.fullmatch(mark.pattern, value):
            self.check.add(where, seen, f"it must be {mark.words}", "correct it")
        elif isinstance(mark, Vocabulary):
            self._names(mark, value, where)

    def _out_of_range(self, mark: Between, value: float, where: str) -> None:
        if mark.least == mark.most:
            self.check.add(where, value, f"it must be {mark.least:g}", f"use {mark.least:g}")
            return
        top = f"{mark.most:g}" if mark.most < 1e9 else "any size"
        nearest = mark.least if value < mark.least else mark.most
        remedy = f"use {nearest:g}" if value == value else "use a number"  # noqa: PLR0124  # NaN differs from itself
        self.check.add(where, value, f"the range is {mark.least:g} to {top}", remedy)

    def _names(self, mark: Vocabulary, value: Any, where: str) -> None:
        for name in value if isinstance(value, list) else [value]:
            if isinstance(name, str) and name not in mark:
                listed = ", ".join(mark)
                if mark.closed:
                    self.check.add(where, name, f"the only word here is {listed}", f"use {listed} or a number")
                else:
                    rule = f"no such {mark.what} is known here"
                    self.check.doubt(where, name, rule, f"known are {listed}; it is sent as it is")


def _parts(hint: Any) -> tuple[Any, ...]:
    found = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    return tuple(reading.bare(part) for part in found)


def _is_shape(hint: Any) -> bool:
    return isinstance(hint, type) and get_origin(hint) is None and issubclass(hint, Shape)


def _is_sequence(hint: Any) -> bool:
    origin = get_origin(hint)
    return isinstance(origin, type) and issubclass(origin, Sequence)


def _fixed_fits(kind: type[Shape], value: Mapping[str, Any]) -> bool:
    fixed = [member for member in reading.plan(kind) if member.fixed]
    return all(value.get(member.wire_name) in get_args(member.hint) for member in fixed)


def _words(hint: Any) -> str:
    """A type for people."""
    words = []
    for part in _parts(hint):
        if _is_shape(part):
            word = f"an object ({part.__name__})"
        elif get_origin(part) is Literal:
            word = " or ".join(map(repr, get_args(part)))
        elif get_origin(part) is not None:
            word = "an array" if _is_sequence(part) else "an object"
        else:
            word = _WORDS.get(part, "an object")
        if word not in words:
            words.append(word)
    return " or ".join(words)


_WORDS = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
    Any: "anything",
}
