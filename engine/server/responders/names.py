"""Brains by name: ours, and those of other packages by entry point.

A package offers a brain in its pyproject.toml:

    [project.entry-points."bargein.responders"]
    oracle = "oracle_brain:make"

`make` is called with what follows the colon in "oracle:ARGUMENT" ("" without one) and returns a `Responder`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

from engine.errors import ConfigError, EngineError
from engine.server.responders.base import Responder
from engine.server.responders.echo import Echo
from engine.server.responders.parrot import Parrot
from engine.server.responders.proxy import Proxy
from engine.server.responders.script import Script

GROUP = "bargein.responders"


def responder(name: str) -> Responder:
    """The brain called `name`: "echo", "parrot", "script:PATH", "classifier:PATH" or "chat:PATH" with a YAML file,
    "proxy:URL" of another server, or one of another package.

    Raises ConfigError for an unknown name or a bad file, MissingExtraError when an optional part is needed and absent.
    """
    kind, _, argument = name.partition(":")
    if kind in _PLAIN and not argument:
        return _PLAIN[kind]()
    if kind in _OF and argument:
        return _OF[kind](argument)
    if kind in _PLAIN or kind in _OF:
        raise ConfigError(f"responder is {name!r}: use {', '.join(_known())}")
    found = {point.name: point for point in entry_points(group=GROUP)}
    if kind in found:
        return _theirs(found[kind], argument)
    raise ConfigError(f"responder is {name!r}: use {', '.join([*_known(), *sorted(found)])}")


def _script(path: str) -> Responder:
    return Script.load(path)


def _classifier(path: str) -> Responder:
    from engine.server.responders.classifier import Classifier  # not everybody pays for its imports

    return Classifier.load(path)


def _chat(path: str) -> Responder:
    from engine.server.responders.chat import Chat

    return Chat.load(path)


_PLAIN: dict[str, Callable[[], Responder]] = {"echo": Echo, "parrot": Parrot}
_OF_FILE: dict[str, Callable[[str], Responder]] = {"script": _script, "classifier": _classifier, "chat": _chat}
_OF: dict[str, Callable[[str], Responder]] = {**_OF_FILE, "proxy": Proxy}


def _known() -> list[str]:
    return [*(repr(kind) for kind in _PLAIN), *(f"'{kind}:PATH.yaml'" for kind in _OF_FILE), "'proxy:URL'"]


def _theirs(point: EntryPoint, argument: str) -> Responder:
    """The brain of an entry point. Whatever goes wrong in it is told with its name and package."""
    package = point.dist.name if point.dist is not None else "an unknown package"
    where = f"responder {point.name!r} of {package} ({point.value})"
    try:
        made = point.load()(argument)
    except EngineError as error:
        raise ConfigError(f"{where}: {error}") from error
    except Exception as error:
        raise ConfigError(f"{where} cannot be loaded: {type(error).__name__}: {error}") from error
    if not callable(getattr(made, "respond", None)) or not isinstance(getattr(made, "name", None), str):
        raise ConfigError(f"{where} is no brain: it gave a {type(made).__name__} without a name and respond(turn)")
    brain: Responder = made
    return brain


__all__ = ["GROUP", "responder"]
