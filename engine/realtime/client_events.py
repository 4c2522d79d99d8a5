"""The 11 events a client may send. Import them from engine.realtime.events."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from engine.realtime.event_base import ClientEvent, NullableText, Object


class SessionUpdate(ClientEvent, frozen=True, kw_only=True, tag="session.update"):
    """Client, any time: change the settings. Partial: absent stays, `null`, "" or [] clears. One unknown member and the
    whole update is refused. `session.type` ("realtime" or "transcription") is required. Answer: session.updated."""

    session: Object


class InputAudioBufferAppend(ClientEvent, frozen=True, kw_only=True, tag="input_audio_buffer.append"):
    """Client, continuously: more microphone audio in the session's input format; no answer. `audio` may be any
    bytes-like object when sending (encoded without a copy) and is `bytes` when received; at most 15 MiB per event."""

    audio: bytes


class InputAudioBufferCommit(ClientEvent, frozen=True, kw_only=True, tag="input_audio_buffer.commit"):
    """Client, at the end of a manual turn (allowed with voice detection on): make the buffer a user item. Needs at
    least 100 ms of audio. Answer: input_audio_buffer.committed; no response starts by itself."""


class InputAudioBufferClear(ClientEvent, frozen=True, kw_only=True, tag="input_audio_buffer.clear"):
    """Client, any time: throw the input buffer away. Answer: input_audio_buffer.cleared."""


class ConversationItemCreate(ClientEvent, frozen=True, kw_only=True, tag="conversation.item.create"):
    """Client, any time: put history, text, an image or a tool's output into the conversation. `previous_item_id`
    absent = at the end, "root" = at the front, an id = after it. Assistant audio cannot be created.
    Answer: conversation.item.added, then conversation.item.done."""

    item: Object
    previous_item_id: NullableText = UNSET


class ConversationItemRetrieve(ClientEvent, frozen=True, kw_only=True, tag="conversation.item.retrieve"):
    """Client, any time: ask for an item with its audio. Answer: conversation.item.retrieved."""

    item_id: str


class ConversationItemTruncate(ClientEvent, frozen=True, kw_only=True, tag="conversation.item.truncate"):
    """Client, after an interruption: only the first `audio_end_ms` milliseconds (inclusive) of this assistant audio
    were played. The server cuts the audio and drops its transcript. Answer: conversation.item.truncated."""

    item_id: str
    content_index: int
    audio_end_ms: int


class ConversationItemDelete(ClientEvent, frozen=True, kw_only=True, tag="conversation.item.delete"):
    """Client, any time: take an item out of the conversation. Answer: conversation.item.deleted."""

    item_id: str


class ResponseCreate(ClientEvent, frozen=True, kw_only=True, tag="response.create"):
    """Client, when no response is active: ask for one. `response` overrides the session for it alone;
    `conversation: "none"` in it makes it out-of-band. Answer: response.created ... response.done."""

    response: Object | UnsetType | None = UNSET


class ResponseCancel(ClientEvent, frozen=True, kw_only=True, tag="response.cancel"):
    """Client, while a response is active: stop it. Without `response_id` the default conversation's response is meant.
    Answer: response.done with status cancelled. Until then the slot is taken."""

    response_id: NullableText = UNSET


class OutputAudioBufferClear(ClientEvent, frozen=True, kw_only=True, tag="output_audio_buffer.clear"):
    """Client, calls (WebRTC, SIP) only, after response.cancel: drop audio the server has not played yet. Refused on a
    WebSocket, where the client owns the playback. Answer: output_audio_buffer.cleared."""
