"""The embedded server with its page, on a loop in a thread of its own: the browser's driver has the test's thread."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Any

from engine.server import ServerOptions, serve
from engine.server.responders import Responder
from engine.server.voices import ToneVoice

PATIENCE_S = 60


class Served:
    """A running server, for a `with` block. `page` is the address of its playground."""

    def __init__(self, responder: Responder, options: ServerOptions | None = None, **settings: Any) -> None:
        self.page = ""
        self._settings = {"responder": responder, "options": options, "voice": ToneVoice(), **settings}
        self._end = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listening = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="served")

    def __enter__(self) -> Served:
        self._thread.start()
        assert self._listening.wait(PATIENCE_S), "the server does not listen"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End every session and the thread. Twice is allowed."""
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(PATIENCE_S)
            assert not self._thread.is_alive()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with serve(**self._settings) as server:
            self.page = server.base_url.removesuffix("v1")
            self._listening.set()
            await self._end.wait()
