"""An MCP server as a session sees it: what it lists, what a call gives, and how either fails.

Two kinds: `Scripted`, played from a brain's script, and the real one (`remote`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from engine.server.responders.base import McpCall

INVALID_PARAMS = -32602
INTERNAL = -32603

MAX_MESSAGE = 2000
"""Characters of an error's text."""


class McpFailure(Exception):
    """A listing or call that failed, as the wire tells it."""

    def __init__(self, kind: str, message: str, code: int | None = None) -> None:
        super().__init__(message[:MAX_MESSAGE])
        self.kind = kind
        self.code = code

    def wire(self) -> dict[str, Any]:
        """The `error` of an mcp_call item."""
        code = {} if self.code is None else {"code": self.code}
        return {"type": self.kind, **code, "message": str(self)}


def protocol_error(message: str, code: int = INTERNAL) -> McpFailure:
    """MCP was broken, or refused what was asked; `code` is JSON-RPC's."""
    return McpFailure("protocol_error", message, code)


def too_late() -> McpFailure:
    """Time is over."""
    return protocol_error("The MCP server did not answer in time.")


def http_error(status: int, message: str) -> McpFailure:
    """HTTP says no."""
    return McpFailure("http_error", message, status)


def execution_error(message: str) -> McpFailure:
    """The tool failed."""
    return McpFailure("tool_execution_error", message)


class McpServer(Protocol):
    """One MCP server of one session. Belongs to the loop thread."""

    async def list(self) -> Sequence[Mapping[str, Any]]:
        """Its tools as the wire has them: name, description, input_schema, annotations. Raises McpFailure."""

    async def call(self, call: McpCall) -> str:
        """What a tool gives. Raises McpFailure."""

    def at_once(self, call: McpCall) -> str | None:
        """What a tool gives that waits for nobody, so that the call ends within its response. Raises McpFailure."""

    def close(self) -> None:
        """It is not needed any more: end its connection. Calls that wait fail."""


@dataclass(frozen=True, slots=True)
class McpTools:
    """What an MCP server of a script lists, after `delay` seconds; it cannot be asked when `fails`."""

    tools: Sequence[Mapping[str, Any]] = ()
    delay: float = 0.0
    fails: bool = False


@runtime_checkable
class HasMcp(Protocol):
    """A brain with MCP servers."""

    def mcp_servers(self) -> Mapping[str, McpTools]:
        """They by label."""


class Scripted:
    """Plays one: the call itself has its answer."""

    def __init__(self, tools: McpTools) -> None:
        self._tools = tools

    async def list(self) -> Sequence[Mapping[str, Any]]:
        """See McpServer."""
        await asyncio.sleep(self._tools.delay)
        if self._tools.fails:
            raise execution_error("The script says that it fails.")
        return self._tools.tools

    async def call(self, call: McpCall) -> str:
        """See McpServer."""
        await asyncio.sleep(call.delay)
        return self._answer(call)

    def at_once(self, call: McpCall) -> str | None:
        """See McpServer."""
        return None if call.delay else self._answer(call)

    def _answer(self, call: McpCall) -> str:
        if call.error:
            raise execution_error(call.error)
        return call.output

    def close(self) -> None:
        """Nothing is open."""
