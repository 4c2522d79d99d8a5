"""What a conversation is asked to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.audio import AudioFormat, BargeIn, Gate, Hearing, Policy, Stage
from engine.conversation import approvals
from engine.conversation.framing import checked_frame_ms
from engine.conversation.freshness import checked_oldest_s
from engine.conversation.reconnect import Reconnect
from engine.conversation.tool import AnyTool, declarations
from engine.realtime import Prices

if TYPE_CHECKING:
    from engine.conversation.controls import Activation


@dataclass(frozen=True, slots=True)
class Settings:
    """Session fields in the wire's shape (only these are sent), the sound's formats, and how the ears behave.

    `hearing` None is what suits the endpoint.
    `frame_ms`, 10 to 200, is the length of every `input_audio_buffer.append`; None sends all that waits.
    `call` is the sideband of a call: the server has the sound, and what follows from it (truncation) is its business.
    `oldest_s`, 1 to 5, is the age beyond which captured sound that could not be sent is left out.
    `tools` are functions and MCP servers for the model, None leaves calls to the application; `approve` decides about
    calls of MCP servers' tools.
    `reconnect` says how a lost connection is replaced; without it a lost connection ends the conversation.
    With `activation` the microphone is muted at first, and what this opens it with runs beside the conversation.
    `prices` turn tokens into money.
    `handshake_s` bounds the wait for session.created and session.updated; `answer_s` how long an ending file waits
    for a reply that the server owes.
    """

    session: Mapping[str, Any] = field(default_factory=dict, repr=False)  # tools may hold secrets
    audio_format: AudioFormat = AudioFormat.PCM
    barge_in: BargeIn = field(default_factory=BargeIn)
    gate: Gate = field(default_factory=Gate)
    hearing: Hearing | None = None
    queue_s: float = 120.0
    frame_ms: int | None = None
    capture_stages: Sequence[Stage] = ()
    playback_stages: Sequence[Stage] = ()
    call: bool = False
    oldest_s: float = 5.0
    activation: Activation | None = None
    tools: Sequence[AnyTool] | None = None
    approve: approvals.Approve | None = None
    prices: Prices | None = None
    reconnect: Reconnect | None = None
    handshake_s: float = 15.0
    answer_s: float = 30.0

    def __post_init__(self) -> None:
        checked_frame_ms(self.frame_ms)
        checked_oldest_s(self.oldest_s)
        approvals.checked(self.approve)
        declarations(self.tools or (), self.session.get("tools"))

    def update(self) -> dict[str, Any]:
        """The session object of the first session.update; without anything but its type when nothing was asked."""
        asked: dict[str, Any] = {"type": "realtime", **_copy(self.session)}
        if self.tools is not None:
            asked["tools"] = declarations(self.tools, asked.get("tools"))
        if self.audio_format is not AudioFormat.PCM:
            directions = ("input",) if asked["type"] == "transcription" else ("input", "output")
            for direction in directions:
                asked.setdefault("audio", {}).setdefault(direction, {})["format"] = {"type": self.audio_format.value}
        return asked


def _copy(value: Any) -> Any:
    return {key: _copy(inner) for key, inner in value.items()} if isinstance(value, Mapping) else value


LONGEST_PAUSE_S = 60.0
"""Whatever a server reports: a pause longer than this ends the conversation of a file."""


def turn_detection(effective: Mapping[str, Any]) -> Mapping[str, Any]:
    """The server's turn detection in force; empty when it is off."""
    listening = _input(effective)
    detection = listening.get("turn_detection")
    return detection if isinstance(detection, dict) else {}


def transcribes(effective: Mapping[str, Any]) -> bool:
    """Whether the server writes down what the user says."""
    return bool(_input(effective).get("transcription"))


def _input(effective: Mapping[str, Any]) -> Mapping[str, Any]:
    audio = effective.get("audio")
    listening = audio.get("input") if isinstance(audio, dict) else None
    return listening if isinstance(listening, dict) else {}


def server_interrupts(effective: Mapping[str, Any]) -> bool:
    """Whether the server ends its response by itself when it hears speech."""
    detection = turn_detection(effective)
    return bool(detection) and detection.get("interrupt_response") is not False


def server_answers(effective: Mapping[str, Any]) -> bool:
    """Whether the server begins a response by itself when a turn ends."""
    detection = turn_detection(effective)
    hears_only = effective.get("type") == "transcription"
    return bool(detection) and not hears_only and detection.get("create_response") is not False


def longest_pause_s(effective: Mapping[str, Any]) -> float:
    """How long the server may listen to silence before it ends a turn."""
    detection = turn_detection(effective)
    if detection.get("type") == "semantic_vad":
        return {"low": 8.0, "high": 2.0}.get(str(detection.get("eagerness")), 4.0)
    duration = detection.get("silence_duration_ms", 500)
    return min(max(duration / 1000.0, 0.0), LONGEST_PAUSE_S) if isinstance(duration, int | float) else 0.5


def heeds_server(barge_in: BargeIn) -> bool:
    """Whether the server's speech_started ends a reply here."""
    return barge_in.policy in (Policy.EITHER, Policy.SERVER)
