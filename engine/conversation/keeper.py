"""Keeps a conversation connected: a line that was lost is replaced, and one that will expire is replaced before.

Another line is opened beside what goes on, told what was said, and offered. It is the conversation's writer that takes
it, between two messages, so that every sample goes to exactly one line. Nothing of the sound waits for any of this.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from engine.conversation.history import ANCHOR, Item, anchored, remembered
from engine.conversation.line import Line, OpenConnection
from engine.conversation.observer import Observer
from engine.conversation.reconnect import Reconnect, may_pass
from engine.conversation.settings import Settings
from engine.errors import Closing, ConnectionLost, EngineError
from engine.realtime import Protocol

if TYPE_CHECKING:
    from engine.conversation.connected import Connected

LOOK_S = 0.1  # between two looks for a silence
AGAIN_S = 1.0  # after a line that was not taken, since somebody began to speak
BRIEF_S = 1.0  # an expired session that lasted no longer counts as a failed try

_log = logging.getLogger("bargein")


class Keeper:
    """`up` is set while the conversation's line is of use. One task runs `run`. Belongs to the loop thread."""

    def __init__(
        self,
        conversation: Connected,
        open_connection: OpenConnection,
        settings: Settings,
        observer: Observer | None,
        policy: Reconnect,
    ) -> None:
        self.up = asyncio.Event()
        self.up.set()
        self._conversation = conversation
        self._open_connection = open_connection
        self._settings = settings
        self._observer = observer
        self._policy = policy
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._waits: Iterator[float] | None = None
        self._offered: tuple[Line, asyncio.Future[bool]] | None = None

    def takes(self, lost: ConnectionLost) -> bool:
        """Whether a line that was lost so will be replaced."""
        return lost.closing in (Closing.RETRY, Closing.EXPIRED)

    def line_lost(self) -> None:
        """The conversation's line is lost, and `takes` was true of how."""
        self.up.clear()
        self._woken.set()

    async def run(self) -> None:
        """For as long as the conversation."""
        while True:
            await self._until_needed()
            if self._conversation.line.lost is not None:
                await self._reopen(self._conversation.line.lost)
            else:
                await self._rotate()

    async def _until_needed(self) -> None:
        while True:
            line = self._conversation.line
            due = line.rotate_at
            now = self._loop.time()
            if line.lost is not None or (due is not None and now >= due and self._conversation.quiet):
                return
            self._woken.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if due is None else max(due - now, LOOK_S)):
                    await self._woken.wait()

    # ---- after a loss

    async def _reopen(self, lost: ConnectionLost) -> None:
        line = self._conversation.line
        lived = line.lost_at - line.opened_at
        expired = lost.closing is Closing.EXPIRED
        if self._waits is None or lived > (BRIEF_S if expired else self._policy.most_s):
            self._waits = self._policy.waits(at_once=expired)
        failure: EngineError = lost
        for wait in self._waits:
            self._conversation.tell("bargein.reconnecting", reason=str(failure), wait_s=round(wait, 3))
            await asyncio.sleep(wait)
            try:
                await self._replace()
            except EngineError as problem:
                failure = problem
                if not may_pass(problem):
                    break
            else:
                return
        self._conversation.tell("bargein.gave_up", reason=str(failure))
        lost.__cause__ = failure if failure is not lost else None
        self._conversation.disconnected(lost)
        await asyncio.Event().wait()  # the conversation ends now

    # ---- before the expiry

    async def _rotate(self) -> None:
        line = self._conversation.line
        line.rotate_at = self._loop.time() + AGAIN_S
        try:
            await self._replace()
        except EngineError as problem:
            _log.warning("no second connection could be had before the session expires: %s", problem)
            line.rotate_at = self._loop.time() + self._policy.most_s if may_pass(problem) else None

    # ---- both

    async def _replace(self) -> None:
        """Open a line and offer it. In the end one is closed: this one if it was not taken, else the one before."""
        before = self._conversation.line
        history = None if self._settings.call else self._history
        line = await Line.open(self._open_connection, self._settings, self._observer, before, history)
        try:
            taken: asyncio.Future[bool] = self._loop.create_future()
            self._offered = line, taken
            self._conversation.wake()
            if await taken:
                line = before
        finally:
            self._offered = None
            await line.close()

    def _history(self, protocol: Protocol) -> tuple[list[Item], int]:
        policy, conversation = self._policy, self._conversation
        if protocol.effective.get("type") == "transcription":
            return [], 0
        old = conversation.line.protocol
        items, left_out = remembered(old, conversation.heard, policy.history_items, policy.history_characters)
        anchor_id = old.ids(ANCHOR.rstrip("_"))
        return anchored(items, policy.anchor, anchor_id, broken_off=conversation.line.broke_off), left_out

    def exchange(self) -> None:
        """For the writer, while it writes nothing: take the line that is offered, unless the silence is over or more
        was said than the new server was told.
        """
        if self._offered is None:
            return
        (line, taken), self._offered = self._offered, None
        lost = self._conversation.line.lost is not None
        unchanged = tuple(self._conversation.line.protocol.items) == line.basis or self._settings.call
        if unchanged and (lost or self._conversation.quiet):
            self._conversation.move(line)
            self.up.set()
            taken.set_result(True)
        else:
            taken.set_result(False)
