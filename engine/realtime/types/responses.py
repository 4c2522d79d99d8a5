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
    """Default: the session's."""


class ResponseRequest(Shape, frozen=True, kw_only=True):
    """The `response` of response.create: every member overrides the session's for this response alone."""

    output_modalities: Annotated[Sequence[str], known.MODALITIES] | UnsetType = UNSET
    """("audio",) or ("text",)."""
    instructions: str | UnsetType = UNSET
    """In place of the session's."""
    audio: ResponseAudio | UnsetType = UNSET
    """Default: the session's."""
    tools: Sequence[FunctionTool | McpTool | Object] | UnsetType = UNSET
    """In place of the session's."""
    tool_choice: Annotated[str, known.TOOL_CHOICES] | ToolChoiceFunction | ToolChoiceMcp | UnsetType = UNSET
    """Default: the session's."""
    parallel_tool_calls: bool | UnsetType = UNSET
    """Models that reason only."""
    reasoning: Reasoning | UnsetType | None = UNSET
    """Models that reason only."""
    max_output_tokens: Annotated[int, Between(1, 4096)] | Annotated[str, known.INFINITE] | UnsetType = UNSET
    """1 to 4096, or "inf"."""
    conversation: Annotated[str, known.CONVERSATIONS] | UnsetType = UNSET
    """auto (the default), or none: out-of-band, beside the conversation and not added to it."""
    metadata: Annotated[Mapping[str, str], Length(0, 16)] | UnsetType | None = UNSET
    """At most 16 pairs, keys to 64 characters, values to 512; echoed in response.created and response.done."""
    prompt: Prompt | UnsetType | None = UNSET
    """A stored prompt for this response."""
    input: Sequence[AnyItem | ItemReference | Object] | UnsetType = UNSET
    """What the model is to see in place of the conversation; () is nothing at all."""


class ResponseError(Shape, frozen=True, kw_only=True):
    """Why a response failed."""

    type: str | UnsetType | None = UNSET
    """Such as invalid_request_error or server_error."""
    code: str | UnsetType | None = UNSET
    """Such as insufficient_quota or rate_limit_exceeded."""
    message: str | UnsetType | None = UNSET
    """For people; services leave it out at times."""


class StatusDetails(Shape, frozen=True, kw_only=True):
    """How a response ended, when it was not completed."""

    type: Annotated[str, known.RESPONSE_ENDS] | UnsetType | None = UNSET
    """The response's status again."""
    reason: Annotated[str, known.RESPONSE_REASONS] | UnsetType | None = UNSET
    """turn_detected or client_cancelled (cancelled), max_output_tokens or content_filter (incomplete)."""
    error: ResponseError | UnsetType | None = UNSET
    """Of a failed one."""


class CachedTokens(Shape, frozen=True, kw_only=True):
    """The cached input tokens by kind."""

    text_tokens: int | UnsetType | None = UNSET
    """A part of the text tokens."""
    image_tokens: int | UnsetType | None = UNSET
    """A part of the image tokens."""
    audio_tokens: int | UnsetType | None = UNSET
    """A part of the audio tokens."""


class InputTokens(Shape, frozen=True, kw_only=True):
    """Input tokens by kind."""

    cached_tokens: int | UnsetType | None = UNSET
    """Of all kinds; contained in the other figures."""
    text_tokens: int | UnsetType | None = UNSET
    """Instructions, tools and text."""
    image_tokens: int | UnsetType | None = UNSET
    """Pictures."""
    audio_tokens: int | UnsetType | None = UNSET
    """The user's speech, about one per 100 ms, and the model's own from earlier."""
    cached_tokens_details: CachedTokens | UnsetType | None = UNSET
    """The cached ones by kind."""


class OutputTokens(Shape, frozen=True, kw_only=True):
    """Output tokens by kind."""

    text_tokens: int | UnsetType | None = UNSET
    """Text, transcripts and tool calls."""
    audio_tokens: int | UnsetType | None = UNSET
    """Speech, about one per 50 ms."""


class ResponseUsage(Shape, frozen=True, kw_only=True):
    """Tokens of a response as reported; engine.realtime.usage counts with them."""

    total_tokens: int | UnsetType | None = UNSET
    """Input and output."""
    input_tokens: int | UnsetType | None = UNSET
    """The whole conversation as it was sent to the model, cached or not."""
    output_tokens: int | UnsetType | None = UNSET
    """What the model made."""
    input_token_details: InputTokens | UnsetType | None = UNSET
    """Input by kind."""
    output_token_details: OutputTokens | UnsetType | None = UNSET
    """Output by kind."""


class Response(Shape, frozen=True, kw_only=True):
    """A response as response.created and response.done carry it."""

    id: str | UnsetType = UNSET
    """Such as resp_1234."""
    object: Annotated[str, known.RESPONSE_OBJECT] | UnsetType = UNSET
    """realtime.response."""
    status: Annotated[str, known.RESPONSE_STATUSES] | UnsetType = UNSET
    """in_progress, completed, cancelled, failed or incomplete."""
    status_details: StatusDetails | UnsetType | None = UNSET
    """Null until it has ended, and when it was completed."""
    output: Sequence[AnyItem | Object] | UnsetType = UNSET
    """Without audio bytes."""
    metadata: Mapping[str, str] | UnsetType | None = UNSET
    """The request's."""
    audio: ResponseAudio | UnsetType | None = UNSET
    """Format and voice in use."""
    usage: ResponseUsage | UnsetType | None = UNSET
    """Null until it has ended."""
    conversation_id: str | UnsetType | None = UNSET
    """Null: out-of-band."""
    output_modalities: Annotated[Sequence[str], known.MODALITIES] | UnsetType = UNSET
    """("audio",) or ("text",)."""
    max_output_tokens: int | Annotated[str, known.INFINITE] | UnsetType | None = UNSET
    """In force for it."""
