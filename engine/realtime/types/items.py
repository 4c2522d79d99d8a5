"""Items of a conversation: what was said, tools called and answered, approvals asked and given.

conversation.send(events.ConversationItemCreate(item=user_text("What time is it?").to_wire()))
item = item_of(event.item)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, UnsetType

from engine.errors import RemoteProtocolError
from engine.realtime.types import vocabulary as known
from engine.realtime.types.marks import Matches
from engine.realtime.types.shape import Object, Shape, Tagged

# ---- content parts


class TextPart(Tagged, frozen=True, kw_only=True, tag="input_text"):
    """Text of a system or user message."""

    text: str | UnsetType = UNSET
    """The words."""


class AudioPart(Tagged, frozen=True, kw_only=True, tag="input_audio"):
    """Sound of a user message."""

    audio: str | UnsetType | None = UNSET
    """Base64 in the session's input format; a server shows it only in conversation.item.retrieved."""
    transcript: str | UnsetType | None = UNSET
    """Null until the transcription has come."""


class ImagePart(Tagged, frozen=True, kw_only=True, tag="input_image"):
    """Picture of a user message."""

    image_url: Annotated[str, Matches(r"data:image/(?:png|jpe?g);base64,\S*", "a data: URI of a PNG or JPEG")] | (
        UnsetType
    ) = UNSET
    """data:image/png;base64,... or jpeg."""
    detail: Annotated[str, known.IMAGE_DETAILS] | UnsetType = UNSET
    """low, high or auto, the default."""


class OutputTextPart(Tagged, frozen=True, kw_only=True, tag="output_text"):
    """Text of an assistant message."""

    text: str | UnsetType = UNSET
    """The words."""


class OutputAudioPart(Tagged, frozen=True, kw_only=True, tag="output_audio"):
    """Sound of an assistant message; a client cannot create it."""

    audio: str | UnsetType | None = UNSET
    """Base64 in the session's output format; only in conversation.item.retrieved."""
    transcript: str | UnsetType | None = UNSET
    """What was said; gone after a truncation."""


UserPart: TypeAlias = TextPart | AudioPart | ImagePart
AssistantPart: TypeAlias = OutputTextPart | OutputAudioPart

# ---- items


class Item(Tagged, frozen=True, kw_only=True):
    """What all items have."""

    id: str | UnsetType = UNSET
    """Given by the server when the client gives none."""
    object: Annotated[str, known.ITEM_OBJECT] | UnsetType = UNSET
    """Server only: realtime.item."""
    status: Annotated[str, known.ITEM_STATUSES] | UnsetType = UNSET
    """completed, incomplete (cut off) or in_progress; nothing that a client sets counts."""


class SystemMessage(Item, frozen=True, kw_only=True, tag="message"):
    """Guidance in the middle of a conversation."""

    role: Literal["system"] = "system"
    """system."""
    content: Sequence[TextPart | Object]
    """Text parts."""


class UserMessage(Item, frozen=True, kw_only=True, tag="message"):
    """What the user said, typed or showed."""

    role: Literal["user"] = "user"
    """user."""
    content: Sequence[UserPart | Object]
    """Text, sound and images, in any mix."""


class AssistantMessage(Item, frozen=True, kw_only=True, tag="message"):
    """What the model said or wrote. Content parts may carry the older names text and audio: those stay objects."""

    role: Literal["assistant"] = "assistant"
    """assistant."""
    content: Sequence[AssistantPart | Object]
    """Text or sound; from a client text only."""


class FunctionCall(Item, frozen=True, kw_only=True, tag="function_call"):
    """The model calls a function of the client's."""

    name: str
    """The tool's."""
    arguments: str
    """A JSON text; cut short when the response was cancelled."""
    call_id: str | UnsetType = UNSET
    """What its output names it by; set by the server."""


