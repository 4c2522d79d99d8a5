"""The user's hands on a talk: keys, and the push-to-talk button."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from engine.cli.talkmodel import Model
from engine.conversation import Conversation
from engine.errors import EngineError

STEP = 0.1  # of volume


class Hands:
    """Acts on the conversation once there is one (`take`). `closed`: the microphone is muted at first. Belongs to the
    loop thread.
    """

    def __init__(self, model: Model, *, closed: bool = False) -> None:
        self.model = model
        self.on_redraw: Callable[[], None] | None = None
        self._closed = self._applied = closed
        self._pressed = asyncio.Event()
        self._left = asyncio.Event()
        self._conversation: Conversation | None = None

    def take(self, conversation: Conversation) -> None:
        """There is a conversation now."""
        self._conversation = conversation

    def leave(self) -> None:
        """End the talk."""
        self._left.set()

    async def released(self) -> None:
        """Until the user leaves."""
        await self._left.wait()

    def key(self, key: str) -> None:
        """A key of the terminal; "" when it has gone."""
        if key in ("q", "Q", ""):
            self.leave()
        elif key == "\x0c" and self.on_redraw is not None:
            self.on_redraw()
        elif self._conversation is not None:
            try:
                self._act(key, self._conversation)
            except EngineError as problem:
                self.model.notice(str(problem))

    def _act(self, key: str, conversation: Conversation) -> None:
        match key.lower():
            case "m":
                self._closed = not self._closed
                self._apply()
            case " ":
                self._pressed.set()
            case "i" | "escape":
                conversation.interrupt()
            case "h":
                self.model.on_hold = not self.model.on_hold
                (conversation.hold if self.model.on_hold else conversation.resume)()
            case "+" | "=":
                conversation.volume = min(round(conversation.volume + STEP, 2), 4.0)
            case "-":
                conversation.volume = max(round(conversation.volume - STEP, 2), 0.0)

    # ---- the microphone

    async def button(self, conversation: Conversation) -> None:
        """The space bar: once to talk, again to send. A terminal tells of no key that is let go."""
        while True:
            await self._press()
            self.model.pressed = True
            try:
                async with conversation.push_to_talk() as spoken:
                    await self._press()
                    self.model.pressed = False
                    self._closed = self._applied = True  # as it is afterwards
                if spoken.commit is not None and not spoken.commit.item_id:
                    self.model.notice(f"nothing was sent: {spoken.commit.outcome.value}")
            except EngineError as problem:
                self.model.notice(str(problem))
            finally:
                self.model.pressed = False

    async def _press(self) -> None:
        await self._pressed.wait()
        self._pressed.clear()

    def _apply(self) -> None:
        """The microphone is closed when the user wants it so."""
        if self._conversation is None or self.model.pressed or self._closed == self._applied:
            return
        self._applied = self._closed
        (self._conversation.mute if self._closed else self._conversation.unmute)()
