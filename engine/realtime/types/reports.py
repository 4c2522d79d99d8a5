"""Sessions as a server reports them: in session.created and session.updated, and in answers over HTTP.

Three shapes are in use. ReportedSession and ReportedTranscription are what a client asks for with an id and an end;
HybridSession, from between the dialects, has `audio` beside a `turn_detection` of its own. session_of() tells them
apart; beta.py has the oldest one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from msgspec import UNSET, UnsetType

from engine.realtime.types import vocabulary as known
from engine.realtime.types.audio import Audio, ReportedDetection
from engine.realtime.types.beta import BetaSession, EphemeralKey
from engine.realtime.types.marks import Between, Secret
from engine.realtime.types.session import RealtimeSession, Tracing, TranscriptionSession
from engine.realtime.types.shape import Object, Shape
from engine.realtime.types.tools import FunctionTool


class ReportedSession(RealtimeSession, frozen=True, kw_only=True, tag="realtime"):
    """A conversation's session in force. Everything the server knows is set; it reports no parallel_tool_calls."""

    id: str | UnsetType = UNSET
    """Such as sess_1234567890abcdef."""
    object: Annotated[str, known.SESSION_OBJECT] | UnsetType = UNSET
    """realtime.session."""
    expires_at: int | UnsetType | None = UNSET
    """When it ends whatever happens, Unix seconds."""


class ReportedTranscription(TranscriptionSession, frozen=True, kw_only=True, tag="transcription"):
    """A transcription session in force. Its turn detection is a ReportedDetection when it names no type."""

    id: str | UnsetType = UNSET
    """Such as sess_1234567890abcdef."""
    object: Annotated[str, known.TRANSCRIPTION_OBJECT] | UnsetType = UNSET
    """realtime.transcription_session."""
    expires_at: int | UnsetType | None = UNSET
    """When it ends whatever happens, Unix seconds."""


class HybridSession(Shape, frozen=True, kw_only=True):
    """A session as some answers have it: today's `audio` and, beside it, a `turn_detection` at the top; no type."""

    id: str | UnsetType = UNSET
    """Such as sess_1234567890abcdef."""
    object: Annotated[str, known.SESSION_OBJECT] | UnsetType = UNSET
    """realtime.session."""
    expires_at: int | UnsetType | None = UNSET
    """When it ends whatever happens, Unix seconds."""
    client_secret: Annotated[EphemeralKey, Secret()] | UnsetType | None = UNSET
    """Over HTTP only: a key that opens this session."""
    model: str | UnsetType = UNSET
    """In force for the whole session."""
    output_modalities: Annotated[Sequence[str], known.MODALITIES] | UnsetType = UNSET
    """("audio",) or ("text",)."""
    instructions: str | UnsetType = UNSET
    """The system message in force."""
    audio: Audio | UnsetType = UNSET
    """As in a ReportedSession."""
    turn_detection: ReportedDetection | UnsetType | None = UNSET
    """In force for the input; null when turns are ended by hand."""
    include: Annotated[Sequence[str], known.INCLUDES] | UnsetType | None = UNSET
    """As in a ReportedSession."""
    tools: Sequence[FunctionTool | Object] | UnsetType = UNSET
    """Functions only."""
    tool_choice: str | UnsetType = UNSET
    """none, auto, required, or a function."""
    max_output_tokens: Annotated[int, Between(1, 4096)] | Annotated[str, known.INFINITE] | UnsetType = UNSET
    """1 to 4096, or "inf"."""
    tracing: Annotated[str, known.TRACINGS] | Tracing | UnsetType | None = UNSET
    """As in a ReportedSession."""

    def to_reported(self) -> ReportedSession:
        """The same in today's shape: turn detection under audio.input."""
        members = self.to_wire()
        detection = members.pop("turn_detection", UNSET)
        audio = dict(members.get("audio") or {})
        if detection is not UNSET:
            audio["input"] = {"turn_detection": detection, **(audio.get("input") or {})}
            members["audio"] = audio
        return ReportedSession.from_wire({"type": "realtime", **members})


AnySession = ReportedSession | ReportedTranscription | HybridSession | BetaSession


def session_of(value: Mapping[str, Any]) -> AnySession:
    """The session that a server reported, in whichever dialect. What is unknown in it is in `extra`."""
    kind = value.get("type")
    if kind == "transcription" or value.get("object") == "realtime.transcription_session":
        return ReportedTranscription.from_wire({**value, "type": "transcription"})
    if kind == "realtime":
        return ReportedSession.from_wire(value)
    if "audio" in value or "output_modalities" in value or "max_output_tokens" in value:
        return HybridSession.from_wire(value)
    if BETA_ONLY.isdisjoint(value):
        return ReportedSession.from_wire({**value, "type": "realtime"})
    return BetaSession.from_wire(value)


BETA_ONLY = frozenset(
    {
        "modalities",
        "voice",
        "input_audio_format",
        "output_audio_format",
        "input_audio_transcription",
        "input_audio_noise_reduction",
        "turn_detection",
        "temperature",
        "max_response_output_tokens",
    }
)
"""Members that only the older dialect has at the top of a session."""
