"""Carries out what `Faults` asks for, between a session's protocol, which never misbehaves, and its outbox."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from engine.realtime import events as ev
from engine.realtime import wire
from engine.server.faults import GARBAGE, Faults, huge_error
from engine.server.outbox import Close, Entry, Stall

SWAP_S = 0.05  # an event that nothing follows is sent after so long


class Faulty:
    """Takes a session's events in order and hands entries for the outbox to `queue`. Without faults it only encodes."""

    def __init__(self, faults: Faults, queue: Callable[[Entry], None]) -> None:
        self._faults = faults
        self._any = faults.any
        self._queue = queue
        self._loop = asyncio.get_running_loop()
        self._events = 0
        self._deltas = 0
        self._races = 0
        self._collected: ev.ResponseOutputAudioDelta | None = None  # at most join_bytes and one delta more
        self._held: ev.AnyEvent | None = None
        self._timers: set[asyncio.TimerHandle] = set()  # one per event held in 50 ms, and per truncation that is late

    def steals_slot(self) -> bool:
        """Whether the next request of the client's shall lose a race."""
        self._races += 1
        return self._races <= self._faults.lost_races

    def send(self, event: ev.AnyEvent) -> None:
        """One event of the session's."""
        if not self._any:
            self._queue(wire.encode(event))
            return
        if isinstance(event, ev.Error) and not self._faults.errors_name_event:
            event = msgspec.structs.replace(event, error={**event.error, "event_id": None})
        if isinstance(event, ev.ConversationItemTruncated) and self._faults.truncated_late_s:
            self._later(self._faults.truncated_late_s, self._count, event)
            return
        for each in self._joined(event):
            self._count(each)

    def stop(self) -> None:
        """The session ends: what is late is never sent."""
        for timer in self._timers:
            timer.cancel()

    def _later(self, seconds: float, send: Callable[[ev.AnyEvent], None], event: ev.AnyEvent) -> None:
        def due() -> None:
            self._timers.discard(timer)
            send(event)

        timer = self._loop.call_later(seconds, due)
        self._timers.add(timer)

    def _joined(self, event: ev.AnyEvent) -> list[ev.AnyEvent]:
        """What is to be sent now, with the deltas of one part as one."""
        limit = self._faults.join_bytes
        if limit is None:
            return [event]
        collected = self._collected
        if not isinstance(event, ev.ResponseOutputAudioDelta):
            ends = isinstance(event, ev.ResponseOutputAudioDone) and collected is not None
            if ends:
                self._collected = None
            return [collected, event] if ends and collected is not None else [event]
        if collected is not None:
            event = msgspec.structs.replace(collected, delta=collected.delta + event.delta)
        self._collected = event if len(event.delta) < limit else None
        return [] if self._collected is not None else [event]

    def _count(self, event: ev.AnyEvent) -> None:
        if isinstance(event, ev.ResponseOutputAudioDelta):
            self._deltas += 1
            if _is_due(self._deltas, self._faults.wrong_ids_every):
                self._queue(wire.encode(_of_nobody(event)))
            self._place(event)
            self._misbehave(self._deltas)
        else:
            self._place(event)

    def _place(self, event: ev.AnyEvent) -> None:
        """Once, twice, or after the next."""
        if isinstance(event, ev.SessionCreated):
            self._queue(wire.encode(event))
            return
        self._events += 1
        held, self._held = self._held, None
        if held is None and _is_due(self._events, self._faults.swap_every):
            self._held = event
            self._later(SWAP_S, self._release, event)
            return
        for each in (event, held):
            if each is not None:
                self._queue(wire.encode(each))
        if _is_due(self._events, self._faults.double_every):
            self._queue(wire.encode(event))

    def _release(self, event: ev.AnyEvent) -> None:
        if self._held is event:
            self._held = None
            self._queue(wire.encode(event))

    def _misbehave(self, delta: int) -> None:
        faults = self._faults
        if delta == faults.garbage_after_deltas:
            self._queue(GARBAGE)
        if delta == faults.huge_after_deltas:
            self._queue(huge_error(faults.huge_bytes))
        if delta == faults.stall_after_deltas:
            self._queue(Stall(faults.stall_s))
        if delta == faults.close_after_deltas:
            self._queue(Close(faults.close_code, "closed on purpose"))


def _is_due(count: int, every: int | None) -> bool:
    return every is not None and count % every == 0


def _of_nobody(event: ev.ResponseOutputAudioDelta) -> ev.ResponseOutputAudioDelta:
    return msgspec.structs.replace(event, event_id="event_wrong", response_id="resp_wrong", item_id="item_wrong")
