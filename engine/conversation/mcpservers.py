"""The MCP servers of a session, as the service tells of them: whether it has their tools, and which."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from engine.errors import RemoteProtocolError
from engine.realtime import Protocol
from engine.realtime import events as ev

if TYPE_CHECKING:
    from engine.realtime.types.items import McpListedTool

MAX_SERVERS = 64
"""More are not kept."""

_log = logging.getLogger("bargein")


@dataclass(frozen=True, slots=True)
class McpServer:
    """An MCP server as the service sees it. `status` is in_progress (asked for its tools), completed or failed."""

    label: str
    item_id: str
    status: str
    tools: tuple[McpListedTool, ...] = ()


class McpServers:
    """They by label. Belongs to the loop thread."""

    def __init__(self, protocol: Callable[[], Protocol]) -> None:
        self._protocol = protocol
        self._servers: dict[str, McpServer] = {}  # while the label is not known by item; at most MAX_SERVERS
        self._changed = asyncio.Event()

    def clear(self) -> None:
        """Another session begins."""
        self._servers.clear()

    def labelled(self) -> dict[str, McpServer]:
        """The MCP servers by label."""
        return {label: server for label, server in self._servers.items() if server.label}

    async def ready(self) -> dict[str, McpServer]:
        """Wait until each MCP server of the session has told its tools, or failed to."""
        while True:
            declared = self._protocol().effective.get("tools")
            entries = declared if isinstance(declared, list) else []
            wanted = {ev.text_of(each, "server_label") for each in entries if isinstance(each, dict)} - {""}
            known = self.labelled()
            if all(label in known and known[label].status != "in_progress" for label in wanted):
                return known
            self._changed.clear()
            await self._changed.wait()

    def listing(self, event: ev.McpListToolsInProgress | ev.McpListToolsCompleted | ev.McpListToolsFailed) -> None:
        """How far it is with one of them."""
        status = event.type.rpartition(".")[2]
        for label, server in self._servers.items():
            if server.item_id == event.item_id:
                self._set(label, McpServer(server.label, server.item_id, status, server.tools))
                return
        if len(self._servers) < MAX_SERVERS:
            self._servers[event.item_id] = McpServer("", event.item_id, status)

    def listed(self, item: ev.Object, done: bool) -> None:
        """An mcp_list_tools item: who it is, and once it is done its tools."""
        label, item_id = ev.text_of(item, "server_label"), ev.text_of(item, "id")
        before = self._servers.pop(item_id, None)  # its status came before its label
        tools = _tools(item)
        status = before.status if before else "in_progress"
        if done and status == "in_progress":
            status = "completed"
        if label in self._servers or len(self._servers) < MAX_SERVERS:
            known = self._servers.get(label)
            if known is not None and known.item_id == item_id and known.status != "in_progress":
                status = known.status
            self._set(label, McpServer(label, item_id, status, tools))

    def _set(self, label: str, server: McpServer) -> None:
        if server.status == "failed" and self._servers.get(label, server).status != "failed":
            _log.warning("the MCP server %.80s could not be asked for its tools", server.label)
        self._servers[label] = server
        self._changed.set()


def _tools(item: dict[str, Any]) -> tuple[McpListedTool, ...]:
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


__all__ = ["McpServer", "McpServers"]
