"""Turns: what was said, by whom, and how much of it was heard."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.realtime import events as ev


@dataclass(frozen=True, slots=True)
class Turn:
    """One settled turn.

    `text` is what the model wrote or spoke, all of it, also when less was heard, or the transcript of what the user
    said ("" while no transcription is configured). `interrupted` and `played_ms` tell how much of a spoken reply
    was heard. `latency_ms` runs from the end of the user's speech to the first sound of the reply, in audio time;
    None when there was no such pair. On a call's sideband the server has the sound: both counts are 0 and there is no
    latency. `status` is the response's (completed, cancelled, incomplete, failed), with
    `reason` and `error` as the server gave them. `usage` counts tokens, None when not reported.
    """

    role: str
    text: str
    item_ids: tuple[str, ...] = ()
    response_id: str = ""
    interrupted: bool = False
    played_ms: int = 0
    received_ms: int = 0
    latency_ms: float | None = None
    status: str = "completed"
    reason: str = ""
    error: dict[str, Any] = field(default_factory=dict)
    usage: ev.Usage | None = None


def spoken_text(item: dict[str, Any]) -> str:
    """The words of an item's content: text and transcripts in order."""
    content = item.get("content")
    parts = content if isinstance(content, list) else []
    words = [part.get("text") or part.get("transcript") or "" for part in parts if isinstance(part, dict)]
    return " ".join(word for word in words if isinstance(word, str) and word)


class UserTurns:
    """Settles the user's items: when they are done and, if transcription is on, when their words are in or given up.

    At most 64 wait for their words; then the oldest settles without.
    """

    def __init__(self) -> None:
        self.transcribing = False
        self._waiting: dict[str, dict[str, Any]] = {}  # at most 64: the oldest settles when another comes

    def receive(self, event: ev.AnyEvent) -> list[Turn]:
        """Turns that this event settles."""
        if isinstance(event, ev.ConversationItemDone) and event.item.get("role") == "user":
            return self._done(event.item_id, event.item)
        if isinstance(event, ev.ConversationItemInputAudioTranscriptionCompleted):
            return self._settle(event.item_id, event.transcript)
        if isinstance(event, ev.ConversationItemInputAudioTranscriptionFailed):
            return self._settle(event.item_id, "")
        return []

    def _done(self, item_id: str, item: dict[str, Any]) -> list[Turn]:
        spoken = any(part.get("type") == "input_audio" for part in item.get("content") or [] if isinstance(part, dict))
        if not (spoken and self.transcribing):
            return [Turn("user", spoken_text(item), (item_id,))]
        self._waiting[item_id] = item
        oldest = next(iter(self._waiting))
        return self._settle(oldest, "") if len(self._waiting) > 64 else []

    def _settle(self, item_id: str, text: str) -> list[Turn]:
        return [Turn("user", text, (item_id,))] if self._waiting.pop(item_id, None) is not None else []

    def give_up(self) -> list[Turn]:
        """Settle what waits without its words."""
        return [turn for item_id in list(self._waiting) for turn in self._settle(item_id, "")]

    @property
    def unsettled(self) -> bool:
        """Whether words are still awaited."""
        return bool(self._waiting)
