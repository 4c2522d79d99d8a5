"""Sound: the Python faces of the C blocks. Knows no network and no protocol.

Everything here works on numpy arrays or bytes in wire form; times are in samples or milliseconds, as the names say.
"""

from engine.audio.denoise import NoiseReducer
from engine.audio.detector import VoiceDetector
from engine.audio.devicecallback import DeviceCallback, Stamps, StreamStats
from engine.audio.duplex import (
    AudioEvent,
    BargeIn,
    Duplex,
    DuplexConfig,
    EventKind,
    Gate,
    GateMode,
    Policy,
)
from engine.audio.ear import Ear
from engine.audio.echo import EchoCanceller
from engine.audio.formats import AudioFormat
from engine.audio.g711 import alaw_decode, alaw_encode, alaw_to_ulaw, ulaw_decode, ulaw_encode, ulaw_to_alaw
from engine.audio.hearing import Hearing, HearingStats
from engine.audio.inlet import Inlet
from engine.audio.level import AutoGain, HighPass
from engine.audio.pacer import Pacer, PacerStats
from engine.audio.packets import LinkStats, Packet, PacketKind
from engine.audio.pcm import float_to_pcm, pcm_to_float
from engine.audio.playout import ItemKey, Playout, PlayoutPolicy, PlayoutQueue, Position
from engine.audio.reference import Reference, ReferenceStats
from engine.audio.resample import Resampler
from engine.audio.ring import RingReader, RingWriter, ring
from engine.audio.stage import Stage, stage
from engine.audio.stats import CaptureStats, PlaybackStats, PlayoutStats
from engine.audio.stretch import TimeStretch
from engine.audio.timemap import TimeMap

__all__ = [
    "AudioEvent",
    "AudioFormat",
    "AutoGain",
    "BargeIn",
    "CaptureStats",
    "DeviceCallback",
    "Duplex",
    "DuplexConfig",
    "Ear",
    "EchoCanceller",
    "EventKind",
    "Gate",
    "GateMode",
    "Hearing",
    "HearingStats",
    "HighPass",
    "Inlet",
    "ItemKey",
    "LinkStats",
    "NoiseReducer",
    "Pacer",
    "PacerStats",
    "Packet",
    "PacketKind",
    "PlaybackStats",
    "Playout",
    "PlayoutPolicy",
    "PlayoutQueue",
    "PlayoutStats",
    "Policy",
    "Position",
    "Reference",
    "ReferenceStats",
    "Resampler",
    "RingReader",
    "RingWriter",
    "Stage",
    "Stamps",
    "StreamStats",
    "TimeMap",
    "TimeStretch",
    "VoiceDetector",
    "alaw_decode",
    "alaw_encode",
    "alaw_to_ulaw",
    "float_to_pcm",
    "pcm_to_float",
    "ring",
    "stage",
    "ulaw_decode",
    "ulaw_encode",
    "ulaw_to_alaw",
]
