"""How the server speaks: text in, float32 mono at 24 kHz out.

`best_voice()` gives espeak-ng where the extra `voice` is installed and the built-in tone voice elsewhere. The engine
in use is logged once and can be read as `.name` ("espeak-ng" or "tone"). `sentences(text)` cuts a reply so that its
first sound is quick.
"""

from __future__ import annotations

from engine.server.formats import RATE
from engine.server.voices.base import Voice, sentences
from engine.server.voices.choose import best_voice
from engine.server.voices.espeak import EspeakVoice
from engine.server.voices.tone import ToneVoice

__all__ = ["RATE", "EspeakVoice", "ToneVoice", "Voice", "best_voice", "sentences"]
