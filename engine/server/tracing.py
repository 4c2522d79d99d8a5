"""The spans of one session, made from the events it sends: the session, its turns, the speech and the tools in it.

Nothing in the server knows that it is watched: whatever is told to the client is told to `Tracing.see` as well. Names
are OpenTelemetry's for generative AI where it has them. No words are recorded, no arguments and no results of tools, no
instructions, unless the owner asks for `words`; never anything of the connection, so no key.

    session                   from session.created to the end of the connection
      speech                  from speech_started to the commit
      turn                    from response.created to response.done
        tool NAME             from the whole arguments to the output that the client sends, or of an MCP server's call
      list_tools LABEL        an MCP server is asked what it has
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from engine.realtime import events as ev
from engine.server.options import ServerOptions
from engine.server.responders.base import Responder
from engine.server.traces.base import Span, Trace, Value
from engine.server.voices.base import Voice

_log = logging.getLogger("bargein.server")

MAX_OPEN = 256
"""Tools that have not answered; of more the oldest is ended as unanswered."""
MAX_WORDS = 4096
"""Characters of one attribute."""
MAX_METADATA = 64
"""Pairs of the client's tracing metadata."""
CLEAN_CLOSES = frozenset({1000, 1001, 1005})

Attributes = dict[str, Value]


