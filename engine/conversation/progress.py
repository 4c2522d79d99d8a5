"""Words that the model speaks while tools run: responses beside the conversation, so that they leave no trace in it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from engine.errors import LocalProtocolError
from engine.realtime import Protocol, Slot
from engine.realtime import events as ev

INSTRUCTIONS = "Speak the text of the message word for word, in a voice as before. Say nothing else."
MARK = "bargein.progress"
MAX_WAITING = 8
"""Words that wait; of more the oldest are left out."""
PATIENCE_S = 15.0
"""How long a response with such words may take until the reply is asked for all the same."""

_log = logging.getLogger("bargein")


class Progress:
    """One at a time, and only while no other response is under way: two voices would be mixed up."""

    def __init__(self, protocol: Callable[[], Protocol], send: Callable[[ev.AnyEvent], None]) -> None:
        self._protocol = protocol
        self._send = send
        self._waiting: list[tuple[str, str]] = []  # call and words; at most MAX_WAITING, then the oldest goes
        self._event_id = ""  # of the request that is under way
        self._response_id = ""
        self._until = 0.0

    @property
    def busy(self) -> bool:
        """Whether words are spoken or wait."""
        return bool(self._event_id or self._waiting)

    def owns(self, response_id: str) -> bool:
        """Whether this response is one of ours."""
        return bool(response_id) and response_id == self._response_id

    def add(self, call_id: str, words: str) -> None:
        """Words for this call, to be spoken when there is silence."""
        if (call_id, words) not in self._waiting:
            self._waiting.append((call_id, words))
        del self._waiting[:-MAX_WAITING]

    def drop(self, call_id: str) -> None:
        """The call has ended: what waits for it is not spoken."""
        self._waiting = [each for each in self._waiting if each[0] != call_id]

    def close(self) -> None:
        """Nothing more is spoken."""
        self._waiting.clear()
        self._event_id = ""

    def line_lost(self) -> None:
        """What is being spoken broke off; what waits is spoken on the next line."""
        self._event_id = self._response_id = ""

    def speak(self) -> bool:
        """Speak the next words if it is silent. Whether words are spoken, so that a reply has to wait."""
        now = asyncio.get_running_loop().time()
        if self._event_id and now < self._until:
            return True
        self._event_id = self._response_id = ""
        protocol = self._protocol()
        if not self._waiting or protocol.slot is not Slot.FREE:
            return False
        call_id, words = self._waiting.pop(0)
        self._event_id, self._until = protocol.ids("event"), now + PATIENCE_S
        try:
            self._send(ev.ResponseCreate(event_id=self._event_id, response=_request(call_id, words)))
        except LocalProtocolError as refused:
            _log.warning("words of a tool could not be spoken: %s", refused)
            self._event_id = ""
        return bool(self._event_id)

    def receive(self, event: ev.AnyEvent) -> None:
        """Follow what becomes of them."""
        match event:
            case ev.ResponseCreated() if self._event_id and MARK in event.metadata:
                self._response_id = event.response_id
            case ev.ResponseDone() if self.owns(event.response_id) or MARK in event.metadata:
                self._event_id = ""
            case ev.Error() if event.cause_event_id is not None and event.cause_event_id == self._event_id:
                self._event_id = ""


def _request(call_id: str, words: str) -> dict[str, Any]:
    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": words}]}
    return {
        "conversation": "none",
        "input": [message],
        "instructions": INSTRUCTIONS,
        "tools": [],
        "tool_choice": "none",
        "metadata": {MARK: call_id[:512]},
    }


__all__ = ["Progress"]
