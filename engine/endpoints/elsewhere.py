"""No sound here: the server holds both ends of it, and this side listens in on the events of a call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.audio import Duplex, DuplexConfig
from engine.endpoints.endpoint import Sound, SoundSettings


class _Silence:
    """A `Sound` of which nothing is ever captured or played: no thread, and a duplex that nobody runs."""

    ended = False  # the server says when a call is over

    def __init__(self) -> None:
        self.duplex = Duplex(DuplexConfig(records_ms=2000, queue_s=0.1))
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()

    async def wait(self, timeout: float) -> None:
        await asyncio.sleep(timeout)

    @property
    def seconds(self) -> float:
        """Since it was opened."""
        return self._loop.time() - self._since


class Elsewhere:
    """The endpoint of a call's sideband: `engine.connect(call_id=...)` uses it by itself."""

    @asynccontextmanager
    async def open(self, settings: SoundSettings) -> AsyncIterator[Sound]:  # noqa: ARG002
        """As `Endpoint.open`; there is nothing to set."""
        yield _Silence()
