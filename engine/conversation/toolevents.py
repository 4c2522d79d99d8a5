"""What an application is told of its tools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from engine.errors import RemoteProtocolError
from engine.realtime import events as ev

if TYPE_CHECKING:
    from engine.realtime.types.items import McpListedTool


class ToolFinished(ev.ServerEvent, frozen=True, kw_only=True, tag="bargein.tool_finished"):
    """A call of a tool was answered; comes through `Conversation.events`, and is ours, not the server's.

    `outcome` is completed, failed (it raised), timed_out, cancelled, bad_arguments or unknown_tool. `output` is what
    the model was told, `error` what happened, "" when nothing did; `seconds` how long the tool ran.
    """

    name: str
    call_id: str
    response_id: str
    arguments: str
    outcome: str
    output: str
    error: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class McpServer:
    """An MCP server as the service sees it. `status` is in_progress (asked for its tools), completed or failed."""

    label: str
    item_id: str
    status: str
    tools: tuple[McpListedTool, ...] = ()


def listed(item: dict[str, Any]) -> tuple[McpListedTool, ...]:
    """The tools in an mcp_list_tools item; those that cannot be read are left out."""
    from engine.realtime.types.items import McpListedTool  # imported when used: it brings all types

    entries = item.get("tools")
    found: list[McpListedTool] = []
    if not isinstance(entries, list):
        return ()
    for entry in entries:
        try:
            found.append(McpListedTool.from_wire(entry))
        except (RemoteProtocolError, msgspec.ValidationError, AttributeError, TypeError):
            continue
    return tuple(found)


__all__ = ["McpServer", "ToolFinished", "listed"]
