"""Events of a server about its session, conversation and input buffer. Import them from engine.realtime.events."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from engine.realtime.event_base import NullableText, Object, ServerEvent, text_of


class Error(ServerEvent, frozen=True, kw_only=True, tag="error"):
    """Server, after any mistake; the session normally goes on. `error` has type, message and perhaps code, param and
    event_id (of the client event that caused it); the properties read them without raising."""

    error: Object

    @property
    def error_type(self) -> str:
        """Such as invalid_request_error or server_error; "" when absent."""
        return text_of(self.error, "type")

    @property
    def message(self) -> str:
        """What went wrong, for people; "" when absent."""
        return text_of(self.error, "message")

    @property
    def code(self) -> str | None:
        """What went wrong, for programs."""
        return text_of(self.error, "code") or None

    @property
    def param(self) -> str | None:
        """The member of the client event that is at fault."""
        return text_of(self.error, "param") or None

    @property
    def cause_event_id(self) -> str | None:
        """The event_id of the client event that caused this. Some services leave it out."""
        return text_of(self.error, "event_id") or None


class SessionCreated(ServerEvent, frozen=True, kw_only=True, tag="session.created"):
    """Server, first event of a connection: the full effective configuration."""

    session: Object


class SessionUpdated(ServerEvent, frozen=True, kw_only=True, tag="session.updated"):
    """Server, after session.update: the full effective configuration."""

    session: Object


class ConversationCreated(ServerEvent, frozen=True, kw_only=True, tag="conversation.created"):
    """Server, optional; the hosted service does not send it. Never wait for it."""

    conversation: Object


class _ItemEvent(ServerEvent, frozen=True, kw_only=True):
    item: Object

    @property
    def item_id(self) -> str:
        """The item's id; "" when the server left it out."""
        return text_of(self.item, "id")


class ConversationItemCreated(_ItemEvent, frozen=True, kw_only=True, tag="conversation.item.created"):
    """Server, older dialects: an item entered the conversation. Today: conversation.item.added, then .done."""

    previous_item_id: NullableText = UNSET


class ConversationItemAdded(_ItemEvent, frozen=True, kw_only=True, tag="conversation.item.added"):
    """Server, when an item enters the default conversation after `previous_item_id` (null = in front); an item the
    model has only begun has status in_progress and no content. No audio bytes."""

    previous_item_id: NullableText = UNSET


class ConversationItemDone(_ItemEvent, frozen=True, kw_only=True, tag="conversation.item.done"):
    """Server, when an item is final. No audio bytes."""

    previous_item_id: NullableText = UNSET


class ConversationItemRetrieved(_ItemEvent, frozen=True, kw_only=True, tag="conversation.item.retrieved"):
    """Server, after conversation.item.retrieve: the item with its audio (base64 strings inside `item`)."""


class ConversationItemTruncated(ServerEvent, frozen=True, kw_only=True, tag="conversation.item.truncated"):
    """Server, after conversation.item.truncate: `audio_end_ms` milliseconds remain and the transcript is gone."""

    item_id: str
    content_index: int
    audio_end_ms: int


class ConversationItemDeleted(ServerEvent, frozen=True, kw_only=True, tag="conversation.item.deleted"):
    """Server, after conversation.item.delete."""

    item_id: str


class ConversationItemInputAudioTranscriptionDelta(
    ServerEvent, frozen=True, kw_only=True, tag="conversation.item.input_audio_transcription.delta"
):
    """Server, any time after the item: more text of what the user said; not ordered against the response."""

    item_id: str
    content_index: int | UnsetType | None = UNSET
    delta: NullableText = UNSET
    logprobs: list[Object] | UnsetType | None = UNSET
    obfuscation: NullableText = UNSET


class ConversationItemInputAudioTranscriptionCompleted(
    ServerEvent, frozen=True, kw_only=True, tag="conversation.item.input_audio_transcription.completed"
):
    """Server: the final text of a user item. `usage` counts tokens, or seconds under {"type": "duration"}."""

    item_id: str
    content_index: int
    transcript: str
    usage: Object | UnsetType | None = UNSET
    logprobs: list[Object] | UnsetType | None = UNSET
    languages: list[Any] | UnsetType | None = UNSET


class ConversationItemInputAudioTranscriptionSegment(
    ServerEvent, frozen=True, kw_only=True, tag="conversation.item.input_audio_transcription.segment"
):
    """Server, diarizing models: one speaker's words from `start` to `end`, seconds from the item's beginning."""

    item_id: str
    content_index: int
    text: str
    id: str
    speaker: str
    start: float
    end: float


