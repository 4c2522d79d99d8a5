"""The default conversation: items in order, with bounds on their number, their JSON and the audio kept for them.

What a client may ask of it is checked before, in engine.realtime.client_rules, against the protocol's own list of
items. Both lists always hold the same ids: events tell the protocol what comes and goes, `on_drop` what had to go to
make room.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.server.items import Clip, Item
from engine.server.refusal import Refusal

ROOT = "root"
_CALLING = ("function_call", "function_call_output")


class AudioBudget:
    """Counts the audio kept by a session; when there is more than `limit` bytes, the oldest clips lose theirs."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._clips: dict[int, Clip] = {}  # by identity, oldest first

    def keep(self, clip: Clip, added: int) -> None:
        """`added` bytes were put into `clip`."""
        self._clips.setdefault(id(clip), clip)
        self.used += added
        while self.used > self.limit and self._clips:
            oldest = next(iter(self._clips.values()))
            oldest.dropped = True
            self.release(oldest)

    def release(self, clip: Clip) -> None:
        """Forget a clip and its bytes."""
        if self._clips.pop(id(clip), None) is not None:
            self.used -= len(clip.data)
        clip.data.clear()

    def cut(self, clip: Clip, size: int) -> None:
        """Keep only the first `size` bytes of a clip."""
        removed = len(clip.data) - size
        if removed > 0:
            del clip.data[size:]
            if id(clip) in self._clips:
                self.used -= removed


class History:
    """Items by id, in conversation order."""

    def __init__(self, budget: AudioBudget, max_items: int, max_bytes: int) -> None:
        self.budget = budget
        self.max_items = max_items
        self.max_bytes = max_bytes
        self.used_bytes = 0
        """JSON of all items, as they were when they were put in or last settled."""
        self.on_drop: Callable[[str], None] = lambda _: None
        """Called with the id of every item that had to make room."""
        self._items: dict[str, Item] = {}  # at most max_items; see place_for and append
        self._order: list[str] = []
        self._sizes: dict[str, int] = {}  # bytes of JSON by item id

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._items

    def items(self) -> Sequence[Item]:
        """All items, oldest first."""
        return [self._items[item_id] for item_id in self._order]

    def __getitem__(self, item_id: str) -> Item:
        return self._items[item_id]

    def previous(self, item_id: str) -> str | None:
        """The id in front of an item; None for the first, and for one that is not here any more."""
        if item_id not in self._items:
            return None
        place = self._order.index(item_id)
        return self._order[place - 1] if place else None

    def place_for(self, item: Item, previous_item_id: str | None) -> int:
        """Where a client's item goes. None = at the end, "root" = in front. Raises Refusal when the conversation is
        full; nothing is changed then.
        """
        assert item.id not in self._items  # client_rules refuses an id that is taken
        if len(self._order) >= self.max_items:
            message = f"The conversation holds {self.max_items} items, which is its limit: delete some."
            raise Refusal("conversation_too_long", message, "item")
        size = item.json_bytes()
        if self.used_bytes + size > self.max_bytes:
            message = (
                f"The item has {size} bytes and the conversation's items have {self.used_bytes} of at most "
                f"{self.max_bytes}: delete some, or send a smaller one."
            )
            raise Refusal("conversation_too_large", message, "item")
        if previous_item_id is None:
            return len(self._order)
        if previous_item_id == ROOT:
            return 0
        return self._order.index(previous_item_id) + 1

    def insert(self, item: Item, place: int) -> None:
        """Put an item at a place from `place_for`."""
        self._order.insert(place, item.id)
        self._items[item.id] = item
        self._measure(item)
        for clip in item.clips.values():
            self.budget.keep(clip, len(clip.data))

    def append(self, item: Item) -> None:
        """Put an item of our own at the end; when there are too many, or too large ones, the oldest finished go, a call
        together with its outputs.
        """
        self.insert(item, len(self._order))
        self._make_room(item)

    def settle(self, item: Item) -> None:
        """An item that grew is finished: its JSON counts as it is now, and the oldest make room for it."""
        if item.id in self._items:
            self._measure(item)
            self._make_room(item)

    def remove(self, item: Item) -> None:
        """Take an item and its audio out."""
        self._order.remove(item.id)
        del self._items[item.id]
        self.used_bytes -= self._sizes.pop(item.id)
        for clip in item.clips.values():
            self.budget.release(clip)

    def call_named(self, call_id: str) -> Item | None:
        """The function call with that call_id."""
        calls = (item for item in self._items.values() if item.type == "function_call")
        return next((item for item in calls if item.wire["call_id"] == call_id), None)

    def _measure(self, item: Item) -> None:
        self.used_bytes -= self._sizes.get(item.id, 0)
        self._sizes[item.id] = item.json_bytes()
        self.used_bytes += self._sizes[item.id]

    def _make_room(self, newest: Item) -> None:
        while len(self._order) > self.max_items or self.used_bytes > self.max_bytes:
            # The item in hand stays even when it is too large by itself, and so does one that a response still writes.
            groups = (self._together(old) for old in self.items())
            oldest = next((group for group in groups if not any(old is newest or old.in_progress for old in group)), ())
            if not oldest:
                return
            for each in oldest:
                self.remove(each)
                self.on_drop(each.id)

    def _together(self, item: Item) -> Sequence[Item]:
        """The item alone; of a call or an output the call and all its outputs, whichever of them stands in front."""
        if item.type not in _CALLING:
            return (item,)
        call_id = item.wire["call_id"]
        return [each for each in self.items() if each.type in _CALLING and each.wire["call_id"] == call_id]


def truncate(item: Item, content_index: int, audio_end_ms: int, budget: AudioBudget) -> None:
    """Cut an assistant's audio at the millisecond and remove its transcript."""
    clip = item.clips[content_index]
    # client_rules refuses parts without model audio and ends outside it; what was sent is what the clip holds.
    assert 0 < audio_end_ms <= clip.duration_ms
    budget.cut(clip, audio_end_ms * clip.format.bytes_per_ms)
    clip.size = audio_end_ms * clip.format.bytes_per_ms
    clip.truncated = True
    item.tokens = None  # they are fewer now
    part = item.wire["content"][content_index]
    item.wire["content"][content_index] = {key: value for key, value in part.items() if key != "transcript"}
