"""`script`: answers from rules, enough for a test suite or a kiosk with a fixed menu."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError, MissingExtraError
from engine.server.recognisers.base import Heard
from engine.server.responders.base import Part, Say, Text, Turn
from engine.server.responders.rules import Delay, Rules, parse

if TYPE_CHECKING:
    from engine.server.mcp_servers import McpTools

SIZE_LIMIT = 1_000_000
"""Bytes of the largest script that is read."""


_WORD = re.compile(r"\{(text|turn|tool|output)\}")


class Script:
    """Rules as a brain. `rules` is a plain dict in the form that `rules.py` describes; needs no pyyaml."""

    def __init__(self, rules: Mapping[str, Any] | Rules, source: str = "script") -> None:
        self._rules = rules if isinstance(rules, Rules) else parse(rules, source)
        self._source = source

    @classmethod
    def load(cls, path: str | Path) -> Script:
        """Read a YAML file. Raises ConfigError naming file, line and field; MissingExtraError without pyyaml."""
        try:
            import yaml
        except ImportError:
            raise MissingExtraError("the script responder's YAML file", "script") from None
        file = Path(path)
        try:
            if file.stat().st_size > SIZE_LIMIT:
                raise ConfigError(f"{path}: larger than {SIZE_LIMIT} bytes, which no script should be")
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise ConfigError(f"{path}: cannot be read: it is no text file; a script is YAML") from None
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            data = yaml.safe_load(text)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f", line {mark.line + 1}" if mark else ""
            raise ConfigError(f"{path}{where}: not YAML: {getattr(error, 'problem', None) or error}") from None
        except (ValueError, RecursionError) as error:  # an impossible date, or nesting without end
            raise ConfigError(f"{path}: not YAML that can be read: {error}") from None
        lines: dict[tuple[str | int, ...], int] = {}
        _collect_lines(node, (), lines)
        return cls(parse(data, str(path), lines), str(path))

    @property
    def name(self) -> str:
        """Always "script:" and where the rules came from."""
        return f"script:{self._source}"

    def heard(self, number: int) -> Heard | None:
        """What the user says in their turn of sound with this number, from 1. See `engine.server.hearing.Hears`."""
        known = self._rules.transcripts
        return known[number - 1] if number <= len(known) else None

    def mcp_servers(self) -> Mapping[str, McpTools]:
        """The MCP servers of the script. See `engine.server.mcp_servers.HasMcp`."""
        from engine.server.mcp_servers import McpTools  # which imports the brains' parts

        return {label: McpTools(**server) for label, server in self._rules.mcp.items()}

    async def respond(self, turn: Turn) -> AsyncIterator[Part]:
        """See `Responder.respond`."""
        if self._rules.needs_words:
            turn = await turn.understood()
        last = turn.tool_outputs[-1] if turn.tool_outputs else None
        words = {
            "text": turn.text,
            "turn": str(turn.number),
            "tool": last.name if last else "",
            "output": last.output if last else "",
        }
        for step in self._rules.steps_for(turn):
            if isinstance(step, Delay):
                await asyncio.sleep(step.seconds)
            elif isinstance(step, Say | Text):
                yield type(step)(_fill(step.text, words))
            else:
                yield step


def _fill(text: str, words: Mapping[str, str]) -> str:
    # Not str.format: a stray brace in a script is only a brace. One pass: what was filled in is not filled again.
    return _WORD.sub(lambda found: words[found[1]], text)


def _collect_lines(node: Any, path: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int]) -> None:
    """Note the line of every value of a composed YAML document, so that errors can name it.

    Depth 12 is more than rules have.
    """
    if node is None or len(path) > 12:
        return
    lines[path] = node.start_mark.line + 1
    if node.id == "mapping":
        for key, value in node.value:
            lines[(*path, str(key.value))] = key.start_mark.line + 1
            _collect_lines(value, (*path, str(key.value)), lines)
    elif node.id == "sequence":
        for number, value in enumerate(node.value):
            _collect_lines(value, (*path, number), lines)
