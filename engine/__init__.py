"""bargein: a real-time voice engine for the Realtime API. C owns the sound, Python owns the conversation.

    async with engine.connect(engine.WavFile("question.wav", "answer.wav")) as conversation:
        async for turn in conversation.turns():
            print(turn.role, turn.text)

connect        a conversation with a server of your choice, or the one inside
Conversation   what connect yields; Turn, what it tells
Device         microphone and loudspeaker as one end of the conversation; WavFile, a file; Memory, samples
BargeIn, Gate  how the ears behave; AudioFormat, how sound travels
errors         EngineError and what is below it; events, every event of the protocol
"""

from engine import errors
from engine.audio import AudioFormat, BargeIn, Gate, GateMode, Policy
from engine.conversation import Conversation, Turn
from engine.endpoints import Device, Endpoint, Memory, WavFile
from engine.errors import ConfigError, DeviceError, EngineError, MediaError, ProtocolError, TransportError
from engine.front import connect
from engine.realtime import events

__version__ = "0.1.0"

__all__ = [
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
    "MediaError",
    "Memory",
    "Policy",
    "ProtocolError",
    "TransportError",
    "Turn",
    "WavFile",
    "__version__",
    "connect",
    "errors",
    "events",
]
