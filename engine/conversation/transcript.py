"""What is said, written down: the lines of a transcription session, in the order in which they were spoken."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from engine.audio import AudioEvent, EventKind, ItemKey
from engine.conversation.commits import Commit, CommitOutcome
from engine.conversation.conversation import Conversation
from engine.conversation.observer import Observer
from engine.conversation.settings import turn_detection
from engine.errors import EngineError, LocalProtocolError
from engine.realtime import events as ev

MAX_PENDING = 256
"""Items whose words are awaited; of more the oldest is given up."""
LONGEST_S = 30.0
"""A live model is asked to settle its words at a pause, and after so long without one."""
LOOK_S = 0.1
PADDING_MS = 300

_log = logging.getLogger("bargein")


@dataclass(frozen=True, slots=True)
class Line:
    """What somebody said without a pause. Seconds count the captured sound from its beginning.

    `final` is False while words may still be added (`Transcript.live`). `speaker` is "" where the model does not tell
    speakers apart. `logprob` is the mean of the words' log probabilities, None where they were not asked for, and
    `tokens` are these words. `error` says why there are no words.
    """

    item_id: str
    text: str
    start_s: float
    end_s: float
    speaker: str = ""
    final: bool = True
    languages: tuple[str, ...] = ()
    logprob: float | None = None
    tokens: tuple[tuple[str, float], ...] = ()
    error: str = ""


@dataclass(slots=True)
class _Item:
    """An item of sound on its way. Times in milliseconds of sent sound."""

    item_id: str
    start_ms: int | None = None
    end_ms: int | None = None
    committed: bool = False
    text: str = ""
    segments: list[ev.ConversationItemInputAudioTranscriptionSegment] = field(default_factory=list)
    tokens: list[tuple[str, float]] = field(default_factory=list)
    languages: tuple[str, ...] = ()
    error: str = ""
    settled: bool = False


class Lines:
    """Puts the words of items together. `receive` gives the lines that an event brings: unfinished ones as they grow,
    finished ones in the order of what was said. No I/O, no clock; `captured` maps sent to captured milliseconds.
    """

    def __init__(self, captured: Callable[[int], int | None] = lambda sent_ms: sent_ms) -> None:
        self._captured = captured
        self._items: dict[str, _Item] = {}  # in the order of the conversation; at most MAX_PENDING
        self._last_end = 0
        self._gone: dict[str, None] = {}  # the newest settled ones: what comes for them is late

    def receive(self, event: ev.AnyEvent) -> Iterator[Line]:
        """Take an event of the server's."""
        item_id = getattr(event, "item_id", None)
        if not isinstance(item_id, str) or item_id in self._gone or type(event) not in _ABOUT_SOUND:
            return
        item = self._items.setdefault(item_id, _Item(item_id))
        match event:
            case ev.InputAudioBufferSpeechStarted():
                item.start_ms = event.audio_start_ms
            case ev.InputAudioBufferSpeechStopped():
                item.end_ms = event.audio_end_ms
            case ev.InputAudioBufferCommitted():
                item.committed = True
                self._place(item, event.previous_item_id)
            case ev.ConversationItemInputAudioTranscriptionDelta():
                item.text += event.delta if isinstance(event.delta, str) else ""
                yield self._line(item, final=False)
            case ev.ConversationItemInputAudioTranscriptionSegment():
                item.segments.append(event)
            case ev.ConversationItemInputAudioTranscriptionCompleted():
                item.text, item.settled = event.transcript, True
                item.tokens = list(_tokens(event.logprobs))
                item.languages = tuple(_languages(event.languages))
            case ev.ConversationItemInputAudioTranscriptionFailed():
                item.error = ev.text_of(event.error, "message") or "it could not be written down"
                item.settled = True
        yield from self._ready()

    def timed(self, item_id: str, start_ms: int, end_ms: int) -> None:
        """Where this item's sound lies, for one that was committed by hand: no event tells it."""
        if item_id not in self._gone:
            item = self._items.setdefault(item_id, _Item(item_id))
            item.start_ms, item.end_ms = start_ms, end_ms

    def give_up(self) -> Iterator[Line]:
        """No more comes: what was committed and has no words yet is given as it is."""
        for item in list(self._items.values()):
            if item.committed or item.text:
                if not item.settled:
                    item.error = "no transcript came"
                yield from self._settle(item)

    @property
    def growing(self) -> bool:
        """Whether words came for sound that is not committed."""
        return any(item.text and not item.committed for item in self._items.values())

    @property
    def pending(self) -> int:
        """Items whose words are awaited."""
        return len(self._items)

    def _place(self, item: _Item, after: Any) -> None:
        """Behind the item it follows, where that is still here."""
        order = [each for each in self._items.values() if each is not item]
        known = [each.item_id for each in order]
        order.insert(known.index(after) + 1 if after in known else _first_open(order), item)
        self._items = {each.item_id: each for each in order}

    def _ready(self) -> Iterator[Line]:
        while self._items:
            first = next(iter(self._items.values()))
            if not first.settled and len(self._items) > MAX_PENDING:
                first.error, first.settled = "no transcript came", True
            if not first.settled:
                return
            yield from self._settle(first)

    def _settle(self, item: _Item) -> Iterator[Line]:
        del self._items[item.item_id]
        self._gone[item.item_id] = None
        if len(self._gone) > MAX_PENDING:
            del self._gone[next(iter(self._gone))]
        whole = self._line(item, final=True)
        self._last_end = item.end_ms or self._last_end
        if not item.segments or item.error:
            yield whole
        for segment in item.segments if not item.error else ():
            start, end = (min(whole.start_s + at, whole.end_s) for at in (segment.start, segment.end))
            yield replace(whole, text=segment.text.strip(), start_s=start, end_s=end, speaker=segment.speaker)

    def _line(self, item: _Item, *, final: bool) -> Line:
        start = item.start_ms if item.start_ms is not None else self._last_end
        end = item.end_ms if item.end_ms is not None else start
        start_s, before = self._captured(start), self._captured(end - 1) if end > 0 else None
        start_s, end_s = start if start_s is None else start_s, end if before is None else before + 1
        values = [value for _, value in item.tokens]
        return Line(
            item.item_id,
            item.text.strip(),
            start_s / 1000,
            max(start_s, end_s) / 1000,
            final=final,
            languages=item.languages,
            logprob=sum(values) / len(values) if values else None,
            tokens=tuple(item.tokens),
            error=item.error,
        )


