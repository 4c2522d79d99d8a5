"""What a chat completion streams, put together: words, tool calls in pieces, and why it ended. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from engine.errors import ServerFaultError, TransportError
from engine.server.responders.base import ToolCall

MAX_CALLS = 64
MAX_ARGUMENTS = 2**20
"""Characters of one call's arguments."""
DONE = "[DONE]"


@dataclass(slots=True)
class _Call:
    index: Any
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    size: int = 0


class ChatAnswer:
    """Takes the data of every event, in order."""

    def __init__(self) -> None:
        self.over = False
        """The model has said that this was all."""
        self.finish_reason: str | None = None
        self._calls: list[_Call] = []  # at most MAX_CALLS

    def add(self, data: str) -> str:
        """One event's data; the words in it. Raises TransportError for what is no chat completion, ServerFaultError for
        an error that comes within the stream.
        """
        if data.strip() == DONE:
            self.over = True
            return ""
        try:
            chunk = msgspec.json.decode(data)
        except (msgspec.DecodeError, RecursionError):
            raise TransportError("the model sent something that is no JSON") from None
        if not isinstance(chunk, dict):
            raise TransportError("the model sent something that is no chat completion")
        if chunk.get("error"):
            raise ServerFaultError("the model broke off with an error", status=500, code=_code(chunk["error"]))
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        return self._choice(choice) if isinstance(choice, dict) else ""  # usage comes without a choice

    def calls(self) -> list[ToolCall]:
        """The calls, once the stream has ended. One without a name is dropped."""
        return [
            ToolCall(call.name, "".join(call.arguments).strip() or "{}", call.id) for call in self._calls if call.name
        ]

    def _choice(self, choice: Mapping[str, Any]) -> str:
        if isinstance(choice.get("finish_reason"), str):
            self.finish_reason = choice["finish_reason"]
        told = choice.get("delta") or choice.get("message")  # a server that does not stream sends the whole message
        if not isinstance(told, dict):
            return ""
        for piece in told.get("tool_calls") or ():
            if isinstance(piece, dict):
                self._add_call(piece)
        words = told.get("content") or told.get("refusal")  # reasoning_content and reasoning are never said
        return words if isinstance(words, str) else ""

    def _add_call(self, piece: Mapping[str, Any]) -> None:
        call = self._call_of(piece)
        told = piece.get("function")
        if not isinstance(told, dict):
            return
        if isinstance(told.get("name"), str) and not call.name:
            call.name = told["name"]
        arguments = told.get("arguments")
        if isinstance(arguments, dict):  # some local servers send an object
            arguments = msgspec.json.encode(arguments).decode()
        if isinstance(arguments, str):
            call.arguments.append(arguments)
            call.size += len(arguments)
        if call.size > MAX_ARGUMENTS:
            raise TransportError(f"the model called {call.name!r:.80} with more than {MAX_ARGUMENTS} characters")

    def _call_of(self, piece: Mapping[str, Any]) -> _Call:
        """The call that a piece belongs to: by index; a new id begins a new one, since some servers count none."""
        index, given = piece.get("index"), piece.get("id")
        call_id = given if isinstance(given, str) else ""
        for call in reversed(self._calls):
            if (index is None or call.index == index) and (not call_id or not call.id or call.id == call_id):
                call.id = call.id or call_id
                return call
        if len(self._calls) >= MAX_CALLS:
            raise TransportError(f"the model made more than {MAX_CALLS} calls in one answer")
        self._calls.append(_Call(index, call_id))
        return self._calls[-1]


def _code(error: Any) -> str | None:
    found = error.get("code") if isinstance(error, dict) else None
    return found[:100] if isinstance(found, str) else None


__all__ = ["DONE", "MAX_ARGUMENTS", "MAX_CALLS", "ChatAnswer"]
