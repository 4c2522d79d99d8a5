"""What an application is told of its sound device."""

from __future__ import annotations

from collections.abc import Callable

from engine.endpoints import DeviceEvent, DeviceSound, Sound
from engine.realtime import events as ev


class DeviceChanged(ev.ServerEvent, frozen=True, kw_only=True, tag="bargein.device"):
    """Something happened to the device; comes through `Conversation.events`, and is ours, not the server's. `change`,
    `text` and `seconds` are those of `engine.endpoints.DeviceEvent`: lost, back, silenced, resumed, rate and so on.
    """

    change: str
    text: str
    seconds: float = 0.0


def follow_device(sound: Sound, put: Callable[[DeviceChanged], None]) -> None:
    """Put what happens to the device, and what has since it was opened, among the events. Other endpoints have none."""

    def told(event: DeviceEvent) -> None:
        put(DeviceChanged(change=event.kind, text=event.text, seconds=event.seconds))

    if isinstance(sound, DeviceSound):
        sound.follow(told)


__all__ = ["DeviceChanged", "follow_device"]
