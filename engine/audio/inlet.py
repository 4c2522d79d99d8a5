"""What does not fit into the playout queue waits here, encoded, so that a full queue never stops the reading of a
socket.
"""

from __future__ import annotations

from collections import deque

from engine.audio.playout import PlayoutQueue

DEFAULT_LIMIT = 16 * 1024 * 1024
"""Bytes: 5.8 minutes of PCM, 35 of G.711, beyond the queue itself."""

MAX_ENTRIES = 65536
"""Pieces that wait, so that many small ones are bounded too."""
JOINED_BYTES = 4096
"""Pieces of one item are joined up to this size."""


class Inlet:
    """The way into a `PlayoutQueue`: keeps the order, takes everything up to `limit` bytes, moves on what fits with
    `pump`.

    Belongs to the loop thread.
    """

    def __init__(self, queue: PlayoutQueue, limit: int = DEFAULT_LIMIT) -> None:
        self.queue = queue
        self.limit = limit
        self._bytes = 0
        # (item_id, content_index, generation, sound; None marks the item's end). Bounded by `limit` bytes plus one
        # end per item; a push beyond it returns False and keeps nothing.
        self._waiting: deque[tuple[str, int, int, bytes | memoryview | None]] = deque()

    def holds(self, item_id: str, content_index: int) -> bool:
        """Whether sound or the end of this item waits here."""
        return any(entry[0] == item_id and entry[1] == content_index for entry in self._waiting)

    @property
    def waiting_bytes(self) -> int:
        """Bytes that are not in the queue yet."""
        return self._bytes

    def push(self, item_id: str, content_index: int, generation: int, sound: bytes) -> bool:
        """Take sound in wire form. False when it exceeds the limit: what did not fit anywhere is lost."""
        if not sound:
            return True
        if not self._waiting:
            taken = self.queue.push(item_id, content_index, sound, generation)
            if taken == len(sound):
                return True
            sound = sound[taken:]
        if self._bytes + len(sound) > self.limit or len(self._waiting) >= MAX_ENTRIES:
            return False
        self._append(item_id, content_index, generation, sound)
        self._bytes += len(sound)
        return True

    def _append(self, item_id: str, content_index: int, generation: int, sound: bytes) -> None:
        """Small pieces of one item are joined, so that crumbs do not cost more than their bytes."""
        if self._waiting:
            *key, last = self._waiting[-1]
            if (
                key == [item_id, content_index, generation]
                and last is not None
                and len(last) + len(sound) <= JOINED_BYTES
            ):
                self._waiting[-1] = (item_id, content_index, generation, bytes(last) + sound)
                return
        self._waiting.append((item_id, content_index, generation, sound))

    def complete(self, item_id: str, content_index: int, generation: int) -> None:
        """No more sound of this item comes."""
        if self._waiting or not self.queue.complete(item_id, content_index):
            self._waiting.append((item_id, content_index, generation, None))

    def pump(self) -> None:
        """Move on what fits now."""
        while self._waiting:
            item_id, content_index, generation, sound = self._waiting[0]
            if sound is None:
                if not self.queue.complete(item_id, content_index):
                    return
            else:
                taken = self.queue.push(item_id, content_index, sound, generation)
                if taken < len(sound):
                    self._bytes -= taken
                    self._waiting[0] = (item_id, content_index, generation, memoryview(sound)[taken:])
                    return
                self._bytes -= len(sound)
            self._waiting.popleft()

    def drop(self, generation: int) -> None:
        """Forget what waits of this generation and older ones; their items count as complete."""
        kept: deque[tuple[str, int, int, bytes | memoryview | None]] = deque()
        for entry in self._waiting:
            if entry[2] > generation or entry[3] is None:
                kept.append(entry)
            else:
                self._bytes -= len(entry[3])
        self._waiting = kept
        self.pump()
