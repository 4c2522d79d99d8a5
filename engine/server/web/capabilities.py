"""GET /capabilities: what this server can do, so that a page or a fleet's tool need not try."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.audio import AudioFormat
from engine.realtime import session
from engine.realtime.types import vocabulary as known
from engine.server.config import MAX_CONFIG_BYTES, MAX_TOOLS
from engine.server.formats import format_object
from engine.server.mcp.rules import McpRules
from engine.server.options import ServerOptions
from engine.server.recognisers.base import Recogniser
from engine.server.responders.base import Responder
from engine.server.turns import LONGEST_WAIT_MS
from engine.server.version import VERSION
from engine.server.voices.base import Voice


def capabilities(
    options: ServerOptions,
    *,
    responder: Responder,
    voice: Voice,
    recogniser: Recogniser | None,
    rules: McpRules,
    endpoints: Sequence[str] = (),
) -> dict[str, Any]:
    """The whole of it. A brain is named by its kind only: behind its colon there may be a path or an address."""
    return {
        "object": "bargein.capabilities",
        "version": VERSION,
        "responder": _kind(responder.name),
        "models": [options.model],
        "session_types": ["realtime", "transcription"],
        "dialects": ["realtime", *(["realtime=v1"] if options.beta else [])],
        "output_modalities": [["audio"], ["text"]],
        "audio_formats": [format_object(each) for each in AudioFormat],
        "voices": list(known.VOICES),
        "voice_engine": _kind(voice.name),
        "recogniser": None if recogniser is None else _kind(recogniser.name),
        "transcription_models": list(known.TRANSCRIPTION_MODELS),
        "turn_detection": {
            "server_vad": dict(session.SERVER_VAD),
            "semantic_vad": {**session.SEMANTIC_VAD, "longest_wait_ms": LONGEST_WAIT_MS},
        },
        "noise_reduction": list(known.NOISE_REDUCTIONS),
        "tools": {"function": True, "mcp": bool(rules.labels or rules.allowed)},
        "limits": {
            "session_s": options.session_s,
            "sessions": options.max_sessions,
            "items": options.max_items,
            "out_of_band_responses": options.max_responses,
            "tools": MAX_TOOLS,
            "session_bytes": MAX_CONFIG_BYTES,
            "retained_audio_bytes": options.retained_bytes,
            "send_queue_bytes": options.send_queue_bytes,
            "context_tokens": options.context_tokens,
            "requests_per_minute": options.requests_per_minute,
            "tokens_per_minute": options.tokens_per_minute,
        },
        "burst": options.burst,
        "endpoints": list(endpoints),
    }


def _kind(name: str) -> str:
    return name.partition(":")[0]


__all__ = ["capabilities"]
