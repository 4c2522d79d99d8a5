"""A voice from what a YAML file says of it.

    voice: tone                                           # or espeak-ng as a program; with settings, one of these:
    voice: {kind: espeak-ng, voices: {alloy: de}}         # see programs.ProgramVoiceSettings
    voice: {kind: piper, model: en_US-amy-medium.onnx}
    voice: {kind: command, command: [my-voice, "{voice}"]}
    voice: {kind: service, url: http://127.0.0.1:8880/v1} # see service.ServiceVoiceSettings

Without any it is the best there is in this process: the espeak-ng library (extra `voice`), else tones.
"""

from __future__ import annotations

from typing import Any

from engine.errors import ConfigError
from engine.server.responders import yamlfile
from engine.server.responders.places import Place
from engine.server.voices.base import Voice
from engine.server.voices.programs import COMMANDS, ProgramVoice, ProgramVoiceSettings
from engine.server.voices.tone import ToneVoice

KINDS = ("tone", "service", *COMMANDS, "command")


def voice_from(data: Any, place: Place) -> Voice:
    """The voice that `data` asks for. Raises ConfigError, MissingExtraError."""
    kind, settings = yamlfile.kind_and_settings(data, KINDS, place)
    with place.around():
        if kind == "tone":
            if settings:
                raise ConfigError("tone has no settings")
            return ToneVoice()
        if kind == "service":
            from engine.server.voices.service import ServiceVoice, ServiceVoiceSettings

            return ServiceVoice(yamlfile.made(ServiceVoiceSettings, settings, place))
        return ProgramVoice(yamlfile.made(ProgramVoiceSettings, {"kind": kind, **settings}, place))


__all__ = ["KINDS", "voice_from"]
