"""Messages to and from an MCP server: in our words, and counted before the `mcp` package checks them.

The package checks every value of a message against its types, in one go, on our loop: a list of half a million numbers
where objects should be takes it more than a second, and no session's sound moves meanwhile. So a message of too many
values is answered for the server: with an error when somebody waits for it, and not at all otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import mcp_types as types
import msgspec
from mcp.shared.message import SessionMessage

from engine.server.mcp.servers import INVALID_PARAMS, protocol_error
from engine.server.responders.base import McpCall

MAX_VALUES = 20_000
"""Members of all objects and arrays of one message: some hundred tools with all that their schemas say."""


class Measured:
    """The package's stream of messages, without those that have more than `most` values."""

    def __init__(self, inner: Any, most: int = MAX_VALUES) -> None:
        self._inner = inner
        self._most = most

    @property
    def last_context(self) -> Any:
        """The package's own: in whose context the last message came."""
        return self._inner.last_context

    async def receive(self) -> Any:
        """The next message."""
        while (item := self._judged(await self._inner.receive())) is None:
            pass
        return item

    async def aclose(self) -> None:
        """No message is wanted any more."""
        await self._inner.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        while (item := self._judged(await anext(self._inner))) is None:
            pass
        return item

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        closed: bool | None = await self._inner.__aexit__(kind, error, trace)
        return closed

    def _judged(self, item: Any) -> Any:
        if not isinstance(item, SessionMessage):
            return item
        message = item.message
        if isinstance(message, types.JSONRPCResponse):
            value: Any = message.result
        else:
            value = message.error.data if isinstance(message, types.JSONRPCError) else message.params
        if not more_values(value, self._most):
            return item
        if not isinstance(message, types.JSONRPCResponse | types.JSONRPCError):
            return None
        text = f"The MCP server's answer has more than {self._most} values, which is the limit."
        error = types.ErrorData(code=types.INTERNAL_ERROR, message=text)
        return SessionMessage(types.JSONRPCError(jsonrpc="2.0", id=message.id, error=error))


def more_values(value: Any, most: int) -> bool:
    """Whether JSON-like data have more members than that, at any depth; counts no further."""
    count, waiting = 0, [value]
    while waiting:
        here = waiting.pop()
        if not isinstance(here, dict | list):
            continue
        count += len(here)
        if count > most:
            return True
        waiting += here.values() if isinstance(here, dict) else here
    return False


def headers_of(declared: Mapping[str, Any]) -> dict[str, str]:
    """The headers that a session's tool asks for. `authorization` without a scheme is a bearer's token."""
    result = dict(declared.get("headers") or {})
    if token := declared.get("authorization"):
        result["Authorization"] = token if " " in token else f"Bearer {token}"
    return result


def arguments_of(call: McpCall) -> dict[str, Any]:
    """A call's arguments as an object. Raises McpFailure."""
    try:
        found = msgspec.json.decode(call.arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise protocol_error("The arguments are no JSON object.", INVALID_PARAMS)
    return found


def tool_wire(tool: types.Tool) -> dict[str, Any]:
    """A tool as an mcp_list_tools item has it."""
    annotations = (
        tool.annotations.model_dump(mode="json", by_alias=True, exclude_none=True) if tool.annotations else None
    )
    return {
        "name": tool.name,
        "description": tool.description,
        "input_schema": tool.input_schema,
        "annotations": annotations,
    }


def block_text(block: types.ContentBlock) -> str:
    """What of a result can be read aloud; of the rest its kind."""
    if isinstance(block, types.TextContent):
        return block.text
    if isinstance(block, types.EmbeddedResource) and isinstance(block.resource, types.TextResourceContents):
        return block.resource.text
    return f"[{block.type}]"


__all__ = ["MAX_VALUES", "Measured", "arguments_of", "block_text", "headers_of", "more_values", "tool_wire"]
