"""What was said in a conversation, by item: transcripts and texts, in whatever order they come.

Order is the business of items.py; here is only what belongs to an item id. Memory is bounded: the words that were
touched longest ago are forgotten first.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import msgspec

from engine.realtime import events as ev
from engine.realtime.items import Item
from engine.realtime.session import transcribes

MAX_CHARACTERS = 2**20
"""Characters of all words together that are remembered by default."""
OVERHEAD = 64  # what an item, and a part of it, counts for beside its characters: empty ones have a bound too


class Hearing(enum.Enum):
    """What has become of the transcript of an item."""

    NONE = "none"  # there is no sound in it, or nobody writes it down
    PENDING = "pending"
    SETTLED = "settled"
    FAILED = "failed"


@dataclass(slots=True)
class Words:
    """One item's words. `parts` by content_index."""

    role: str = ""
    kind: str = ""
    hearing: Hearing = Hearing.NONE
    parts: dict[int, str] = field(default_factory=dict)
    whole: set[int] = field(default_factory=set)  # parts that were given whole: deltas that come later are late
    name: str = ""
    call_id: str = ""
    truncated_ms: int | None = None
    """What was heard of it, when it was cut off; its words are then more than was heard."""

    @property
    def text(self) -> str:
        """All of them."""
        return " ".join(self.parts[index] for index in sorted(self.parts) if self.parts[index])

    @property
    def weight(self) -> int:
        """What it counts for in the bound."""
        return (
            OVERHEAD * (1 + len(self.parts)) + sum(map(len, self.parts.values())) + len(self.name) + len(self.call_id)
        )


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One item of the conversation, as it stands.

    `kind` is the item's type, `role` that of a message ("" otherwise). `text` is what was said or written, a call's
    arguments, or its output. `truncated_ms` is how much of a reply was heard when it was cut off; its text is then what
    the model meant to say, and the server has forgotten it.
    """

    item_id: str
    kind: str = ""
    role: str = ""
    text: str = ""
    hearing: Hearing = Hearing.NONE
    name: str = ""
    call_id: str = ""
    truncated_ms: int | None = None
    done: bool = False


class Book:
    """The words of a conversation's items. `receive` takes the events that the session's state allows."""

    def __init__(self, limit: int = MAX_CHARACTERS) -> None:
        self.limit = limit
        self.forgotten = 0
        """Items whose words were dropped to make room."""
        self._words: dict[str, Words] = {}
        self._weight = 0

    def get(self, item_id: str) -> Words | None:
        """The words of this item; None when there are none or they were forgotten."""
        return self._words.get(item_id)

    def entry(self, item: Item) -> Entry:
        """This item with what is known of its words."""
        words = self._words.get(item.item_id) or Words()
        return Entry(
            item_id=item.item_id,
            kind=item.kind or words.kind,
            role=item.role or words.role,
            text=words.text,
            hearing=words.hearing,
            name=words.name,
            call_id=words.call_id,
            truncated_ms=words.truncated_ms,
            done=item.done,
        )

    def __len__(self) -> int:
        return len(self._words)

    @property
    def characters(self) -> int:
        """What is remembered, with the overhead of each item."""
        return self._weight

    def receive(self, event: ev.AnyEvent, effective: Mapping[str, Any]) -> None:
        """Take the words of this event; most have none. `effective` tells whether transcripts are to come."""
        taker = TAKERS.get(type(event))
        if taker is None:
            return
        item_id: str = event.item_id  # type: ignore[union-attr]  # every event in TAKERS has one
        if not ev.usable_id(item_id):
            return
        if isinstance(event, ev.ConversationItemDeleted):
            self._drop(item_id)
            return
        words = self._words.pop(item_id, None)
        before = words.weight if words is not None else 0
        words = words or Words()
        taker(words, event)
        if isinstance(event, (ev.ConversationItemAdded, ev.ConversationItemCreated, ev.ConversationItemDone)):
            _await_transcript(words, event.item, effective)
        self._words[item_id] = words  # at the end: touched just now
        self._weight += words.weight - before
        while self._weight > self.limit:
            self._drop(next(iter(self._words)))
            self.forgotten += 1

    def _drop(self, item_id: str) -> None:
        words = self._words.pop(item_id, None)
        self._weight -= words.weight if words is not None else 0


# ---- what each event says


def _await_transcript(words: Words, item: ev.Object, effective: Mapping[str, Any]) -> None:
    spoken = any(part.get("type") == "input_audio" for part in _parts(item))
    if spoken and words.hearing is Hearing.NONE and transcribes(effective):
        words.hearing = Hearing.SETTLED if words.text else Hearing.PENDING


def _parts(item: ev.Object) -> Iterator[ev.Object]:
    content = item.get("content")
    yield from (part for part in content if isinstance(part, dict)) if isinstance(content, list) else ()


def _item(words: Words, event: Any) -> None:
    item: ev.Object = event.item
    words.kind = ev.text_of(item, "type")[:64] or words.kind
    words.role = ev.text_of(item, "role")[:64] or words.role
    words.name = ev.text_of(item, "name")[: ev.MAX_ID] or words.name
    words.call_id = ev.text_of(item, "call_id")[: ev.MAX_ID] or words.call_id
    for index, part in enumerate(_parts(item)):
        _whole(words, index, ev.text_of(part, "text") or ev.text_of(part, "transcript"))
    _whole(words, 0, ev.text_of(item, "arguments") or ev.text_of(item, "output"))


def _whole(words: Words, index: int, text: str) -> None:
    if text:
        words.parts[index] = text
        words.whole.add(index)


def _more(words: Words, event: Any) -> None:
    index = event.content_index if isinstance(event.content_index, int) else 0
    if isinstance(event.delta, str) and index not in words.whole:
        words.parts[index] = words.parts.get(index, "") + event.delta


def _heard(words: Words, event: Any) -> None:
    words.parts[event.content_index] = event.transcript
    words.whole.add(event.content_index)
    if isinstance(event, ev.ConversationItemInputAudioTranscriptionCompleted):
        words.hearing = Hearing.SETTLED


def _unheard(words: Words, event: Any) -> None:
    del event
    words.hearing = Hearing.FAILED


def _written(words: Words, event: Any) -> None:
    _whole(words, event.content_index, event.text)


def _called(words: Words, event: Any) -> None:
    _whole(words, 0, event.arguments)
    words.call_id = getattr(event, "call_id", "") or words.call_id


def _truncated(words: Words, event: Any) -> None:
    words.truncated_ms = event.audio_end_ms


def _deleted(words: Words, event: Any) -> None:
    """Book drops the words itself."""


TAKERS: Mapping[type, Callable[[Words, Any], None]] = MappingProxyType(
    {
        ev.ConversationItemAdded: _item,
        ev.ConversationItemCreated: _item,
        ev.ConversationItemDone: _item,
        ev.ConversationItemRetrieved: _item,
        ev.ConversationItemDeleted: _deleted,
        ev.ConversationItemTruncated: _truncated,
        ev.ConversationItemInputAudioTranscriptionDelta: _more,
        ev.ConversationItemInputAudioTranscriptionCompleted: _heard,
        ev.ConversationItemInputAudioTranscriptionFailed: _unheard,
        ev.ResponseOutputAudioTranscriptDelta: _more,
        ev.ResponseOutputAudioTranscriptDone: _heard,
        ev.ResponseOutputTextDelta: _more,
        ev.ResponseOutputTextDone: _written,
        ev.ResponseFunctionCallArgumentsDone: _called,
        ev.ResponseMcpCallArgumentsDone: _called,
    }
)
"""The events that have words."""
