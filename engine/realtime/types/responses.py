"""What response.create may ask for, and the response as a server reports it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from msgspec import UNSET, UnsetType

from engine.realtime.types import vocabulary as known
from engine.realtime.types.audio import AudioFormat, CustomVoice
from engine.realtime.types.items import AnyItem, ItemReference
from engine.realtime.types.marks import Between, Length
from engine.realtime.types.prompts import Prompt
from engine.realtime.types.session import Reasoning
from engine.realtime.types.shape import Object, Shape
from engine.realtime.types.tools import FunctionTool, McpTool, ToolChoiceFunction, ToolChoiceMcp


class ResponseAudioOutput(Shape, frozen=True, kw_only=True):
    """How this one response sounds."""

    format: AudioFormat | UnsetType = UNSET
    """Default: the session's."""
    voice: Annotated[str, known.VOICES] | CustomVoice | UnsetType = UNSET
    """Default: the session's. Fixed after its first audio."""


class ResponseAudio(Shape, frozen=True, kw_only=True):
    """A response has output only."""

    output: ResponseAudioOutput | UnsetType = UNSET


class ResponseRequest(Shape, frozen=True, kw_only=True):
    """The `response` of response.create: every member overrides the session's for this response alone."""

    output_modalities: Annotated[Sequence[str], known.MODALITIES] | UnsetType = UNSET
    """("audio",) or ("text",)."""
    instructions: str | UnsetType = UNSET
    audio: ResponseAudio | UnsetType = UNSET
    tools: Sequence[FunctionTool | McpTool | Object] | UnsetType = UNSET
    tool_choice: Annotated[str, known.TOOL_CHOICES] | ToolChoiceFunction | ToolChoiceMcp | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType = UNSET
    reasoning: Reasoning | UnsetType | None = UNSET
    max_output_tokens: Annotated[int, Between(1, 4096)] | Annotated[str, known.INFINITE] | UnsetType = UNSET
    """1 to 4096, or "inf"."""
    conversation: Annotated[str, known.CONVERSATIONS] | UnsetType = UNSET
    """auto (the default), or none: out-of-band, beside the conversation and not added to it."""
    metadata: Annotated[Mapping[str, str], Length(0, 16)] | UnsetType | None = UNSET
    """At most 16 pairs, keys to 64 characters, values to 512; echoed in response.created and response.done."""
    prompt: Prompt | UnsetType | None = UNSET
    input: Sequence[AnyItem | ItemReference | Object] | UnsetType = UNSET
    """What the model is to see in place of the conversation; () is nothing at all."""


class ResponseError(Shape, frozen=True, kw_only=True):
    """Why a response failed."""

    type: str | UnsetType | None = UNSET
    code: str | UnsetType | None = UNSET
    message: str | UnsetType | None = UNSET


class StatusDetails(Shape, frozen=True, kw_only=True):
    """How a response ended, when it was not completed."""

    type: Annotated[str, known.RESPONSE_ENDS] | UnsetType | None = UNSET
    reason: Annotated[str, known.RESPONSE_REASONS] | UnsetType | None = UNSET
    """turn_detected or client_cancelled (cancelled), max_output_tokens or content_filter (incomplete)."""
    error: ResponseError | UnsetType | None = UNSET
    """Of a failed one."""


class CachedTokens(Shape, frozen=True, kw_only=True):
    """The cached input tokens by kind."""

    text_tokens: int | UnsetType | None = UNSET
    image_tokens: int | UnsetType | None = UNSET
    audio_tokens: int | UnsetType | None = UNSET


class InputTokens(Shape, frozen=True, kw_only=True):
    """Input tokens by kind."""

    cached_tokens: int | UnsetType | None = UNSET
    text_tokens: int | UnsetType | None = UNSET
    image_tokens: int | UnsetType | None = UNSET
    audio_tokens: int | UnsetType | None = UNSET
    cached_tokens_details: CachedTokens | UnsetType | None = UNSET


class OutputTokens(Shape, frozen=True, kw_only=True):
    """Output tokens by kind."""

    text_tokens: int | UnsetType | None = UNSET
    audio_tokens: int | UnsetType | None = UNSET


class ResponseUsage(Shape, frozen=True, kw_only=True):
    """Tokens of a response as reported; engine.realtime.usage counts with them."""

    total_tokens: int | UnsetType | None = UNSET
    input_tokens: int | UnsetType | None = UNSET
    output_tokens: int | UnsetType | None = UNSET
    input_token_details: InputTokens | UnsetType | None = UNSET
    output_token_details: OutputTokens | UnsetType | None = UNSET


class Response(Shape, frozen=True, kw_only=True):
    """A response as response.created and response.done carry it."""

    id: str | UnsetType = UNSET
    object: Annotated[str, known.RESPONSE_OBJECT] | UnsetType = UNSET
    """realtime.response."""
    status: Annotated[str, known.RESPONSE_STATUSES] | UnsetType = UNSET
    status_details: StatusDetails | UnsetType | None = UNSET
    output: Sequence[AnyItem | Object] | UnsetType = UNSET
    """Without audio bytes."""
    metadata: Mapping[str, str] | UnsetType | None = UNSET
    audio: ResponseAudio | UnsetType | None = UNSET
    usage: ResponseUsage | UnsetType | None = UNSET
    conversation_id: str | UnsetType | None = UNSET
    """Null: out-of-band."""
    output_modalities: Annotated[Sequence[str], known.MODALITIES] | UnsetType = UNSET
    max_output_tokens: int | Annotated[str, known.INFINITE] | UnsetType | None = UNSET