class Tracing:
    """One session's. With `always`, or from when its `tracing` is set; until then nothing is recorded."""

    def __init__(self, trace: Trace[Any], attributes: Mapping[str, Value], *, always: bool, words: bool) -> None:
        loop = asyncio.get_running_loop()
        # Wall-clock time that moves with the loop: spans have true lengths in virtual time, and never go backwards.
        offset = time.time() - loop.time()
        self._now: Callable[[], float] = lambda: loop.time() + offset
        self._trace = trace
        self._attributes = dict(attributes)
        self._always = always
        self._words = words
        self._began = self._now()
        self._session: Span | None = None
        self._turns: dict[str, Span] = {}  # by response; as many as are in progress
        self._begun: set[str] = set()  # of those, which have sent something
        self._speech: Span | None = None
        self._tools: dict[str, Span] = {}  # by call_id or item; at most MAX_OPEN
        self._names: dict[str, tuple[str, Span | None]] = {}  # of MCP items, until they are called; at most MAX_OPEN
        self._seen: dict[type[Any], Callable[[Any], None]] = {
            ev.ResponseCreated: self._turn_began,
            ev.ResponseOutputAudioDelta: self._first_delta,
            ev.ResponseOutputTextDelta: self._first_delta,
            ev.ResponseOutputAudioTranscriptDone: lambda event: self._said(event.response_id, event.transcript),
            ev.ResponseOutputTextDone: lambda event: self._said(event.response_id, event.text),
            ev.ResponseOutputItemAdded: self._item_began,
            ev.ResponseOutputItemDone: self._item_done,
            ev.ResponseDone: self._turn_over,
            ev.ConversationItemAdded: self._item_added,
            ev.InputAudioBufferSpeechStarted: self._speech_began,
            ev.InputAudioBufferSpeechStopped: self._speech_stopped,
            ev.InputAudioBufferCommitted: self._speech_over,
            ev.InputAudioBufferCleared: self._speech_over,
            ev.ConversationItemInputAudioTranscriptionCompleted: self._heard,
            ev.ResponseMcpCallInProgress: self._mcp_began,
            ev.ResponseMcpCallCompleted: lambda event: self._tool_over(event.item_id),
            ev.ResponseMcpCallFailed: lambda event: self._tool_over(event.item_id, "the MCP server's tool failed"),
            ev.McpListToolsInProgress: self._list_began,
            ev.McpListToolsCompleted: lambda event: self._tool_over(event.item_id),
            ev.McpListToolsFailed: lambda event: self._tool_over(event.item_id, "the MCP server listed no tools"),
            ev.Error: self._error,
        }

    def see(self, event: ev.AnyEvent) -> None:
        """One event for the client."""
        if isinstance(event, ev.SessionCreated | ev.SessionUpdated):
            self._guarded(self._configured, event)
        elif self._session is not None and (seen := self._seen.get(type(event))) is not None:
            self._guarded(seen, event)

    def end(self, code: int, reason: str) -> None:
        """The connection has ended, and everything with it."""
        self._guarded(self._ended, (code, reason))

    def _guarded(self, work: Callable[[Any], None], what: Any) -> None:
        try:
            work(what)
        except Exception:  # somebody's exporter; the conversation goes on
            _log.exception("tracing failed: this session is traced no further")
            self._session = None
            self._always = False
            self._seen.clear()
            self._turns.clear()
            self._tools.clear()

    # ---- the session

    def _configured(self, event: ev.SessionCreated | ev.SessionUpdated) -> None:
        wanted = event.session.get("tracing")
        if self._session is None and self._seen and (self._always or wanted is not None):
            self._session = self._trace.begin("session", self._began, None, self._attributes)
        if self._session is not None and isinstance(wanted, Mapping):
            for name, value in _asked(wanted).items():
                self._session.set(name, value)

    def _ended(self, how: tuple[int, str]) -> None:
        now = self._now()
        for span in (*self._tools.values(), *self._turns.values(), self._speech):
            if span is not None:
                span.end(now, "the session ended")
        if self._session is not None:
            code, reason = how
            self._session.set("websocket.close.code", code)
            self._session.end(now, "" if code in CLEAN_CLOSES else reason or f"closed with {code}")
        self._session = None
        self._seen.clear()

    def _error(self, event: ev.Error) -> None:
        code = str(event.error.get("code") or event.error.get("type") or "")
        self._note("error", {"error.type": code[:MAX_WORDS]})

    # ---- turns

    def _turn_began(self, event: ev.ResponseCreated) -> None:
        response = event.response
        attributes: Attributes = {
            "gen_ai.response.id": event.response_id,
            "gen_ai.output.type": "speech" if response.get("output_modalities") == ["audio"] else "text",
            "realtime.out_of_band": response.get("conversation_id") is None,
        }
        self._turns[event.response_id] = self._begin("turn", self._session, attributes)

    def _first_delta(self, event: ev.ResponseOutputAudioDelta | ev.ResponseOutputTextDelta) -> None:
        span = self._turns.get(event.response_id)
        if span is not None and event.response_id not in self._begun:
            self._begun.add(event.response_id)
            span.note("first_delta", self._now(), {})

    def _said(self, response_id: str, words: str) -> None:
        span = self._turns.get(response_id)
        if self._words and span is not None:
            span.note("said", self._now(), {"words": words[:MAX_WORDS]})

    def _turn_over(self, event: ev.ResponseDone) -> None:
        span = self._turns.pop(event.response_id, None)
        self._begun.discard(event.response_id)
        if span is None:
            return
        span.set("realtime.response.status", event.status)
        if event.reason:
            span.set("realtime.response.reason", event.reason)
        if (usage := event.usage) is not None:
            span.set("gen_ai.usage.input_tokens", usage.input_tokens)
            span.set("gen_ai.usage.output_tokens", usage.output_tokens)
            span.set("gen_ai.usage.cache_read.input_tokens", usage.input_token_details.cached_tokens)
        failure = ""
        if event.status == "failed":
            failure = str(event.failure.get("code") or "failed")
            span.set("error.type", failure)
        span.end(self._now(), failure)

    # ---- speech

    def _speech_began(self, event: ev.InputAudioBufferSpeechStarted) -> None:
        self._speech_over(None)
        self._speech = self._begin("speech", self._session, {"realtime.audio_start_ms": event.audio_start_ms})

    def _speech_stopped(self, event: ev.InputAudioBufferSpeechStopped) -> None:
        if self._speech is not None:
            self._speech.set("realtime.audio_end_ms", event.audio_end_ms)

    def _speech_over(self, event: ev.InputAudioBufferCommitted | ev.InputAudioBufferCleared | None) -> None:
        if self._speech is not None:
            if isinstance(event, ev.InputAudioBufferCommitted):
                self._speech.set("realtime.item.id", event.item_id)
            self._speech.end(self._now())
            self._speech = None

    def _heard(self, event: ev.ConversationItemInputAudioTranscriptionCompleted) -> None:
        if self._words:
            self._note("heard", {"realtime.item.id": event.item_id, "words": event.transcript[:MAX_WORDS]})

    # ---- tools

    def _item_began(self, event: ev.ResponseOutputItemAdded) -> None:
        self._remember(event.item, self._turns.get(event.response_id))

    def _item_done(self, event: ev.ResponseOutputItemDone) -> None:
        item = event.item
        if item.get("type") != "function_call" or item.get("status") != "completed":
            return
        call_id = str(item.get("call_id"))
        attributes: Attributes = {"gen_ai.tool.call.id": call_id, "gen_ai.tool.type": "function"}
        if self._words:
            attributes["gen_ai.tool.call.arguments"] = str(item.get("arguments"))[:MAX_WORDS]
        self._tool_began(call_id, str(item.get("name")), self._turns.get(event.response_id), attributes)

    def _item_added(self, event: ev.ConversationItemAdded) -> None:
        item = event.item
        if item.get("type") != "function_call_output":
            self._remember(item, None)
            return
        call_id = str(item.get("call_id"))
        span = self._tools.get(call_id)
        if self._words and span is not None:
            span.set("gen_ai.tool.call.result", str(item.get("output"))[:MAX_WORDS])
        self._tool_over(call_id)

    def _remember(self, item: ev.Object, turn: Span | None) -> None:
        """The name of a tool on an MCP server stands in its item, which comes before the call."""
        name = {"mcp_call": item.get("name"), "mcp_list_tools": item.get("server_label")}.get(str(item.get("type")))
        item_id = str(item.get("id"))
        if name is not None and item_id not in self._names:
            self._names[item_id] = (str(name), turn)
            if len(self._names) > MAX_OPEN:
                del self._names[next(iter(self._names))]

    def _mcp_began(self, event: ev.ResponseMcpCallInProgress) -> None:
        name, turn = self._names.pop(event.item_id, ("", None))
        self._tool_began(event.item_id, name, turn, {"gen_ai.tool.type": "mcp"})

    def _list_began(self, event: ev.McpListToolsInProgress) -> None:
        label, _ = self._names.pop(event.item_id, ("", None))
        self._keep(event.item_id, self._begin(f"list_tools {label[:80]}", self._session, {}))

    def _tool_began(self, key: str, name: str, turn: Span | None, attributes: Attributes) -> None:
        made = {"gen_ai.tool.name": name[:MAX_WORDS], **attributes}
        self._keep(key, self._begin(f"tool {name[:80]}", turn or self._session, made))

    def _keep(self, key: str, span: Span) -> None:
        self._tool_over(key, "called again")
        self._tools[key] = span
        if len(self._tools) > MAX_OPEN:
            self._tool_over(next(iter(self._tools)), "unanswered")

    def _tool_over(self, key: str, failure: str = "") -> None:
        span = self._tools.pop(key, None)
        if span is not None:
            span.end(self._now(), failure)

    # ---- spans

    def _begin(self, name: str, parent: Span | None, attributes: Attributes) -> Span:
        span: Span = self._trace.begin(name, self._now(), parent, attributes)
        return span

    def _note(self, name: str, attributes: Attributes) -> None:
        if self._session is not None:
            self._session.note(name, self._now(), attributes)


