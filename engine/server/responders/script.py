"""`script`: answers from rules, enough for a test suite or a kiosk with a fixed menu."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.server.recognisers.base import Heard
from engine.server.responders import yamlfile
from engine.server.responders.base import Part, Say, Text, ToolCallDelta, Turn
from engine.server.responders.rules import Delay, Rules, SlowCall, Step, parse

if TYPE_CHECKING:
    from engine.server.mcp.servers import McpTools

PIECE = 8
"""Characters of arguments that come bit by bit."""
_WORD = re.compile(r"\{(text|turn|tool|output)\}")


class Script:
    """Rules as a brain. `rules` is a plain dict in the form that `rules.py` describes; needs no pyyaml."""

    def __init__(self, rules: Mapping[str, Any] | Rules, source: str = "script") -> None:
        self._rules = rules if isinstance(rules, Rules) else parse(rules, source)
        self._source = source

    @classmethod
    def load(cls, path: str | Path) -> Script:
        """Read a YAML file. Raises ConfigError naming file, line and field; MissingExtraError without pyyaml."""
        data, place = yamlfile.load(path, "the script responder's YAML file")
        return cls(parse(data, place.source, place.lines), place.source)

    @property
    def name(self) -> str:
        """Always "script:" and where the rules came from."""
        return f"script:{self._source}"

    def heard(self, number: int) -> Heard | None:
        """What the user says in their turn of sound with this number, from 1. See `engine.server.hearing.Hears`."""
        known = self._rules.transcripts
        return known[number - 1] if number <= len(known) else None

    def mcp_servers(self) -> Mapping[str, McpTools]:
        """The MCP servers of the script. See `engine.server.mcp.servers.HasMcp`."""
        from engine.server.mcp.servers import McpTools  # which imports the brains' parts

        return {label: McpTools(**server) for label, server in self._rules.mcp.items()}

    async def respond(self, turn: Turn) -> AsyncIterator[Part]:
        """See `Responder.respond`."""
        if self._rules.needs_words:
            turn = await turn.understood()
        async for part in carry_out(self._rules.steps_for(turn), turn):
            yield part


async def carry_out(steps: Sequence[Step], turn: Turn) -> AsyncIterator[Part]:
    """Steps in time, as parts: delays are waited for, words are filled in."""
    last = turn.tool_outputs[-1] if turn.tool_outputs else None
    words = {
        "text": turn.text,
        "turn": str(turn.number),
        "tool": last.name if last else "",
        "output": last.output if last else "",
    }
    for number, step in enumerate(steps):
        if isinstance(step, Delay):
            await asyncio.sleep(step.seconds)
        elif isinstance(step, Say | Text):
            yield type(step)(_fill(step.text, words))
        elif isinstance(step, SlowCall):
            async for piece in _pieces(step, number):
                yield piece
        else:
            yield step


async def _pieces(slow: SlowCall, index: int) -> AsyncIterator[ToolCallDelta]:
    call = slow.call
    pieces = [call.arguments[start : start + PIECE] for start in range(0, len(call.arguments), PIECE)] or [""]
    for piece in pieces:
        yield ToolCallDelta(piece, call.name, call.call_id, index)
        await asyncio.sleep(slow.seconds / len(pieces))


def _fill(text: str, words: Mapping[str, str]) -> str:
    # Not str.format: a stray brace in a script is only a brace. One pass: what was filled in is not filled again.
    return _WORD.sub(lambda found: words[found[1]], text)
