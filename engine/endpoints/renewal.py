"""PortAudio's list of devices is renewed only while no stream of the process is open: the devices of a process step
aside for it together.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

LOOK_S = 0.02
LIMIT_S = 10.0  # a device whose loop has stalled does not step aside: then it is not renewed this time


class Renewal:
    """Who needs a renewed list, and when it is done. Any thread, any loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asking = 0
        self._times = 0

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for all streams to be closed."""
        return self._asking > 0

    def together(self, renew: Callable[[], bool]) -> bool:
        """Ask all to step aside and call `renew` until it does; one renewal serves all who ask for it meanwhile. False
        after `LIMIT_S`. For a thread that may wait; the streams of the caller are closed.
        """
        with self._lock:
            self._asking += 1
            before = self._times
        end = time.monotonic() + LIMIT_S
        try:
            while self._times == before:
                if renew():
                    with self._lock:
                        self._times += 1
                elif time.monotonic() > end:
                    return False
                else:
                    time.sleep(LOOK_S)
            return True
        finally:
            with self._lock:
                self._asking -= 1

    async def over(self) -> None:
        """Until nobody asks any more."""
        while self.wanted:  # noqa: ASYNC110  # set by threads of other loops
            await asyncio.sleep(LOOK_S)


RENEWAL = Renewal()
"""That of this process, as PortAudio's list is."""