class ConversationItemInputAudioTranscriptionFailed(
    ServerEvent, frozen=True, kw_only=True, tag="conversation.item.input_audio_transcription.failed"
):
    """Server: this item has no transcript. `error` as in the error event; the response is not affected."""

    item_id: str
    content_index: int
    error: Object


class InputAudioBufferCommitted(ServerEvent, frozen=True, kw_only=True, tag="input_audio_buffer.committed"):
    """Server, when the client or voice detection ended a turn: the buffer became user item `item_id`."""

    item_id: str
    previous_item_id: NullableText = UNSET


class InputAudioBufferCleared(ServerEvent, frozen=True, kw_only=True, tag="input_audio_buffer.cleared"):
    """Server, after input_audio_buffer.clear."""


class InputAudioBufferSpeechStarted(ServerEvent, frozen=True, kw_only=True, tag="input_audio_buffer.speech_started"):
    """Server, voice detection: the user began. `audio_start_ms` counts all audio ever appended in this session and
    includes the prefix padding; `item_id` is the user item to come."""

    audio_start_ms: int
    item_id: str


class InputAudioBufferSpeechStopped(ServerEvent, frozen=True, kw_only=True, tag="input_audio_buffer.speech_stopped"):
    """Server, voice detection: the user ended. `audio_end_ms`, on the same count, includes the silence window."""

    audio_end_ms: int
    item_id: str


class InputAudioBufferTimeoutTriggered(
    ServerEvent, frozen=True, kw_only=True, tag="input_audio_buffer.timeout_triggered"
):
    """Server, when nobody spoke for idle_timeout_ms after a response: the silence between the two counts is committed
    as an item and a response follows."""

    audio_start_ms: int
    audio_end_ms: int
    item_id: str


class InputAudioBufferDtmfEventReceived(
    ServerEvent, frozen=True, kw_only=True, tag="input_audio_buffer.dtmf_event_received"
):
    """Server, telephone calls only: a key was pressed. `event` is 0-9, *, # or A-D; `received_at` is Unix seconds.
    The one server event without an event_id."""

    event: str
    received_at: int


class OutputAudioBufferStarted(ServerEvent, frozen=True, kw_only=True, tag="output_audio_buffer.started"):
    """Server, calls only: the server began to play this response's audio."""

    response_id: str


class OutputAudioBufferStopped(ServerEvent, frozen=True, kw_only=True, tag="output_audio_buffer.stopped"):
    """Server, calls only: all of it has been played; comes after response.done."""

    response_id: str


class OutputAudioBufferCleared(ServerEvent, frozen=True, kw_only=True, tag="output_audio_buffer.cleared"):
    """Server, calls only: an interruption or output_audio_buffer.clear threw the rest away."""

    response_id: str


class McpListToolsInProgress(ServerEvent, frozen=True, kw_only=True, tag="mcp_list_tools.in_progress"):
    """Server: it is asking an MCP server for its tools; `item_id` names the mcp_list_tools item."""

    item_id: str


class McpListToolsCompleted(ServerEvent, frozen=True, kw_only=True, tag="mcp_list_tools.completed"):
    """Server: the tools are known. Wait for it before a turn that needs them."""

    item_id: str


class McpListToolsFailed(ServerEvent, frozen=True, kw_only=True, tag="mcp_list_tools.failed"):
    """Server: the MCP server could not be asked."""

    item_id: str


class RateLimit(msgspec.Struct, frozen=True, kw_only=True):
    """One limit of the account: `remaining` of `limit` requests or tokens, full again in `reset_seconds` from the time
    the event was sent."""

    name: str
    limit: float = 0
    remaining: float = 0
    reset_seconds: float = 0.0


class RateLimitsUpdated(ServerEvent, frozen=True, kw_only=True, tag="rate_limits.updated"):
    """Server, about once per response and in no fixed place: each entry has name (requests or tokens), limit,
    remaining and reset_seconds."""

    rate_limits: list[Object]

    @property
    def limits(self) -> list[RateLimit]:
        """Those of its entries that can be read."""
        found = []
        for entry in self.rate_limits:
            with contextlib.suppress(msgspec.ValidationError):
                found.append(msgspec.convert({k: v for k, v in entry.items() if v is not None}, RateLimit))
        return found
