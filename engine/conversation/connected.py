"""What a conversation does when its line is lost, and when it goes on with another."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from engine.audio import TimeMap
from engine.conversation.controls import Controls
from engine.conversation.ending import Ending
from engine.conversation.feed import Feed
from engine.conversation.framing import LONGEST_MS
from engine.conversation.freshness import Backlog
from engine.conversation.keeper import Keeper
from engine.conversation.line import Line
from engine.conversation.quiet import Quiet
from engine.conversation.toolbox import Toolbox
from engine.conversation.turns import Turn, UserTurns
from engine.errors import ConnectionLost
from engine.realtime import Protocol, Slot
from engine.realtime import events as ev

_log = logging.getLogger("bargein")


class Connected(Controls):
    """The part of `Conversation` that exchanges lines; `keeper.py` says when. Belongs to the loop thread."""

    line: Line
    time_map: TimeMap
    _backlog: Backlog
    _ending: Ending
    _events: Feed[ev.AnyEvent]
    _keeper: Keeper | None
    _loop: asyncio.AbstractEventLoop
    _quiet: Quiet
    _turns: Feed[Turn]
    _toolbox: Toolbox
    _user_turns: UserTurns

    @property
    def _protocol(self) -> Protocol:
        return self.line.protocol

    @property
    def left_out_ms(self) -> int:
        """Captured sound that was never sent, since a network that stalled or was gone made it older than `oldest_s`;
        milliseconds.
        """
        return 10 * self._backlog.left_out

    def take(self, event: ev.AnyEvent, size: int = 0) -> None:
        """Act on an event that the protocol has accepted; `size` is that of its message."""
        raise NotImplementedError

    def disconnected(self, lost: ConnectionLost) -> None:
        """No line is left, and none will be."""
        raise NotImplementedError

    def _line_lost(self, line: Line, lost: ConnectionLost) -> None:
        """The line is of no use any more. Unless it is replaced, this is the end."""
        if line is not self.line or line.lost is not None:
            return
        if self._keeper is None or not self._keeper.takes(lost):
            self.disconnected(lost)
            return
        line.lost, line.lost_at = lost, self._loop.time()
        line.broke_off = line.protocol.response is not None
        self._replies.abandon()
        line.protocol.suspend()
        self._toolbox.line_lost()
        for turn in self._user_turns.give_up():
            self._turns.put(turn)
        self.sound.duplex.set_turn_open(False)
        self._keeper.line_lost()
        self._writable.set()

    @property
    def quiet(self) -> bool:
        """Whether nobody speaks, nothing sounds and nothing is awaited."""
        return not self._toolbox.busy and self._quiet.now(self._protocol, self.muted, self._loop.time())

    @property
    def heard(self) -> dict[str, tuple[int, int]]:
        """Of the newest items that were cut off: milliseconds played, and received."""
        return self._replies.heard

    def wake(self) -> None:
        """Let the writer look again."""
        self._writable.set()

    def tell(self, type: str, **fields: Any) -> None:
        """Put a report of this side's among the events."""
        self._events.put(ev.Unknown(type=type, fields=fields))

    def move(self, line: Line) -> None:
        """Go on with this line; the writer's doing, between two messages."""
        before, self.line = self.line, line
        now, owed, lost = self._loop.time(), self._ending.owed, before.lost is not None
        per_ms = self._settings.audio_format.bytes_per_ms
        unsent, sound = before.take_unsent()
        if lost and now - before.lost_at + LONGEST_MS / 1000 > self._settings.oldest_s:
            unsent = [event for event in unsent if not isinstance(event, ev.InputAudioBufferAppend)]
            self._backlog.left_out += (sound + self._commits.drop_framed()) // (10 * per_ms)
            sound = 0
        self._commits.move(sound)
        self.time_map.restart((sound + self._commits.framed_bytes) // per_ms)
        for problem in line.protocol.succeed(before.protocol, unsent):
            _log.warning("not sent on the new connection: %s", problem)
        self._replies.move(line.protocol)
        self._ending.move(line.protocol, now)
        if lost and owed and line.ends_with_user and line.protocol.slot is Slot.FREE:
            line.protocol.request_response()
        for event in line.early:
            self.take(event)
        figures = {"session_id": line.session_id, "items": len(line.items), "items_left_out": line.left_out}
        figures |= {"differences": [str(each) for each in line.differences]}
        if lost:
            outage_ms = round(1000 * (now - before.lost_at))
            self.tell("bargein.reconnected", outage_ms=outage_ms, left_out_ms=self.left_out_ms, **figures)
        else:
            self.tell("bargein.rotated", **figures)
