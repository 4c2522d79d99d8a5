"""Which voice this machine has."""

from __future__ import annotations

import logging

from engine.errors import ConfigError
from engine.server.voices.base import Voice
from engine.server.voices.espeak import EspeakVoice
from engine.server.voices.tone import ToneVoice

_log = logging.getLogger("bargein.server")


def best_voice() -> Voice:
    """espeak-ng where it is installed and loads, else the tone voice; says in the log which, and why."""
    try:
        voice: Voice = EspeakVoice()
    except ConfigError as error:
        _log.warning("speaking with the built-in tone voice: %s", error)
        return ToneVoice()
    _log.info("speaking with %s", voice.name)
    return voice
