"""Tools of MCP servers, as the service offers them: listing, approvals, calls.

Servers that the brain's script plays (`mcp_servers()`) go by their label, whatever their URL; all others are real, and
only those that the owner has allowed can be named. A call that needs approval is an mcp_approval_request in the
response; the mcp_call follows the client's answer, and belongs to no response then. Results that take time come when
they are due, mostly after response.done: the client asks for the reply. A tool that was not listed, or that
allowed_tools leaves out, is not called: the mcp_call fails.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.realtime import events as ev
from engine.server.items import Item
from engine.server.mcp.hosts import target
from engine.server.mcp.options import McpOptions
from engine.server.mcp.rules import McpRules
from engine.server.mcp.servers import (
    INVALID_PARAMS,
    HasMcp,
    McpFailure,
    McpServer,
    McpTools,
    Scripted,
    execution_error,
    protocol_error,
)
from engine.server.refusal import Refusal
from engine.server.responders.base import McpCall, McpTool
from engine.server.run import ResponseRun, snapshot
from engine.server.state import SessionState

MAX_PENDING = 64
"""Approvals that wait; of more the oldest is forgotten, and its answer refused."""

_log = logging.getLogger("bargein.server")


@dataclass(slots=True)
class _Known:
    """An MCP server of the session."""

    asked: Mapping[str, Any] = field(repr=False)  # the session's tool as the client wrote it, with its secrets
    server: McpServer
    status: str = "in_progress"
    item_id: str = ""
    listing: asyncio.Task[None] | None = None
    tools: list[dict[str, Any]] = field(default_factory=list)


def rules_of(brain: object, options: McpOptions) -> McpRules:
    """The MCP servers that sessions with this brain may name."""
    played = brain.mcp_servers() if isinstance(brain, HasMcp) else {}
    return McpRules(frozenset(played), options.hosts(), options.max_servers)


class McpSide:
    """The MCP part of one session."""

    def __init__(
        self, state: SessionState, brain: object, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    ) -> None:
        self._state = state
        self._options = state.options.mcp
        self._played: Mapping[str, McpTools] = brain.mcp_servers() if isinstance(brain, HasMcp) else {}
        state.mcp_rules = rules_of(brain, self._options)
        self._spawn = spawn
        self._known: dict[str, _Known] = {}  # by label; the session's tools bound it
        self._waiting: dict[str, McpCall] = {}  # by approval; at most MAX_PENDING
        self._calls = 0
        self._room: asyncio.Semaphore | None = None  # for connections, those that are being closed included

    # ---- listing

    def reconfigured(self, update: Mapping[str, Any]) -> None:
        """After a session.update: ask the MCP servers that are new in it, or could not be asked; forget the others."""
        if "tools" not in update:
            return
        asked = {tool["server_label"]: tool for tool in update["tools"] or () if tool["type"] == "mcp"}
        for label, known in list(self._known.items()):
            if known.asked != asked.get(label) or known.status == "failed":
                del self._known[label]
                self._forget(known)
        for label, tool in asked.items():
            if label not in self._known:
                self._known[label] = _Known(tool, self._server(label, tool))
                self._list(label, self._known[label])

    def tools(self, config: Mapping[str, Any]) -> list[McpTool]:
        """What a response with this configuration may call."""
        return [
            McpTool(label, tool["name"], tool.get("description") or "", tool.get("input_schema") or {})
            for label in _labels(config)
            for tool in (self._known[label].tools if label in self._known else ())
        ]

    def _server(self, label: str, tool: Mapping[str, Any]) -> McpServer:
        if label in self._played:
            return Scripted(self._played[label])
        from engine.server.mcp.remote import RemoteServer  # the extra; McpOptions has imported it

        where = target(tool["server_url"], self._state.mcp_rules.allowed)
        self._room = self._room or asyncio.Semaphore(2 * self._options.max_servers)
        return RemoteServer(where, tool, self._options, self._spawn, self._room)

    def _list(self, label: str, known: _Known) -> None:
        item = Item({"id": self._state.new_item_id(), "type": "mcp_list_tools", "server_label": label, "tools": []})
        self._put(item)
        self._state.emit(ev.McpListToolsInProgress(item_id=item.id))
        known.item_id = item.id
        known.listing = self._spawn(self._listed(known, item))

    def _forget(self, known: _Known) -> None:
        """The session does not name it any more: nothing goes on for it."""
        known.server.close()
        if known.listing is not None:
            known.listing.cancel()
        if known.status == "in_progress" and known.item_id in self._state.history:
            self._state.emit(ev.McpListToolsFailed(item_id=known.item_id))

    async def _listed(self, known: _Known, item: Item) -> None:
        try:
            found = await known.server.list()
        except McpFailure as failure:
            known.status = "failed"
            _log.warning("the MCP server %.80r could not list its tools: %s", item.wire["server_label"], failure)
            if item.id in self._state.history:
                self._state.emit(ev.McpListToolsFailed(item_id=item.id))
            return
        by = known.asked.get("allowed_tools")
        known.tools = [dict(tool) for tool in found if _chosen(tool, by, True)]
        known.status = "completed"
        if item.id not in self._state.history:
            return
        item.wire["tools"] = known.tools
        self._state.emit(ev.McpListToolsCompleted(item_id=item.id))
        self._settled(item)

    # ---- calls

    async def call(self, run: ResponseRun, call: McpCall) -> None:
        """The brain calls a tool in a response. One out of band waits for the result: the conversation gets none."""
        if run.over or not run.fits(call.name, call.arguments):
            return
        refused = self._refused(call, run.settings.config)
        if refused is None and self._needs_approval(call):
            item_id = run.approval_request(call.server, call.name, call.arguments)
            self._waiting[item_id] = call
            if len(self._waiting) > MAX_PENDING:
                del self._waiting[next(iter(self._waiting))]
            return
        item = run.mcp_call(call.server, call.name, call.arguments)
        index = run.place_of(item)
        self._state.emit(ev.ResponseMcpCallInProgress(item_id=item.id, output_index=index))
        try:
            outcome = self._at_once(call, refused)
            if outcome is None and run.settings.conversation_id is not None:
                run.close_item(item)
                self._begin(item, call, index)
                return
            outcome = await self._counted(call) if outcome is None else outcome
        except McpFailure as failure:
            outcome = failure
        if not run.over:
            self._answer(item, index, outcome)
            run.close_item(item, settled=True)

    def check_answer(self, item: Item) -> None:
        """Refuse an answer to what was not asked."""
        if item.type == "mcp_approval_response" and item.wire["approval_request_id"] not in self._waiting:
            asked = str(item.wire["approval_request_id"])
            message = f"No approval request with id '{asked:.80}' is waiting."
            raise Refusal("invalid_value", message, "item.approval_request_id")

    def answered(self, item: Item) -> None:
        """A client's item is in the conversation: if it allows a call, make it."""
        if item.type != "mcp_approval_response":
            return
        request_id = item.wire["approval_request_id"]
        call = self._waiting.pop(request_id)
        if not item.wire["approve"]:
            return
        wire = {
            "id": self._state.new_item_id(),
            "type": "mcp_call",
            "server_label": call.server,
            "name": call.name,
            "arguments": call.arguments,
            "approval_request_id": request_id,
            "output": None,
            "error": None,
        }
        made = Item(wire)
        self._put(made)
        self._state.emit(ev.ResponseMcpCallInProgress(item_id=made.id, output_index=0))
        self._begin(made, call, 0)

    def _at_once(self, call: McpCall, refused: McpFailure | None) -> str | McpFailure | None:
        """What is known without waiting. Raises McpFailure."""
        if refused is not None:
            raise refused
        return self._known[call.server].server.at_once(call)

    def _begin(self, item: Item, call: McpCall, index: int) -> None:
        self._spawn(self._later(item, call, index))

    async def _later(self, item: Item, call: McpCall, index: int) -> None:
        outcome: str | McpFailure
        try:
            outcome = await self._counted(call)
        except McpFailure as failure:
            outcome = failure
        if item.id in self._state.history:
            self._answer(item, index, outcome)
            self._settled(item)

    async def _counted(self, call: McpCall) -> str:
        self._calls += 1
        try:
            return await self._asked(call)
        finally:
            self._calls -= 1

    async def _asked(self, call: McpCall) -> str:
        if (refused := self._refused(call, self._state.config)) is not None:  # the session may be another by now
            raise refused
        if self._calls > self._options.max_calls:
            raise execution_error(f"More than {self._options.max_calls} calls are waiting, which is the limit.")
        return await self._known[call.server].server.call(call)

    def _refused(self, call: McpCall, config: Mapping[str, Any]) -> McpFailure | None:
        """Why a tool is not called, for a reason that no MCP server need be asked for."""
        known = self._known.get(call.server) if call.server in _labels(config) else None
        if known is None:
            return protocol_error(f"No MCP server {call.server!r:.80} belongs to this.", INVALID_PARAMS)
        if known.status != "completed":
            what = "has not listed its tools yet" if known.status == "in_progress" else "could not list its tools"
            return protocol_error(f"The MCP server {call.server!r:.80} {what}.", INVALID_PARAMS)
        if not any(tool.get("name") == call.name for tool in known.tools):
            missing = f"The MCP server {call.server!r:.80} offers no tool {call.name!r:.80} here."
            return protocol_error(missing, INVALID_PARAMS)
        return None

    def _answer(self, item: Item, index: int, outcome: str | McpFailure) -> None:
        if isinstance(outcome, McpFailure):
            item.wire["error"] = outcome.wire()
            self._state.emit(ev.ResponseMcpCallFailed(item_id=item.id, output_index=index))
        else:
            item.wire["output"] = outcome
            self._state.emit(ev.ResponseMcpCallCompleted(item_id=item.id, output_index=index))

    def _needs_approval(self, call: McpCall) -> bool:
        known = self._known[call.server]
        rule = known.asked.get("require_approval")
        if rule is None or isinstance(rule, str):
            return rule != "never"
        tool = next(each for each in known.tools if each.get("name") == call.name)
        return _chosen(tool, rule.get("always"), False) or not _chosen(tool, rule.get("never"), False)

    # ---- the conversation

    def _put(self, item: Item) -> None:
        self._state.history.append(item)
        previous = self._state.history.previous(item.id)
        self._state.emit(ev.ConversationItemAdded(previous_item_id=previous, item=snapshot(item)))

    def _settled(self, item: Item) -> None:
        previous = self._state.history.previous(item.id)
        self._state.emit(ev.ConversationItemDone(previous_item_id=previous, item=snapshot(item)))
        self._state.history.settle(item)


def _labels(config: Mapping[str, Any]) -> list[str]:
    return [tool["server_label"] for tool in config.get("tools", ()) if tool["type"] == "mcp"]


def _chosen(tool: Mapping[str, Any], by: Any, otherwise: bool) -> bool:
    """Whether a list of names, or a filter, chooses this tool; `otherwise` when there is none."""
    if by is None:
        return otherwise
    if isinstance(by, list):
        return tool.get("name") in by
    names, read_only = by.get("tool_names"), by.get("read_only")
    annotations = tool.get("annotations") or {}
    fits = read_only is None or bool(annotations.get("readOnlyHint", annotations.get("read_only"))) is read_only
    return fits and (names is None or tool.get("name") in names)


__all__ = ["McpSide"]
