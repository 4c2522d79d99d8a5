"""The user's hands on a talk: keys, the push-to-talk button, and the microphone that closes while a reply sounds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from engine.cli.talkmodel import Model
from engine.conversation import Conversation
from engine.errors import EngineError

TAIL_S = 0.3  # after the last sample has been handed over: the way to the loudspeaker, the room's echo
STEP = 0.1  # of volume


class Hands:
    """Acts on the conversation once there is one (`take`). `half` closes the microphone while a reply sounds: for
    loudspeakers, as long as nothing cancels their echo. Belongs to the loop thread.
    """

    def __init__(self, model: Model, *, half: bool = False, closed: bool = False) -> None:
        self.model = model
        self.on_redraw: Callable[[], None] | None = None
        self._half = half
        self._closed = self._applied = closed
        self._pressed = asyncio.Event()
        self._left = asyncio.Event()
        self._conversation: Conversation | None = None
        self._tail: asyncio.TimerHandle | None = None

    def take(self, conversation: Conversation) -> None:
        """There is a conversation now."""
        self._conversation = conversation
        if self._half:
            self.model.on_sounding = self._sounding

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

    def _sounding(self) -> None:
        if self._tail is not None:
            self._tail.cancel()
            self._tail = None
        if self.model.sounding:
            self._apply()
        else:
            self._tail = asyncio.get_running_loop().call_later(TAIL_S, self._tail_over)

    def _tail_over(self) -> None:
        self._tail = None
        self._apply()

    def _apply(self) -> None:
        """The microphone is closed when the user wants it so, or while it would hear the loudspeaker."""
        if self._conversation is None or self.model.pressed:
            return
        closed = self._closed or (self._half and (self.model.sounding or self._tail is not None))
        if closed != self._applied:
            self._applied = closed
            (self._conversation.mute if closed else self._conversation.unmute)()
