"""What one response has produced so far: its items, their parts, and the streams of deltas in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from engine.errors import ProtocolError
from engine.realtime import events as ev
from engine.realtime.transitions import ARGUMENTS, AUDIO, ITEM, LIFE_EVENTS, PART, TEXT, TRANSCRIPT, Life, following

MAX_OUTPUT_ITEMS = 256
"""Items one response may have; the next is refused (a client drops it and its deltas)."""
MAX_PARTS = 256
"""Parts one item may have; the next is refused likewise."""
MAX_KIND = 64
"""Characters of an item's or part's type that are kept: the peer chooses it, and the conversation keeps the item."""

_STREAMS_OF = {"audio": {AUDIO, TRANSCRIPT}, "text": {TEXT}}

Note = Callable[[str], None]


@dataclass(slots=True)
class OutputPart:
    """A content part. `kind` is "audio" or "text"; `streams` holds only those that have begun."""

    kind: str
    life: Life = Life.OPEN
    streams: dict[str, Life] = field(default_factory=dict)


@dataclass(slots=True)
class OutputItem:
    """An item of a response. `audio_bytes` counts the audio of each part in wire form."""

    item_id: str
    output_index: int
    kind: str
    life: Life = Life.OPEN
    arguments: Life = Life.ABSENT
    parts: dict[int, OutputPart] = field(default_factory=dict)
    audio_bytes: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Response:
    """One response in progress. `bytes_per_ms` is that of its output audio format."""

    response_id: str
    in_conversation: bool
    bytes_per_ms: int
    cancelling: bool = False
    items: dict[str, OutputItem] = field(default_factory=dict)

    def take(self, event: ev.Event, note: Note | None) -> OutputItem:
        """Follow one event of this response and return the item it is about.

        Raises ProtocolError and changes nothing when the event is out of place. With `note`, as a client has it for
        servers that leave out the beginnings, a missing item or part is taken as begun and `note` is told why.
        """
        level, verb = LIFE_EVENTS[event.type]
        if isinstance(event, (ev.ResponseOutputItemAdded, ev.ResponseOutputItemDone)):
            return self._take_item(event, verb, note)
        item_id: str = event.item_id  # type: ignore[attr-defined]  # every event of LIFE_EVENTS below an item has one
        item = self._open_item(item_id, event, note)
        if level == ARGUMENTS:
            item.arguments = _step(Life.OPEN if item.arguments is Life.ABSENT else item.arguments, verb, event)
            return item
        index: int = event.content_index  # type: ignore[attr-defined]
        if level == PART:
            _take_part(item, index, event, verb, note)
            return item
        part = _open_part(item, index, level, event, note)
        part.streams[level] = _step(part.streams.get(level, Life.OPEN), verb, event)
        if isinstance(event, ev.ResponseOutputAudioDelta):
            item.audio_bytes[index] = item.audio_bytes.get(index, 0) + len(event.delta)
        return item

    def unfinished(self) -> str:
        """Names the first item that is still open, or ""."""
        return next((f"item {item.item_id}" for item in self.items.values() if item.life is Life.OPEN), "")

    def _take_item(
        self, event: ev.ResponseOutputItemAdded | ev.ResponseOutputItemDone, verb: str, note: Note | None
    ) -> OutputItem:
        present = self.items.get(event.item_id)
        state = present.life if present else Life.ABSENT
        if state is Life.ABSENT and verb == "end" and note:
            note(f"{event.type} without response.output_item.added")
            present = self._add_item(event.item_id, event.output_index, ev.text_of(event.item, "type"))
            state = Life.OPEN
        life = _step(state, verb, event)
        if present is None:
            return self._add_item(event.item_id, event.output_index, ev.text_of(event.item, "type"))
        if note is None and (still := _unfinished_part(present)):
            raise _out_of_place(event, f"{still} of the item is still open")
        present.life = life
        return present

    def _add_item(self, item_id: str, output_index: int, kind: str) -> OutputItem:
        if len(item_id) > ev.MAX_ID:
            raise ProtocolError(f"an item id of {len(item_id)} characters")
        if len(self.items) >= MAX_OUTPUT_ITEMS:
            raise ProtocolError(f"response {self.response_id} has {MAX_OUTPUT_ITEMS} items already")
        item = self.items[item_id] = OutputItem(item_id, output_index, kind[:MAX_KIND])
        return item

    def _open_item(self, item_id: str, event: ev.Event, note: Note | None) -> OutputItem:
        item = self.items.get(item_id)
        if item is None and note:
            item = self._add_item(item_id, event.output_index, "")  # type: ignore[attr-defined]
            note(f"{event.type} without response.output_item.added")
        if item is None:
            raise _out_of_place(event, f"item {item_id} has not begun: send response.output_item.added first")
        if item.life is Life.DONE:
            raise _out_of_place(event, f"item {item_id} is done")
        if note is None and event.output_index != item.output_index:  # type: ignore[attr-defined]
            raise _out_of_place(event, f"item {item_id} has output_index {item.output_index}")
        return item


def _take_part(item: OutputItem, index: int, event: ev.Event, verb: str, note: Note | None) -> None:
    part = item.parts.get(index)
    if part is None and verb == "end" and note:
        note(f"{event.type} without response.content_part.added")
        part = _add_part(item, index, _part_kind(event))
    life = _step(part.life if part else Life.ABSENT, verb, event)
    if part is None:
        _add_part(item, index, _part_kind(event))
        return
    if note is None and Life.OPEN in part.streams.values():
        raise _out_of_place(event, "a stream of the part has had no done event")
    part.life = life


def _open_part(item: OutputItem, index: int, stream: str, event: ev.Event, note: Note | None) -> OutputPart:
    part = item.parts.get(index)
    if part is None and note:
        note(f"{event.type} without response.content_part.added")
        part = _add_part(item, index, "text" if stream == TEXT else "audio")
    if part is None:
        raise _out_of_place(event, f"part {index} has not begun: send response.content_part.added first")
    if part.life is Life.DONE:
        raise _out_of_place(event, f"part {index} is done")
    if note is None and stream not in _STREAMS_OF.get(part.kind, {stream}):
        raise _out_of_place(event, f"part {index} is of type {part.kind}")
    return part


def _add_part(item: OutputItem, index: int, kind: str) -> OutputPart:
    if len(item.parts) >= MAX_PARTS:
        raise ProtocolError(f"item {item.item_id} has {MAX_PARTS} parts already")
    part = item.parts[index] = OutputPart(kind)
    return part


def _part_kind(event: ev.Event) -> str:
    part: ev.Object = event.part  # type: ignore[attr-defined]  # called for the two content_part events only
    return ev.text_of(part, "type").removeprefix("output_")[:MAX_KIND]


def _unfinished_part(item: OutputItem) -> str:
    if item.arguments is Life.OPEN:
        return "the arguments"
    return next((f"part {index}" for index, part in item.parts.items() if part.life is Life.OPEN), "")


def _step(life: Life, verb: str, event: ev.Event) -> Life:
    after = following(life, verb)
    if not isinstance(after, Life):
        level = LIFE_EVENTS[event.type][0]
        what = {ITEM: "the item", PART: "the part"}.get(level, f"the {level}")
        raise _out_of_place(event, f"{what} is {life.value}")
    return after


def _out_of_place(event: ev.Event, why: str) -> ProtocolError:
    return ProtocolError(f"{event.type} is out of place: {why}")
