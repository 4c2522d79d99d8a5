"""Who decides whether the service may call a tool of an MCP server: a policy, or a function of the application's."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from engine.errors import ConfigError

_log = logging.getLogger("bargein")


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """The service asks whether it may call this tool. `arguments` is the JSON text that the model wrote."""

    server_label: str
    name: str
    arguments: str
    item_id: str

    def decoded(self) -> Any:
        """The arguments as Python values; None when they are not valid JSON."""
        try:
            return msgspec.json.decode(self.arguments or "{}")
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return None


Answer: TypeAlias = bool | str
"""True allows the call. False declines it; so does a text, which tells the model why."""
Approve: TypeAlias = bool | Collection[str] | Callable[[ApprovalRequest], Answer | Awaitable[Answer]]
"""What `connect(approve=)` takes: True or False for all, the names of the tools to allow ("name" or "server.name"), or
a function, async or quick, that is asked each time."""

APPROVAL_S = 300.0
"""How long a function may think; then the call is declined."""


def checked(approve: Approve | None) -> Approve | None:
    """The value, or `ConfigError` when it is no policy."""
    if isinstance(approve, str) or not (approve is None or callable(approve) or isinstance(approve, bool | Collection)):
        raise ConfigError(f"approve is {approve!r:.80}: use True, False, a set of tool names, or a function")
    return approve


async def decide(approve: Approve, request: ApprovalRequest) -> tuple[bool, str]:
    """Whether the call is allowed, and why not. A function that fails, or takes too long, declines."""
    if isinstance(approve, bool):
        return approve, ""
    if not callable(approve):
        return request.name in approve or f"{request.server_label}.{request.name}" in approve, ""
    try:
        async with asyncio.timeout(APPROVAL_S):
            answer = approve(request)
            if inspect.isawaitable(answer):
                answer = await answer
    except Exception as problem:
        _log.warning("the call of %s.%s is declined: approve failed: %s", request.server_label, request.name,
                     type(problem).__name__)  # fmt: skip
        return False, "nobody could be asked"
    return answer is True, answer if isinstance(answer, str) else ""


__all__ = ["Answer", "ApprovalRequest", "Approve", "checked", "decide"]