def traced(config: Mapping[str, Any], options: ServerOptions, responder: Responder, voice: Voice) -> Tracing | None:
    """The tracing of a session with this configuration; None when there is nowhere for it to go."""
    if options.trace is None:
        return None
    attributes: Attributes = {
        "gen_ai.operation.name": "realtime",
        "gen_ai.provider.name": "bargein",
        "gen_ai.conversation.id": str(config["id"]),
        "gen_ai.request.model": str(config.get("model") or ""),
        "realtime.session.type": str(config["type"]),
        "bargein.responder": responder.name[:MAX_WORDS],
        "bargein.voice": voice.name[:MAX_WORDS],
    }
    return Tracing(options.trace, attributes, always=options.trace_all, words=options.trace_words)


def _asked(tracing: Mapping[str, Any]) -> Attributes:
    """What a client's `tracing` object names."""
    found: Attributes = {}
    for name in ("workflow_name", "group_id"):
        if isinstance(tracing.get(name), str):
            found[f"tracing.{name}"] = tracing[name][:MAX_WORDS]
    for key, value in list((tracing.get("metadata") or {}).items())[:MAX_METADATA]:
        kept = value if isinstance(value, bool | int | float) else str(value)[:MAX_WORDS]
        found[f"tracing.metadata.{key[:80]}"] = kept
    return found
