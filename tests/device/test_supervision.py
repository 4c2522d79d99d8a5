"""What supervision does about a stream that dies, stalls or never starts."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.audio import Duplex, DuplexConfig, EventKind
from engine.endpoints import DeviceEvent, DeviceSound, supervised, waiting
from engine.endpoints.negotiate import Pair
from engine.endpoints.supervised import Patience
from engine.endpoints.waiting import in_thread
from engine.endpoints.wakeup import Wakeup
from engine.errors import DeviceError
from tests.audio.sounds import voice
from tests.device.world import PLAN, USB, WISHES, FakeStream, World, beating, run, until


def test_a_healthy_stream_is_left_alone(world: World) -> None:
    async def body(_sound: DeviceSound) -> None:
        await beating(world, lambda: world.opened[0].callback.stats().callbacks >= 60)

    assert run(world, body)
    assert world.events == []
    assert len(world.opened) == 1
    assert world.opened[0].closed


@pytest.mark.parametrize("how", ["stalls", "ends"])
def test_a_stream_without_heartbeat_is_opened_again(world: World, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(_sound: DeviceSound) -> None:
        world.opened[0].beat()
        world.opened[0].alive = how == "stalls"
        if how == "stalls":
            monkeypatch.setattr(supervised, "STALL_S", 0.05)
        await until(lambda: "lost" in world.kinds())
        monkeypatch.setattr(supervised, "STALL_S", 3600.0)
        await until(lambda: len(world.opened) == 2)
        await beating(world, lambda: "back" in world.kinds())
        await beating(world, lambda: world.opened[1].callback.stats().callbacks >= 30)

    assert run(world, body)
    assert world.kinds() == ["lost", "back"]
    assert ("no callback for" if how == "stalls" else "it ended by itself") in world.events[0].text
    assert [stream.closed for stream in world.opened] == [True, True]
    assert "look" not in world.calls  # the first try needs no list


def test_a_stream_that_dies_at_its_start_is_opened_again_without_a_loss(world: World) -> None:
    world.dead_starts = 1

    async def body(_sound: DeviceSound) -> None:
        await until(lambda: len(world.opened) == 2)
        await beating(world, lambda: bool(world.events))

    assert run(world, body)
    assert world.kinds() == ["dead start"]


def test_one_that_is_gone_after_a_death_at_its_start_is_told_lost_and_back(world: World) -> None:
    world.dead_starts = 1

    async def body(_sound: DeviceSound) -> None:
        world.refusals = 3
        await until(lambda: len(world.opened) == 2)
        await beating(world, lambda: "back" in world.kinds())

    assert run(world, body)
    assert world.kinds() == ["lost", "back"]
    assert "it is busy" in world.events[0].text


def test_a_device_that_is_unplugged_is_found_by_name_when_it_returns(world: World) -> None:
    async def body(sound: DeviceSound) -> None:
        world.opened[0].beat()
        world.there, world.listed, world.opened[0].alive = [], [], False
        await until(lambda: world.calls.count("look") >= 3)
        assert sound.away
        assert len(world.opened) == 1
        world.there = [replace(USB, index=9, name="USB Audio: - (hw:3,0)")]
        await until(lambda: len(world.opened) == 2)
        await beating(world, lambda: "back" in world.kinds())
        assert not sound.away
        assert sound.opened.microphone == "USB Audio: - (hw:3,0)"

    assert run(world, body)
    assert world.opened[1].plan == replace(PLAN, microphone=9, loudspeaker=9)
    assert world.calls.index("renew") > world.calls.index("look")


def test_a_busy_device_is_tried_again(world: World) -> None:
    async def body(_sound: DeviceSound) -> None:
        world.opened[0].beat()
        world.refusals, world.opened[0].alive = 3, False
        await until(lambda: len(world.opened) == 2)
        await beating(world, lambda: "back" in world.kinds())

    assert run(world, body)
    assert world.calls.count("open") == 5


def test_silence_is_captured_while_it_is_away_and_the_reply_waits(world: World) -> None:
    async def body(sound: DeviceSound) -> None:
        queue = sound.duplex.queue
        queue.push("item", 0, bytes(48000), queue.open())
        world.opened[0].beat()
        world.there, world.listed, world.opened[0].alive = [], [], False
        await until(lambda: sound.away)
        waiting, heard = queue.waiting, sound.duplex.capture_stats().hops
        await until(lambda: sound.duplex.capture_stats().hops >= heard + 20)
        assert queue.waiting == waiting > 0

    assert run(world, body)
    assert world.kinds() == ["lost"]


def test_a_reply_nobody_can_hear_is_cut_off_in_the_end(world: World) -> None:
    async def body(sound: DeviceSound) -> None:
        queue = sound.duplex.queue
        queue.push("item", 0, bytes(48000), queue.open())
        queue.complete("item", 0)
        world.opened[0].beat()
        world.there, world.listed, world.opened[0].alive = [], [], False
        await until(lambda: "silenced" in world.kinds() and queue.waiting == 0)
        position = queue.position("item", 0)
        assert position is not None
        assert position.discarded > 0
        assert position.ended
        assert EventKind.CONFIRMED in [event.kind for event in sound.duplex.read_events()]

    assert run(world, body, hold_s=0.0)


def test_unplugged_while_ducking_the_duck_is_taken_back(world: World) -> None:
    async def body(sound: DeviceSound) -> None:
        queue = sound.duplex.queue
        queue.push("item", 0, (np.arange(240000) % 100 * 100).astype(np.int16).tobytes(), queue.open())
        spoken = iter(voice(96000, rate=48000).reshape(-1, 480))
        seen: list[EventKind] = []

        def kinds() -> list[EventKind]:
            seen.extend(event.kind for event in sound.duplex.read_events())
            return seen

        while EventKind.DUCKED not in kinds():
            world.opened[0].beat(next(spoken))  # two seconds are enough
        world.there, world.listed, world.opened[0].alive = [], [], False
        await until(lambda: EventKind.RESTORED in kinds())
        assert EventKind.CONFIRMED not in seen

    assert run(world, body)


def test_without_reopening_the_loss_is_an_error_of_wait(world: World) -> None:
    async def body(sound: DeviceSound) -> None:
        world.opened[0].beat()
        world.opened[0].alive = False
        while True:
            await sound.wait(0.01)

    with pytest.raises(DeviceError, match="lost: it ended by itself"):
        run(world, body, reopen=False)
    assert world.kinds() == ["lost"]


def test_a_machine_that_slept_tells_so(world: World) -> None:
    async def body(_sound: DeviceSound) -> None:
        await beating(world, lambda: world.opened[0].callback.stats().callbacks > 3)
        world.slept = 3600.0
        await beating(world, lambda: bool(world.events))

    assert run(world, body)
    assert (world.kinds(), world.events[0].seconds) == (["resumed"], 3600.0)


def test_a_listener_that_fails_is_not_the_devices_problem(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async def body(sound: DeviceSound) -> None:
        def failing(event: DeviceEvent) -> None:
            raise ValueError(event.kind)

        sound.follow(failing)
        world.opened[0].beat()
        world.opened[0].alive = False
        await until(lambda: len(world.opened) == 2)
        await beating(world, lambda: not sound.away)

    assert run(world, body)
    assert "on_event of the device failed" in caplog.text


def test_a_sound_system_that_does_not_close_is_left_behind(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised, "CLOSE_S", 0.05)
    release = threading.Event()

    async def body(_sound: DeviceSound) -> None:
        monkeypatch.setattr(world.opened[0], "close", lambda: release.wait(30))
        asyncio.get_running_loop().call_later(0.5, release.set)

    assert not run(world, body)


def test_cancelled_work_in_a_thread_is_waited_for() -> None:
    begun, release, ended = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        release.wait(30)
        ended.append(True)

    async def main() -> None:
        task = asyncio.create_task(in_thread(work))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        await asyncio.sleep(0)
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended

    asyncio.run(main())


def test_a_sound_system_that_never_answers_does_not_hold_ctrl_c_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(waiting, "ABANDON_S", 0.05)
    begun, release = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        release.wait(60)

    async def main() -> None:
        task = asyncio.create_task(in_thread(work))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        with pytest.raises(waiting.Abandoned):
            await task
        assert task.cancelled()
        release.set()

    asyncio.run(main())
    assert "is left behind" in caplog.text


def test_what_is_left_behind_keeps_its_memory(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled while the streams start, and they never do: nothing of it may be given back."""
    monkeypatch.setattr(waiting, "ABANDON_S", 0.05)
    begun, release = threading.Event(), threading.Event()

    def start(stream: FakeStream) -> None:
        begun.set()
        release.wait(60)

    monkeypatch.setattr(FakeStream, "start", start)

    async def main() -> None:
        wakeup = Wakeup()
        sound = DeviceSound(WISHES, Patience(True, 1.0), wakeup, None)
        streams: list[Any] = world.open_streams(Duplex(DuplexConfig()), [PLAN])
        sound.opened_with(streams[0].callback.duplex, streams, Pair(USB, USB), 0)
        task = asyncio.create_task(sound.start())
        await asyncio.to_thread(begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not await sound.stop()
        assert not sound.closed
        release.set()
        wakeup.close()

    asyncio.run(main())
