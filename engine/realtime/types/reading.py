"""Reads JSON objects into shapes, after a plan made once per class from its annotations.

Never raises over what a server may have sent: a value that does not fit goes to `extra`. Only where a shape cannot be
without a member, or another shape is meant (a `role` of its own), does reading it fail, and the next of a union is
tried; at last the object stays what it was.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeAlias, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, UNSET, UnsetType

if TYPE_CHECKING:
    from engine.realtime.types.shape import Shape

S = TypeVar("S", bound="Shape")
M = TypeVar("M")

EXTRA = "*"  # wire name of `extra`, which no member has: a real member "*" is unknown, and so is kept inside it

Reader: TypeAlias = Callable[[Any], Any]
"""Gives the value to keep, or raises MisfitError."""


class MisfitError(Exception):
    """A value is not of the type that was wanted."""

    def __init__(self, message: str, member: str | None = None) -> None:
        super().__init__(message)
        self.member = member


class Member(NamedTuple):
    """One member of a shape. `hint` is its annotation without UNSET; `may_be_absent` tells whether that had one."""

    name: str
    wire_name: str
    hint: Any
    reader: Reader
    required: bool
    fixed: bool
    may_be_absent: bool
    marks: tuple[Any, ...]

    def mark(self, kind: type[M]) -> M | None:
        """The mark of this kind, or None."""
        return next((mark for mark in self.marks if isinstance(mark, kind)), None)


@cache
def plan(cls: type[Shape]) -> tuple[Member, ...]:
    """The members of a shape, `extra` left out."""
    return tuple(_member(field) for field in msgspec.structs.fields(cls) if field.encode_name != EXTRA)


def read(cls: type[S], value: Mapping[str, Any]) -> S:
    """The shape of this object. Raises MisfitError."""
    if not isinstance(value, Mapping):
        raise MisfitError("it is not an object")
    rest = dict(value)
    config = cls.__struct_config__
    if config.tag_field is not None and rest.pop(config.tag_field, None) != config.tag:
        raise MisfitError(f"its {config.tag_field} is not {config.tag!r}", config.tag_field)
    found: dict[str, Any] = {}
    for member in plan(cls):
        if member.wire_name in rest:
            try:
                found[member.name] = member.reader(rest[member.wire_name])
                del rest[member.wire_name]
            except MisfitError:
                if member.required or member.fixed:
                    raise MisfitError(f"{member.wire_name} does not fit", member.wire_name) from None
        elif member.required:
            raise MisfitError(f"it has no {member.wire_name}", member.wire_name)
        elif member.may_be_absent:
            found[member.name] = UNSET  # not its default: absent stays absent
    if rest:
        found["extra"] = rest
    return cls(**found)


def _member(field: msgspec.structs.FieldInfo) -> Member:
    hint, marks = _unwrapped(field.type)
    required = field.default is NODEFAULT and field.default_factory is NODEFAULT
    fixed = get_origin(hint) is Literal
    may_be_absent = UnsetType in get_args(field.type)
    return Member(field.name, field.encode_name, hint, reader(hint), required, fixed, may_be_absent, marks)


def bare(hint: Any) -> Any:
    """A hint without what annotates it."""
    return _unwrapped(hint)[0]


def _unwrapped(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """A hint without Annotated, UnsetType and what they leave of a union; and all marks in it."""
    if get_origin(hint) is Annotated:
        inner, *marks = get_args(hint)
        inner, more = _unwrapped(inner)
        return inner, (*marks, *more)
    if get_origin(hint) in (Union, types.UnionType):
        parts = [_unwrapped(part) for part in get_args(hint) if part is not UnsetType]
        joined = parts[0][0]
        for part, _ in parts[1:]:
            joined = Union[joined, part]  # noqa: UP007  # built at run time
        return joined, tuple(mark for _, found in parts for mark in found)
    return hint, ()


# ---- readers


@cache
def reader(hint: Any) -> Reader:
    """What reads values of this annotation."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _union(tuple(reader(_unwrapped(part)[0]) for part in get_args(hint)))
    if origin is Literal:
        return _literal(get_args(hint))
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(reader(_unwrapped(get_args(hint)[1])[0]))
    if origin is not None and issubclass(origin, Sequence):
        return _sequence(reader(_unwrapped(get_args(hint)[0])[0]))
    if hint is Any:
        return lambda value: value
    if hint is int:
        return _whole
    if hint is float:
        return _number
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return lambda value: read(hint, value)  # type: ignore[type-var]  # all structs here are shapes
    return _instance(hint)


def _instance(kind: type) -> Reader:
    def convert(value: Any) -> Any:
        if not isinstance(value, kind):
            raise MisfitError(f"it is not {kind.__name__}")
        return value

    return convert


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise MisfitError("it is not a whole number")
    return value


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise MisfitError("it is not a number")
    return value


def _literal(allowed: tuple[Any, ...]) -> Reader:
    def convert(value: Any) -> Any:
        if value not in allowed:
            raise MisfitError(f"it is not {allowed[0]!r}")
        return value

    return convert


def _mapping(inner: Reader) -> Reader:
    def convert(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise MisfitError("it is not an object")
        return {name: inner(member) for name, member in value.items()}

    return convert


def _sequence(inner: Reader) -> Reader:
    def convert(value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            raise MisfitError("it is not an array")
        return tuple(inner(element) for element in value)

    return convert


def _union(readers: tuple[Reader, ...]) -> Reader:
    def convert(value: Any) -> Any:
        for each in readers:
            try:
                return each(value)
            except MisfitError:
                continue
        raise MisfitError("it is none of the shapes that may stand here")

    return convert


__all__ = ["EXTRA", "UNSET", "Member", "MisfitError", "plan", "read", "reader"]
