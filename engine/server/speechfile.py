"""Ears and voice of a server from one YAML file, for `bargein serve --speech` and whoever else likes it.

recogniser: pocketsphinx                       # see recognisers/configured.py; left out, nothing is understood
voice: {kind: piper, model: en_US-amy.onnx}    # see voices/configured.py; left out, the best there is
"""

from __future__ import annotations

from pathlib import Path

from engine.server.recognisers.base import Recogniser
from engine.server.recognisers.configured import recogniser_from
from engine.server.responders import yamlfile
from engine.server.responders.places import fields
from engine.server.voices.base import Voice
from engine.server.voices.configured import voice_from


def load(path: str | Path) -> tuple[Recogniser | None, Voice | None]:
    """What the file names. Raises ConfigError naming file, line and field; MissingExtraError."""
    data, place = yamlfile.load(path, "a file of recogniser and voice")
    fields(data, ("recogniser", "voice"), place)
    return (
        recogniser_from(data["recogniser"], place.at("recogniser")) if "recogniser" in data else None,
        voice_from(data["voice"], place.at("voice")) if "voice" in data else None,
    )


__all__ = ["load"]
