"""Where sound comes from and goes to: sound devices, files and memory; telephone legs join them here."""

from engine.endpoints.clocked import Memory
from engine.endpoints.device import Device
from engine.endpoints.devicereport import DeviceEvent, Opened
from engine.endpoints.elsewhere import Elsewhere
from engine.endpoints.endpoint import Endpoint, Sound, SoundSettings
from engine.endpoints.supervised import DeviceSound
from engine.endpoints.wavfile import WavFile

__all__ = [
    "Device",
    "DeviceEvent",
    "DeviceSound",
    "Elsewhere",
    "Endpoint",
    "Memory",
    "Opened",
    "Sound",
    "SoundSettings",
    "WavFile",
]
