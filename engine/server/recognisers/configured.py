"""A recogniser from what a YAML file says of it.

recogniser: pocketsphinx                                    # or with settings, one of these:
recogniser: {kind: pocketsphinx}                            # see sphinx.SphinxSettings
recogniser: {kind: service, url: http://127.0.0.1:8000/v1}  # see service.ServiceRecogniserSettings
recogniser: {kind: whisper.cpp, model: ggml-base.en.bin}    # see programs.ProgramRecogniserSettings
recogniser: {kind: vosk, model: vosk-model-small-en-us-0.15}
recogniser: {kind: command, command: [my-recogniser, "{wav}"]}
"""

from __future__ import annotations

from typing import Any

from engine.server.recognisers.base import Recogniser
from engine.server.recognisers.programs import COMMANDS, ProgramRecogniser, ProgramRecogniserSettings
from engine.server.recognisers.sphinx import SphinxRecogniser, SphinxSettings
from engine.server.responders import yamlfile
from engine.server.responders.places import Place

KINDS = ("pocketsphinx", "service", *COMMANDS, "command")


def recogniser_from(data: Any, place: Place) -> Recogniser:
    """The recogniser that `data` asks for. Raises ConfigError, MissingExtraError."""
    kind, settings = yamlfile.kind_and_settings(data, KINDS, place)
    with place.around():
        if kind == "pocketsphinx":
            return SphinxRecogniser(yamlfile.made(SphinxSettings, settings, place))
        if kind == "service":
            from engine.server.recognisers.service import ServiceRecogniser, ServiceRecogniserSettings

            return ServiceRecogniser(yamlfile.made(ServiceRecogniserSettings, settings, place))
        return ProgramRecogniser(yamlfile.made(ProgramRecogniserSettings, {"kind": kind, **settings}, place))


__all__ = ["KINDS", "recogniser_from"]
