"""Who may come in: checks on the HTTP request before a connection becomes a session. No sockets here.

A server without keys is for programs on this machine. A web page on the same machine can reach it too, so the Host
must be localhost or a loopback address (a rebound DNS name is neither), and an Origin, which browsers always send, must
be the server's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs

from engine.errors import ConfigError, ProtocolError
from engine.realtime import problems
from engine.service import is_loopback

PATH = "/v1/realtime"
TRANSLATIONS_PATH = f"{PATH}/translations"
TRANSLATION_MODEL = "gpt-realtime-translate"
BETA = "realtime=v1"
"""Value of the header OpenAI-Beta that asks for the older dialect."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer instead of a session."""

    status: int
    text: str


@dataclass(frozen=True, slots=True)
class Dismissal:
    """An `error` event and a close instead of a session: what a browser's page can read, unlike an HTTP answer."""

    problem: ProtocolError
    code: int = 4000

    @property
    def reason(self) -> str:
        """The close frame's text, as the service has it."""
        return f"{problems.KIND}.{self.problem.code}"


def check_bind(host: str) -> None:
    """Refuse to listen anywhere but on loopback: there are no keys yet, so everybody who can reach it could use it."""
    if not is_loopback(host):
        raise ConfigError(f"host is {host!r}: this server listens on loopback only, use 127.0.0.1, ::1 or localhost")


def check_request(path: str, *, hosts: Sequence[str], origins: Sequence[str], upgrade: bool) -> Answer | None:
    """The answer for a request that gets no session, or None. `hosts` and `origins` are all values of those headers."""
    if len(hosts) != 1 or not _names_loopback(hosts[0]):
        return Answer(403, "This server answers requests for localhost, 127.0.0.0/8 or [::1] only.\n")
    if len(origins) > 1 or (origins and not _same_origin(origins[0], hosts[0])):
        return Answer(403, "This server does not answer pages of other origins.\n")
    if path.partition("?")[0] not in (PATH, TRANSLATIONS_PATH):
        return Answer(404, f"Nothing here. The Realtime API is a WebSocket at {PATH}.\n")
    if not upgrade:
        text = f"This is a bargein Realtime server. Open a WebSocket: ws://{hosts[0]}{PATH}\n"
        return Answer(426, text)
    return None


def asks_for_beta(headers: Sequence[str]) -> bool:
    """Whether one of the OpenAI-Beta headers names the older dialect."""
    return any(BETA in (part.strip() for part in header.split(",")) for header in headers)


def dismissal(path: str, *, wants_beta: bool, beta: bool) -> Dismissal | None:
    """Why a client that may come in gets no session all the same: for what it asks is not spoken here, or not any
    more. `beta` is whether the older dialect is served.
    """
    if path.partition("?")[0] == TRANSLATIONS_PATH or model_of(path) == TRANSLATION_MODEL:
        return Dismissal(problems.no_translation())
    if transcription_of(path) and model_of(path) is not None:
        return Dismissal(problems.no_model_to_transcribe())
    if wants_beta and not beta:
        return Dismissal(problems.beta_is_gone())
    return None


def model_of(path: str) -> str | None:
    """The model that a URL asks for."""
    return _asked(path, "model")


def transcription_of(path: str) -> bool:
    """Whether a URL asks for a session that only writes down what it hears; its type never changes then."""
    return _asked(path, "intent") == "transcription"


def _asked(path: str, name: str) -> str | None:
    try:
        values = parse_qs(path.partition("?")[2], max_num_fields=32).get(name)
    except ValueError:  # more fields than anybody needs
        return None
    return values[0][:512] if values else None


def _names_loopback(host: str) -> bool:
    """Whether a Host header, with or without a port, names an address that check_bind lets us listen on."""
    name, _, port = host.rpartition(":") if not host.endswith("]") and ":" in host else (host, "", "")
    good_port = not port or (len(port) <= 5 and port.isascii() and port.isdigit() and int(port) < 65536)
    bracketed = name.startswith("[") and name.endswith("]")
    address = name[1:-1] if bracketed else name.lower()
    return bracketed == (":" in address) and is_loopback(address) and good_port  # IPv6, and only it, in brackets


def _same_origin(origin: str, host: str) -> bool:
    scheme, separator, authority = origin.partition("://")
    return separator != "" and scheme.lower() in ("http", "https") and authority.lower() == host.lower()
