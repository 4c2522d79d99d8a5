"""Manual commits: each takes with it all sound captured before it was asked for, and nothing captured after."""

from __future__ import annotations

import asyncio
import enum
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.conversation.framing import Framer
from engine.errors import LocalProtocolError
from engine.realtime import events as ev

LEAST_MS = 100
"""What a server takes at the least."""
MOST_WAITING = 256

_log = logging.getLogger("bargein")


class CommitOutcome(enum.Enum):
    """What became of a commit."""

    COMMITTED = "committed"
    """The server has it: `item_id` names the user's item."""
    TOO_SHORT = "too short"
    """Under 100 ms: the buffer was cleared and nothing committed, since the server would refuse it."""
    EMPTY = "empty"
    """Nothing was captured since the last commit: nothing was sent."""
    REFUSED = "refused"
    """The server refused it; `message` has its words."""
    LOST = "lost"
    """The connection, or the conversation, ended before the server answered."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit: what became of it, and `audio_ms` of sound that it takes, up to captured sample `position` (24 kHz).

    The sound in it is whole to the hop of 10 ms.
    """

    outcome: CommitOutcome
    position: int
    audio_ms: int
    item_id: str = ""
    message: str = ""


@dataclass(slots=True)
class _Asked:
    """A commit or a clear that was asked for. `answer` is None for a clear, and for a commit that the application sends
    as an event, unguarded.
    """

    event: ev.AnyEvent
    position: int
    answer: asyncio.Future[Commit] | None
    audio_ms: int = 0


