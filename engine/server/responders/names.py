"""Brains by name."""

from __future__ import annotations

from engine.errors import ConfigError
from engine.server.responders.base import Responder
from engine.server.responders.echo import Echo
from engine.server.responders.script import Script


def responder(name: str) -> Responder:
    """The brain called `name`: "echo", or "script:PATH" with a YAML file of rules.

    Raises ConfigError for an unknown name or a bad script, MissingExtraError when the script needs pyyaml and it is
    absent.
    """
    kind, _, argument = name.partition(":")
    if kind == "echo" and not argument:
        return Echo()
    if kind == "script" and argument:
        return Script.load(argument)
    raise ConfigError(f"responder is {name!r}: use 'echo' or 'script:PATH.yaml'")
