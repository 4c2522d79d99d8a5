"""Virtual time: it stands still while there is work and jumps when there is none."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import pytest

from engine import clock
from engine.clock import VirtualLoop, run_virtual


def now() -> float:
    """The running loop's time."""
    return asyncio.get_running_loop().time()


def test_an_hour_passes_at_once() -> None:
    async def main() -> float:
        await asyncio.sleep(3600)
        return now()

    assert run_virtual(main()) == pytest.approx(3600)


def test_time_starts_at_zero_and_work_takes_none() -> None:
    async def main() -> list[float]:
        times = [now()]
        sum(range(100_000))
        for _ in range(100):
            await asyncio.sleep(0)
        return [*times, now()]

    assert run_virtual(main()) == [0.0, 0.0]


def test_timers_ring_in_order_and_at_their_time() -> None:
    rung: list[tuple[str, float]] = []

    async def ring(name: str, after: float) -> None:
        await asyncio.sleep(after)
        rung.append((name, round(now(), 9)))

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            for name, after in (("c", 3), ("a", 0.001), ("d", 1000), ("b", 0.5)):
                tasks.create_task(ring(name, after))

    run_virtual(main())
    assert rung == [("a", 0.001), ("b", 0.5), ("c", 3), ("d", 1000)]


def test_two_clocks_of_ten_milliseconds_stay_together() -> None:
    ticks: list[str] = []

    async def tick(name: str) -> None:
        start = now()
        for count in range(1, 1001):
            await asyncio.sleep(start + count * 0.01 - now())
            ticks.append(name)

    async def main() -> float:
        await asyncio.gather(tick("a"), tick("b"))
        return now()

    assert run_virtual(main()) == pytest.approx(10)
    assert all({ticks[n], ticks[n + 1]} == {"a", "b"} for n in range(0, 2000, 2))


def test_a_timeout_is_virtual_too() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(50):
                await asyncio.Event().wait()
        return now()

    assert run_virtual(main()) == pytest.approx(50)


def test_time_stands_still_while_a_thread_works() -> None:
    seen: list[float] = []

    def work() -> str:
        time.sleep(0.03)
        return threading.current_thread().name

    async def beside() -> None:
        await asyncio.sleep(1)
        seen.append(now())

    async def main() -> tuple[float, str]:
        task = asyncio.create_task(beside())
        name = await asyncio.to_thread(work)
        at = now()
        await task
        return at, name

    at, name = run_virtual(main())
    assert at == 0.0
    assert name != threading.current_thread().name
    assert seen == [pytest.approx(1.0)]


def test_two_threads_hold_time_until_the_last_is_done() -> None:
    async def main() -> float:
        await asyncio.gather(asyncio.to_thread(time.sleep, 0.01), asyncio.to_thread(time.sleep, 0.04))
        return now()

    assert run_virtual(main()) == 0.0


def test_a_thread_that_fails_lets_time_go_on() -> None:
    def fail() -> None:
        raise LookupError("in the thread")

    async def main() -> float:
        with pytest.raises(LookupError):
            await asyncio.to_thread(fail)
        await asyncio.sleep(5)
        return now()

    assert run_virtual(main()) == pytest.approx(5)


def test_a_callback_from_another_thread_wakes_the_loop() -> None:
    async def main() -> str:
        loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
        thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(done.set_result, "called"))
        thread.start()
        result: str = await done
        thread.join()
        return result

    assert run_virtual(main()) == "called"


def test_what_a_socket_carries_is_read_before_time_goes_on() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            await asyncio.sleep(0.5)
            writer.write(line.upper())
            await writer.drain()
        writer.close()

    async def main() -> list[tuple[bytes, float]]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        answers = []
        for number in range(5):
            writer.write(b"line %d\n" % number)
            answers.append((await reader.readline(), round(now(), 6)))
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        return answers

    assert run_virtual(main()) == [(b"LINE %d\n" % n, 0.5 * (n + 1)) for n in range(5)]


def test_exceptions_come_out_and_async_generators_are_closed() -> None:
    closed: list[bool] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    async def main() -> None:
        async for _ in numbers():
            raise LookupError("out")

    with pytest.raises(LookupError, match="out"):
        run_virtual(main())
    assert closed == [True]


def test_tasks_that_are_left_are_cancelled_at_the_end() -> None:
    ended: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.sleep(1e9)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def main() -> None:
        main.task = asyncio.create_task(forever())  # type: ignore[attr-defined]
        await asyncio.sleep(1)

    run_virtual(main())
    assert ended == ["cancelled"]


def test_which_loop_is_virtual() -> None:
    async def main() -> tuple[bool, bool]:
        return clock.is_virtual(), isinstance(asyncio.get_running_loop(), VirtualLoop)

    assert run_virtual(main()) == (True, True)
    assert asyncio.run(main()) == (False, False)


def test_a_reader_of_a_pipe_is_woken() -> None:
    import os

    async def main() -> bytes:
        reading, writing = os.pipe()
        loop, got = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
        loop.add_reader(reading, lambda: got.set_result(os.read(reading, 10)))
        loop.call_later(3, os.write, writing, b"x")
        data: bytes = await got
        loop.remove_reader(reading)
        os.close(reading)
        os.close(writing)
        return data

    assert run_virtual(main()) == b"x"
