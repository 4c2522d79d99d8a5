"""A conversation that outlives its connection: what one Protocol leaves and the next one takes over."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from engine.errors import LocalProtocolError
from engine.realtime import events as ev
from engine.realtime.asking import Asking
from engine.realtime.ledger import out_of_band_request
from engine.realtime.transitions import Slot, Turn

if TYPE_CHECKING:
    from engine.realtime.protocol import Anomaly

# These speak of what only the old session had: its response, its sound, its buffer.
_BOUND = (
    ev.ResponseCancel,
    ev.ConversationItemTruncate,
    ev.ConversationItemRetrieve,
    ev.InputAudioBufferCommit,
    ev.OutputAudioBufferClear,
)


class Succession(Asking):
    """The part of a client's Protocol that is about another connection."""

    anomaly_count: int
    anomalies: deque[Anomaly]

    def suspend(self) -> None:
        """Client: the connection is gone, and another will follow. Running responses are over, as `outcomes` with the
        status "lost", and so is the user's turn. What is asked for meanwhile waits for whoever succeeds.
        """
        running = [self.response] if self.response else []
        for response in (*running, *self.out_of_band.values()):
            self._finish(response, "lost")
        self.turn = Turn.IDLE

    def succeed(self, old: Succession, unsent: Iterable[ev.AnyEvent]) -> list[str]:
        """Client: go on where another's connection ended. `unsent` are its outgoing events that were not written.

        Takes over its accounts, the ids, requests that have no answer yet, and every unsent event that has a meaning
        without the old session. Returns what could not be taken over, in words.
        """
        self.usage, self.outcomes, self.anomalies = old.usage, old.outcomes, old.anomalies
        self.anomaly_count += old.anomaly_count
        self.rate_limits = self.rate_limits or old.rate_limits
        self._echoes, self._names_conversation = old._echoes, old._names_conversation
        refused = []
        events = list(unsent)
        kept = {id(event) for event in events}
        for event in events:
            if _is_request(event) or isinstance(event, _BOUND) or self._speaks_of_nothing(event):
                continue
            try:
                self.send(event)
            except LocalProtocolError as problem:
                refused.append(str(problem))
        for request in old._unanswered():
            if _is_request(request):
                self.request_response(request)
            elif id(request) not in kept:
                self._give_up(request, "connection_lost", "the connection was lost before it was answered")
        return refused

    def _unanswered(self) -> list[ev.ResponseCreate]:
        """Requests without a response, but for one that was cancelled meanwhile."""
        withdrawn = self.slot in (Slot.WITHDRAWN, Slot.CANCELLING)
        asked = [request for request in self._requests if not (withdrawn and _is_request(request))]
        return [*asked, *(waiting.event for waiting in self._waiting)]

    def _speaks_of_nothing(self, event: ev.AnyEvent) -> bool:
        return isinstance(event, ev.ConversationItemDelete) and event.item_id not in self.items


def _is_request(event: ev.AnyEvent) -> bool:
    return isinstance(event, ev.ResponseCreate) and not out_of_band_request(event)
