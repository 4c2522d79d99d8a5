"""The queue to one client: order, bounds, and room for audio."""

from __future__ import annotations

import asyncio

from engine.server.outbox import Close, Outbox


def test_what_does_not_fit_is_refused_and_room_comes_back() -> None:
    async def scene() -> None:
        outbox = Outbox(1000)
        assert outbox.put(b"a" * 200)
        await asyncio.wait_for(outbox.room(), 1)
        assert outbox.put(b"b" * 200)
        waiting = asyncio.create_task(outbox.room())
        await asyncio.sleep(0)
        assert not waiting.done()  # audio waits from a quarter on
        assert outbox.put(b"c" * 200)
        assert outbox.put(b"d" * 200)
        assert outbox.put(b"e" * 200)
        assert not outbox.put(b"f")
        assert outbox.put(Close(1000, ""))  # the end always fits
        for letter in b"abcde":
            entry = await outbox.get()
            assert isinstance(entry, bytes)
            assert entry[0] == letter
            outbox.written(entry)
        await asyncio.wait_for(waiting, 1)
        assert isinstance(await outbox.get(), Close)
        assert outbox.waiting == 0

    asyncio.run(scene())


def test_one_event_may_be_larger_than_the_limit() -> None:
    outbox = Outbox(1000)
    assert outbox.put(b"x" * 5000)
    assert outbox.put(b"small")
    assert [outbox.put(b"x" * 5000) for _ in range(3)] == [True, True, False]


def test_idle_is_only_who_waits_for_the_next_entry() -> None:
    async def scene() -> None:
        outbox = Outbox(1000)
        assert not outbox.idle  # nobody writes yet
        getting = asyncio.create_task(outbox.get())
        await asyncio.sleep(0)
        assert outbox.idle
        assert outbox.put(b"a")
        assert not outbox.idle  # what is sent past the queue now would be before it
        assert await getting == b"a"
        assert not outbox.idle
        getting = asyncio.create_task(outbox.get())
        await asyncio.sleep(0)
        getting.cancel()
        await asyncio.sleep(0)
        assert not outbox.idle

    asyncio.run(scene())
