"""Events of a server about one response, from created to done. Import them from engine.realtime.events.

`output_index` counts the response's items, `content_index` the parts of an item, both from 0.
"""

from __future__ import annotations

from typing import Any

import msgspec

from engine.realtime.event_base import NullableText, Object, ServerEvent, text_of
from engine.realtime.redaction import scrub


class TokenDetails(msgspec.Struct, frozen=True, kw_only=True):
    """Token counts by kind; 0 when not reported. `cached_tokens_details`, of input, tells the cached ones by kind."""

    text_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0
    cached_tokens: int = 0
    cached_tokens_details: TokenDetails | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one response; 0 when not reported."""

    total_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    input_token_details: TokenDetails = TokenDetails()
    output_token_details: TokenDetails = TokenDetails()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a response ended, or that it never began.

    `status` is the server's: completed, cancelled, incomplete or failed; or ours: refused (the server would not begin
    it) or lost (another began, and its end was never seen). `reason` is turn_detected or client_cancelled (cancelled),
    max_output_tokens or content_filter (incomplete); `error_type`, `code` and `message` tell of failed and refused
    ones. What is not known is "". `metadata` is the request's own.
    """

    response_id: str = ""
    status: str = ""
    reason: str = ""
    error_type: str = ""
    code: str = ""
    message: str = ""
    metadata: Object = {}

    @property
    def completed(self) -> bool:
        """Whether all of it came."""
        return self.status == "completed"

    def __str__(self) -> str:
        why = ", ".join(filter(None, (self.reason, self.error_type, self.code, self.message)))
        text = f"response {self.response_id} is {self.status or 'without status'}" + (f": {why}" if why else "")
        return scrub(" ".join(text.split()))

    def __repr__(self) -> str:
        return f"<Outcome {self}>"


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return value


class _WholeResponse(ServerEvent, frozen=True, kw_only=True):
    response: Object

    @property
    def response_id(self) -> str:
        """The response's id; "" when the server left it out."""
        return text_of(self.response, "id")

    @property
    def status(self) -> str:
        """in_progress, completed, cancelled, failed or incomplete; "" when absent."""
        return text_of(self.response, "status")

    @property
    def metadata(self) -> Object:
        """The pairs given in response.create; {} when there are none."""
        value = self.response.get("metadata")
        return value if isinstance(value, dict) else {}


class ResponseCreated(_WholeResponse, frozen=True, kw_only=True, tag="response.created"):
    """Server, first event of a response (status in_progress). `conversation_id` null marks an out-of-band one."""


class ResponseDone(_WholeResponse, frozen=True, kw_only=True, tag="response.done"):
    """Server, last event of a response, whatever its outcome; its items carry no audio bytes."""

    @property
    def reason(self) -> str:
        """turn_detected or client_cancelled (cancelled), max_output_tokens or content_filter (incomplete), else ""."""
        details = self.response.get("status_details")
        return text_of(details, "reason") if isinstance(details, dict) else ""

    @property
    def failure(self) -> Object:
        """status_details.error of a failed response (type, code, perhaps message); {} when there is none."""
        details = self.response.get("status_details")
        error = details.get("error") if isinstance(details, dict) else None
        return error if isinstance(error, dict) else {}

    @property
    def outcome(self) -> Outcome:
        """Status, reason and failure in one."""
        error = self.failure
        return Outcome(
            response_id=self.response_id,
            status=self.status,
            reason=self.reason,
            error_type=text_of(error, "type"),
            code=text_of(error, "code"),
            message=text_of(error, "message"),
            metadata=self.metadata,
        )

    @property
    def usage(self) -> Usage | None:
        """Tokens used; None when not reported or unreadable."""
        value = self.response.get("usage")
        if not isinstance(value, dict):
            return None
        try:
            return msgspec.convert(_without_nulls(value), Usage)
        except (msgspec.ValidationError, RecursionError):
            return None


class _OutputItem(ServerEvent, frozen=True, kw_only=True):
    response_id: str
    output_index: int
    item: Object

    @property
    def item_id(self) -> str:
        """The item's id; "" when the server left it out."""
        return text_of(self.item, "id")


