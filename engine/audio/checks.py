"""Numbers from outside, checked once at the edge."""

from __future__ import annotations

from engine.errors import ConfigError


def checked(field: str, value: float, least: float, most: float) -> float:
    """The value, if it is a number in its range; raises `ConfigError` naming field, value and range."""
    if not least <= value <= most:  # NaN fails too
        raise ConfigError(f"{field} is {value}: give {least:g} to {most:g}")
    return value
