"""The pipe by which an audio thread wakes the loop."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack, suppress


class Wakeup:
    """A pipe on the running loop: the audio threads write to `descriptor`, `wait` returns. Close it after them."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._reading, self.descriptor = os.pipe()
        for end in (self._reading, self.descriptor):
            os.set_blocking(end, False)
            self._stack.callback(os.close, end)
        self._woken = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._reading, self._on_bytes)
        self._stack.callback(loop.remove_reader, self._reading)

    def _on_bytes(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._reading, 4096)
        self._woken.set()

    def set(self) -> None:
        """Wake the one who waits, from the loop itself."""
        self._woken.set()

    async def wait(self, timeout: float) -> None:
        """Return when a byte came since the last call, at the latest after `timeout` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._woken.wait()
        self._woken.clear()

    def close(self) -> None:
        """Give the pipe back."""
        self._stack.close()
