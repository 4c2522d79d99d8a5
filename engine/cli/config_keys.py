"""The keys of bargein.toml: what each is, its range and default, its variable, and which command's option it stands
for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from engine.audio import BargeIn, Gate, GateMode, Policy
from engine.errors import ConfigError
from engine.realtime.redaction import scrub
from engine.realtime.usage import Prices

WORDS = {
    str: "a text", int: "a whole number", float: "a number", bool: "true or false", Path: "a path", list: "a list",
    tuple: "a list of texts",
}  # fmt: skip
ECHO = ("auto", "aec", "half_duplex", "off")
LATENCY = ("auto", "low")
NOISE = ("off", "near_field", "far_field")
LOGS = ("logfmt", "json", "none")
FRONTS = ("auto", "asgi", "bare")
SERVED = (
    "host", "port", "front", "tls_cert", "tls_key", "allowed_host", "allow_origin", "keys_file", "sessions_per_key",
    "burst", "session_s", "max_sessions", "drain", "log",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Key:
    """One setting. `kind` is str, int, float, bool, Path, list (of whole numbers) or tuple (a list of texts); or it is
    one of `words`.
    """

    name: str
    kind: type
    default: Any
    about: str
    low: float | None = None
    high: float | None = None
    choices: Sequence[str] = ()
    variable: str = ""
    words: Sequence[str] = ()

    @property
    def environment(self) -> str:
        """The environment variable that sets it."""
        return self.variable or "BARGEIN_" + self.name.upper().replace(".", "_")

    def parsed(self, text: str) -> Any:
        """A value from the environment. Raises `ConfigError`."""
        value: Any = text
        if text in self.words:
            return text
        try:
            if self.kind in (int, float):
                value = self.kind(text)
            elif self.kind is list:
                value = [int(part) for part in text.split(",")]
            elif self.kind is tuple:
                value = text.replace(",", " ").split()
            elif self.kind is bool:
                value = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]
        except (ValueError, KeyError):
            raise self._error(text, self.environment, f"give {self._wanted}") from None
        return self.checked(value, self.environment)

    def checked(self, value: Any, where: str) -> Any:
        """The value, if it is one. Raises `ConfigError`."""
        if isinstance(value, str) and value in self.words:
            return value
        alike: dict[type, type] = {Path: str, tuple: list}  # as TOML has it
        kind: Any = alike.get(self.kind, self.kind)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self._error(value, where, f"give {self._wanted}")
        if self.kind is tuple and not all(isinstance(each, str) and each.strip() for each in value):
            raise self._error(value, where, f"give {self._wanted}")
        if self.kind is list and not (value and all(isinstance(each, int) and 0 <= each <= 31 for each in value)):
            raise self._error(value, where, "give channels from 0 to 31, such as [0, 1]")
        if self.choices and value not in self.choices:
            raise self._error(value, where, f"use {', '.join(self.choices)}")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            low, high = self.low if self.low is not None else float("-inf"), self.high or float("inf")
            if not low <= value <= high:
                raise self._error(value, where, f"use {low:g} to {high:g}")
        return value

    @property
    def _wanted(self) -> str:
        return " or ".join((WORDS[self.kind], *map(repr, self.words)))

    def _error(self, value: Any, where: str, remedy: str) -> ConfigError:
        return ConfigError(f"{where} is {scrub(repr(value))[:200]}: {remedy}")


CHOICES = {"policy": [policy.value for policy in Policy], "mode": [mode.value for mode in GateMode]}


def _of(section: str, shape: type[BargeIn] | type[Gate]) -> list[Key]:
    """A key for each field of a dataclass; ranges are checked where it is used."""
    made = []
    for field in fields(shape):
        default = getattr(field.default, "value", field.default)
        words = CHOICES.get(field.name, ())
        made.append(
            Key(f"{section}.{field.name}", type(default), default, f"see engine.{shape.__name__}", choices=words)
        )
    return made


KEYS: tuple[Key, ...] = (
    Key("server.url", str, None, "the server: ws://, wss:// or an API base; inside", variable="OPENAI_BASE_URL"),
    Key("server.key_file", Path, None, "file with the key"),
    Key("server.responder", str, "echo", "brain of the server inside: echo or script:PATH"),
    Key("session.model", str, "gpt-realtime", "the model to ask for"),
    Key("session.instructions", str, None, "what the model shall be and do"),
    Key("session.voice", str, None, "the voice of the answers"),
    Key("session.format", str, "pcm", "sound on the wire", choices=("pcm", "pcmu", "pcma")),
    Key("session.transcription", str, None, "model that writes down what you say (talk)"),
    Key("device.microphone", str, None, "name, pattern or part of a name; the system's default"),
    Key("device.loudspeaker", str, None, "the same for the loudspeaker"),
    Key("device.rate", int, None, "Hz, 8000 to 192000; the best that is offered", 8000, 192000),
    Key("device.block_ms", float, 10.0, "sound per callback", 1, 100),
    Key("device.latency_ms", float, "auto", "auto (grows with lost sound), low, or a number", 1, 2000, words=LATENCY),
    Key("device.microphone_channel", int, None, "counts from 0", 0, 31),
    Key("device.reference_channel", int, None, "the one that carries what the loudspeaker plays (loopback)", 0, 31),
    Key("device.reference_device", str, None, "a second device that does, such as a monitor"),
    Key("device.loudspeaker_channels", list, None, "those that sound, such as [0, 1]"),
    Key("device.priority", int, 70, "SCHED_FIFO of the audio thread, 0 for none", 0, 99),
    Key("device.echo", str, "auto", "of the loudspeaker in the microphone, see engine.Hearing", choices=ECHO),
    Key("device.highpass_hz", float, None, "what lies below is taken away", 20, 400),
    Key("device.noise_reduction", str, "off", "off, near_field (mouthpiece), far_field (room)", choices=NOISE),
    Key("device.noise_strength", float, 1.0, "how much of it", 0, 2),
    Key("device.agc_dbfs", float, None, "level that speech is brought to", -40, -6),
    Key("talk.plain", bool, False, "lines instead of a screen"),
    Key("talk.push_to_talk", bool, False, "the microphone is closed until the space bar opens it"),
    Key("talk.volume", float, 1.0, "loudness, linear", 0, 4),
    Key("serve.host", str, "127.0.0.1", "where `serve` listens"),
    Key("serve.port", int, 8765, "0 takes any free one", 0, 65535),
    Key("serve.front", str, "auto", "asgi: all of HTTP; bare: WebSocket and GET; auto", choices=FRONTS),
    Key("serve.tls_cert", Path, None, "TLS with the certificate, and its chain, of this PEM file"),
    Key("serve.tls_key", Path, None, "its key, PEM without password"),
    Key("serve.allowed_host", tuple, (), "clients may call this server so, beside localhost: HOST[:PORT]"),
    Key("serve.allow_origin", tuple, (), "pages of there may use it: https://app.example.com"),
    Key("serve.burst", float, None, "sound is sent so many times faster than real time"),
    Key("serve.session_s", float, None, "longest session"),
    Key("serve.max_sessions", int, None, "connections at a time"),
    Key("serve.keys_file", Path, None, "file with the API keys of clients; see `bargein serve --help`"),
    Key("serve.sessions_per_key", int, 16, "sessions of one key at a time", 1),
    Key("serve.drain", float, 10.0, "seconds that sessions may go on after SIGTERM", 0, 86400),
    Key("serve.log", str, "logfmt", "lines of turns and sessions: logfmt, json or none", choices=LOGS),
    *_of("barge_in", BargeIn),
    *_of("gate", Gate),
    *(Key(f"prices.{name}", float, None, "per million tokens", 0) for name in Prices.__struct_fields__),
)  # fmt: skip
BY_NAME = {key.name: key for key in KEYS}

_EARS = {key.name: key.name for key in KEYS if key.name.startswith(("barge_in.", "gate."))}
_WITH_WHOM = {
    "server.url": "server",
    "server.key_file": "key_file",
    "server.responder": "inside",
    **{f"session.{name}": name for name in ("model", "instructions", "voice", "format")},
}
_DEVICE = {key.name: key.name.partition(".")[2] for key in KEYS if key.name.startswith("device.")}

HEARING = ("highpass_hz", "noise_reduction", "noise_strength", "agc_dbfs")
NOT_TRIED = ("echo", "reference_channel", "reference_device", *HEARING)  # by the doctor

USED: dict[str, dict[str, str]] = {
    "file": {**_WITH_WHOM, **_EARS},
    "talk": {
        **_WITH_WHOM,
        **_EARS,
        **_DEVICE,
        "session.transcription": "transcription",
        **{f"talk.{name}": name for name in ("plain", "push_to_talk", "volume")},
        **{key.name: key.name for key in KEYS if key.name.startswith("prices.")},
    },
    "doctor": {name: option for name, option in _DEVICE.items() if option not in NOT_TRIED},
    "serve": {
        "server.responder": "responder",
        **{f"session.{name}": name for name in ("model", "instructions", "voice")},
        **{f"serve.{name}": name for name in SERVED},
    },
}
"""For each command: its keys, and the name of each in the parsed arguments."""
