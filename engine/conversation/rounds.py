"""The books of tool calls: which response they belong to, what is missing, and whether a reply must still be asked for.

No I/O and no clock. A round is one response with calls; it leaves when its reply was asked for, or need not be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from engine.realtime import events as ev

MAX_SEEN = 1024
"""Ids of calls and approvals that are remembered, so that none is answered twice; the oldest go first."""


class Round:
    """The calls of one response. `over` is set with its response.done."""

    def __init__(self, response_id: str) -> None:
        self.response_id = response_id
        self.over = asyncio.Event()
        self.open: set[str] = set()  # calls, MCP calls and approvals without a result; what a response may hold
        self.unheard: set[str] = set()  # outputs that the server has not acknowledged
        self.calls: set[str] = set()
        self.wants_answer = False
        self.mcp: dict[str, tuple[str, str]] = {}  # MCP calls announced and not running: (server, tool) by item
        self.approved: dict[str, None] = {}  # approvals whose call has not ended
        self.links: dict[str, str] = {}  # item of an MCP call -> its approval

    @property
    def settled(self) -> bool:
        """Whether nothing is missing."""
        return self.over.is_set() and not self.open

    def call_began(self, call_id: str) -> None:
        """A function was called."""
        self.open.add(call_id)
        self.unheard.add(call_id)
        self.calls.add(call_id)

    def mcp_began(self, item_id: str, item: ev.Object) -> None:
        """A call of an MCP server's tool was announced."""
        self.open.add(item_id)
        self.mcp[item_id] = (ev.text_of(item, "server_label"), ev.text_of(item, "name"))

    def approval_asked(self, item_id: str, server_label: str, name: str) -> None:
        """A call waits for approval: whatever was announced of it is the same call."""
        self.open.add(item_id)
        for call, tool in list(self.mcp.items()):
            if tool == (server_label, name):
                self.open.discard(call)
                del self.mcp[call]
                return


class Rounds:
    """All rounds that are not over."""

    def __init__(self) -> None:
        self._rounds: dict[str, Round] = {}  # by response; bounded by the calls that run, and one per response
        self._seen: dict[str, None] = {}  # the newest MAX_SEEN

    # ---- who is who

    def of(self, response_id: str) -> Round:
        """The round of a response; begun when it is new. "" stands for what comes without a response."""
        if response_id not in self._rounds:
            self._rounds[response_id] = Round(response_id)
            if not response_id:
                self._rounds[response_id].over.set()
        return self._rounds[response_id]

    def seen(self, call_id: str) -> bool:
        """Whether this call was begun before; remembers it."""
        return self._remember(f"call {call_id}")

    def approval_seen(self, item_id: str) -> bool:
        """Whether this approval was asked for before; remembers it."""
        return self._remember(f"approval {item_id}")

    def _remember(self, key: str) -> bool:
        known = key in self._seen
        self._seen[key] = None
        if len(self._seen) > MAX_SEEN:
            del self._seen[next(iter(self._seen))]
        return known

    def calls_of(self, response_id: str) -> set[str]:
        """The function calls of a response that have no result."""
        found = self._rounds.get(response_id)
        return found.calls & found.open if found else set()

    @property
    def unsettled(self) -> bool:
        """Whether a call has no result yet, or a reply is still to be asked for."""
        return any(round.open or round.wants_answer for round in self._rounds.values())

    # ---- functions

    def call_settled(self, call_id: str, *, wants_answer: bool) -> None:
        """A call has its output."""
        for round in self._rounds.values():
            if call_id in round.open:
                round.open.discard(call_id)
                round.wants_answer = round.wants_answer or wants_answer
        self._forget()

    def acknowledged(self, call_id: str) -> None:
        """The server has put an output into the conversation."""
        for round in self._rounds.values():
            round.unheard.discard(call_id)

    # ---- MCP

    def mcp_runs(self, item_id: str) -> None:
        """The server calls the tool: it needs no approval any more."""
        for round in self._rounds.values():
            round.mcp.pop(item_id, None)

    def mcp_linked(self, item_id: str, approval_id: str) -> None:
        """The call in this item is the one that was approved there."""
        for round in self._rounds.values():
            if approval_id in round.approved:
                round.links[item_id] = approval_id

    def mcp_settled(self, item_id: str) -> None:
        """A tool of an MCP server has answered or failed; the item says which."""
        if self._remember(f"mcp {item_id}"):
            return
        holder = next((each for each in self._rounds.values() if item_id in each.links), None) or next(
            (each for each in self._rounds.values() if item_id in each.open), None
        )
        holder = holder or next((each for each in self._rounds.values() if each.approved), None)
        if holder is None:  # approved by the application, or before we came
            holder = self.of("")
        approval = holder.links.pop(item_id, None)
        if approval is None and item_id not in holder.open:
            approval = next(iter(holder.approved), None)
        holder.open -= {item_id, approval or item_id}
        holder.approved.pop(approval or "", None)
        holder.mcp.pop(item_id, None)
        holder.wants_answer = True

    def approval_settled(self, item_id: str, allowed: bool) -> None:
        """An approval was answered: its call is to come, or the model is to be told that there is none."""
        for round in self._rounds.values():
            if item_id not in round.open:
                continue
            if allowed:
                round.approved[item_id] = None
            else:
                round.open.discard(item_id)
                round.wants_answer = True

    # ---- responses

    def session_over(self) -> None:
        """No more of any response comes; functions that run still have their output, and want a reply."""
        for round in self._rounds.values():
            round.over.set()
            round.open &= round.calls
            round.approved.clear()
            round.links.clear()
            round.mcp.clear()
        self._forget()

    def response_over(self, response_id: str, items: Sequence[ev.Object]) -> None:
        """response.done. Words of the model behind its MCP calls are the answer to them."""
        round = self._rounds.get(response_id)
        if round is None:
            return
        round.over.set()
        kinds = [item.get("type") for item in items]
        if not round.calls and not round.open and "message" in kinds:
            last = len(kinds) - 1 - kinds[::-1].index("message")
            round.wants_answer = round.wants_answer and "mcp_call" in kinds[last:]
        self._forget()

    def response_began(self) -> None:
        """The server begins a response: it knows what it has acknowledged, so that needs no other."""
        for round in self._rounds.values():
            if round.settled and not round.unheard:
                round.wants_answer = False
        self._forget()

    def take_ready(self) -> bool:
        """Whether a reply must be asked for now: one serves all rounds that are complete."""
        ready = [round for round in self._rounds.values() if round.settled and round.wants_answer]
        for round in ready:
            round.wants_answer = False
        self._forget()
        return bool(ready)

    def line_lost(self) -> None:
        """No response goes on, and what a server was to do is not done: only functions of ours still have results."""
        for round in self._rounds.values():
            round.over.set()
            round.open &= round.calls
            for each in (round.mcp, round.approved, round.links):
                each.clear()
        self._forget()

    def _forget(self) -> None:
        self._rounds = {key: each for key, each in self._rounds.items() if not each.settled or each.wants_answer}


__all__ = ["Round", "Rounds"]
