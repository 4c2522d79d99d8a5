"""A device that PortAudio does not know yet is found while others are open: they step aside for it together."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from engine.endpoints import DeviceEvent, SoundSettings, renewal
from engine.endpoints.negotiate import Pair, Wishes
from engine.endpoints.renewal import RENEWAL, Renewal
from tests.device.world import PLAN, USB, FakeStream, World, opened, until

ARRAY = replace(USB, index=5, name="Array (hw:2,0)")
MOVED = replace(USB, index=9, name="USB Audio: - (hw:3,0)")
ARRAYS = Wishes("Array*", "Array*", None, 10.0, None, None, None, None)


def replug(world: World) -> None:
    """The first stream's device goes, and comes back under another number; PortAudio's own list is still the old."""
    world.refusals = 1  # the number it had leads nowhere
    world.there = [ARRAY, MOVED]
    world.opened[0].alive = False


def beat_all(world: World) -> None:
    for stream in world.opened:
        if stream.alive:
            stream.beat()


def test_all_devices_of_the_process_are_opened_again_together(world: World) -> None:
    world.there = world.listed = [ARRAY, USB]
    others: list[DeviceEvent] = []

    async def main() -> None:
        async with (
            asyncio.timeout(60),
            opened(world, SoundSettings()) as mine,
            opened(world, SoundSettings(), wishes=ARRAYS, found=Pair(ARRAY, ARRAY), events=others) as other,
        ):
            beat_all(world)
            hops = other.duplex.capture_stats().hops
            replug(world)
            while "back" not in world.kinds() or not others:
                beat_all(world)
                await asyncio.sleep(0.002)
            assert not mine.away and not other.away
            assert other.duplex.capture_stats().hops > hops
            await until(lambda: mine.opened.microphone == MOVED.name)
            assert sorted(stream.plan.microphone or 0 for stream in world.opened if not stream.closed) == [5, 9]

    asyncio.run(main())
    assert world.kinds() == ["lost", "back"]
    assert [event.kind for event in others] == ["renewed"]
    assert not RENEWAL.wanted


def test_a_device_that_is_listed_already_disturbs_nobody(world: World) -> None:
    world.there = world.listed = [ARRAY, USB]
    others: list[DeviceEvent] = []

    async def main() -> None:
        async with (
            asyncio.timeout(60),
            opened(world, SoundSettings()),
            opened(world, SoundSettings(), wishes=ARRAYS, found=Pair(ARRAY, ARRAY), events=others),
        ):
            beat_all(world)
            world.refusals = 3  # busy for a while
            world.opened[0].alive = False
            while "back" not in world.kinds():
                beat_all(world)
                await asyncio.sleep(0.002)

    asyncio.run(main())
    assert others == []
    assert len(world.opened) == 3


def test_one_that_does_not_step_aside_is_not_waited_for_for_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewal, "LIMIT_S", 0.05)
    world.there = world.listed = [ARRAY, USB]

    async def main() -> None:
        async with asyncio.timeout(60), opened(world, SoundSettings()) as sound:
            beat_all(world)
            stubborn = FakeStream(sound.duplex, PLAN)  # nobody watches over it
            world.opened.append(stubborn)
            world.listed = [ARRAY]
            replug(world)
            world.refusals = 0
            await until(lambda: world.calls.count("renew") >= 3 and not RENEWAL.wanted)
            assert sound.away
            stubborn.close()
            while "back" not in world.kinds():
                beat_all(world)
                await asyncio.sleep(0.002)

    asyncio.run(main())


def test_one_renewal_serves_all_who_ask_for_it() -> None:
    asked = Renewal()
    renewed: list[bool] = []

    def second() -> bool:
        renewed.append(False)
        return False  # a stream is open again: the first has come back

    async def main() -> None:
        slow = asyncio.create_task(asyncio.to_thread(asked.together, second))
        await until(lambda: bool(renewed))
        assert asked.wanted
        assert await asyncio.to_thread(asked.together, lambda: True)
        assert await slow
        await asked.over()

    asyncio.run(main())
    assert not asked.wanted
