"""GET /v1/models and /v1/models/{id}: what SDKs ask for to fill a list, or to try a key."""

from __future__ import annotations

from typing import Any

from engine.server.options import ServerOptions
from engine.server.web.credentials import Identity, needs_key
from engine.server.web.messages import Answer, json_answer, refusal

CREATED = 1_761_955_200
"""The members of a model that say nothing here have one value: Unix seconds of 2025-11-01."""


def models(identity: Identity, options: ServerOptions) -> Answer:
    """The one model there is. Sockets are opened with any name, which changes nothing but what the session shows."""
    return needs_key(identity) or json_answer(200, {"object": "list", "data": [_model(options.model)]})


def model(identity: Identity, options: ServerOptions, name: str) -> Answer:
    """One model; 404 for others."""
    if (forbidden := needs_key(identity)) is not None:
        return forbidden
    if name != options.model:
        return refusal(404, f"The model '{name:.80}' does not exist.", code="model_not_found", param="model")
    return json_answer(200, _model(name))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "bargein"}


__all__ = ["model", "models"]
