"""The conversation as a list of items, linked by previous_item_id. Shapes and lengths only: no text, no samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.errors import ConfigError
from engine.realtime import events as ev
from engine.realtime.output import MAX_KIND, OutputItem

MAX_ITEMS = 4096
"""Items remembered by default. One more and the oldest finished one is forgotten: it then counts as unknown."""


@dataclass(slots=True)
class Item:
    """What the protocol knows of one item. `announced` turns true with conversation.item.added."""

    item_id: str
    kind: str
    role: str
    call_id: str
    announced: bool = False
    done: bool = False
    bytes_per_ms: int = 48
    after: str | None = None  # the item it follows, as it was last told
    output: OutputItem | None = None  # of a response; its audio_bytes give the lengths
    kept_ms: dict[int, int] = field(default_factory=dict)  # content_index -> length after truncation; see keep()

    def audio_ms(self, content_index: int = 0) -> int:
        """Whole milliseconds of model audio sent or received for this part, less what was truncated; 0 for none."""
        received = self.output.audio_bytes.get(content_index, 0) // self.bytes_per_ms if self.output else 0
        return min(received, self.kept_ms.get(content_index, received))

    def keep(self, content_index: int, milliseconds: int) -> None:
        """Only this much of the part's audio stands. Parts without audio have no entry: their number has no bound."""
        if self.output is not None and content_index in self.output.audio_bytes:
            self.kept_ms[content_index] = max(0, milliseconds)


class Items:
    """Items in conversation order. Lookups are by id; positions are found by walking back from the end."""

    def __init__(self, limit: int = MAX_ITEMS) -> None:
        if limit < 1:
            raise ConfigError(f"max_items is {limit}: use 1 or more")
        self.limit = limit
        self.forgotten = 0
        """Items dropped because the list was full."""
        self._order: list[str] = []
        self._items: dict[str, Item] = {}
        self._orphans: dict[str, None] = {}  # items whose previous one has not come yet; a part of _items
        self._calls: dict[str, int] = {}  # call_id -> how many function_calls have it; at most one entry per item

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._order))

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._items

    def get(self, item_id: str) -> Item | None:
        """The item, or None when it is unknown, deleted or forgotten."""
        return self._items.get(item_id)

    @property
    def last(self) -> str | None:
        """Id of the last item, which a new one follows."""
        return self._order[-1] if self._order else None

    def previous(self, item_id: str) -> str | None:
        """Id of the item before this one; None for the first and for unknown ones."""
        position = self._position(item_id)
        return self._order[position - 1] if position > 0 else None

    def has_call(self, call_id: str) -> bool:
        """Whether a function_call with this call_id is in the conversation."""
        return call_id in self._calls

    def insert(self, item: ev.Object, after: str | None, *, front: bool = False) -> Item:
        """Put an item after another (None: at the end), or in front of all. An id already present moves.

        After an unknown item means at the end until that item comes: then it, and what follows it, moves there.
        """
        item_id = ev.text_of(item, "id")
        entry = self._items.get(item_id)
        if entry is not None:
            self._order.pop(self._position(item_id))
        else:
            entry = Item(item_id, "", "", "")
            self._items[item_id] = entry
        self.describe(entry, item)
        position = -1 if front else self._position(after) if after in self._items else len(self._order) - 1
        self._order.insert(position + 1, item_id)
        entry.after = after
        self._orphans.pop(item_id, None)
        if after is not None and after not in self._items:
            self._orphans[item_id] = None
        if self._orphans:
            self._adopt(item_id)
        self._forget_oldest(item_id)
        return entry

    def describe(self, entry: Item, item: ev.Object) -> None:
        """Take over what an item object says about itself. A new call_id takes the place of the old one."""
        self._count_call(entry, -1)
        entry.kind = ev.text_of(item, "type")[:MAX_KIND] or entry.kind
        entry.role = ev.text_of(item, "role")[:MAX_KIND] or entry.role
        call_id = ev.text_of(item, "call_id")
        entry.call_id = call_id if ev.usable_id(call_id) else entry.call_id
        self._count_call(entry, 1)

    def remove(self, item_id: str) -> None:
        """Take an item out; nothing happens when it is unknown."""
        entry = self._items.get(item_id)
        if entry is None:
            return
        self._order.pop(self._position(item_id))
        del self._items[item_id]
        self._orphans.pop(item_id, None)
        self._count_call(entry, -1)

    def _adopt(self, item_id: str) -> None:
        """Move those who waited for this item, with all that hangs on them, to their place behind it."""
        for orphan in [each for each in self._orphans if self._items[each].after == item_id]:
            del self._orphans[orphan]
            start = end = self._position(orphan)
            while end + 1 < len(self._order) and self._items[self._order[end + 1]].after == self._order[end]:
                end += 1
            run = self._order[start : end + 1]
            if item_id not in run:  # else two items name each other: nothing to be told from that
                del self._order[start : end + 1]
                place = self._position(item_id) + 1
                self._order[place:place] = run

    def _count_call(self, entry: Item, change: int) -> None:
        if entry.kind != "function_call" or not entry.call_id:
            return
        count = self._calls.pop(entry.call_id, 0) + change
        if count > 0:
            self._calls[entry.call_id] = count

    def _position(self, item_id: str | None) -> int:
        for position in range(len(self._order) - 1, -1, -1):
            if self._order[position] == item_id:
                return position
        return -1

    def _forget_oldest(self, keep: str) -> None:
        while len(self._order) > self.limit:
            others = [old for old in self._order if old != keep]
            oldest = next((old for old in others if self._items[old].done), others[0])
            self.remove(oldest)
            self.forgotten += 1
