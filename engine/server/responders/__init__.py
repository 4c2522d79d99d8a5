"""What the server answers: brains behind one small interface.

`responder("echo")` and `responder("script:PATH")` look a brain up by name; a `Script` is also made from a plain dict.
Write your own by giving an object a `respond(turn)` method that is an async generator of parts (`Say`, `Text`,
`Audio`, `ToolCall`, `ToolCallDelta`, `McpCall`, `Fail`, `Stop`).
"""

from __future__ import annotations

from engine.server.responders.base import (
    Audio,
    Closes,
    Fail,
    HasRecogniser,
    HasVoice,
    McpCall,
    McpTool,
    Part,
    PerSession,
    Responder,
    Say,
    SessionInfo,
    Stop,
    Text,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolOutput,
    Turn,
    WarmsUp,
)
from engine.server.responders.echo import Echo
from engine.server.responders.names import responder
from engine.server.responders.proxy import Proxy
from engine.server.responders.script import Script

__all__ = [
    "Audio",
    "Closes",
    "Echo",
    "Fail",
    "HasRecogniser",
    "HasVoice",
    "McpCall",
    "McpTool",
    "Part",
    "PerSession",
    "Proxy",
    "Responder",
    "Say",
    "Script",
    "SessionInfo",
    "Stop",
    "Text",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolOutput",
    "Turn",
    "WarmsUp",
    "responder",
]
