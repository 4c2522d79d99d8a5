"""Getting brain, ears and voice ready before the first session is told that it exists, and putting them away.

ready = Readiness(brain, recogniser, voice)
await ready.wait()      # every session; the first one starts the work, all join it
await ready.close()     # once, at the end
"""

from __future__ import annotations

import asyncio
import logging

from engine.errors import EngineError
from engine.server.responders.base import Closes, WarmsUp

_log = logging.getLogger("bargein.server")


class BrainUnavailable(EngineError):
    """The brain, its recogniser or its voice could not be made ready. The words may be shown to a client."""


class Readiness:
    """One warm-up for all sessions of a server. Belongs to the loop on which it is first awaited."""

    def __init__(self, *parts: object) -> None:
        self._parts = list({id(part): part for part in parts if part is not None}.values())
        self._work: asyncio.Task[None] | None = None
        self._needed = any(isinstance(part, WarmsUp) for part in self._parts)
        self._closed = False

    async def wait(self) -> None:
        """Return when everything is ready. Raises BrainUnavailable when it is not to be had; the next caller tries
        again, since a model server that was down may have come up.
        """
        if self._closed:
            raise BrainUnavailable("The server is closing.")
        if not self._needed:
            return
        if self._work is None or (self._work.done() and not _succeeded(self._work)):
            self._work = asyncio.get_running_loop().create_task(self._warm_up())
        # Who waits may be cancelled (its client left); the work goes on for the others, and close() ends it.
        done, _ = await asyncio.wait({self._work})
        if not _succeeded(next(iter(done))):
            raise _problem(next(iter(done)))

    def begin(self) -> None:
        """Start the work now, so that the first session finds it done. Nobody waits for it here."""
        if self._work is None and self._needed:
            self._work = asyncio.get_running_loop().create_task(self._warm_up())

    def stop(self) -> None:
        """Nobody shall wait any more: who does gets BrainUnavailable."""
        self._closed = True
        if self._work is not None:
            self._work.cancel()

    async def close(self) -> None:
        """Stop a warm-up that still runs and let every part put away what it holds. Twice is allowed."""
        self.stop()
        parts, self._parts = self._parts, []
        if self._work is not None:
            await asyncio.wait({self._work})
            _succeeded(self._work)  # looked at: a failure that nobody waited for is no unheard exception
        for part in parts:
            if isinstance(part, Closes):
                try:
                    await part.aclose()
                except Exception:
                    _log.exception("%s could not be closed", type(part).__name__)

    async def _warm_up(self) -> None:
        for part in self._parts:
            if isinstance(part, WarmsUp):
                try:
                    await part.warm_up()
                except Exception as error:  # in the log at once: the first client may come an hour later
                    _log.error("%s is not available: %s", type(part).__name__, error or type(error).__name__)
                    raise


def _succeeded(work: asyncio.Task[None]) -> bool:
    return not work.cancelled() and work.exception() is None


def _problem(work: asyncio.Task[None]) -> BrainUnavailable:
    return BrainUnavailable("The server is closing.") if work.cancelled() else _told(work.exception())


def _told(error: BaseException | None) -> BrainUnavailable:
    """What a client may know: words of ours, and only the name of an exception that may hold anything."""
    if isinstance(error, BrainUnavailable):
        return error
    if isinstance(error, EngineError):
        return BrainUnavailable(f"The server's brain is not available: {error}")
    if isinstance(error, TimeoutError):
        return BrainUnavailable("The server's brain is not available: it was not ready in time.")
    return BrainUnavailable(f"The server's brain is not available: {type(error).__name__}.")


def unavailable(error: Exception) -> BrainUnavailable:
    """The error for a client whose session has no brain; the whole of one that is not told yet goes to the log."""
    told = _told(error)
    if told is not error:
        _log.error("the brain is not available", exc_info=error)
    return told


__all__ = ["BrainUnavailable", "Readiness", "unavailable"]
