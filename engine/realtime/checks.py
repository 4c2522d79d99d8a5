"""Small checks of a session's members: each takes a path, the value there, and whether unknown members are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.realtime import problems

Check = Callable[[str, Any, bool], None]
"""Raises ProtocolError when a value may not stand at this path; the last argument is `strict`."""


def check_object(where: str, value: Mapping[str, Any], members: Mapping[str, Check], strict: bool) -> None:
    """Check every member of an object; `strict` refuses those that are not in `members`."""
    for name, inner in value.items():
        check = members.get(name)
        if check is not None:
            check(f"{where}.{name}", inner, strict)
        elif strict:
            raise problems.unknown_parameter(f"{where}.{name}")


def any_value(where: str, value: Any, strict: bool) -> None:
    """Whatever it is: somebody else checks it."""
    del where, value, strict


def of(kind: type | tuple[type, ...], words: str, *, nullable: bool = True) -> Check:
    """A value of a JSON type; `words` name it with its article."""

    def check(where: str, value: Any, strict: bool) -> None:
        del strict
        wrong_bool = isinstance(value, bool) and kind is not bool
        if (value is None and nullable) or (isinstance(value, kind) and not wrong_bool):
            return
        raise problems.invalid_type(where, words, value)

    return check


def between(least: float, most: float, *, whole: bool = False, nullable: bool = False) -> Check:
    """A number in a range, bounds included."""
    is_number = of(int if whole else (int, float), "an integer" if whole else "a number", nullable=nullable)

    def check(where: str, value: Any, strict: bool) -> None:
        is_number(where, value, strict)
        if value is not None and not least <= value <= most:
            raise problems.invalid_value(where, f"Invalid '{where}': expected {least:g} to {most:g}, but got {value}.")

    return check


def one_of(*values: Any, nullable: bool = False) -> Check:
    """One of some words."""

    def check(where: str, value: Any, strict: bool) -> None:
        del strict
        if value in values or (value is None and nullable):
            return
        names = "', '".join(str(each) for each in values)
        raise problems.invalid_value(where, f"Invalid value: '{value!s:.80}'. Supported values are: '{names}'.")

    return check


def object_of(members: Mapping[str, Check]) -> Check:
    """null, or an object whose members are these."""

    def check(where: str, value: Any, strict: bool) -> None:
        if value is None:
            return
        if not isinstance(value, Mapping):
            raise problems.invalid_type(where, "an object", value)
        check_object(where, value, members, strict)

    return check