class ResponseOutputItemAdded(_OutputItem, frozen=True, kw_only=True, tag="response.output_item.added"):
    """Server: an item of the response begins (status in_progress, no content); before its parts."""


class ResponseOutputItemDone(_OutputItem, frozen=True, kw_only=True, tag="response.output_item.done"):
    """Server: the item is final, also when it was cancelled (status incomplete); after its parts."""


class _InItem(ServerEvent, frozen=True, kw_only=True):
    response_id: str
    item_id: str
    output_index: int


class _InPart(_InItem, frozen=True, kw_only=True):
    content_index: int


class ResponseContentPartAdded(_InPart, frozen=True, kw_only=True, tag="response.content_part.added"):
    """Server: a part of an item begins; `part.type` is audio or text; before its deltas."""

    part: Object


class ResponseContentPartDone(_InPart, frozen=True, kw_only=True, tag="response.content_part.done"):
    """Server: the part is complete, with its text or transcript; no audio bytes."""

    part: Object


class ResponseOutputAudioDelta(_InPart, frozen=True, kw_only=True, tag="response.output_audio.delta"):
    """Server, faster than real time: more audio in the response's output format. Any bytes-like object when sending,
    `bytes` when received; a chunk may end inside a sample."""

    delta: bytes
    obfuscation: NullableText = msgspec.UNSET


class ResponseOutputAudioDone(_InPart, frozen=True, kw_only=True, tag="response.output_audio.done"):
    """Server: the part's audio is complete; carries none."""


class ResponseOutputAudioTranscriptDelta(
    _InPart, frozen=True, kw_only=True, tag="response.output_audio_transcript.delta"
):
    """Server: more words of the spoken part; not aligned with the audio deltas."""

    delta: str
    obfuscation: NullableText = msgspec.UNSET


class ResponseOutputAudioTranscriptDone(
    _InPart, frozen=True, kw_only=True, tag="response.output_audio_transcript.done"
):
    """Server: all words of the spoken part."""

    transcript: str


class ResponseOutputTextDelta(_InPart, frozen=True, kw_only=True, tag="response.output_text.delta"):
    """Server: more text of a text part."""

    delta: str
    obfuscation: NullableText = msgspec.UNSET


class ResponseOutputTextDone(_InPart, frozen=True, kw_only=True, tag="response.output_text.done"):
    """Server: the whole text of a text part."""

    text: str


class ResponseFunctionCallArgumentsDelta(
    _InItem, frozen=True, kw_only=True, tag="response.function_call_arguments.delta"
):
    """Server: more of a tool call's arguments (a JSON text in pieces)."""

    call_id: str
    delta: str
    obfuscation: NullableText = msgspec.UNSET


class ResponseFunctionCallArgumentsDone(
    _InItem, frozen=True, kw_only=True, tag="response.function_call_arguments.done"
):
    """Server: a tool call's whole arguments. After a cancellation the JSON may be cut short."""

    call_id: str
    name: NullableText = msgspec.UNSET
    arguments: str


class ResponseMcpCallArgumentsDelta(_InItem, frozen=True, kw_only=True, tag="response.mcp_call_arguments.delta"):
    """Server: more of an MCP call's arguments."""

    delta: str
    obfuscation: NullableText = msgspec.UNSET


class ResponseMcpCallArgumentsDone(_InItem, frozen=True, kw_only=True, tag="response.mcp_call_arguments.done"):
    """Server: an MCP call's whole arguments."""

    arguments: str


class _McpCall(ServerEvent, frozen=True, kw_only=True):
    item_id: str
    output_index: int


class ResponseMcpCallInProgress(_McpCall, frozen=True, kw_only=True, tag="response.mcp_call.in_progress"):
    """Server: the MCP tool runs. Carries no response_id; may come after response.done, like the next two."""


class ResponseMcpCallCompleted(_McpCall, frozen=True, kw_only=True, tag="response.mcp_call.completed"):
    """Server: the MCP tool answered."""


class ResponseMcpCallFailed(_McpCall, frozen=True, kw_only=True, tag="response.mcp_call.failed"):
    """Server: the MCP tool failed; the item says why."""
