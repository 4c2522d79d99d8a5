"""The older dialect's sessions: flat, with modalities, three format names and a temperature.

The hosted service refuses it since May 2026; compatible servers, POST /realtime/sessions and POST
/realtime/transcription_sessions still speak it. Every member is optional, for a request as for an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import UNSET, UnsetType

from engine.realtime.types import vocabulary as known
from engine.realtime.types.audio import (
    CustomVoice,
    NoiseReduction,
    ReportedDetection,
    ServerVad,
    Transcription,
    TurnDetection,
)
from engine.realtime.types.marks import Between, Secret
from engine.realtime.types.prompts import Prompt
from engine.realtime.types.session import RetentionRatio, Tracing
from engine.realtime.types.shape import Object, Shape
from engine.realtime.types.tools import FunctionTool


class EphemeralKey(Shape, frozen=True, kw_only=True):
    """The key in the answers of the two older endpoints; it lasts about a minute."""

    value: Annotated[str, Secret()]
    """Such as ek_1234. Never shown."""
    expires_at: int
    """Unix seconds."""


class BetaSession(Shape, frozen=True, kw_only=True):
    """A conversation's session in the older dialect."""

    id: str | UnsetType = UNSET
    """Server only."""
    object: Annotated[str, known.SESSION_OBJECT] | UnsetType = UNSET
    """Server only."""
    expires_at: int | UnsetType | None = UNSET
    """Server only: Unix seconds."""
    client_secret: Annotated[EphemeralKey, Secret()] | UnsetType | None = UNSET
    """Server only, over HTTP: a key that opens this session."""
    model: Annotated[str, known.MODELS] | UnsetType = UNSET
    """Chosen in the URL; never changes."""
    modalities: Annotated[Sequence[str], known.MODALITIES] | UnsetType = UNSET
    """Default ("text", "audio"); ("text",) alone disables sound."""
    instructions: str | UnsetType = UNSET
    """The system message. Default: the server's; "" clears."""
    voice: Annotated[str, known.BETA_VOICES] | CustomVoice | UnsetType = UNSET
    """Fixed after the first audio."""
    input_audio_format: Annotated[str, known.BETA_FORMATS] | UnsetType = UNSET
    """pcm16 (24 kHz mono, little-endian; the default), g711_ulaw or g711_alaw."""
    output_audio_format: Annotated[str, known.BETA_FORMATS] | UnsetType = UNSET
    """As input_audio_format."""
    input_audio_transcription: Transcription | UnsetType | None = UNSET
    """Default null: off."""
    input_audio_noise_reduction: NoiseReduction | UnsetType | None = UNSET
    """Default null: off."""
    turn_detection: TurnDetection | ReportedDetection | UnsetType | None = UNSET
    """Default server_vad; null turns it off."""
    speed: Annotated[float, Between(0.25, 1.5)] | UnsetType = UNSET
    """0.25 to 1.5, default 1.0; changes only between turns."""
    tools: Sequence[FunctionTool | Object] | UnsetType = UNSET
    """Default and cleared: ()."""
    tool_choice: str | UnsetType = UNSET
    """none, auto (the default), required, or a function's name."""
    temperature: Annotated[float, Between(0.6, 1.2)] | UnsetType = UNSET
    """Of sampling, 0.6 to 1.2; default 0.8."""
    max_response_output_tokens: Annotated[int, Between(1, 4096)] | Annotated[str, known.INFINITE] | UnsetType = UNSET
    """1 to 4096, or "inf", the default."""
    truncation: Annotated[str, known.TRUNCATIONS] | RetentionRatio | UnsetType = UNSET
    """auto (the default), disabled, or a share to keep."""
    tracing: Annotated[str, known.TRACINGS] | Tracing | UnsetType | None = UNSET
    """Fixed once it is on."""
    prompt: Prompt | UnsetType | None = UNSET
    """A stored prompt; default null."""
    include: Annotated[Sequence[str], known.INCLUDES] | UnsetType | None = UNSET
    """item.input_audio_transcription.logprobs; default null."""


class BetaTranscriptionSession(Shape, frozen=True, kw_only=True):
    """A transcription session in the older dialect."""

    id: str | UnsetType = UNSET
    """Server only."""
    object: Annotated[str, known.TRANSCRIPTION_OBJECT] | UnsetType = UNSET
    """Server only."""
    expires_at: int | UnsetType | None = UNSET
    """Server only: Unix seconds."""
    client_secret: Annotated[EphemeralKey, Secret()] | UnsetType | None = UNSET
    """Server only, over HTTP: a key that opens this session."""
    modalities: Annotated[Sequence[str], known.MODALITIES] | UnsetType = UNSET
    """Server only."""
    input_audio_format: Annotated[str, known.BETA_FORMATS] | UnsetType = UNSET
    """pcm16 (24 kHz mono, little-endian; the default), g711_ulaw or g711_alaw."""
    input_audio_transcription: Transcription | UnsetType | None = UNSET
    """Model, language and prompt."""
    input_audio_noise_reduction: NoiseReduction | UnsetType | None = UNSET
    """Default null: off."""
    turn_detection: ServerVad | ReportedDetection | UnsetType | None = UNSET
    """Default server_vad; null turns it off."""
    include: Annotated[Sequence[str], known.INCLUDES] | UnsetType | None = UNSET
    """item.input_audio_transcription.logprobs; default null."""
