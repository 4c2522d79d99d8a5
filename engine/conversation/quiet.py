"""Whether nothing happens: nobody speaks, nothing sounds and nothing is awaited."""

from __future__ import annotations

from engine.audio import AudioEvent, EventKind
from engine.conversation.commits import Commits
from engine.conversation.ending import Ending
from engine.conversation.replies import Replies
from engine.conversation.settings import turn_detection
from engine.conversation.turns import UserTurns
from engine.realtime import Protocol, Slot
from engine.realtime import Turn as InputTurn

SETTLED_S = 0.5
"""So long after the end of speech here: what was said has reached the server, which has told of it."""


class Quiet:
    """Looks at all parts of a conversation at once. Times are the loop's, passed in."""

    def __init__(self, replies: Replies, user_turns: UserTurns, commits: Commits, ending: Ending) -> None:
        self._replies = replies
        self._user_turns = user_turns
        self._commits = commits
        self._ending = ending
        self._speaking = False
        self._spoke_at = float("-inf")

    def heard(self, event: AudioEvent, now: float) -> None:
        """A report of the audio threads."""
        if event.kind in (EventKind.SPEECH_STARTED, EventKind.SPEECH_STOPPED):
            self._speaking = event.kind is EventKind.SPEECH_STARTED
            self._spoke_at = now

    def now(self, protocol: Protocol, muted: bool, now: float) -> bool:
        """Whether another server could go on without anybody noticing. Where commits are made by hand, sound that was
        not committed is something, unless the microphone is closed.
        """
        speaking = self._speaking or now - self._spoke_at < SETTLED_S
        asked = protocol.slot is not Slot.FREE or protocol.waiting or protocol.out_of_band or self._ending.owed
        answering = self._replies.sounding or self._replies.unsettled or self._user_turns.unsettled
        by_hand = not turn_detection(protocol.effective) and not muted
        open_turn = protocol.turn is not InputTurn.IDLE or self._commits.waiting or (by_hand and not self._commits.idle)
        return not (speaking or asked or answering or open_turn)
