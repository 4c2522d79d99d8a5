"""Tools of MCP servers, as the service offers them, played from the script: listing, approvals, calls.

This server reaches no other: what an MCP server lists and answers is in the brain (`mcp_servers()` and `McpCall`
parts). A label that the brain does not know is refused with the session that names it. A call that needs approval is
an mcp_approval_request in the response; the mcp_call follows the client's answer, and belongs to no response then.
Results with a delay come when they are due, mostly after response.done: the client asks for the reply.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from engine.realtime import events as ev
from engine.server.items import Item
from engine.server.refusal import Refusal
from engine.server.responders.base import McpCall
from engine.server.run import ResponseRun, snapshot
from engine.server.state import SessionState

MAX_PENDING = 64
"""Approvals that wait; of more the oldest is forgotten, and its answer refused."""


@dataclass(frozen=True, slots=True)
class McpTools:
    """What an MCP server lists, after `delay` seconds; it cannot be asked when `fails`."""

    tools: Sequence[Mapping[str, Any]] = ()
    delay: float = 0.0
    fails: bool = False


@runtime_checkable
class HasMcp(Protocol):
    """A brain with MCP servers."""

    def mcp_servers(self) -> Mapping[str, McpTools]:
        """They by label."""


def labels(brain: object) -> frozenset[str]:
    """The MCP servers that sessions with this brain may name."""
    return frozenset(brain.mcp_servers()) if isinstance(brain, HasMcp) else frozenset()


@dataclass(slots=True)
class _Known:
    declared: Mapping[str, Any]
    item_id: str = ""
    tools: list[dict[str, Any]] = field(default_factory=list)


class McpSide:
    """The MCP part of one session."""

    def __init__(
        self, state: SessionState, brain: object, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    ) -> None:
        self._state = state
        self._servers = brain.mcp_servers() if isinstance(brain, HasMcp) else {}
        self._spawn = spawn
        self._known: dict[str, _Known] = {}  # by label; the session's tools bound it
        self._waiting: dict[str, McpCall] = {}  # by approval; at most MAX_PENDING

    # ---- listing

    def reconfigured(self) -> None:
        """The session's tools may be others: ask the MCP servers that are new."""
        declared = {tool["server_label"]: tool for tool in self._state.config.get("tools", ()) if tool["type"] == "mcp"}
        self._known = {label: known for label, known in self._known.items() if known.declared == declared.get(label)}
        for label, tool in declared.items():
            if label not in self._known:
                self._known[label] = _Known(tool)
                self._list(label, self._known[label])

    def _list(self, label: str, known: _Known) -> None:
        wire = {"id": self._state.new_item_id(), "type": "mcp_list_tools", "server_label": label, "tools": []}
        item = Item(wire)
        known.item_id = item.id
        self._put(item)
        self._state.emit(ev.McpListToolsInProgress(item_id=item.id))
        self._spawn(self._listed(self._servers[label], known, item))

    async def _listed(self, server: McpTools, known: _Known, item: Item) -> None:
        await asyncio.sleep(server.delay)
        if item.id not in self._state.history:
            return
        if server.fails:
            self._state.emit(ev.McpListToolsFailed(item_id=item.id))
            return
        known.tools = [dict(tool) for tool in server.tools if _chosen(tool, known.declared.get("allowed_tools"), True)]
        item.wire["tools"] = known.tools
        self._state.emit(ev.McpListToolsCompleted(item_id=item.id))
        self._settled(item)

    # ---- calls

    def call(self, run: ResponseRun, call: McpCall) -> None:
        """The brain calls a tool in a response."""
        if run.over:
            return
        if self._needs_approval(call):
            item_id = run.approval_request(call.server, call.name, call.arguments)
            self._waiting[item_id] = call
            if len(self._waiting) > MAX_PENDING:
                del self._waiting[next(iter(self._waiting))]
            return
        item = run.mcp_call(call.server, call.name, call.arguments)
        index = run.place_of(item)
        self._state.emit(ev.ResponseMcpCallInProgress(item_id=item.id, output_index=index))
        if call.delay:
            run.close_item(item)
            self._spawn(self._later(item, call, index))
        else:
            self._answer(item, call, index)
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
        self._spawn(self._later(made, call, 0))

    async def _later(self, item: Item, call: McpCall, index: int) -> None:
        await asyncio.sleep(call.delay)
        if item.id in self._state.history:
            self._answer(item, call, index)
            self._settled(item)

    def _answer(self, item: Item, call: McpCall, index: int) -> None:
        if call.error:
            item.wire["error"] = {"type": "tool_execution_error", "message": call.error}
            self._state.emit(ev.ResponseMcpCallFailed(item_id=item.id, output_index=index))
        else:
            item.wire["output"] = call.output
            self._state.emit(ev.ResponseMcpCallCompleted(item_id=item.id, output_index=index))

    def _needs_approval(self, call: McpCall) -> bool:
        known = self._known.get(call.server)
        rule = known.declared.get("require_approval") if known is not None else None
        if rule is None or isinstance(rule, str):
            return rule != "never"
        tools = known.tools if known is not None else []
        tool = next((each for each in tools if each.get("name") == call.name), {"name": call.name})
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


__all__ = ["HasMcp", "McpSide", "McpTools", "labels"]
