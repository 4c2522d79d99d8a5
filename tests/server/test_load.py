"""What keeps many sessions on one core possible, told without a clock: threads, tasks, memory, calls per frame, nobody
waits for a neighbour. `bench/load.py` measures the time.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
import tracemalloc
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.frames import Frame, Opcode

from engine.audio import AudioFormat
from engine.server import Server, ServerOptions, serve
from engine.server.voices import ToneVoice
from tests.server.harness import question, run, session, silence, wire

MANY = 50
SESSION_BYTES = 120_000
"""Most that a session without sound may allocate, with its client in this test; 48,000 when it was written."""
LEFT_BYTES = 20_000
"""Most that may be left of a session that has ended: caches of the process."""
CALLS_PER_FRAME = 80
"""Most calls, of Python and of C functions, that a frame of 20 ms without an event may take; 55 when it was written."""

FRAME = wire(silence(0.02))


def event(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields})


def append(audio: bytes) -> str:
    return event("input_audio_buffer.append", audio=b64encode(audio).decode())


async def expect(client: ClientConnection, kind: str) -> dict[str, Any]:
    """Read up to the first event of a type."""
    async with asyncio.timeout(50):
        while True:
            found: dict[str, Any] = json.loads(await client.recv())
            if found["type"] == kind:
                return found


def with_server(test: Callable[[Server], Awaitable[None]]) -> None:
    async def main() -> None:
        options = ServerOptions(max_sessions=200, burst=1000)
        async with asyncio.timeout(100), serve(options=options, voice=ToneVoice()) as server:
            await test(server)

    asyncio.run(main())


@asynccontextmanager
async def callers(server: Server, count: int) -> AsyncIterator[list[ClientConnection]]:
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(connect(server.url, max_size=None)) for _ in range(count)]
        for client in found:
            await expect(client, "session.created")
        yield found


def test_threads_and_tasks_of_many_sessions_that_talk() -> None:
    async def test() -> None:
        async with AsyncExitStack() as stack:
            one = await stack.enter_async_context(session())
            await one.append(question())
            await one.next("response.done")
            threads, tasks = threading.active_count(), len(asyncio.all_tasks())
            clients = [await stack.enter_async_context(session()) for _ in range(MANY)]
            each = (len(asyncio.all_tasks()) - tasks) / MANY
            assert each <= 4  # actor, reader, writer; and the test's own reader
            for client in clients:
                await client.append(question())
            for client in clients:
                await client.next("response.output_audio.delta")
            assert threading.active_count() == threads
            for client in clients:
                await client.next("response.done")
            assert threading.active_count() == threads
            assert (len(asyncio.all_tasks()) - tasks) / MANY == each  # what a turn began has ended

    run(test)


@pytest.mark.parametrize("format", [AudioFormat.PCM, AudioFormat.PCMU])
def test_memory_of_a_session(format: AudioFormat) -> None:
    async def some(server: Server) -> int:
        """Bytes that each of ten sessions holds while it is open."""
        before = tracemalloc.get_traced_memory()[0]
        async with callers(server, 10) as clients:
            opened = tracemalloc.get_traced_memory()[0] - before
            for client in clients:
                audio = {"input": {"format": {"type": format.value}}}
                await client.send(event("session.update", session={"type": "realtime", "audio": audio}))
                await client.send(append(question(format)))
            for client in clients:
                await expect(client, "response.done")
            return opened // 10

    async def test(server: Server) -> None:
        await some(server)  # what the process needs once
        tracemalloc.start()
        await some(server)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        # The client of the same session is in it too.
        assert await some(server) < SESSION_BYTES
        while server.sessions:  # noqa: ASYNC110 - the server tells nobody; a test may ask
            await asyncio.sleep(0.001)
        gc.collect()
        assert (tracemalloc.get_traced_memory()[0] - before) / 10 < LEFT_BYTES

    try:
        with_server(test)
    finally:
        tracemalloc.stop()


def test_calls_of_a_frame() -> None:
    async def test(server: Server) -> None:
        async with callers(server, 1):
            carrier = next(iter(server.sockets.open))
            frame = Frame(Opcode.TEXT, append(FRAME).encode()).serialize(mask=True)
            for _ in range(100):  # the history is full, so every frame drops one
                carrier.data_received(frame)
            calls = 0

            def count(_frame: Any, what: str, _arg: Any) -> None:
                nonlocal calls
                calls += what in ("call", "c_call")

            sys.setprofile(count)
            for _ in range(100):
                carrier.data_received(frame)
            sys.setprofile(None)
            assert 10 < calls / 100 <= CALLS_PER_FRAME

    with_server(test)


def test_nobody_waits_for_a_huge_append() -> None:
    async def test(server: Server) -> None:
        async with callers(server, 2) as (huge, small):
            noise = np.random.default_rng(1).integers(-3, 4, 15 * 2**19).astype("<i2").tobytes()
            await huge.send(append(noise))
            await huge.send(event("conversation.item.retrieve", item_id="none"))
            answered = asyncio.create_task(expect(huge, "error"))
            asked = 0
            while not answered.done():
                await small.send(append(FRAME))
                await small.send(event("conversation.item.retrieve", item_id="none"))
                await expect(small, "error")
                asked += 1
            # 240 slices, and a turn of the loop for the others after each. One is answered before the append is there.
            assert asked > 10

    with_server(test)


def test_nobody_waits_for_who_does_not_read() -> None:
    async def test(server: Server) -> None:
        async with callers(server, 3) as (stalled, *others):
            stalled.transport.pause_reading()
            large = {"type": "realtime", "instructions": "x" * 100_000}  # in every answer
            for _ in range(80):  # more than the kernel holds for it
                await stalled.send(event("session.update", session=large))
            for client in others:
                await client.send(append(question()))
            for client in others:
                assert (await expect(client, "response.done"))["response"]["status"] == "completed"
            stalled.transport.abort()

    with_server(test)
