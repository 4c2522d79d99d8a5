"""What every Realtime event shares: three kinds of empty, unknown members, base classes.

UNSET means the member is absent, None means it is `null`, anything else is its value: three things, kept apart.
Members that this version does not know are kept in `extra` and written back by wire.encode.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from engine.realtime.redaction import shown

EXTRA = "*"  # wire name of `extra`; a real member of that name is kept inside `extra` like any other unknown one

Object: TypeAlias = dict[str, Any]  # an open JSON object; unknown members stay in place
NullableText: TypeAlias = str | UnsetType | None  # optional; null is taken too, as peers send it for absent


MAX_ID = 512
"""Longest event, item, response or call id that is accepted, characters."""


def usable_id(value: str) -> bool:
    """Whether an id can stand for something: not empty and not endless."""
    return 0 < len(value) <= MAX_ID


def text_of(mapping: Mapping[str, Any], key: str) -> str:
    """The string at `key`, or "" when it is absent or something else. Peers send what they like; this never raises."""
    value = mapping.get(key)
    return value if isinstance(value, str) else ""


def _last_is_extra(name: str) -> bool:
    return name == "extra"


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    """Base of all typed events. Frozen; `type` is the wire's name; build with keyword arguments."""

    event_id: NullableText = UNSET
    extra: Object | UnsetType = msgspec.field(default=UNSET, name=EXTRA)

    @property
    def type(self) -> str:
        """The wire's type, such as "response.created"."""
        return str(self.__struct_config__.tag)

    def __repr__(self) -> str:
        """As msgspec's, without what is absent, what is secret, and the bytes of sound."""
        present = ((name, getattr(self, name)) for name in sorted(self.__struct_fields__, key=_last_is_extra))
        members = (f"{name}={shown(name, value)}" for name, value in present if value is not UNSET)
        return f"{type(self).__name__}({', '.join(members)})"


class ClientEvent(Event, frozen=True, kw_only=True):
    """Sent by the client. `event_id`, at most 512 characters, is echoed only in an `error` that this event causes."""


class ServerEvent(Event, frozen=True, kw_only=True):
    """Sent by the server. Conforming servers always give `event_id`; Protocol fills it in when it is UNSET."""


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """An event whose type this version does not know: kept and shown, never fatal. `fields` holds all other members."""

    type: str
    fields: Object

    def __repr__(self) -> str:
        return f"Unknown(type={shown('type', self.type)}, fields={shown('fields', self.fields)})"

    @property
    def event_id(self) -> NullableText:
        """As the typed events' event_id; UNSET when absent or not a string."""
        value = self.fields.get("event_id", UNSET)
        return value if value is None or isinstance(value, str) else UNSET
