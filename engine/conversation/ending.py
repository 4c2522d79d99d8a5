"""When a conversation is over by itself: the microphone's file has ended, and so has everything that it started."""

from __future__ import annotations

from engine.conversation.replies import Replies
from engine.conversation.settings import Settings, longest_pause_s, server_answers
from engine.conversation.turns import UserTurns
from engine.endpoints import Sound
from engine.errors import TransportError
from engine.realtime import Protocol, Slot
from engine.realtime import Turn as InputTurn

QUIET_S = 1.0
"""Nothing more came from the server for so long."""


class Ending:
    """Watches for the end. Times are the loop's, passed in; a conversation with a device never ends by itself."""

    def __init__(
        self, sound: Sound, protocol: Protocol, replies: Replies, user_turns: UserTurns, settings: Settings, now: float
    ) -> None:
        self._sound = sound
        self._protocol = protocol
        self._replies = replies
        self._user_turns = user_turns
        self._settings = settings
        self._last_event = now
        self._answer_due: float | None = None
        self._ended_at: float | None = None

    def event_came(self, now: float) -> None:
        """The server said something."""
        self._last_event = now

    def turn_ended(self, now: float) -> None:
        """A turn of the user's is over: the server may owe an answer."""
        if server_answers(self._protocol.effective) and self._protocol.slot is Slot.FREE:
            self._answer_due = now + self._settings.answer_s

    @property
    def owed(self) -> bool:
        """Whether the server owes an answer to a turn."""
        return self._answer_due is not None

    def move(self, protocol: Protocol, now: float) -> None:
        """Another server goes on: it owes nothing yet."""
        self._protocol, self._last_event, self._answer_due = protocol, now, None

    def answered(self) -> None:
        """The answer, or a refusal, has come."""
        self._answer_due = None

    def reached(self, now: float) -> bool:
        """Whether it is over. Raises `TransportError` when the server leaves something unfinished for too long."""
        if not self._sound.ended:
            return False
        if self._ended_at is None:
            self._ended_at = self._sound.seconds
        tail = longest_pause_s(self._protocol.effective) + QUIET_S
        silence = now - self._last_event
        if self._sound.seconds - self._ended_at < tail or silence < QUIET_S or self._replies.sounding:
            return False
        busy = self._protocol.slot is not Slot.FREE or self._protocol.turn is not InputTurn.IDLE
        owed = self._answer_due is not None and now < self._answer_due
        pending = busy or owed or self._replies.unsettled or self._user_turns.unsettled
        if (busy or self._replies.unsettled) and silence >= self._settings.answer_s:
            raise TransportError(f"the server has not finished what it began within {self._settings.answer_s:g} s")
        return not pending or silence >= self._settings.answer_s  # a transcript that never comes is given up
