"""bargein: a real-time voice engine for the Realtime API. C owns the sound, Python owns the conversation.

    async with engine.connect(engine.WavFile("question.wav", "answer.wav")) as conversation:
        async for turn in conversation.turns():
            print(turn.role, turn.text)

connect        a conversation with a server of your choice, or the one inside
Conversation   what connect yields; Turn, what it tells
Device         microphone and loudspeaker as one end of the conversation; WavFile, a file; Memory, samples
transcribe     writes down what is said
tool           makes a function one that the model may call; ToolCall, what it may know; ToolError, for the model
BargeIn, Gate, Hearing  how the ears behave; AudioFormat, how sound travels
RealtimeSession, TranscriptionSession  what a session is asked to be; types, every object of the protocol
errors         EngineError and what is below it; events, every event of the protocol
"""

from typing import TYPE_CHECKING, Any

from engine import errors
from engine.audio import AudioFormat, BargeIn, Gate, GateMode, Hearing, Policy
from engine.conversation import ApprovalRequest, Conversation, ToolCall, ToolFinished, Turn, tool
from engine.endpoints import Device, Endpoint, Memory, WavFile
from engine.errors import ConfigError, DeviceError, EngineError, MediaError, ProtocolError, ToolError, TransportError
from engine.front import connect, transcribe
from engine.realtime import events

if TYPE_CHECKING:
    from engine.realtime import types
    from engine.realtime.types import RealtimeSession, TranscriptionSession

__version__ = "0.1.0"

__all__ = [
    "ApprovalRequest",
    "AudioFormat",
    "BargeIn",
    "ConfigError",
    "Conversation",
    "Device",
    "DeviceError",
    "Endpoint",
    "EngineError",
    "Gate",
    "GateMode",
    "Hearing",
    "MediaError",
    "Memory",
    "Policy",
    "ProtocolError",
    "RealtimeSession",
    "ToolCall",
    "ToolError",
    "ToolFinished",
    "TranscriptionSession",
    "TransportError",
    "Turn",
    "WavFile",
    "__version__",
    "connect",
    "errors",
    "events",
    "tool",
    "transcribe",
    "types",
]


if not TYPE_CHECKING:  # a checker knows them from above

    def __getattr__(name: str) -> Any:
        """The types of sessions, imported when they are first asked for: who sets nothing needs none."""
        if name not in ("types", "RealtimeSession", "TranscriptionSession"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from engine.realtime import types

        return types if name == "types" else getattr(types, name)
