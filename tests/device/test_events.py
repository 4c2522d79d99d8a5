"""What a conversation tells of its device, and what it makes of the device's own reports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import engine
from engine.audio import AudioEvent, EventKind, ItemKey
from engine.conversation import DeviceChanged
from engine.endpoints import DeviceEvent, DeviceSound, SoundSettings
from tests.device.world import USB, World, opened, until


class Room:
    """The endpoint of a stream without sound."""

    def __init__(self, world: World, reopen: bool = True) -> None:
        self.world = world
        self.reopen = reopen

    @asynccontextmanager
    async def open(self, settings: SoundSettings) -> AsyncIterator[DeviceSound]:
        """As `Endpoint.open`."""
        async with opened(self.world, settings, reopen=self.reopen) as sound:
            sound._tell(DeviceEvent("dead start", "before anybody listened"))
            yield sound


class Ears:
    """An observer."""

    def __init__(self) -> None:
        self.heard: list[tuple[AudioEvent, ItemKey | None]] = []

    def event(self, direction: str, message: bytes, event: engine.events.AnyEvent | None) -> None:
        """As `Observer.event`."""

    def sound(self, event: AudioEvent, item: ItemKey | None) -> None:
        """As `Observer.sound`."""
        self.heard.append((event, item))


def test_what_happens_to_the_device_is_among_the_events(world: World) -> None:
    changes: list[DeviceChanged] = []

    async def main() -> None:
        async with asyncio.timeout(60), engine.connect(Room(world), url="inside", responder="echo") as conversation:
            world.opened[0].beat()
            world.there, world.listed, world.opened[0].alive = [], [], False
            async for event in conversation.events():
                if isinstance(event, DeviceChanged):
                    changes.append(event)
                    if event.change == "lost":
                        world.there = [USB]
                    elif event.change == "back":
                        break

    asyncio.run(main())
    assert [change.change for change in changes] == ["dead start", "lost", "back"]
    assert [(event.text, event.seconds) for event in world.events] == [(each.text, each.seconds) for each in changes]
    assert changes[1].type == "bargein.device"
    assert changes[2].seconds > 0


def test_the_loss_that_ends_a_conversation_is_told_before_its_end(world: World) -> None:
    changes: list[str] = []

    async def main() -> None:
        room = Room(world, reopen=False)
        async with asyncio.timeout(60), engine.connect(room, url="inside", responder="echo") as conversation:
            world.opened[0].beat()
            world.opened[0].alive = False
            try:
                async for event in conversation.events():
                    if isinstance(event, DeviceChanged):
                        changes.append(event.change)
            except engine.DeviceError:
                changes.append("the end")

    asyncio.run(main())
    assert changes == ["dead start", "lost", "the end"]


def test_a_gap_is_no_items(world: World) -> None:
    """Its value is a number of samples; an item may have the same number."""
    ears = Ears()

    async def main() -> None:
        connecting = engine.connect(Room(world), url="inside", responder="echo", observer=ears)
        async with asyncio.timeout(60), connecting as conversation:
            duplex = conversation.sound.duplex
            duplex.queue.push("item", 0, bytes(480), duplex.queue.open())
            number = next(number for number in range(8) if duplex.queue.key(number) == ("item", 0))
            for kind in (EventKind.STARVED, EventKind.PLAYBACK_GAP, EventKind.CAPTURE_GAP):
                duplex.report(AudioEvent(kind, number, 240))
            await until(lambda: len(ears.heard) == 3)

    asyncio.run(main())
    assert {event.kind.name: item for event, item in ears.heard} == {
        "STARVED": ("item", 0),
        "PLAYBACK_GAP": None,
        "CAPTURE_GAP": None,
    }
