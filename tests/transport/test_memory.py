"""A connection inside one process: order, back-pressure, and what a close means on either end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from engine.clock import run_virtual
from engine.errors import ConnectionLost
from engine.transport import Connection, pair

T = TypeVar("T")


def with_pair(test: Callable[[Connection, Connection], Awaitable[T]], limit: int = 4) -> T:
    """Run with both ends in virtual time."""

    async def main() -> T:
        async with asyncio.timeout(10):
            return await test(*pair(limit))

    return run_virtual(main())


def test_messages_arrive_as_they_were_sent_both_ways() -> None:
    async def talk(one: Connection, other: Connection) -> None:
        sent: list[bytes | str] = ["text", b"bytes", "", b""]
        for message in sent:
            await one.send(message)
        await other.send("back")
        assert [await other.receive() for _ in sent] == sent
        assert await one.receive() == "back"

    with_pair(talk)


def test_a_full_direction_makes_its_sender_wait_and_only_it() -> None:
    async def talk(one: Connection, other: Connection) -> None:
        for number in range(4):
            await one.send(str(number))
        fifth = asyncio.create_task(one.send("4"))
        await asyncio.sleep(1)
        assert not fifth.done()
        await other.send("the other way is free")
        assert await one.receive() == "the other way is free"
        assert await other.receive() == "0"
        await fifth
        assert [await other.receive() for _ in range(4)] == ["1", "2", "3", "4"]

    with_pair(talk)


def test_a_receiver_waits_for_a_message() -> None:
    async def talk(one: Connection, other: Connection) -> None:
        waiting = asyncio.create_task(other.receive())
        await asyncio.sleep(1)
        assert not waiting.done()
        await one.send("here")
        assert await waiting == "here"

    with_pair(talk)


@pytest.mark.parametrize("closer", [0, 1])
def test_what_was_sent_before_a_close_is_still_received(closer: int) -> None:
    async def talk(*ends: Connection) -> None:
        one, other = ends
        await one.send("a")
        await one.send("b")
        await ends[closer].close(1001, "going")
        assert [await other.receive(), await other.receive()] == ["a", "b"]
        for end in ends:
            with pytest.raises(ConnectionLost) as lost:
                await end.receive()
            assert (lost.value.code, lost.value.reason) == (1001, "going")
            with pytest.raises(ConnectionLost) as lost:
                await end.send("c")
            assert lost.value.code == 1001

    with_pair(talk)


def test_a_close_wakes_who_waits_to_send_and_to_receive() -> None:
    async def talk(one: Connection, other: Connection) -> None:
        for _ in range(4):
            await one.send("x")
        waiting = [asyncio.create_task(one.send("x")), asyncio.create_task(one.receive())]
        await asyncio.sleep(1)
        await other.close(1011)
        for result in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(result, ConnectionLost)
            assert result.code == 1011

    with_pair(talk)


def test_the_first_close_counts() -> None:
    async def talk(one: Connection, other: Connection) -> None:
        await one.close(4000, "first")
        await other.close(1000, "second")
        await one.close()
        with pytest.raises(ConnectionLost, match="4000: first"):
            await other.receive()

    with_pair(talk)


def test_a_cancelled_receive_loses_nothing() -> None:
    async def talk(one: Connection, other: Connection) -> None:
        for _ in range(3):
            waiting = asyncio.create_task(other.receive())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        await one.send("kept")
        assert await other.receive() == "kept"

    with_pair(talk)


def test_each_failure_is_an_exception_of_its_own() -> None:
    async def talk(one: Connection, other: Connection) -> None:
        await one.close(1011)
        errors = []
        for _ in range(2):
            with pytest.raises(ConnectionLost) as lost:
                await other.receive()
            errors.append(lost.value)
        assert errors[0] is not errors[1], "a shared exception would collect tracebacks"

    with_pair(talk)
