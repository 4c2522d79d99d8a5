"""Where in a script a value stands, so that errors can say it; and the checks that say it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from engine.errors import ConfigError, MissingExtraError


class Place:
    """Where in the file a value stands. `lines` maps a path such as ("rules", 0, "do") to its line, from 1."""

    def __init__(
        self, source: str, lines: Mapping[tuple[str | int, ...], int], path: tuple[str | int, ...] = ()
    ) -> None:
        self.source = source
        self.lines = lines
        self.path = path

    def at(self, key: str | int) -> Place:
        """The place one level deeper."""
        return Place(self.source, self.lines, (*self.path, key))

    @contextmanager
    def around(self) -> Iterator[None]:
        """A ConfigError within is told as one of this place."""
        try:
            yield
        except MissingExtraError:
            raise
        except ConfigError as error:
            raise self.error(str(error)) from None

    def error(self, problem: str) -> ConfigError:
        """An error that names file, line (where known), field and problem."""
        line = next((self.lines[p] for p in self._ancestors() if p in self.lines), None)
        name = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in self.path).lstrip(".")
        return ConfigError(f"{self.source}{f', line {line}' if line else ''}: {name + ' ' if name else ''}{problem}")

    def _ancestors(self) -> list[tuple[str | int, ...]]:
        return [self.path[:n] for n in range(len(self.path), -1, -1)]


def fields(data: Any, known: Sequence[str], place: Place) -> None:
    """Refuse what is no mapping, or has a member that is not known."""
    if not isinstance(data, Mapping):
        raise place.error(f"must be a mapping with {', '.join(known)}, not {kind_of(data)}")
    for key in data:
        if key not in known:
            raise (place.at(key) if isinstance(key, str) else place).error(f"is not known: use {', '.join(known)}")


def kind_of(value: Any) -> str:
    """What a value is, in words."""
    names = {
        type(None): "nothing",
        bool: "true/false",
        int: "a number",
        float: "a number",
        str: "a text",
        list: "a list",
    }
    return names.get(type(value), "a mapping" if isinstance(value, Mapping) else type(value).__name__)