class Commits:
    """Between the records of the capture half and the protocol: appends, commits, and what waits behind a commit.

    A commit waits until the capture half has settled all sound before its position, some 10 ms; events that the
    application sends meanwhile wait behind it, so that their order stays. Belongs to the loop thread.
    """

    def __init__(
        self, framer: Framer, bytes_per_ms: int, send: Callable[[ev.AnyEvent], ev.AnyEvent], counts: bool = True
    ) -> None:
        self._framer = framer
        self._bytes_per_ms = bytes_per_ms
        self._send = send
        self._counts = counts  # else the sound goes to the server another way, and nobody here knows how much of it
        self._uncommitted = 0  # bytes appended since the last commit or clear
        self._waiting: deque[_Asked | ev.AnyEvent] = deque()  # at most MOST_WAITING: then send() is refused
        self._sent: deque[_Asked] = (
            deque()
        )  # without an answer yet, at most MOST_WAITING: then the oldest counts as lost
        self.refused: Callable[[ev.AnyEvent, LocalProtocolError], None] = _told

    @property
    def waiting(self) -> bool:
        """Whether a commit waits for its sound."""
        return bool(self._waiting)

    async def commit(self, position: int) -> Commit:
        """Commit what is captured before `position`, unless it is too little."""
        answer: asyncio.Future[Commit] = asyncio.get_running_loop().create_future()
        self._ask(_Asked(ev.InputAudioBufferCommit(), position, answer))
        return await answer

    def at(self, position: int, event: ev.InputAudioBufferCommit | ev.InputAudioBufferClear) -> None:
        """Send this between the sound captured before `position` and what comes after."""
        self._ask(_Asked(event, position, None))

    def _ask(self, asked: _Asked) -> None:
        self._check_room()
        self._waiting.append(asked)

    def behind(self, event: ev.AnyEvent) -> None:
        """Send this after the commit that waits."""
        self._check_room()
        self._waiting.append(event)

    def _check_room(self) -> None:
        if len(self._waiting) >= MOST_WAITING:
            raise LocalProtocolError(f"{MOST_WAITING} events wait for the sound before a commit: the microphone stands")

    def append(self, records: NDArray[Any], settled: int) -> None:
        """Send captured sound, and the commits whose sound is complete: all before position `settled` has come."""
        while self._waiting:
            first = self._waiting[0]
            if not isinstance(first, _Asked):
                self._waiting.popleft()
                self._try(first)
                continue
            if first.position > settled:
                break
            # held sound follows the silence that was sent in its place, which is younger
            before = np.flatnonzero(records["position"] < first.position)
            cut = int(before[-1]) + 1 if len(before) else 0
            self._append(records[:cut], flush=True)
            records = records[cut:]
            self._waiting.popleft()
            self._commit(first)
        self._append(records, flush=False)

    def _append(self, records: NDArray[Any], flush: bool) -> None:
        for frame in self._framer.cut(records, flush):
            self._uncommitted += len(frame)
            self._send(ev.InputAudioBufferAppend(audio=frame))

    def _commit(self, asked: _Asked) -> None:
        asked.audio_ms = self._uncommitted // self._bytes_per_ms
        if asked.answer is not None and asked.answer.done():  # its caller has gone
            return
        if asked.answer is not None and self._counts and asked.audio_ms < LEAST_MS:
            if asked.audio_ms:
                self._clear()
            _answer(asked, CommitOutcome.TOO_SHORT if asked.audio_ms else CommitOutcome.EMPTY)
            return
        self._uncommitted = 0
        try:
            asked.event = self._send(asked.event)
        except LocalProtocolError as refused:
            _answer(asked, CommitOutcome.REFUSED, message=str(refused))
            if asked.answer is None:
                self.refused(asked.event, refused)
            return
        if isinstance(asked.event, ev.InputAudioBufferCommit):
            if len(self._sent) == MOST_WAITING:
                _answer(self._sent.popleft(), CommitOutcome.LOST)
            self._sent.append(asked)

    def _clear(self) -> None:
        self._uncommitted = 0
        self._send(ev.InputAudioBufferClear())

    def _try(self, event: ev.AnyEvent) -> None:
        try:
            self._send(event)
        except LocalProtocolError as problem:
            self.refused(event, problem)

    def cleared(self) -> None:
        """The application cleared the server's buffer."""
        self._uncommitted = 0

    def committed(self, event: ev.InputAudioBufferCommitted) -> None:
        """The server has committed something."""
        if self._sent:
            _answer(self._sent.popleft(), CommitOutcome.COMMITTED, item_id=event.item_id)

    def error(self, event: ev.Error) -> None:
        """The server refused something: perhaps a commit."""
        for asked in self._sent:
            if event.cause_event_id is not None and asked.event.event_id == event.cause_event_id:
                self._sent.remove(asked)
                _answer(asked, CommitOutcome.REFUSED, message=event.message)
                return

    @property
    def idle(self) -> bool:
        """Whether nothing waits, nothing lacks an answer and nothing is appended without being committed."""
        return not (self._waiting or self._sent or self._uncommitted)

    @property
    def framed_bytes(self) -> int:
        """Sound that waits for a whole frame."""
        return self._framer.waiting_bytes

    def drop_framed(self) -> int:
        """Forget sound that waits for a whole frame; how many bytes."""
        dropped = self._framer.waiting_bytes
        self._framer.drop()
        return dropped

    def move(self, unsent_bytes: int) -> None:
        """Another server has an empty buffer, and gets this much first. What waits for its sound goes there."""
        self._lose_sent()
        self._uncommitted = unsent_bytes

    def _lose_sent(self) -> None:
        for asked in self._sent:
            _answer(asked, CommitOutcome.LOST)
        self._sent.clear()

    def abandon(self) -> None:
        """The conversation is over: no answer comes."""
        self._lose_sent()
        for asked in [entry for entry in self._waiting if isinstance(entry, _Asked)]:
            _answer(asked, CommitOutcome.LOST)
        self._waiting.clear()


def _answer(asked: _Asked, outcome: CommitOutcome, item_id: str = "", message: str = "") -> None:
    if asked.answer is not None and not asked.answer.done():
        asked.answer.set_result(Commit(outcome, asked.position, asked.audio_ms, item_id, message))


def _told(event: ev.AnyEvent, problem: LocalProtocolError) -> None:
    _log.warning("%s could not be sent after the commit before it: %s", event.type, problem)


__all__ = ["Commit", "CommitOutcome", "Commits"]
