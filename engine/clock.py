"""Time as the asyncio loop tells it, and a loop whose time is moved by its own idleness.

Everything above the C core reads time from the running loop (`loop.time()`, `asyncio.sleep`, `asyncio.timeout`). On
an ordinary loop that is the monotonic clock. On a `VirtualLoop` time stands still while there is work and jumps to
the next timer when there is none, so an hour of conversation runs in seconds and always the same way.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with virtual time, in seconds from 0.

    Time jumps only when no callback is ready, no socket has data and no thread started by `run_in_executor` or
    `asyncio.to_thread` is running. Sockets on loopback work, since what was sent is readable before the loop is idle.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._threads = 0
        super().__init__(_VirtualSelector(self))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move time on. The selector calls this when the loop is idle."""
        self._now += seconds

    @property
    def waits_for_threads(self) -> bool:
        """Whether work in a thread holds time still."""
        return self._threads > 0

    def run_in_executor(  # type: ignore[override]  # the stub's variadic generics cannot be said in 3.11 syntax here
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """As asyncio's; time stands still until the thread is done."""
        future = super().run_in_executor(executor, func, *args)
        self._threads += 1
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ARG002
        """As asyncio's; its time limit is not used up while threads end in real time."""
        self._threads += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self._threads -= 1

    def _thread_done(self, _future: asyncio.Future[Any]) -> None:
        self._threads -= 1


class _VirtualSelector(selectors.BaseSelector):
    """Polls the real selector without waiting and lets virtual time pass instead."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is None or self._loop.waits_for_threads:
            return self._real.select(None)  # a thread's end, a signal or a socket wakes this up
        self._loop.advance(timeout)
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


def is_virtual() -> bool:
    """Whether the running loop has virtual time."""
    return isinstance(asyncio.get_running_loop(), VirtualLoop)


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time, as `asyncio.run` does in real time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
