"""A brain's YAML file: read once, bounded, with the line of every value, so that errors can name it. Extra `script`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from engine.errors import ConfigError, MissingExtraError
from engine.server.responders.places import Place, fields, kind_of

T = TypeVar("T")

SIZE_LIMIT = 1_000_000
"""Bytes of the largest file that is read."""


def load(path: str | Path, what: str) -> tuple[Any, Place]:
    """The plain data of a file, and its place for errors. `what` says what needs pyyaml.

    Raises ConfigError naming file, line and problem; MissingExtraError without pyyaml.
    """
    try:
        import yaml
    except ImportError:
        raise MissingExtraError(what, "script") from None
    text = _text(Path(path))
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{where}: not YAML: {getattr(error, 'problem', None) or error}") from None
    except (ValueError, RecursionError) as error:  # an impossible date, or nesting without end
        raise ConfigError(f"{path}: not YAML that can be read: {error}") from None
    lines: dict[tuple[str | int, ...], int] = {}
    _collect_lines(node, (), lines)
    return data, Place(str(path), lines)


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > SIZE_LIMIT:
            raise ConfigError(f"{file}: larger than {SIZE_LIMIT} bytes, which no such file should be")
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: cannot be read: it is no text file; YAML is") from None
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from None


def _collect_lines(node: Any, path: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int]) -> None:
    """Note the line of every value of a composed YAML document.

    Depth 12 is more than rules have.
    """
    if node is None or len(path) > 12:
        return
    lines[path] = node.start_mark.line + 1
    if node.id == "mapping":
        for key, value in node.value:
            lines[(*path, str(key.value))] = key.start_mark.line + 1
            _collect_lines(value, (*path, str(key.value)), lines)
    elif node.id == "sequence":
        for number, value in enumerate(node.value):
            _collect_lines(value, (*path, number), lines)


def typed(value: Any, wanted: str, place: Place) -> Any:
    """A value of the kind that an annotation such as "str | None" names. Raises ConfigError.

    Known: str, bool, int, float (whole numbers too), Mapping, Sequence[str], and each of them with "| None".
    """
    kind, optional = wanted.removesuffix(" | None"), wanted.endswith(" | None")
    if value is None and optional:
        return None
    if kind == "str" and isinstance(value, str):
        return value
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind in ("int", "float") and isinstance(value, int) and not isinstance(value, bool):
        return float(value) if kind == "float" else value
    if kind == "float" and isinstance(value, float):
        return value
    if kind.startswith("Mapping") and isinstance(value, Mapping):
        return dict(value)
    if kind.startswith("Sequence") and isinstance(value, list) and all(isinstance(each, str) for each in value):
        return list(value)
    words = {"str": "a text in quotes", "bool": "true or false", "int": "a whole number", "float": "a number"}
    words |= {"Sequence[str]": "a list of texts"}
    raise place.error(f"must be {words.get(kind, 'a mapping')}, not {kind_of(value)}")


def mapping_of(settings: type, data: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """The members of `data` that a dataclass has, each checked against its annotation."""
    known = {name: str(kind) for name, kind in settings.__annotations__.items()}
    return {name: typed(data[name], kind, place.at(name)) for name, kind in known.items() if name in data}


def made(settings: type[T], data: Mapping[str, Any], place: Place) -> T:
    """A dataclass of settings from a mapping. Raises ConfigError for members it does not have, or of another kind."""
    fields(data, tuple(settings.__annotations__), place)
    for each in dataclasses.fields(settings):  # type: ignore[arg-type]  # a dataclass
        if each.default is each.default_factory and each.name not in data:  # both are missing: it has no default
            name = each.name
            raise place.error(f"has no {name!r}: it must be given")
    return settings(**mapping_of(settings, data, place))


def kind_and_settings(data: Any, kinds: Sequence[str], place: Place) -> tuple[str, dict[str, Any]]:
    """A word, or a mapping with a `kind`: the kind, and what else the mapping says. Raises ConfigError."""
    if isinstance(data, str):
        data = {"kind": data}
    if not isinstance(data, Mapping) or not isinstance(data.get("kind"), str):
        raise place.error(f"must be a word or a mapping with a kind: use {', '.join(kinds)}")
    if data["kind"] not in kinds:
        raise place.at("kind").error(f"is {data['kind']!r}: use {', '.join(kinds)}")
    return data["kind"], {key: value for key, value in data.items() if key != "kind"}


__all__ = ["SIZE_LIMIT", "kind_and_settings", "load", "made", "mapping_of", "typed"]
