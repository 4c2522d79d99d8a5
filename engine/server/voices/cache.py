"""Spoken sentences kept for the next time: kiosk replies and tests say the same things again and again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from engine.server.formats import Samples


class SpeechCache:
    """Least-recently-used sentences up to `limit_bytes` of samples; when full, the oldest go."""

    def __init__(self, limit_bytes: int = 16 * 2**20) -> None:
        self.limit_bytes = limit_bytes
        self.size_bytes = 0
        self._entries: OrderedDict[Hashable, Samples] = OrderedDict()

    def get(self, key: Hashable) -> Samples | None:
        """The samples kept under `key`, or None."""
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    def put(self, key: Hashable, samples: Samples) -> None:
        """Keep `samples`, read-only from now on. One entry larger than a quarter of the limit is not kept."""
        if samples.nbytes > self.limit_bytes // 4 or key in self._entries:
            return
        samples.flags.writeable = False
        self._entries[key] = samples
        self.size_bytes += samples.nbytes
        while self.size_bytes > self.limit_bytes:
            _, dropped = self._entries.popitem(last=False)
            self.size_bytes -= dropped.nbytes