_ABOUT_SOUND = frozenset(
    {
        ev.InputAudioBufferSpeechStarted,
        ev.InputAudioBufferSpeechStopped,
        ev.InputAudioBufferCommitted,
        ev.ConversationItemInputAudioTranscriptionDelta,
        ev.ConversationItemInputAudioTranscriptionSegment,
        ev.ConversationItemInputAudioTranscriptionCompleted,
        ev.ConversationItemInputAudioTranscriptionFailed,
    }
)


def _first_open(order: list[_Item]) -> int:
    """Behind all that is committed: what is only announced comes later."""
    return next((place for place, each in enumerate(order) if not each.committed), len(order))


def _tokens(entries: Any) -> Iterator[tuple[str, float]]:
    for entry in entries if isinstance(entries, list) else ():
        token, value = entry.get("token"), entry.get("logprob")
        if isinstance(token, str) and isinstance(value, int | float):
            yield token, float(value)


def _languages(entries: Any) -> Iterator[str]:
    for entry in entries if isinstance(entries, list) else ():
        code = entry.get("code") if isinstance(entry, dict) else entry
        if isinstance(code, str):
            yield code


class Transcript:
    """A running transcription, made by `engine.transcribe`. Read `lines` or `live`, one of them, once."""

    def __init__(self, conversation: Conversation, pauses: Pauses) -> None:
        self.conversation = conversation
        """The session behind it: `mute`, `hold`, `events`, `stats` and so on."""
        self._pauses = pauses
        self._lines = Lines(self._heard_at)

    def _heard_at(self, sent_ms: int) -> int | None:
        """A line's time is the microphone's: sound that its device lost has passed, too."""
        captured = self.conversation.time_map.captured(sent_ms)
        return None if captured is None else round(self.conversation.time_map.clock(captured))

    async def lines(self) -> AsyncIterator[Line]:
        """Each line once it is settled, in the order of what was said. Ends and fails as `Conversation.turns` does."""
        async for line in self.live():
            if line.final:
                yield line

    async def live(self) -> AsyncIterator[Line]:
        """Each line whenever words are added to it (`final` False, `text` so far), and once more when it is settled."""
        async for event in self.conversation.events():
            for line in self._lines.receive(event):
                yield line
        for line in self._lines.give_up():
            yield line

    async def commit(self, at: int | None = None) -> Commit:
        """Settle what was said until now; for sessions without turn detection. See `Conversation.commit`."""
        commit = await self.conversation.commit(at)
        if commit.outcome is CommitOutcome.COMMITTED:
            end_ms = self.conversation.time_map.sent(commit.position // 24 - 10)
            end_ms = commit.position // 24 if end_ms is None else end_ms + 10
            self._lines.timed(commit.item_id, max(0, end_ms - commit.audio_ms, self._pauses.begun_ms()), end_ms)
        self._pauses.spoke_at = None if self._pauses.over else self._pauses.spoke_at
        return commit

    async def keep_committing(self) -> None:
        """For a model that takes no turn detection: settle its words at every pause and at the end of a file."""
        loop, sound = asyncio.get_running_loop(), self.conversation.sound
        last, at_the_end = loop.time(), False
        with suppress(EngineError):  # the readers are told of it
            while not at_the_end:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await self._pauses.came.wait()
                at_the_end = sound.ended
                self._pauses.came.clear()
                if turn_detection(self.conversation.session):
                    continue  # the server does it
                pauses = self._pauses
                if pauses.spoke_at is None and not (at_the_end and self._lines.growing):
                    last = loop.time()
                elif pauses.over or at_the_end or loop.time() - last > LONGEST_S:
                    last = loop.time()
                    with suppress(LocalProtocolError):
                        await self.commit()


class Pauses:
    """An observer between the conversation and another one: notes when somebody speaks."""

    def __init__(self, behind: Observer | None) -> None:
        self.came = asyncio.Event()
        self.over = False
        """Whether nobody speaks any more."""
        self.spoke_at: int | None = None
        """Captured sample of the first speech since the last commit."""
        self._behind = behind

    def begun_ms(self) -> int:
        """When the uncommitted speech began, less what a detector overhears; captured milliseconds."""
        return max(0, self.spoke_at // 24 - PADDING_MS) if self.spoke_at is not None else 0

    def event(self, direction: str, message: bytes, event: ev.AnyEvent | None) -> None:
        """See `Observer.event`."""
        if self._behind is not None:
            self._behind.event(direction, message, event)

    def sound(self, event: AudioEvent, item: ItemKey | None) -> None:
        """See `Observer.sound`."""
        if event.kind is EventKind.SPEECH_STARTED:
            self.over = False
            self.spoke_at = event.position if self.spoke_at is None else self.spoke_at
        elif event.kind is EventKind.SPEECH_STOPPED:
            self.over = True
            self.came.set()
        if self._behind is not None:
            self._behind.sound(event, item)


__all__ = ["Line", "Lines", "Pauses", "Transcript"]
