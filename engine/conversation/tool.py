"""Tools: Python functions that a model may call.

@engine.tool
async def get_weather(city: str, days: int = 1) -> dict[str, str]:
    \"\"\"The weather of the coming days.

    Args:
        city: Name of the city, in English.
    \"\"\"
"""

from __future__ import annotations

import asyncio
import inspect
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeAlias, TypeVar, overload

from engine.conversation.schema import Arguments
from engine.errors import ConfigError

if TYPE_CHECKING:
    from engine.conversation.conversation import Conversation
    from engine.realtime.types.shape import Shape

P = ParamSpec("P")
R = TypeVar("R")

TIMEOUT_S = 30.0
PROGRESS_AFTER_S = 1.0
LONGEST_S = 3600.0
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class ToolCall:
    """The call that a tool answers. A tool gets it by a parameter of this type, which the model does not see.

    `arguments` is the JSON text as the model wrote it. `cancelled` and `say` may be used from any thread.
    """

    def __init__(
        self, name: str, call_id: str, response_id: str, arguments: str, say: Callable[[str], None], conversation: Any
    ) -> None:
        self.name = name
        self.call_id = call_id
        self.response_id = response_id
        self.arguments = arguments
        self.conversation: Conversation = conversation
        self._say = say
        self._loop = asyncio.get_running_loop()
        self._cancelled = threading.Event()

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the result any more: a long function in a thread looks at it and returns."""
        return self._cancelled.is_set()

    def say(self, words: str) -> None:
        """Have the model speak these words while the tool runs, once it is silent. Not after the tool has ended."""
        self._loop.call_soon_threadsafe(self._say, words)

    def cancel(self) -> None:
        """Set `cancelled`; the engine does that."""
        self._cancelled.set()


class Tool(Generic[P, R]):
    """A function that a model may call; `engine.tool` makes one, and calling it calls the function.

    `parameters` is the JSON Schema of its arguments, `to_wire()` what the session is told of it.
    """

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        description: str | None = None,
        timeout_s: float = TIMEOUT_S,
        progress: str | None = None,
        progress_after_s: float = PROGRESS_AFTER_S,
        interruptible: bool = True,
    ) -> None:
        if not callable(function):
            raise ConfigError(f"tool is {function!r:.80}: give a function")
        self.function = function
        self.name = name or str(getattr(function, "__name__", type(function).__name__))
        if not _NAME.fullmatch(self.name):
            raise ConfigError(f"tool name is {self.name!r:.80}: use 1 to 64 letters, digits, _ and -; name= gives one")
        self._arguments = Arguments(self.name, function, ToolCall)
        self.description = self._arguments.description if description is None else description
        self.parameters = self._arguments.schema
        self.timeout_s = _seconds(self.name, "timeout_s", timeout_s)
        self.progress = progress
        self.progress_after_s = _seconds(self.name, "progress_after_s", progress_after_s, least=0.0)
        self.interruptible = interruptible
        self.is_async = _is_async(function)
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Tool {self.name}>"

    def to_wire(self) -> dict[str, Any]:
        """The function tool as a session has it."""
        head = {"type": "function", "name": self.name}
        words = {"description": self.description} if self.description else {}
        return {**head, **words, "parameters": self.parameters}

    def bind(self, call: ToolCall) -> Callable[[], R]:
        """The function with the call's arguments filled in. Raises `ValueError` with words for the model."""
        given = self._arguments.decode(call.arguments)
        if self._arguments.context is not None:
            given[self._arguments.context] = call
        function: Callable[..., R] = self.function
        return lambda: function(**given)


AnyTool: TypeAlias = "Tool[..., Any] | Shape | Mapping[str, Any] | Callable[..., Any]"
"""What `connect(tools=)` takes: tools, plain functions, and declarations (typed or in the wire's shape) of MCP servers
or of functions whose calls the application answers itself."""


@overload
def tool(function: Callable[P, R], /) -> Tool[P, R]: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_s: float = TIMEOUT_S,
    progress: str | None = None,
    progress_after_s: float = PROGRESS_AFTER_S,
    interruptible: bool = True,
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...


def tool(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a tool: `@engine.tool`, or `@engine.tool(timeout_s=5, progress="One moment, please.")`.

    Name, description and JSON Schema come from the function: its types (anything msgspec knows; Annotated with a text
    or a `msgspec.Meta` adds words and limits), its defaults and its docstring. An `async` function runs on the loop,
    any other in a thread. What it returns goes to the model: a text as it is, all else as JSON.

    `timeout_s` (30) bounds it. While it runs longer than `progress_after_s` (1) after the response that called it, the
    model speaks the words of `progress`. An `interruptible` one (the default) is cancelled when that response is, since
    the user spoke into it; switch it off for what must be done to the end, such as a booking.
    A parameter of type `engine.ToolCall` gets the call itself. `engine.ToolError` is for the model; of other exceptions
    it learns only that the tool failed. Raises `ConfigError` at once when the signature cannot be called with JSON.
    """
    if function is not None:
        return Tool(function, **options)
    return lambda decorated: Tool(decorated, **options)


def as_tool(entry: AnyTool) -> Tool[..., Any] | dict[str, Any]:
    """A tool, or a declaration in the wire's shape."""
    if isinstance(entry, Tool):
        return entry
    if isinstance(entry, Mapping):
        return dict(entry)
    if hasattr(entry, "to_wire"):
        return dict(entry.to_wire())
    return Tool(entry)


def declarations(tools: Sequence[AnyTool], before: Any = ()) -> list[Any]:
    """All tools in the wire's shape, behind those of the session. Raises `ConfigError` for a name given twice."""
    listed = [*(before or ()), *map(as_tool, tools)]
    listed = [entry if isinstance(entry, Mapping) else entry.to_wire() for entry in listed]
    seen: set[tuple[str, str]] = set()
    for entry in listed:
        kind = "server_label" if isinstance(entry, Mapping) and entry.get("type") == "mcp" else "name"
        name = (kind, str(entry.get(kind))) if isinstance(entry, Mapping) else ("", repr(entry))
        if name in seen:
            raise ConfigError(f"tools has {name[0]} {name[1]!r:.80} twice: name each one once")
        seen.add(name)
    return listed


def _seconds(tool_name: str, field: str, value: float, least: float = 0.001) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= LONGEST_S:
        raise ConfigError(f"tool {tool_name!r}: {field} is {value!r}: use {least:g} to {LONGEST_S:g} seconds")
    return float(value)


def _is_async(function: Callable[..., Any]) -> bool:
    whole = inspect.unwrap(function)
    return inspect.iscoroutinefunction(whole) or inspect.iscoroutinefunction(type(whole).__call__)


__all__ = ["AnyTool", "Tool", "ToolCall", "as_tool", "declarations", "tool"]
