"""What an application is told of its tools."""

from __future__ import annotations

from engine.realtime import events as ev


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


__all__ = ["ToolFinished"]
