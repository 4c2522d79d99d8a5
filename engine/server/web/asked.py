"""What the URL and the headers of a WebSocket ask of its session, and what is not spoken here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs

from engine.errors import ProtocolError
from engine.realtime import problems
from engine.server.start import TRANSLATION_MODEL, Start

PATH = "/v1/realtime"
TRANSLATIONS_PATH = f"{PATH}/translations"
SOCKET_PATHS = (PATH, TRANSLATIONS_PATH)
BETA = "realtime=v1"
"""Value of the header OpenAI-Beta that asks for the older dialect."""
BETA_SUBPROTOCOL = "openai-beta.realtime-v1"
"""What a browser's page offers instead."""


@dataclass(frozen=True, slots=True)
class Dismissal:
    """An `error` event and a close instead of a session: what a browser's page can read, unlike an HTTP answer."""

    problem: ProtocolError
    code: int = 4000

    @property
    def reason(self) -> str:
        """The close frame's text, as the service has it."""
        return f"{problems.KIND}.{self.problem.code}"


def asks_for_beta(headers: Sequence[str], protocols: Sequence[str] = ()) -> bool:
    """Whether one of the OpenAI-Beta headers names the older dialect, or one of the Sec-WebSocket-Protocol headers."""
    given = (part.strip() for header in (*headers, *protocols) for part in header.split(","))
    return not {BETA, BETA_SUBPROTOCOL}.isdisjoint(given)


def dismissal(path: str, query: str, start: Start | None = None, *, wants_beta: bool, beta: bool) -> Dismissal | None:
    """Why a client that may come in gets no session all the same: for what it asks is not spoken here, not any more,
    or not what its client secret opens (`start`). `beta` is whether the older dialect is served.
    """
    if path == TRANSLATIONS_PATH or model_of(query) == TRANSLATION_MODEL:
        return Dismissal(problems.no_translation())
    if transcription_of(query) and model_of(query) is not None:
        return Dismissal(problems.no_model_to_transcribe())
    if start is not None:
        conflict = start.conflict(model=model_of(query), transcription=transcription_of(query))
        if conflict is not None:
            return Dismissal(conflict)
    if wants_beta and not beta:
        return Dismissal(problems.beta_is_gone())
    return None


def model_of(query: str) -> str | None:
    """The model that a URL's query asks for."""
    return _asked(query, "model")


def transcription_of(query: str) -> bool:
    """Whether a URL's query asks for a session that only writes down what it hears; its type never changes then."""
    return _asked(query, "intent") == "transcription"


def _asked(query: str, name: str) -> str | None:
    try:
        values = parse_qs(query, max_num_fields=32).get(name)
    except ValueError:  # more fields than anybody needs
        return None
    return values[0][:512] if values else None
