"""The tools of one conversation: answers the model's calls, and asks for the reply to them once.

All calls of a response are a round. Each output is sent as soon as it is there; when the response is over and the last
of its outputs has been sent, one response.create follows, unless the server began a response by itself that knows
them all. While the user speaks nothing is asked: the server's answer to that turn may serve. rounds.py keeps the books.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from engine.conversation.approvals import ApprovalRequest, Approve, decide
from engine.conversation.mcpservers import McpServers
from engine.conversation.progress import PATIENCE_S, Progress
from engine.conversation.rounds import Round, Rounds
from engine.conversation.settings import server_answers
from engine.conversation.tool import AnyTool, Tool, ToolCall, as_tool
from engine.conversation.toolevents import ToolFinished
from engine.conversation.toolrun import Result, carry_out, failed
from engine.errors import LocalProtocolError
from engine.realtime import Protocol, Session
from engine.realtime import Turn as InputTurn
from engine.realtime import events as ev

if TYPE_CHECKING:
    from engine.conversation.conversation import Conversation

MAX_CALLS = 64
"""Calls that run at a time; one more is answered with an error."""
SERVICE_S = 30.0
"""How long a conversation that could end waits for the service's own calls, since the last thing that happened."""
ANSWER_S = 2.0
"""How long a server that answers by itself may take to begin, after a turn of the user's, before it is asked."""

_log = logging.getLogger("bargein")