class FunctionCallOutput(Item, frozen=True, kw_only=True, tag="function_call_output"):
    """What it gave. A response.create must follow, once, when all calls of a response are answered."""

    call_id: str
    """Of the call that it answers."""
    output: str
    """Any text; JSON is usual."""


class McpListedTool(Shape, frozen=True, kw_only=True):
    """One tool of an MCP server."""

    name: str
    """The tool's."""
    input_schema: Object
    """JSON Schema of its arguments."""
    description: str | UnsetType | None = UNSET
    """What it is for."""
    annotations: Object | UnsetType | None = UNSET
    """Hints of the server, such as readOnlyHint."""


class McpListTools(Item, frozen=True, kw_only=True, tag="mcp_list_tools"):
    """The tools of an MCP server, as the service found them."""

    server_label: str
    """As in the McpTool of the session."""
    tools: Sequence[McpListedTool]
    """All that it has."""


class McpProtocolError(Tagged, frozen=True, kw_only=True, tag="protocol_error"):
    """The MCP server broke its protocol."""

    code: int
    """The MCP server's."""
    message: str
    """For people."""


class McpExecutionError(Tagged, frozen=True, kw_only=True, tag="tool_execution_error"):
    """The tool failed."""

    message: str
    """For people."""


class McpHttpError(Tagged, frozen=True, kw_only=True, tag="http_error"):
    """The MCP server answered with an HTTP error."""

    code: int
    """The HTTP status."""
    message: str
    """For people."""


class McpCall(Item, frozen=True, kw_only=True, tag="mcp_call"):
    """The service calls a tool of an MCP server; its result may come after response.done."""

    server_label: str
    """As in the McpTool of the session."""
    name: str
    """The tool's."""
    arguments: str
    """A JSON text."""
    approval_request_id: str | UnsetType | None = UNSET
    """Of the request that allowed it; null without."""
    output: str | UnsetType | None = UNSET
    """What it gave; null until then, or when it failed."""
    error: McpProtocolError | McpExecutionError | McpHttpError | Object | UnsetType | None = UNSET
    """Why it failed; null otherwise."""


class McpApprovalRequest(Item, frozen=True, kw_only=True, tag="mcp_approval_request"):
    """The service asks whether it may call this tool."""

    server_label: str
    """As in the McpTool of the session."""
    name: str
    """The tool's."""
    arguments: str
    """A JSON text."""


class McpApprovalResponse(Item, frozen=True, kw_only=True, tag="mcp_approval_response"):
    """The client's answer to an approval request."""

    id: str
    """The answer's own, one's own choice."""
    approval_request_id: str
    """Of the request that it answers."""
    approve: bool
    """Whether the tool may run."""
    reason: str | UnsetType | None = UNSET
    """Why, for the model; default null."""


class ItemReference(Tagged, frozen=True, kw_only=True, tag="item_reference"):
    """In response.create's `input`: an item of the conversation by id."""

    id: str
    """The item's."""


AnyItem: TypeAlias = (
    SystemMessage
    | UserMessage
    | AssistantMessage
    | FunctionCall
    | FunctionCallOutput
    | McpListTools
    | McpCall
    | McpApprovalRequest
    | McpApprovalResponse
)
_ITEMS: tuple[type[Item], ...] = (
    SystemMessage,
    UserMessage,
    AssistantMessage,
    FunctionCall,
    FunctionCallOutput,
    McpListTools,
    McpCall,
    McpApprovalRequest,
    McpApprovalResponse,
)


def item_of(value: Mapping[str, object]) -> AnyItem | None:
    """The item in an open object; None when it is of no kind known here."""
    for cls in _ITEMS:
        if cls.__struct_config__.tag == value.get("type"):
            try:
                return cls.from_wire(value)  # type: ignore[return-value]  # every class of _ITEMS is one of AnyItem
            except RemoteProtocolError:
                continue
    return None


def user_text(text: str) -> UserMessage:
    """A typed message of the user's."""
    return UserMessage(content=(TextPart(text=text),))
