"""What every object of the reference shares: three kinds of empty, unknown members, and the way from JSON and back.

A Shape is a frozen struct in the wire's names. UNSET means absent, None means `null`, anything else is its value.

    session = RealtimeSession.from_wire({"type": "realtime", "shiny": 1})
    session.instructions is UNSET, session.extra == {"shiny": 1}, session.to_wire() == {"type": "realtime", "shiny": 1}

Members that this version does not know, and known ones whose value does not fit their type, are kept in `extra` and
written back. Sound never passes here: events are decoded in C by engine.realtime.wire, and a Shape is a view of the
open objects in the few events that carry one. marks.py has what the annotations say beyond a type; reading.py reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from engine.errors import RemoteProtocolError
from engine.realtime.redaction import HIDDEN, shown
from engine.realtime.types import reading
from engine.realtime.types.marks import Secret

Object: TypeAlias = dict[str, Any]
"""An open JSON object, for what has no shape here."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all shapes. Build with keyword arguments; a wrong type is found by engine.realtime.rules, not here."""

    extra: Mapping[str, Any] | UnsetType = msgspec.field(default=UNSET, name=reading.EXTRA)
    """Members merged last over all others, objects into objects: for what a newer server takes. Never checked."""

    @classmethod
    def from_wire(cls, value: Mapping[str, Any]) -> Self:
        """The shape of a JSON object. Raises `RemoteProtocolError` when it lacks what the shape cannot be without."""
        try:
            return reading.read(cls, value)
        except reading.MisfitError as misfit:
            message = f"this is no {cls.__name__}: {misfit}"
            raise RemoteProtocolError(message, code="invalid_value", param=misfit.member) from None

    def to_wire(self, *, extra: bool = True) -> Object:
        """The JSON object: absent members left out, `extra` merged last. With extra=False only what is known here, on
        every level."""
        result: Object = {}
        config = self.__struct_config__
        if config.tag_field is not None:
            result[config.tag_field] = config.tag
        for name, wire_name in zip(self.__struct_fields__, self.__struct_encode_fields__, strict=True):
            value = getattr(self, name)
            if value is not UNSET and wire_name != reading.EXTRA:
                result[wire_name] = plain(value, extra=extra)
        return merged(result, self.extra) if extra and self.extra is not UNSET else result

    def to_json(self) -> bytes:
        """Compact JSON of to_wire()."""
        return msgspec.json.encode(self.to_wire())

    def __repr__(self) -> str:
        marked = {plan.name for plan in reading.plan(type(self)) if plan.mark(Secret) is not None}
        members = []
        for name in sorted(self.__struct_fields__, key=lambda name: name == "extra"):
            value = getattr(self, name)
            if value is not UNSET:
                hide = name in marked and value is not None
                members.append(f"{name}={HIDDEN if hide else shown(name, value)}")
        return f"{type(self).__name__}({', '.join(members)})"


class Tagged(Shape, frozen=True, kw_only=True, tag_field="type"):
    """Base of the shapes that are told apart by a fixed `type`, which is written by itself."""

    @property
    def type(self) -> str:
        """The wire's `type`, such as "server_vad"."""
        return str(self.__struct_config__.tag)


def plain(value: Any, *, extra: bool = True) -> Any:
    """A value as JSON has it: shapes as objects, sequences as arrays."""
    if isinstance(value, Shape):
        return value.to_wire(extra=extra)
    if isinstance(value, Mapping):
        return {name: plain(inner, extra=extra) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray)):
        return [plain(inner, extra=extra) for inner in value]
    return value


def merged(members: Mapping[str, Any], over: Mapping[str, Any]) -> Object:
    """`over` laid upon `members`: its objects go into objects, everything else takes the place of what was there."""
    result = dict(members)
    for name, value in over.items():
        present = result.get(name)
        if isinstance(present, Mapping) and isinstance(value, Mapping):
            result[name] = merged(present, value)
        else:
            result[name] = plain(value)
    return result
