"""The two ends of a Realtime session."""

from __future__ import annotations

import enum


class Role(enum.Enum):
    """Which end a protocol object speaks for, or which end sent an event."""

    __hash__ = object.__hash__  # in C: half the time of a look-up is Enum's own

    CLIENT = "client"
    SERVER = "server"

    @property
    def peer(self) -> Role:
        """The other end."""
        return Role.SERVER if self is Role.CLIENT else Role.CLIENT
