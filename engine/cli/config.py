"""bargein.toml: settings that stand in a file, and where each setting's value comes from.

An option wins over the environment, the environment over the file, the file over the default. The file is
$BARGEIN_CONFIG, else bargein/bargein.toml in $XDG_CONFIG_HOME (~/.config) or, for a service, $XDG_CONFIG_DIRS
(/etc/xdg), the first that exists. Keys (secrets) have no place in it: it names the file with the key.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.audio import BargeIn, Gate, GateMode, Hearing, Policy
from engine.cli.config_keys import BY_NAME, KEYS, USED, Key
from engine.errors import ConfigError
from engine.realtime.redaction import scrub

NAME = "bargein.toml"
MOST_BYTES = 1024 * 1024
SECRETS = frozenset({"key", "api_key", "apikey", "token", "secret", "password", "authorization", "client_secret"})


@dataclass(frozen=True, slots=True)
class Setting:
    """One key with its value; `source` is "default", "file" or the name of an environment variable."""

    key: Key
    value: Any
    source: str


# ---- the file


def places() -> list[Path]:
    """Where the file may be, the first choice first."""
    named = os.environ.get("BARGEIN_CONFIG")
    if named:
        return [Path(named).expanduser()]
    home = os.environ.get("XDG_CONFIG_HOME") or ""
    own = Path(home) if Path(home).is_absolute() else Path("~/.config").expanduser()
    system = [Path(place) for place in (os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")]
    return [folder / "bargein" / NAME for folder in (own, *system) if folder.is_absolute()]


def file_in_use() -> Path | None:
    """The file that is read; None when there is none. A file that was named must exist: raises `ConfigError`."""
    found = next((place for place in places() if place.exists()), None)
    if found is None and os.environ.get("BARGEIN_CONFIG"):
        raise ConfigError(
            f"BARGEIN_CONFIG is {str(places()[0])!r}, which does not exist: make it, or unset the variable"
        )
    return found


def writable() -> Path:
    """The file to write to: the one in use, else the first place."""
    return next((place for place in places() if place.exists()), places()[0])


def read(path: Path) -> dict[str, Any]:
    """The values of a file by their full names. Raises `ConfigError` naming file and key; shows no secret."""
    where = repr(str(path))
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ConfigError(f"{where} is larger than {MOST_BYTES // 1024} KiB: it is no {NAME}")
        tables = tomllib.loads(data.decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"{where} cannot be read: {error.strerror}") from None
    except UnicodeError:
        raise ConfigError(f"{where} is no UTF-8 text: save it as such") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where} is no TOML: {scrub(str(error))}") from None
    except RecursionError:
        raise ConfigError(f"{where} is nested too deeply to be a {NAME}") from None
    found: dict[str, Any] = {}
    for name, value in _flat(tables):
        key = BY_NAME.get(name)
        if key is None:
            raise ConfigError(f"{where}: {_unknown(name)}")
        found[name] = _from_file(key, value, path)
    return found


def _flat(tables: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for section, inner in tables.items():
        if isinstance(inner, Mapping):
            yield from ((f"{section}.{name}", value) for name, value in inner.items())
        else:
            yield section, inner


def _unknown(name: str) -> str:
    if name.rpartition(".")[2].lower() in SECRETS:
        return (
            f"{scrub(name)!r} has no place in a settings file, which is not kept secret: use OPENAI_API_KEY, or "
            "server.key_file, the name of a file with the key"
        )
    nearest = difflib.get_close_matches(name, BY_NAME, 1, 0.0)[0]
    same = [known for known in BY_NAME if known.rpartition(".")[2] == name.rpartition(".")[2]]
    return f"unknown key {scrub(name)!r}: the nearest is {(same or [nearest])[0]!r}; `bargein config` lists all"


def _from_file(key: Key, value: Any, path: Path) -> Any:
    checked = key.checked(value, f"{str(path)!r}: {key.name}")
    if key.kind is Path:  # as seen from the file, not from wherever the program was started
        return str(path.parent / Path(checked).expanduser())
    return checked


# ---- the order


def settings() -> list[Setting]:
    """Every key with the value it has without options, and where that comes from. Raises `ConfigError`."""
    path = file_in_use()
    written = read(path) if path is not None else {}
    return [_setting(key, written) for key in KEYS]


def _setting(key: Key, written: Mapping[str, Any]) -> Setting:
    text = os.environ.get(key.environment)
    if text:
        return Setting(key, key.parsed(text), key.environment)
    if key.name in written:
        return Setting(key, written[key.name], "file")
    return Setting(key, key.default, "default")


def defaults(command: str) -> dict[str, Any]:
    """What the environment and the file say of a command's options, by their names in the parsed arguments. Sections
    without options ("barge_in", "gate", "prices") are mappings by field.
    """
    if command not in USED:
        return {}
    found: dict[str, Any] = {}
    for setting in settings():
        name = USED[command].get(setting.key.name)
        if (
            name is None
            or setting.source == "default"
            or setting.key.environment == "OPENAI_BASE_URL" == setting.source
        ):
            continue  # the server's own variable is read where the key is chosen, which depends on it
        section, _, field = name.partition(".")
        if field:
            found.setdefault(section, {})[field] = setting.value
        else:
            found[name] = setting.value
    return found


def ears(options: Namespace) -> dict[str, Any]:
    """`connect`'s `barge_in` and `gate`, of a command that has them."""
    barge_in: dict[str, Any] = {**options.barge_in}
    gate: dict[str, Any] = {**options.gate}
    if "policy" in barge_in:
        barge_in["policy"] = Policy(barge_in["policy"])
    if "mode" in gate:
        gate["mode"] = GateMode(gate["mode"])
    return {"barge_in": BargeIn(**barge_in), "gate": Gate(**gate)}


def hearing(options: Namespace) -> Hearing:
    """`connect`'s `hearing`, of a command that has a microphone."""
    noise = None if options.noise_reduction == "off" else options.noise_reduction
    return Hearing(
        echo=options.echo,
        highpass_hz=options.highpass_hz,
        noise_reduction=noise,
        noise_strength=options.noise_strength,
        agc_dbfs=options.agc_dbfs,
    )


# ---- what is shown and written


def shown(value: Any) -> str:
    """A value as TOML, without anything that looks like a secret."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return scrub(_toml_string(_without_credentials(value)))
    return to_toml(value)


def _without_credentials(text: str) -> str:
    scheme, slashes, rest = text.partition("://")
    if not slashes:
        return text
    address, query, _ = rest.partition("?")
    host, slash, path = address.partition("/")
    user, at, host_alone = host.rpartition("@")
    return f"{scheme}://{'***@' if at and user else ''}{host_alone if at else host}{slash}{path}" + (
        "?***" if query else ""
    )


def to_toml(value: Any) -> str:
    """A value as TOML writes it: a string, number, truth value or list of them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _toml_string(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(to_toml(inner) for inner in value) + "]"
    return f"{value:g}" if isinstance(value, float) and value != int(value) else f"{value}"


def _toml_string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(sign if sign.isprintable() else f"\\U{ord(sign):08X}" for sign in escaped) + '"'


__all__ = [
    "Setting", "defaults", "ears", "file_in_use", "hearing", "places", "read", "settings", "shown", "to_toml",
    "writable",
]  # fmt: skip
