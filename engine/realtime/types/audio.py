"""The `audio` of a session: formats, what is done to the input, when a turn ends, and how the model sounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeAlias

from msgspec import UNSET, UnsetType

from engine.realtime.types import vocabulary as known
from engine.realtime.types.marks import Between, Length
from engine.realtime.types.shape import Shape, Tagged

# ---- formats


class PcmFormat(Tagged, frozen=True, kw_only=True, tag="audio/pcm"):
    """Signed 16-bit little-endian mono, without a header: 48 bytes per millisecond. The service's default."""

    rate: Annotated[int, Between(24000, 24000)] | UnsetType = 24000
    """Samples per second: 24000 and nothing else. Other rates are resampled before they are sent."""


class PcmuFormat(Tagged, frozen=True, kw_only=True, tag="audio/pcmu"):
    """G.711 mu-law at 8000 samples per second: 8 bytes per millisecond."""


class PcmaFormat(Tagged, frozen=True, kw_only=True, tag="audio/pcma"):
    """G.711 A-law at 8000 samples per second: 8 bytes per millisecond."""


AudioFormat: TypeAlias = PcmFormat | PcmuFormat | PcmaFormat

# ---- input


class NoiseReduction(Shape, frozen=True, kw_only=True):
    """Filters what is written to the input buffer, before turn detection and the model hear it. Default: off (null)."""

    type: Annotated[str, known.NOISE_REDUCTIONS] | UnsetType = UNSET
    """near_field for headsets, far_field for laptops and rooms."""
    strength: Annotated[float, Between(0.0, 1e9)] | UnsetType | None = UNSET
    """How much, 0 or more; default 1. Absent in an update keeps the present strength. Newer servers only."""


class Transcription(Shape, frozen=True, kw_only=True):
    """Writes down what the user says, by a model beside the conversation's own: rough guidance to what was heard.

    Default: off (null). May change at any time.
    """

    model: Annotated[str, known.TRANSCRIPTION_MODELS] | UnsetType | None = UNSET
    """gpt-4o-transcribe-diarize tells speakers apart; gpt-realtime-whisper and gpt-live-transcribe write while the
    user speaks and take no turn detection in a transcription session."""
    language: str | UnsetType | None = UNSET
    """ISO-639-1 code such as "en": better and quicker. Default: detected."""
    languages: Annotated[Sequence[str], Length(1)] | UnsetType | None = UNSET
    """Several languages that may occur, at least one; gpt-transcribe and gpt-live-transcribe, in place of language."""
    keywords: Sequence[str] | UnsetType | None = UNSET
    """Words to expect; gpt-transcribe and gpt-live-transcribe."""
    prompt: str | UnsetType | None = UNSET
    """Guidance: a list of keywords for whisper-1, free text for the gpt-4o ones; gpt-4o-transcribe-diarize and
    gpt-realtime-whisper take none."""
    delay: Annotated[str, known.DELAYS] | UnsetType | None = UNSET
    """How long to wait before text comes, minimal to xhigh: later is more accurate. gpt-realtime-whisper only."""


class ServerVad(Tagged, frozen=True, kw_only=True, tag="server_vad"):
    """A turn begins with speech and ends after a silence. Send it whole: servers differ in how they merge a part."""

    threshold: Annotated[float, Between(0.0, 1.0)] | UnsetType = UNSET
    """Activation, 0.0 to 1.0; default 0.5. Higher needs louder speech: better in noise."""
    prefix_padding_ms: Annotated[int, Between(0, 2**31 - 1)] | UnsetType = UNSET
    """Audio before the detected speech that belongs to the turn, milliseconds; default 300."""
    silence_duration_ms: Annotated[int, Between(0, 2**31 - 1)] | UnsetType = UNSET
    """Silence that ends a turn, milliseconds; default 500 as documented (services have been seen with 200)."""
    idle_timeout_ms: Annotated[int, Between(5000, 30000)] | UnsetType | None = UNSET
    """Silence after a reply was played out until the model speaks again by itself, 5000 to 30000 ms; default null."""
    create_response: bool | UnsetType = UNSET
    """Whether a response begins by itself when a turn ends; default true. Never null."""
    interrupt_response: bool | UnsetType = UNSET
    """Whether the user's speech cancels the response under way; default true. Never null."""


class SemanticVad(Tagged, frozen=True, kw_only=True, tag="semantic_vad"):
    """A model judges whether the user has finished: slower than ServerVad, fewer interruptions."""

    eagerness: Annotated[str, known.EAGERNESS] | UnsetType = UNSET
    """low waits 8 s at most, medium 4 s, high 2 s; default auto, which is medium."""
    create_response: bool | UnsetType = UNSET
    """Whether a response begins by itself when a turn ends; default true. Never null."""
    interrupt_response: bool | UnsetType = UNSET
    """Whether the user's speech cancels the response under way; default true. Never null."""


class ReportedDetection(Shape, frozen=True, kw_only=True):
    """Turn detection as transcription sessions and the older objects report it: no type of its own need be given."""

    type: Annotated[str, known.DETECTIONS] | UnsetType = UNSET
    """Only server_vad so far."""
    threshold: Annotated[float, Between(0.0, 1.0)] | UnsetType = UNSET
    """Activation, 0.0 to 1.0; default 0.5."""
    prefix_padding_ms: Annotated[int, Between(0, 2**31 - 1)] | UnsetType = UNSET
    """Audio before the detected speech that belongs to the turn, milliseconds; default 300."""
    silence_duration_ms: Annotated[int, Between(0, 2**31 - 1)] | UnsetType = UNSET
    """Silence that ends a turn, milliseconds; default 500."""


TurnDetection: TypeAlias = ServerVad | SemanticVad


class AudioInput(Shape, frozen=True, kw_only=True):
    """What the server is to do with the user's sound. All of it may change by session.update."""

    format: AudioFormat | UnsetType = UNSET
    """Of input_audio_buffer.append; default audio/pcm. Change it only while the buffer is empty."""
    transcription: Transcription | UnsetType | None = UNSET
    """Default null: nothing is written down."""
    noise_reduction: NoiseReduction | UnsetType | None = UNSET
    """Default null: none."""
    turn_detection: TurnDetection | ReportedDetection | UnsetType | None = UNSET
    """Default ServerVad(). None: turns are ended by hand (commit, response.create). A type that is not known
    here is kept as ReportedDetection."""


# ---- output


class CustomVoice(Shape, frozen=True, kw_only=True):
    """A voice of one's own."""

    id: str
    """Such as voice_1234."""


class AudioOutput(Shape, frozen=True, kw_only=True):
    """How the model sounds."""

    format: AudioFormat | UnsetType = UNSET
    """Of response.output_audio.delta; default audio/pcm. May change by session.update."""
    voice: Annotated[str, known.VOICES] | CustomVoice | UnsetType = UNSET
    """A built-in voice or one by id; default alloy. Fixed after the first audio of the session: even the same voice is
    refused then."""
    speed: Annotated[float, Between(0.25, 1.5)] | UnsetType = UNSET
    """Multiple of the model's own pace, 0.25 to 1.5; default 1.0. Changes only between turns."""


class Audio(Shape, frozen=True, kw_only=True):
    """The two directions of a conversation."""

    input: AudioInput | UnsetType = UNSET
    """Default: each member's."""
    output: AudioOutput | UnsetType = UNSET
    """Default: each member's."""


class TranscriptionAudio(Shape, frozen=True, kw_only=True):
    """The one direction of a transcription session."""

    input: AudioInput | UnsetType = UNSET
    """Default: each member's; gpt-realtime-whisper and gpt-live-transcribe need turn_detection=None."""
