"""A line to a server: one socket and the protocol's state on it. It can be exchanged for another while the conversation
(its sound, its turns, its books) lives on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

from engine.conversation.handshake import Hands
from engine.conversation.history import ANCHOR, Item
from engine.conversation.observer import Observer
from engine.conversation.reconnect import Reconnect
from engine.conversation.settings import Settings
from engine.errors import ConnectionLost
from engine.realtime import Protocol, wire
from engine.realtime import events as ev
from engine.realtime.agreement import Difference
from engine.transport import Connection

OpenConnection = Callable[[], AbstractAsyncContextManager[Connection]]
"""Opens the way to a server, as often as it is called; leaving its block closes it."""

_ECHOES = (ev.ConversationItemAdded, ev.ConversationItemCreated, ev.ConversationItemDone)

MOST_CREATED = 64
LONGEST_SESSION_S = 3600.0  # as documented; a clock that is wrong cannot put the rotation off for longer


class Line:
    """Made by `open`. `early` is what the server has said so far, `differences` what it did not put in force of what
    was asked; `told` are the ids of what it was told at the start: its echo is no news; `basis` those of the
    conversation that this was taken from. `lost` is set when the socket has ended, `broke_off` when a response did with
    it. `rotate_at` is the loop's time from which on the line should be replaced; None when it need not be.
    """

    def __init__(self, connection: Connection, protocol: Protocol, stack: AsyncExitStack) -> None:
        self.connection = connection
        self.protocol = protocol
        self.early: list[ev.AnyEvent] = []
        self.differences: list[Difference] = []
        self.items: list[Item] = []
        self.left_out = 0
        self.told: frozenset[str] = frozenset()
        self.basis: tuple[str, ...] = ()
        self.wishes: dict[str, Any] = {}
        self.lost: ConnectionLost | None = None
        self.broke_off = False
        self.lost_at = self.opened_at = asyncio.get_running_loop().time()
        self.rotate_at: float | None = None
        self._updates: deque[ev.SessionUpdate] = deque(maxlen=16)  # not confirmed yet; full: the oldest is forgotten
        self._created: dict[str, ev.ConversationItemCreate] = {}  # by item, not confirmed yet; the newest MOST_CREATED
        self._unsent: deque[ev.AnyEvent] = deque()  # bounded by the protocol's outgoing()
        self._stack = stack

    @classmethod
    async def open(
        cls,
        open_connection: OpenConnection,
        settings: Settings,
        observer: Observer | None,
        before: Line | None = None,
        history: Callable[[Protocol], tuple[list[Item], int]] | None = None,
    ) -> Line:
        """Connect, agree on the session, and tell it `history`. What the line `before` had agreed on is asked for
        again. Raises as the handshake does, and leaves nothing behind then.
        """
        async with AsyncExitStack() as stack:
            connection = await stack.enter_async_context(open_connection())
            wishes = settings.update() if before is None else before.wishes
            hands = Hands(connection, settings, observer, before.protocol.ids if before is not None else None)
            await hands.agree(wishes)
            line = cls(connection, hands.protocol, stack)
            line.differences = list(hands.protocol.differences)
            if history is not None and before is not None:
                line.basis = tuple(before.protocol.items)
                line.items, line.left_out = history(line.protocol)
                await hands.tell(line.items)
            line.early, line.wishes = hands.early, wishes
            line.told = frozenset(item["id"] for item in line.items)
            line._plan_rotation(settings)
            line._stack = stack.pop_all()
        return line

    def _plan_rotation(self, settings: Settings) -> None:
        policy: Reconnect | None = settings.reconnect
        expires = self.protocol.effective.get("expires_at")
        if policy is None or settings.call or not isinstance(expires, int | float) or isinstance(expires, bool):
            return
        left = min(expires - policy.unix_time(), LONGEST_SESSION_S)
        if left > 0:  # else one of the clocks is wrong, and the expiry will tell
            self.rotate_at = asyncio.get_running_loop().time() + left - min(policy.rotate_before_s, left / 2)

    async def flush(self, observer: Observer | None) -> None:
        """Write what the protocol has to say. Raises `ConnectionLost`; what was not written then stays unsent."""
        self._unsent.extend(self.protocol.outgoing())
        while self._unsent:
            event = self._unsent[0]
            message = wire.encode(event)
            if observer is not None:
                observer.event("sent", message, event)
            await self.connection.send(message)
            self._unsent.popleft()
            self._note(event)

    def _note(self, event: ev.AnyEvent) -> None:
        """Remember what is written and has no effect yet."""
        if isinstance(event, ev.SessionUpdate):
            self._updates.append(event)
        elif isinstance(event, ev.ConversationItemCreate):
            self._created[ev.text_of(event.item, "id")] = event
            if len(self._created) > MOST_CREATED:
                del self._created[next(iter(self._created))]

    def take_unsent(self) -> tuple[list[ev.AnyEvent], int]:
        """What was not written or, of updates and new items, not confirmed, and bytes of captured sound in it; from now
        on it is the caller's.
        """
        unsent = [*self._updates, *self._created.values(), *self._unsent, *self.protocol.outgoing()]
        for each in (self._updates, self._created, self._unsent):
            each.clear()
        return unsent, sum(len(event.audio) for event in unsent if isinstance(event, ev.InputAudioBufferAppend))

    def echoes(self, event: ev.AnyEvent) -> bool:
        """Whether this is the late echo of what the server was told at the start."""
        return isinstance(event, _ECHOES) and event.item_id in self.told

    @property
    def session_id(self) -> str:
        """As the server named it; "" when it did not."""
        return str(self.protocol.effective.get("id") or "")

    @property
    def ends_with_user(self) -> bool:
        """Whether the last words that it was told of the conversation are the user's."""
        words = [item for item in self.items if not item["id"].startswith(ANCHOR)]
        return bool(words) and words[-1].get("role") == "user"

    def follow(self, event: ev.AnyEvent) -> None:
        """An event of the server's: perhaps the answer to an update, which is asked for again on the next line, or to
        a new item.
        """
        match event:
            case ev.SessionUpdated() if self._updates:
                self.wishes = joined(self.wishes, self._updates.popleft().session)
            case ev.ConversationItemAdded() | ev.ConversationItemCreated():
                self._created.pop(event.item_id, None)
            case ev.ResponseDone():  # a server that confirms nothing, or calls items as it likes
                self._created.clear()
            case ev.Error() if event.cause_event_id is not None:
                for update in [each for each in self._updates if each.event_id == event.cause_event_id]:
                    self._updates.remove(update)
                for item_id in [name for name, each in self._created.items() if each.event_id == event.cause_event_id]:
                    del self._created[item_id]

    async def close(self) -> None:
        """Close the socket and give everything back. Closing twice is allowed."""
        await self._stack.aclose()


def joined(wishes: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with others laid over them; neither is changed."""
    result = dict(wishes)
    for name, value in more.items():
        present = result.get(name)
        if isinstance(present, Mapping) and isinstance(value, Mapping):
            result[name] = joined(present, value)
        else:
            result[name] = value
    return result
