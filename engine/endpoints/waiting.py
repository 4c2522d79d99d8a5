"""Work that waits for a sound system, out of the loop's way."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar, cast

ABANDON_S = 12.0  # cancelled, so long is waited; above CLOSE_S of a stream
T = TypeVar("T")
_log = logging.getLogger("bargein")


class Abandoned(asyncio.CancelledError):
    """Cancelled, and the work goes on: what it uses must not be given back."""


async def in_thread(work: Callable[[], T], limit_s: float | None = None) -> T:
    """Do what waits for the sound system in a thread. Cancelled, it still waits for the end first, so that nothing is
    given back under running work, and for 12 s at most: then it raises `Abandoned`, so that Ctrl-C ends a program whose
    sound system never answers. Raises `TimeoutError` after `limit_s`. The thread is a daemon, which does not keep the
    interpreter from ending.
    """
    loop = asyncio.get_running_loop()
    task: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, failure: BaseException | None) -> None:
        if task.done():
            return
        if failure is not None:
            task.set_exception(failure)
        else:
            task.set_result(cast(T, result))

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except BaseException as error:
            failure = error
        with suppress(RuntimeError):  # the loop has not waited for it, and is closed
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name="sound system", daemon=True).start()
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            done, _ = await asyncio.wait([task], timeout=limit_s if cancelled is None else ABANDON_S)
        except asyncio.CancelledError as error:
            cancelled = error
            continue
        if not done and cancelled is None:
            raise TimeoutError
        if not done:
            _log.error("the sound system has not answered for %g s and is left behind", ABANDON_S)
            task.cancel()
            raise Abandoned
    if cancelled is not None:
        task.exception()  # looked at: the cancellation counts
        raise cancelled
    return task.result()
