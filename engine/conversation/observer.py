"""Who may look on: traces, recordings and pictures of a conversation are made from this."""

from __future__ import annotations

from typing import Protocol

from engine.audio import AudioEvent, ItemKey
from engine.realtime import events as ev


class Observer(Protocol):
    """Sees everything, changes nothing. Called on the loop thread; must return at once."""

    def event(self, direction: str, message: bytes, event: ev.AnyEvent | None) -> None:
        """One message, "sent" or "received", as on the wire; `event` is None when it could not be decoded."""

    def sound(self, event: AudioEvent, item: ItemKey | None) -> None:
        """One report of the audio threads; `item` for those about playback."""
