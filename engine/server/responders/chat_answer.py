"""What a chat completion streams, put together: words, tool calls in pieces, and why it ended. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import msgspec

from engine.errors import ServerFaultError, TransportError
from engine.server.responders.base import McpCall, ToolCallDelta

MAX_CALLS = 64
MAX_ARGUMENTS = 2**20
"""Characters of one call's arguments."""
DONE = "[DONE]"


@dataclass(slots=True)
class _Call:
    index: Any
    place: int
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)  # all of them for a call of an MCP server; else those not told
    size: int = 0
    begun: bool = False


class ChatAnswer:
    """Takes the data of every event, in order. `mcp` are the tools of MCP servers, by the name that the model calls:
    their calls are given whole, at the end.
    """

    def __init__(self, mcp: Mapping[str, tuple[str, str]] = MappingProxyType({})) -> None:
        self._mcp = mcp
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

    def pieces(self) -> list[ToolCallDelta]:
        """Pieces of calls that have come since the last time. A call whose name has not come yet waits for it."""
        told = []
        for call in self._calls:
            if not call.name or call.name in self._mcp:
                continue
            if not call.begun:
                told.append(ToolCallDelta("".join(call.arguments), call.name, call.id, call.place))
            elif call.arguments:
                told.append(ToolCallDelta("".join(call.arguments), index=call.place))
            call.begun, call.arguments = True, []
        return told

    def rest(self) -> list[ToolCallDelta | McpCall]:
        """What is left once the stream has ended. A call without a name is dropped, one without arguments has none."""
        left: list[ToolCallDelta | McpCall] = list(self.pieces())
        for call in self._calls:
            if call.name in self._mcp:
                server, name = self._mcp[call.name]
                left.append(McpCall(server, name, "".join(call.arguments).strip() or "{}"))
            elif call.begun and not call.size:
                left.append(ToolCallDelta("{}", index=call.place))
        return left

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
        self._calls.append(_Call(index, len(self._calls), call_id))
        return self._calls[-1]


def _code(error: Any) -> str | None:
    found = error.get("code") if isinstance(error, dict) else None
    return found[:100] if isinstance(found, str) else None


__all__ = ["DONE", "MAX_ARGUMENTS", "MAX_CALLS", "ChatAnswer"]
