"""Brains by name."""

from __future__ import annotations

from engine.errors import ConfigError
from engine.server.responders.base import Responder
from engine.server.responders.echo import Echo
from engine.server.responders.proxy import Proxy
from engine.server.responders.script import Script


def responder(name: str) -> Responder:
    """The brain called `name`: "echo", "script:PATH" with a YAML file of rules, or "proxy:URL" of another server.

    Raises ConfigError for an unknown name or a bad script, MissingExtraError when the script needs pyyaml and it is
    absent.
    """
    kind, _, argument = name.partition(":")
    if kind == "echo" and not argument:
        return Echo()
    if kind == "script" and argument:
        return Script.load(argument)
    if kind == "proxy" and argument:
        return Proxy(argument)
    raise ConfigError(f"responder is {name!r}: use 'echo', 'script:PATH.yaml' or 'proxy:URL'")
