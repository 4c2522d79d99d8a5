"""The default conversation: items in order, with a bound on their number and on the audio kept for them."""

from __future__ import annotations

from collections.abc import Sequence

from engine.realtime import problems
from engine.server.items import Clip, Item
from engine.server.refusal import Refusal, invalid_value

ROOT = "root"


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

    def __init__(self, budget: AudioBudget, max_items: int) -> None:
        self.budget = budget
        self.max_items = max_items
        self._items: dict[str, Item] = {}
        self._order: list[str] = []

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._items

    def items(self) -> Sequence[Item]:
        """All items, oldest first."""
        return [self._items[item_id] for item_id in self._order]

    def find(self, item_id: str, doing: str) -> Item:
        """The item, or a Refusal worded for what was tried: "retrieve", "truncate" or "delete"."""
        item = self._items.get(item_id)
        if item is None:
            raise problems.no_such_item(doing, item_id)
        return item

    def previous(self, item_id: str) -> str | None:
        """The id in front of an item; None for the first, and for one that is not here any more."""
        if item_id not in self._items:
            return None
        place = self._order.index(item_id)
        return self._order[place - 1] if place else None

    @property
    def last_id(self) -> str | None:
        """The newest item's id."""
        return self._order[-1] if self._order else None

    def place_for(self, item: Item, previous_item_id: str | None) -> int:
        """Where a client's item goes. None = at the end, "root" = in front. Raises Refusal; nothing is changed."""
        if item.id in self._items:
            raise invalid_value("item.id", f"an item with id '{item.id:.100}' already exists.")
        if len(self._order) >= self.max_items:
            message = f"The conversation holds {self.max_items} items, which is its limit: delete some."
            raise Refusal("conversation_too_long", message, "item")
        if item.type == "function_call_output" and self.call_named(item.wire["call_id"]) is None:
            raise problems.unknown_call(item.wire["call_id"])
        if previous_item_id is None:
            return len(self._order)
        if previous_item_id == ROOT:
            return 0
        if previous_item_id not in self._items:
            message = f"Previous item with id '{previous_item_id:.100}' not found in the conversation."
            raise Refusal("invalid_value", message, "previous_item_id")
        return self._order.index(previous_item_id) + 1

    def insert(self, item: Item, place: int) -> None:
        """Put an item at a place from `place_for`."""
        self._order.insert(place, item.id)
        self._items[item.id] = item
        for clip in item.clips.values():
            self.budget.keep(clip, len(clip.data))

    def append(self, item: Item) -> None:
        """Put an item of our own at the end; when there are too many, the oldest go, a call together with its
        outputs.
        """
        self.insert(item, len(self._order))
        while len(self._order) > self.max_items:
            oldest = self._items[self._order[0]]
            self.remove(oldest)
            if oldest.type == "function_call":
                self._remove_outputs(oldest.wire["call_id"])

    def remove(self, item: Item) -> None:
        """Take an item and its audio out."""
        self._order.remove(item.id)
        del self._items[item.id]
        for clip in item.clips.values():
            self.budget.release(clip)

    def call_named(self, call_id: str) -> Item | None:
        """The function call with that call_id."""
        calls = (item for item in self._items.values() if item.type == "function_call")
        return next((item for item in calls if item.wire["call_id"] == call_id), None)

    def _remove_outputs(self, call_id: str) -> None:
        for item in self.items():
            if item.type == "function_call_output" and item.wire["call_id"] == call_id:
                self.remove(item)


def truncate(item: Item, content_index: int, audio_end_ms: int, budget: AudioBudget) -> None:
    """Cut an assistant's audio at the millisecond and remove its transcript. Raises Refusal in the service's words."""
    clip = item.clips.get(content_index)
    if item.role != "assistant" or not item.clips:
        raise problems.not_model_audio()
    if clip is None:
        raise invalid_value("content_index", f"part {content_index} of the item holds no audio.")
    if audio_end_ms < 0:
        raise invalid_value("audio_end_ms", f"expected 0 or more, but got {audio_end_ms}.")
    if audio_end_ms > clip.duration_ms:
        raise problems.already_shorter(int(clip.duration_ms), audio_end_ms)
    budget.cut(clip, audio_end_ms * clip.format.bytes_per_ms)
    clip.size = audio_end_ms * clip.format.bytes_per_ms
    clip.truncated = True
    part = item.wire["content"][content_index]
    item.wire["content"][content_index] = {key: value for key, value in part.items() if key != "transcript"}
