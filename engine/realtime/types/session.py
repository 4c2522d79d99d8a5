"""The two sessions that a client may ask for: a conversation, and transcription alone.

Each is what goes into session.update, into a client secret, and into accepting a call. Only what is set is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import UNSET, UnsetType

from engine.realtime.types import vocabulary as known
from engine.realtime.types.audio import Audio, TranscriptionAudio
from engine.realtime.types.marks import Between
from engine.realtime.types.prompts import Prompt
from engine.realtime.types.shape import Object, Shape, Tagged
from engine.realtime.types.tools import FunctionTool, McpTool, ToolChoiceFunction, ToolChoiceMcp


class Reasoning(Shape, frozen=True, kw_only=True):
    """For models that reason, such as gpt-realtime-2; others refuse it."""

    effort: Annotated[str, known.EFFORTS] | UnsetType = UNSET
    """minimal to xhigh; default low."""


class Tracing(Shape, frozen=True, kw_only=True):
    """What a trace on the service's dashboard is filed under."""

    workflow_name: str | UnsetType = UNSET
    """Names the trace."""
    group_id: str | UnsetType = UNSET
    """Groups traces, such as those of one customer."""
    metadata: Object | UnsetType = UNSET
    """Anything to search for."""


class TokenLimits(Shape, frozen=True, kw_only=True):
    """Limits of one's own in place of the model's."""

    post_instructions: Annotated[int, Between(0, 2**31 - 1)] | UnsetType = UNSET
    """Tokens of conversation after the instructions and tools, 0 or more; default: what the model has room for."""


class RetentionRatio(Tagged, frozen=True, kw_only=True, tag="retention_ratio"):
    """When the conversation grows too long, keep this share of it: fewer truncations, so more of it stays cached."""

    retention_ratio: Annotated[float, Between(0.0, 1.0)]
    """0.0 to 1.0 of the tokens after the instructions."""
    token_limits: TokenLimits | UnsetType = UNSET
    """Default: the model's."""


class RealtimeSession(Tagged, frozen=True, kw_only=True, tag="realtime"):
    """What a conversation is asked to be. Members may change by session.update at any time unless they say otherwise;
    a session cannot become a TranscriptionSession.

        RealtimeSession(instructions="Be brief.", audio=Audio(output=AudioOutput(voice="marin")))
    """

    model: Annotated[str, known.MODELS] | UnsetType = UNSET
    """Chosen in the URL or the client secret; never changes."""
    output_modalities: Annotated[Sequence[str], known.MODALITIES] | UnsetType = UNSET
    """("audio",), the default, which brings a transcript too, or ("text",); never both."""
    instructions: str | UnsetType = UNSET
    """The system message. Default: the server's, shown in session.created; "" clears."""
    audio: Audio | UnsetType = UNSET
    """Default: each member's."""
    include: Annotated[Sequence[str], known.INCLUDES] | UnsetType | None = UNSET
    """More to tell: item.input_audio_transcription.logprobs. Default null."""
    tools: Sequence[FunctionTool | McpTool | Object] | UnsetType = UNSET
    """Default and cleared: ()."""
    tool_choice: Annotated[str, known.TOOL_CHOICES] | ToolChoiceFunction | ToolChoiceMcp | UnsetType = UNSET
    """none, auto (the default), required, or one tool."""
    parallel_tool_calls: bool | UnsetType = UNSET
    """Whether several tools may be called at once; models that reason only. Not reported back."""
    reasoning: Reasoning | UnsetType | None = UNSET
    """Models that reason only."""
    max_output_tokens: Annotated[int, Between(1, 4096)] | Annotated[str, known.INFINITE] | UnsetType = UNSET
    """Of one response, tool calls included: 1 to 4096, or "inf", the default: all that the model has."""
    truncation: Annotated[str, known.TRUNCATIONS] | RetentionRatio | UnsetType = UNSET
    """When the conversation outgrows the model: auto (the default) drops the oldest, disabled fails."""
    tracing: Annotated[str, known.TRACINGS] | Tracing | UnsetType | None = UNSET
    """Null (the default), auto, or filed under names. Fixed once it is on."""
    prompt: Prompt | UnsetType | None = UNSET
    """A stored prompt; what this session itself says wins. Default null."""


class TranscriptionSession(Tagged, frozen=True, kw_only=True, tag="transcription"):
    """What a session that only writes down is asked to be: no model, voice, tools or responses. Connect with
    intent=transcription and no model in the URL; the model is that of audio.input.transcription."""

    audio: TranscriptionAudio | UnsetType = UNSET
    """Default: each member's."""
    include: Annotated[Sequence[str], known.INCLUDES] | UnsetType | None = UNSET
    """More to tell: item.input_audio_transcription.logprobs. Default null."""
