"""Where sound comes from and goes to: files and memory; devices and telephone legs join them here."""

from engine.endpoints.clocked import Memory
from engine.endpoints.elsewhere import Elsewhere
from engine.endpoints.endpoint import Endpoint, Sound, SoundSettings
from engine.endpoints.wavfile import WavFile

__all__ = ["Elsewhere", "Endpoint", "Memory", "Sound", "SoundSettings", "WavFile"]
