"""Everything about the embedded server that its owner may choose."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.errors import ConfigError
from engine.realtime.ledger import MAX_OUT_OF_BAND
from engine.server.faults import Faults
from engine.server.figures import Watcher
from engine.server.mcp.options import McpOptions
from engine.server.traces.base import Trace
from engine.server.turnend import TurnEnd

INSTRUCTIONS = "You are a helpful voice assistant. Answer briefly and in the language of the user."


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Settings of every session of a server. Raises ConfigError for a value out of range."""

    model: str = "gpt-realtime"
    """Shown in the session when the client's URL names none; the name changes nothing else."""
    instructions: str = INSTRUCTIONS
    """Instructions of a session that sets none. Only a brain that reads them is moved by them."""
    voice: str = "alloy"
    session_s: float = 3600.0
    """Longest session, in seconds; then the error session_expired and close 1001."""
    expiry_warning_s: float = 60.0
    """So many seconds before that end the log warns (at least 0; a shorter session is not warned of)."""
    expiry_reminder: bool = False
    """Whether the client is then sent its session once more, as session.updated with `expires_at`: the protocol has no
    event for a warning, and a client that did not ask for an update may wonder. Off, it knows `expires_at` only.
    """
    beta: bool = False
    """Whether a client that asks for the older dialect (header OpenAI-Beta: realtime=v1) is served in it. Off, it gets
    the error beta_api_shape_disabled and close 4000, as from the service.
    """
    burst: float = 8.0
    """Reply audio is sent this many times faster than real time (1-1000); every client must buffer a whole response."""
    first_delta_ms: int = 50
    """Audio in the first delta of a response, so that it is quick (10-1000)."""
    delta_ms: int = 100
    """Audio in every later delta (10-1000)."""
    retained_bytes: int = 32 * 2**20
    """Audio kept per session for `conversation.item.retrieve` and `echo`, in wire form; when full, the oldest goes.

    The uncommitted input buffer has the same bound of its own.
    """
    item_bytes: int = 32 * 2**20
    """JSON of one conversation's items: texts, images, transcripts, calls; their audio has `retained_bytes`.

    A conversation.item.create beyond it is refused, and finished responses and audio turns drop the oldest items.
    """
    max_items: int = 2000
    """Items one conversation holds; a further conversation.item.create is refused, and audio turns drop the oldest."""
    max_responses: int = 16
    """Out-of-band responses one session may have in progress at a time (1-16); each holds its own `input`, at most one
    message of 20 MiB.
    """
    least_speech_ms: int = 100
    """Speech needed within one and a half times its length before a turn opens: a shorter burst (a click, a cough) is
    none.
    """
    hysteresis: float = 0.15
    """How far below `threshold` (0..1) speech under way may fall and still be speech; never below half of it."""
    idle_history_ms: int = 1000
    """Audio before a turn that a client's commit may still reach while turn detection is on and nobody speaks."""
    max_sessions: int = 64
    """Connections a front holds at a time; one more is answered 503."""
    send_queue_bytes: int = 4 * 2**20
    """Encoded events waiting for one slow reader.

    Audio waits while there are more than 32 KiB; beyond all of it the session ends with 1013.
    """
    warm_up_s: float = 60.0
    """Longest time in seconds that a session waits for its brain, recogniser and voice before session.created; then it
    gets the error brain_unavailable and close 1011.
    """
    recognise_s: float = 30.0
    """Longest time in seconds for the words of one turn; then its transcription fails, and the brain has no words."""
    context_tokens: int = 28_224
    """Tokens that one response can read: instructions, tools and conversation, by estimate (100 to 10 000 000).

    A longer conversation meets the session's `truncation`. The default is that of a model with 32k of context.
    """
    requests_per_minute: int = 100_000
    """Responses one session may have (1 to 10^9); one more fails with rate_limit_exceeded. The default is no limit."""
    tokens_per_minute: int = 100_000_000
    """Tokens one session may read and write (1 to 10^12); likewise."""
    turn_end: TurnEnd | None = None
    """Judges for semantic_vad whether a talker is done; None: the model inside, from prosody (`Prosody`)."""
    mcp: McpOptions = field(default_factory=McpOptions)
    """Real MCP servers: which may be reached, and their bounds."""
    trace: Trace[Any] | None = None
    """Where spans of sessions, turns and tools go (`engine.server.traces`); None: nowhere."""
    trace_all: bool = False
    """Trace also sessions whose client has not asked for `tracing`."""
    trace_words: bool = False
    """Record what is said, and the arguments and results of tools. Without it no trace holds any of that."""
    watchers: tuple[Watcher, ...] = ()
    """Told the figures of every session and turn, such as `SessionLog` and `Metrics`; see `engine.server.figures`."""
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        _within("burst", self.burst, 1, 1000)
        _within("first_delta_ms", self.first_delta_ms, 10, 1000)
        _within("delta_ms", self.delta_ms, 10, 1000)
        _within("session_s", self.session_s, 0.001, 7 * 86400)
        _within("expiry_warning_s", self.expiry_warning_s, 0, 7 * 86400)
        _within("retained_bytes", self.retained_bytes, 2**16, 2**32)
        _within("item_bytes", self.item_bytes, 2**16, 2**32)
        _within("max_items", self.max_items, 10, 10**6)
        _within("max_responses", self.max_responses, 1, MAX_OUT_OF_BAND)
        _within("least_speech_ms", self.least_speech_ms, 10, 1000)
        _within("hysteresis", self.hysteresis, 0, 1)
        _within("idle_history_ms", self.idle_history_ms, 100, 60_000)
        _within("max_sessions", self.max_sessions, 1, 10**6)
        _within("warm_up_s", self.warm_up_s, 0.01, 3600)
        _within("recognise_s", self.recognise_s, 0.01, 3600)
        _within("context_tokens", self.context_tokens, 100, 10**7)
        _within("requests_per_minute", self.requests_per_minute, 1, 10**9)
        _within("tokens_per_minute", self.tokens_per_minute, 1, 10**12)
        _within("send_queue_bytes", self.send_queue_bytes, 2**16, 2**32)


def _within(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ConfigError(f"{name} is {value!r}: use {least:g} to {most:g}")