class Toolbox:
    """`receive` takes the server's accepted events; `start` and `close` bound its life. Belongs to the loop thread.

    Without tools (None) it leaves all calls to the application.
    """

    def __init__(
        self,
        conversation: Conversation,
        tools: Sequence[AnyTool] | None,
        approve: Approve | None,
        protocol: Callable[[], Protocol],
        tell: Callable[[ev.AnyEvent], None],
    ) -> None:
        made = [as_tool(entry) for entry in tools or ()]
        self.servers = McpServers(protocol)
        self._tools = {entry.name: entry for entry in made if isinstance(entry, Tool)}
        self._active = tools is not None or approve is not None
        self._approve = approve
        self._conversation = conversation
        self._protocol = protocol
        self._tell = tell
        self._rounds = Rounds()
        self._progress = Progress(protocol, conversation.send)
        self._outside: set[str] = set()  # responses beside the conversation, which the protocol bounds
        self._timer: asyncio.TimerHandle | None = None
        self._sessions = 0
        self._moved_at = asyncio.get_running_loop().time()
        self._tasks: asyncio.TaskGroup | None = None
        self._running: dict[str, tuple[asyncio.Task[Any], Tool[..., Any]]] = {}  # by call_id; at most MAX_CALLS
        self._early: list[ev.AnyEvent] = []  # what came before start(); the handshake bounds it
        self._turn_answer_due = 0.0  # until then the server may begin by itself
        self._closed = False

    # ---- its life

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Tools run in this group from now on."""
        self._tasks = tasks
        early, self._early = self._early, []
        for event in early:
            self.receive(event)

    def close(self) -> None:
        """Cancel what runs: nobody waits for it any more."""
        self._closed = True
        for task, _ in self._running.values():
            task.cancel()
        self._progress.close()
        if self._timer is not None:
            self._timer.cancel()

    def line_lost(self) -> None:
        """The connection is gone: responses are over, MCP servers answer no more, and nobody waits for an approval.
        Functions run on; their outputs go to the next server, which is told of the calls.
        """
        self._rounds.line_lost()
        self._progress.line_lost()
        self._outside.clear()
        for task, tool in list(self._running.values()):
            if tool is _NOT_A_TOOL:
                task.cancel()
        self._pump()

    @property
    def busy(self) -> bool:
        """Whether something runs, or a result of the service's own may still come: that is waited for `SERVICE_S`."""
        if self._running or self._progress.busy:
            return True
        return self._rounds.unsettled and asyncio.get_running_loop().time() - self._moved_at < SERVICE_S

    # ---- what the server says

    def receive(self, event: ev.AnyEvent) -> None:
        """Take an event that the protocol has accepted."""
        if not self._active or self._closed:
            return
        if self._tasks is None:
            self._early.append(event)
            return
        self._moved_at = asyncio.get_running_loop().time()
        self._progress.receive(event)
        match event:
            case ev.SessionCreated():
                self._session_began()
            case ev.ResponseCreated():
                self._response_created(event)
            case ev.ResponseDone() if event.response_id in self._outside:
                self._outside.discard(event.response_id)
            case ev.ResponseDone():
                self._response_done(event)
            case ev.ResponseOutputItemDone() if event.response_id not in self._outside:
                self._item(event.response_id, event.item)
            case ev.ResponseOutputItemAdded() if event.response_id not in self._outside:
                if event.item.get("type") == "mcp_call":
                    self._rounds.of(event.response_id).mcp_began(event.item_id, event.item)
            case ev.ConversationItemAdded() | ev.ConversationItemDone() | ev.ConversationItemCreated():
                self._conversation_item(event.item, isinstance(event, ev.ConversationItemDone))
            case ev.ResponseMcpCallInProgress():
                self._rounds.mcp_runs(event.item_id)
            case ev.ResponseMcpCallCompleted() | ev.ResponseMcpCallFailed():
                self._rounds.mcp_settled(event.item_id)
            case ev.McpListToolsInProgress() | ev.McpListToolsCompleted() | ev.McpListToolsFailed():
                self.servers.listing(event)
            case ev.InputAudioBufferCommitted() if server_answers(self._protocol().effective):
                self._wait_for_server()
        self._pump()

    def _session_began(self) -> None:
        """Perhaps of another connection, which was told the calls without an output; what the service itself was doing
        ended with the one before.
        """
        self._outside.clear()
        self.servers.clear()
        self._turn_answer_due = 0.0
        self._sessions += 1
        self._rounds.session_over()

    def _response_created(self, event: ev.ResponseCreated) -> None:
        if event.response_id in self._protocol().out_of_band:
            self._outside.add(event.response_id)  # its calls are the application's: no output of them has a place
        else:
            self._turn_answer_due = 0.0
            self._rounds.response_began()

    def _item(self, response_id: str, item: ev.Object) -> None:
        """An item of a response is whole."""
        if item.get("type") == "function_call":
            self._call(response_id, item)
        elif item.get("type") == "mcp_approval_request":
            self._ask_approval(self._rounds.of(response_id), item)

    def _conversation_item(self, item: ev.Object, done: bool) -> None:
        kind, item_id = item.get("type"), ev.text_of(item, "id")
        if kind == "function_call_output":
            self._rounds.acknowledged(ev.text_of(item, "call_id"))
        elif kind == "mcp_list_tools":
            self.servers.listed(item, done)
        elif kind == "mcp_call":
            self._rounds.mcp_linked(item_id, ev.text_of(item, "approval_request_id"))
            if done and (item.get("output") is not None or item.get("error") is not None):
                self._rounds.mcp_settled(item_id)
        elif kind == "mcp_approval_request" and done:
            self._ask_approval(self._rounds.of(self._protocol().response_id), item)

    def _response_done(self, event: ev.ResponseDone) -> None:
        output = event.response.get("output")
        items = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
        for item in items:  # some servers do not tell of each item
            self._item(event.response_id, item)
        self._rounds.response_over(event.response_id, items)
        if event.status == "cancelled":
            for call_id in self._rounds.calls_of(event.response_id):
                task, tool = self._running.get(call_id, (None, None))
                if task is not None and tool is not None and tool.interruptible:
                    task.cancel()

    # ---- functions

    def _call(self, response_id: str, item: ev.Object) -> None:
        name, call_id, arguments = (ev.text_of(item, key) for key in ("name", "call_id", "arguments"))
        whole = item.get("status") in (None, "completed")
        if not call_id or not whole or self._rounds.seen(call_id) or self._is_the_applications(name):
            return
        self._rounds.of(response_id).call_began(call_id)
        tool = self._tools.get(name)
        if tool is None or len(self._running) >= MAX_CALLS:
            known = ", ".join(self._tools) or "none"
            words = f"there is no tool {name!r:.80}; there are: {known}"
            outcome = "unknown_tool"
            if tool is not None:
                outcome, words = "failed", f"{MAX_CALLS} calls run already: try again later"
            self._finished(response_id, call_id, name, arguments, failed(outcome, words), 0.0)
            return
        call = ToolCall(name, call_id, response_id, arguments, lambda words: self._say(call_id, words),
                        self._conversation)  # fmt: skip
        assert self._tasks is not None
        began = asyncio.get_running_loop().time()
        task = self._tasks.create_task(self._run(tool, call), name=f"tool {name}")
        self._running[call_id] = (task, tool)
        # not at the end of _run, which never begins when it is cancelled first
        task.add_done_callback(lambda task: self._ended(task, call, began))

    def _is_the_applications(self, name: str) -> bool:
        """Whether the session has a function of this name that is not one of ours."""
        declared = self._protocol().effective.get("tools")
        entries = declared if isinstance(declared, list) else []
        return name not in self._tools and any(isinstance(each, dict) and each.get("name") == name for each in entries)

    async def _run(self, tool: Tool[..., Any], call: ToolCall) -> Result:
        assert self._tasks is not None
        progress = self._tasks.create_task(self._tell_progress(tool, call)) if tool.progress else None
        try:
            return await carry_out(tool, call)
        finally:
            if progress is not None:
                progress.cancel()

    def _ended(self, task: asyncio.Task[Result], call: ToolCall, began: float) -> None:
        self._running.pop(call.call_id, None)
        if not task.cancelled() and task.exception() is not None:
            return  # ours, and on its way out of the group
        result = failed("cancelled", "cancelled: the user interrupted") if task.cancelled() else task.result()
        seconds = asyncio.get_running_loop().time() - began
        self._finished(call.response_id, call.call_id, call.name, call.arguments, result, seconds)

    def _finished(
        self, response_id: str, call_id: str, name: str, arguments: str, result: Result, seconds: float
    ) -> None:
        self._progress.drop(call_id)
        self._rounds.call_settled(call_id, wants_answer=result.outcome != "cancelled")
        if result.outcome not in ("completed", "cancelled"):
            _log.warning("tool %.80s: %s", name, result.outcome)
        self._tell(
            ToolFinished(
                name=name, call_id=call_id, response_id=response_id, arguments=arguments, outcome=result.outcome,
                output=result.output, error=result.error, seconds=seconds,
            )
        )  # fmt: skip
        if self._closed:
            return
        if self._protocol().items.has_call(call_id):  # else the server has forgotten it, and would refuse its output
            self._send(
                ev.ConversationItemCreate(
                    item={"type": "function_call_output", "call_id": call_id, "output": result.output}
                )
            )
        self._pump()

    # ---- words meanwhile

    async def _tell_progress(self, tool: Tool[..., Any], call: ToolCall) -> None:
        """The time runs from the end of the response that called: before, the model speaks itself."""
        await self._rounds.of(call.response_id).over.wait()
        await asyncio.sleep(tool.progress_after_s)
        self._say(call.call_id, tool.progress or "")

    def _say(self, call_id: str, words: str) -> None:
        if call_id in self._running and words:
            self._progress.add(call_id, words)
            self._pump()

    # ---- MCP

    def _ask_approval(self, round: Round, item: ev.Object) -> None:
        item_id = ev.text_of(item, "id")
        if self._approve is None or not item_id or self._rounds.approval_seen(item_id):
            return
        request = ApprovalRequest(
            ev.text_of(item, "server_label"), ev.text_of(item, "name"), ev.text_of(item, "arguments"), item_id
        )
        round.approval_asked(item_id, request.server_label, request.name)
        assert self._tasks is not None
        task = self._tasks.create_task(self._approval(self._approve, request), name=f"approval {request.name}")
        self._running[item_id] = (task, _NOT_A_TOOL)

    async def _approval(self, approve: Approve, request: ApprovalRequest) -> None:
        session = self._sessions
        try:
            allowed, reason = await decide(approve, request)
        except asyncio.CancelledError:
            if self._closed:
                raise
            return
        finally:
            self._running.pop(request.item_id, None)
        if session != self._sessions:
            return  # nobody asks any more
        answer = {
            "id": self._protocol().ids("item"),
            "type": "mcp_approval_response",
            "approval_request_id": request.item_id,
            "approve": allowed,
        }
        self._rounds.approval_settled(request.item_id, allowed)
        self._send(ev.ConversationItemCreate(item={**answer, **({"reason": reason} if reason else {})}))
        self._pump()

    # ---- asking for the reply

    def _wait_for_server(self) -> None:
        self._turn_answer_due = asyncio.get_running_loop().time() + ANSWER_S
        self._wake_in(ANSWER_S)

    def _wake_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._pump)

    def _pump(self) -> None:
        """Do what may be done now: speak words of progress, or ask for the reply."""
        protocol = self._protocol()
        if self._closed or protocol.session is not Session.OPEN or protocol.turn is not InputTurn.IDLE:
            return
        if asyncio.get_running_loop().time() < self._turn_answer_due:
            return
        if self._progress.speak():
            self._wake_in(PATIENCE_S)
            return
        if self._rounds.take_ready():
            self._send(ev.ResponseCreate())

    def _send(self, event: ev.AnyEvent) -> None:
        try:
            self._conversation.send(event)
        except LocalProtocolError as refused:
            _log.warning("a tool's %s could not be sent: %s", event.type, refused)


def _never() -> None:
    """Stands for what is no tool."""


_NOT_A_TOOL = Tool(_never, interruptible=False)

__all__ = ["Toolbox"]
