"""What the parts of one session share: its configuration, its conversation, and the one way out for events.

Everything runs on one loop and every change is synchronous, so no part ever sees another half-way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.audio import AudioFormat
from engine.realtime import events as ev
from engine.server.figures import Figures
from engine.server.history import AudioBudget, History
from engine.server.ids import Ids
from engine.server.mcp.rules import NONE
from engine.server.options import ServerOptions


class SessionState:
    """Shared by the listening, answering and item-keeping parts of a session."""

    def __init__(
        self,
        config: dict[str, Any],
        *,
        ids: Ids,
        options: ServerOptions,
        emit: Callable[[ev.Event], None],
        figures: Figures,
    ) -> None:
        self.config = config
        """The effective configuration. Replaced as a whole by an update, never changed in place."""
        self.ids = ids
        self.options = options
        self.emit = emit
        """Queue one event for the client."""
        self.figures = figures
        self.budget = AudioBudget(options.retained_bytes)
        self.history = History(self.budget, options.max_items, options.item_bytes)
        self.conversation_id = ids.new("conv")
        self.mcp_rules = NONE
        """MCP servers that the session may name."""

    @property
    def input_format(self) -> AudioFormat:
        """How the client's audio travels."""
        return AudioFormat(self.config["audio"]["input"]["format"]["type"])

    @property
    def turn_detection(self) -> dict[str, Any] | None:
        """The effective turn_detection object, None when turns are made by hand."""
        found: dict[str, Any] | None = self.config["audio"]["input"]["turn_detection"]
        return found

    def new_item_id(self) -> str:
        """An item id that is not taken, not even by a client that guessed it."""
        while (item_id := self.ids.new("item")) in self.history:
            pass
        return item_id
