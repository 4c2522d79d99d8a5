"""Tools that a model may call, and which of them it is to choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, TypeAlias

from msgspec import UNSET, UnsetType

from engine.realtime.types import vocabulary as known
from engine.realtime.types.marks import Length, Matches, Secret
from engine.realtime.types.shape import Object, Shape, Tagged


class FunctionTool(Tagged, frozen=True, kw_only=True, tag="function"):
    """A function of the client's: it is called with JSON arguments and answers with a function_call_output item."""

    name: str | UnsetType = UNSET
    """What the model calls it by. Needed in practice, optional in the reference."""
    description: str | UnsetType = UNSET
    """When and how to call it, and what to tell the user meanwhile."""
    parameters: Object | UnsetType = UNSET
    """JSON Schema of the arguments. Default: none."""


class ToolFilter(Shape, frozen=True, kw_only=True):
    """Some of an MCP server's tools."""

    tool_names: Sequence[str] | UnsetType = UNSET
    """By name."""
    read_only: bool | UnsetType = UNSET
    """By the server's readOnlyHint: whether they change data."""


class ApprovalFilter(Shape, frozen=True, kw_only=True):
    """Which tools wait for the client's approval before they run."""

    always: ToolFilter | UnsetType = UNSET
    """These do."""
    never: ToolFilter | UnsetType = UNSET
    """These do not."""


class McpTool(Tagged, frozen=True, kw_only=True, tag="mcp"):
    """The tools of an MCP server, called by the service itself. Exactly one of server_url, connector_id, tunnel_id."""

    server_label: str
    """Names the server in tool calls; one's own choice."""
    server_url: str | UnsetType = UNSET
    """Where the server is."""
    connector_id: Annotated[str, known.CONNECTORS] | UnsetType = UNSET
    """One of the service's own connectors, in place of a URL."""
    tunnel_id: Annotated[str, Matches(r"tunnel_[a-z0-9]{32}", "tunnel_ and 32 lower-case letters or digits")] | (
        UnsetType
    ) = UNSET
    """A secure tunnel, in place of a URL."""
    authorization: Annotated[str, Secret()] | UnsetType = UNSET
    """OAuth access token for the server or connector. Never shown."""
    headers: Annotated[Mapping[str, str], Secret()] | UnsetType | None = UNSET
    """HTTP headers for the server. Never shown."""
    server_description: str | UnsetType = UNSET
    """What the server is for, told to the model."""
    allowed_tools: Sequence[str] | ToolFilter | UnsetType | None = UNSET
    """Names, or a filter; default: all."""
    allowed_callers: Annotated[Sequence[str], Length(1), known.CALLERS] | UnsetType | None = UNSET
    """direct, programmatic, or both."""
    require_approval: Annotated[str, known.APPROVALS] | ApprovalFilter | UnsetType | None = UNSET
    """always (the default), never, or by tool."""
    defer_loading: bool | UnsetType = UNSET
    """Whether its tools are looked up only when searched for; default false."""


Tool: TypeAlias = FunctionTool | McpTool


class ToolChoiceFunction(Tagged, frozen=True, kw_only=True, tag="function"):
    """This function must be called."""

    name: str
    """The function's."""


class ToolChoiceMcp(Tagged, frozen=True, kw_only=True, tag="mcp"):
    """A tool of this MCP server must be called."""

    server_label: str
    """As in the session's McpTool."""
    name: str | UnsetType | None = UNSET
    """Which of its tools; default: any."""


ToolChoice: TypeAlias = ToolChoiceFunction | ToolChoiceMcp
