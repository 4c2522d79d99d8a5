"""What a session begins with: the server's defaults, and over them what a client secret has attached.

The secret's session is applied as a session.update would be, with the same refusals, when the secret is made and again
when it opens a session. It decides the type, and the model unless the URL names one; the client may change the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.errors import ProtocolError
from engine.realtime import problems, session
from engine.server.config import Config, updated, without_answers
from engine.server.mcp.rules import McpRules
from engine.server.options import ServerOptions

MAX_MODEL = 512
"""Characters of a model's name."""
TRANSLATION_MODEL = "gpt-realtime-translate"


@dataclass(frozen=True, slots=True)
class Start:
    """The session attached to a client secret: `session` as a session.update has it."""

    session: Mapping[str, Any] = field(repr=False)
    temperature: float | None = None
    """Told to a client of the older dialect; moves nothing."""

    @property
    def transcription(self) -> bool:
        """Whether its sessions only write down what they hear."""
        return self.session.get("type") == "transcription"

    @property
    def model(self) -> str | None:
        """The model it names."""
        named = self.session.get("model")
        return named if isinstance(named, str) else None

    def conflict(self, *, model: str | None, transcription: bool) -> ProtocolError | None:
        """Why it cannot open what a URL asks for; another model is no reason, another type is."""
        if transcription and not self.transcription:
            return problems.session_type_is_fixed("transcription", "realtime")
        if self.transcription and model is not None:
            return problems.no_model_to_transcribe()
        return None


def defaults(
    options: ServerOptions,
    session_id: str,
    start: Start | None = None,
    *,
    model: str | None = None,
    transcription: bool = False,
    expires_at: int,
) -> Config:
    """The configuration of a new session, of which only type and model are those of `start`: its type goes before
    `transcription`, and `model` before its model.
    """
    if start is not None:
        model, transcription = model or start.model, start.transcription
    if transcription:
        return without_answers(session.transcription(session_id, expires_at=expires_at))
    return session.realtime(
        session_id,
        model=model or options.model,
        instructions=options.instructions,
        voice=options.voice,
        expires_at=expires_at,
    )


def begun(config: Config, start: Start, rules: McpRules) -> Config:
    """`config` with the attached session applied; the model of `config` stands. Raises ProtocolError."""
    update = {name: value for name, value in start.session.items() if name != "model" or config["type"] != "realtime"}
    session.check_update(config, update)
    return updated(config, update, rules)


def check(options: ServerOptions, start: Start, session_id: str, rules: McpRules) -> Config:
    """The configuration that sessions of a new secret will have, `expires_at` 0 as nobody knows when. Raises
    ProtocolError for what a session.update would be refused for.
    """
    model = start.session.get("model")
    if model is not None and not start.transcription:
        if not isinstance(model, str):
            raise problems.invalid_type("session.model", "a string", model)
        if not 0 < len(model) <= MAX_MODEL:
            message = f"Invalid 'session.model': expected 1 to {MAX_MODEL} characters, but got {len(model)}."
            raise problems.invalid_value("session.model", message)
        if model == TRANSLATION_MODEL:
            raise problems.no_translation()
    return begun(defaults(options, session_id, start, expires_at=0), start, rules)


__all__ = ["TRANSLATION_MODEL", "Start", "begun", "check", "defaults"]
