"""Shapes with every lawful value, drawn from their annotations."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st

from engine.realtime import types as t
from engine.realtime.types import reading
from engine.realtime.types.marks import Between, Length, Matches, Vocabulary
from engine.realtime.types.shape import Shape

WORDS = st.text("abc é", min_size=1, max_size=6)
FREE = st.dictionaries(WORDS, st.none() | st.integers() | WORDS, max_size=2)


SERVER_SETS: dict[type[Shape], set[str]] = {
    t.ReportedSession: {"id", "object"},
    t.ReportedTranscription: {"id", "object"},
    t.ClientSecret: {"session"},
    t.McpCall: {"id"},
    t.McpApprovalRequest: {"id"},
}
"""Members that a server always sets and whose absence is forgiven here."""


@cache
def shapes(kind: type[Shape]) -> st.SearchStrategy[Shape]:
    """Shapes of this class, any of their optional members left out."""
    return st.deferred(lambda: _shapes(kind))


def _shapes(kind: type[Shape]) -> st.SearchStrategy[Shape]:
    always = {member.name for member in reading.plan(kind) if member.required} | SERVER_SETS.get(kind, set())
    required = {member.name: _member(member) for member in reading.plan(kind) if member.name in always}
    optional = {member.name: _member(member) for member in reading.plan(kind) if member.name not in always}
    return st.fixed_dictionaries(required, optional=optional).map(lambda members: kind(**members))


def _member(member: reading.Member) -> st.SearchStrategy[Any]:
    if member.name == "output_modalities":
        return st.sampled_from([("audio",), ("text",)])
    return _values(member.hint, member.marks)


def _values(hint: Any, marks: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    if get_origin(hint) in (Union, types.UnionType):
        parts = [reading.bare(part) for part in get_args(hint)]
        tagged = any(_is_shape(part) and part.__struct_config__.tag for part in parts)
        if tagged:  # what has no type of its own, or none at all, is for what a server reports
            parts = [part for part in parts if not _is_open(part)]
        return st.one_of([_values(part, marks) for part in parts])
    origin = get_origin(hint)
    if origin is Literal:
        return st.sampled_from(get_args(hint))
    if origin is not None and issubclass(origin, Mapping):
        limit = next((mark.most for mark in marks if isinstance(mark, Length)), 2)
        inner = reading.bare(get_args(hint)[1])
        return FREE if inner is Any else st.dictionaries(WORDS, _values(inner, ()), max_size=min(limit, 2))
    if origin is not None and issubclass(origin, Sequence):
        least = next((mark.least for mark in marks if isinstance(mark, Length)), 0)
        return st.lists(_values(reading.bare(get_args(hint)[0]), marks), min_size=least, max_size=2)
    if _is_shape(hint):
        return shapes(hint)
    return _scalars(hint, marks)


def _scalars(hint: Any, marks: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    between = next((mark for mark in marks if isinstance(mark, Between)), Between(0, 10_000))
    if hint is str:
        names = next((mark for mark in marks if isinstance(mark, Vocabulary)), None)
        pattern = next((mark.pattern for mark in marks if isinstance(mark, Matches)), None)
        return st.sampled_from(tuple(names)) if names else st.from_regex(pattern, fullmatch=True) if pattern else WORDS
    if hint is int:
        return st.integers(int(between.least), int(between.most))
    if hint is float:
        return st.floats(between.least, between.most, allow_nan=False)
    return st.booleans() if hint is bool else st.none()


def _is_shape(hint: Any) -> bool:
    return isinstance(hint, type) and get_origin(hint) is None and issubclass(hint, Shape)


def _is_open(hint: Any) -> bool:
    untagged = _is_shape(hint) and not hint.__struct_config__.tag
    return untagged or get_origin(hint) is dict
