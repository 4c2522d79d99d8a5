"""What was asked of a session against what the server says is in force, and an update cut down to what it changes.

Sessions are open objects in the wire's shape; nothing here keeps state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from msgspec import UNSET

from engine.realtime.redaction import SECRET_MEMBERS, redact

NOT_REPORTED = frozenset({"parallel_tool_calls"})
"""Members that no server reports: that they are missing means nothing."""
WHOLE = frozenset({"turn_detection", "format", "transcription", "noise_reduction", "prompt", "reasoning", "truncation"})
"""Objects that are sent whole when any of them changes: servers differ in how they merge a part."""
BRANCHES = frozenset({"audio", "audio.input", "audio.output"})
"""Objects of which only the members that change are sent."""


class Difference(NamedTuple):
    """One member that is not in force as asked. `present` is UNSET when the server did not report it."""

    field: str
    asked: Any
    present: Any

    def __str__(self) -> str:
        present = "not reported" if self.present is UNSET else repr(redact(self.present))
        return f"{self.field}: asked for {redact(self.asked)!r:.80}, in force is {present:.80}"


def differences(asked: Mapping[str, Any], effective: Mapping[str, Any], where: str = "session") -> list[Difference]:
    """Members of a session.update that session.updated does not confirm. Defaults that the server adds are none."""
    return list(_differences(asked, effective, where))


def changes(effective: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The part of `wanted` that is not in force already: {} when all of it is. `type` is left out; a session.update
    needs it again."""
    return _changes(effective, {name: value for name, value in wanted.items() if name != "type"}, "")


def _changes(present: Any, wanted: Mapping[str, Any], where: str) -> dict[str, Any]:
    result = {}
    for name, value in wanted.items():
        here = f"{where}.{name}".lstrip(".")
        now = present.get(name, UNSET) if isinstance(present, Mapping) else UNSET
        if here in BRANCHES and isinstance(value, Mapping):
            if inner := _changes(now, value, here):
                result[name] = inner
        elif now is UNSET or any(_differences({name: value}, {name: now}, "", strict=True)):
            result[name] = value
    return result


def _differences(
    asked: Mapping[str, Any], present: Mapping[str, Any], where: str, *, strict: bool = False
) -> Iterator[Difference]:
    """With `strict`, a secret that the server hides counts as different: it may have been changed."""
    for name, value in asked.items():
        if not strict and name.lower() in SECRET_MEMBERS:
            continue
        now = present.get(name, UNSET)
        if value is None and now is UNSET and not strict:
            continue
        if now is UNSET and name in NOT_REPORTED:
            continue
        yield from _compared(value, now, f"{where}.{name}", strict)


def _compared(asked: Any, present: Any, where: str, strict: bool) -> Iterator[Difference]:
    if isinstance(asked, Mapping) and isinstance(present, Mapping):
        yield from _differences(asked, present, where, strict=strict)
    elif isinstance(asked, list) and isinstance(present, list) and len(asked) == len(present):
        for number, (each, now) in enumerate(zip(asked, present, strict=True)):
            yield from _compared(each, now, f"{where}[{number}]", strict)
    elif asked != present or isinstance(asked, bool) is not isinstance(present, bool):
        yield Difference(where, asked, present)
