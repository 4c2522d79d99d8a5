"""`connect`: one call from an endpoint to a running conversation, with the server of your choice or the one inside."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from engine import clock
from engine.audio import AudioFormat, BargeIn, Gate, Hearing, Policy, Stage
from engine.conversation import (
    Activation,
    AnyTool,
    Approve,
    Conversation,
    Observer,
    OpenConnection,
    Reconnect,
    Settings,
    converse,
)
from engine.conversation.transcript import Pauses, Transcript
from engine.endpoints import Elsewhere, Endpoint
from engine.errors import ConfigError
from engine.realtime import Prices
from engine.realtime.beta import HEADERS
from engine.service import OPENAI, CertificateAuthority, key_for, key_headers, socket_url, tls
from engine.transport import Connection, pair
from engine.transport import websocket as websocket_transport
from engine.transport.dialect import in_beta

if TYPE_CHECKING:
    from engine.realtime.types import Shape
    from engine.server import Responder, ServerOptions
    from engine.server.voices import Voice

INSIDE = "inside"
"""Given as the URL: the server inside, whatever the environment names."""

_log = logging.getLogger("bargein")

DIALECTS = ("ga", "beta")


def connect(
    endpoint: Endpoint | None = None,
    *,
    url: str | None = None,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
    ca: CertificateAuthority | None = None,
    call_id: str | None = None,
    dialect: str = "ga",
    model: str = "gpt-realtime",
    instructions: str | None = None,
    voice: str | None = None,
    audio_format: AudioFormat | str = AudioFormat.PCM,
    session: Mapping[str, Any] | Shape | None = None,
    tools: Sequence[AnyTool] | None = None,
    approve: Approve | None = None,
    barge_in: BargeIn | None = None,
    gate: Gate | None = None,
    hearing: Hearing | None = None,
    frame_ms: int | None = None,
    capture_stages: Sequence[Stage] = (),
    playback_stages: Sequence[Stage] = (),
    activation: Activation | None = None,
    extra: Mapping[str, Any] | None = None,
    validate: bool = True,
    prices: Prices | None = None,
    oldest_s: float = 5.0,
    reconnect: Reconnect | None = Reconnect(),  # noqa: B008
    responder: str | Responder = "echo",
    observer: Observer | None = None,
) -> AbstractAsyncContextManager[Conversation]:
    """Hold a conversation: `async with engine.connect(endpoint) as conversation`. With `call_id` instead of an
    endpoint it is the sideband of a call whose sound the server has: events and turns, tools, `interrupt`.

    The server is `url` (ws://, wss://, or an API base such as https://host/v1), else OPENAI_BASE_URL, else the
    hosted service if there is a key (`key` or OPENAI_API_KEY), else, or with `url="inside"`, the server inside, whose
    brain `responder` names. A given key (or client secret, ek_...) goes to that server; the environment's too, but
    never unencrypted to another machine, unless OPENAI_BASE_URL names it. The server inside gets none. Azure's URLs are
    known by their host or `api-version`, and get `api-key`; `headers` are added, and one with a key in it stands for
    the key. `ca` is a PEM file or an SSLContext to trust. A proxy is taken from the environment. `dialect="beta"`
    translates for a compatible server that speaks only the older dialect; the hosted service refuses it.

    `model` is asked for in the URL; `instructions` and `voice` are set in the session, and `session` adds fields, typed
    or in the wire's shape (tools, turn_detection, transcription). All of it is checked before anything is sent, and
    mistakes are told with their remedy; `extra` is merged in last, unchecked, and `validate=False` turns the rules off
    (logged). `prices` give `Conversation.usage` a cost. `audio_format` ("pcm", "pcmu", "pcma") is spoken both
    ways. `tools` are functions (`engine.tool`) whose calls are answered by themselves, and MCP servers
    (`engine.types.McpTool`), whose calls `approve` allows: True, a set of tool names, or a function.
    `barge_in` and `gate` say how the ears behave (`engine.BargeIn(confirm_ms=200)`), `hearing` what the microphone's
    sound goes through first (`engine.Hearing(echo="auto", noise_reduction="far_field")`; left out, a `Device` has its
    echo cancelled, and a file is taken as it is); `observer` sees every message.
    `frame_ms`, 10 to 200, makes every append that long; without it all that waits is sent, which is soonest.
    `capture_stages` shape what is sent, `playback_stages` the reply: see `engine.audio.stage`. `activation` is an async
    function that opens the microphone, which begins muted, at a button or a wake word: it gets the conversation, runs
    as long as that, and uses `push_to_talk`, or `unmute` and `mute`.

    A connection that is lost is opened again and told what was said, and one that will expire is replaced in a silence
    before: `reconnect` (`engine.conversation.Reconnect`) says how, None that a lost connection ends the conversation.
    Events of the type bargein.reconnecting, .reconnected, .rotated and .gave_up tell of it, and bargein.device of what
    happens to a sound device; captured sound older than
    `oldest_s`, 1 to 5, is left out. Entering the block raises `ConfigError`, `TransportError` or `MediaError` when it
    cannot begin.
    """
    if call_id is not None:
        endpoint = _elsewhere(endpoint)
    if endpoint is None or not callable(getattr(endpoint, "open", None)):
        raise ConfigError(f"endpoint is {endpoint!r}: give an endpoint, such as engine.WavFile({str(endpoint)!r})")
    chosen = audio_format if isinstance(audio_format, AudioFormat) else AudioFormat.named(audio_format)
    settings = Settings(
        session=_session(instructions, voice, session, extra, validate),
        audio_format=chosen,
        barge_in=BargeIn(policy=Policy.NEVER) if call_id is not None else barge_in or BargeIn(),
        gate=gate or Gate(),
        hearing=hearing,
        frame_ms=frame_ms,
        capture_stages=capture_stages,
        playback_stages=playback_stages,
        call=call_id is not None,
        activation=activation,
        prices=prices,
        tools=tools,
        approve=approve,
        oldest_s=oldest_s,
        reconnect=reconnect,
    )
    if tools and validate:
        from engine.realtime import rules

        rules.prepared({"type": settings.session.get("type", "realtime"), "tools": settings.update()["tools"]})
    transcription = settings.session.get("type") == "transcription"
    if dialect not in DIALECTS:
        raise ConfigError(f"dialect is {dialect!r}: use {' or '.join(DIALECTS)}")
    target = server_url(url, key, model, call_id=call_id, transcription=transcription)
    if target is None and call_id is not None:
        raise ConfigError("call_id names a call on a server, but no server is named: give url, or a key")
    if target is None and dialect != "ga":
        raise ConfigError(f"dialect is {dialect!r}, but the server inside speaks today's: name a server with url")
    if target is None:
        _log.info(
            "no server named and no key found: talking to the server inside, responder %s",
            getattr(responder, "name", responder),
        )
        return converse(endpoint, embedded(responder, transcription=transcription), settings, observer)
    return converse(endpoint, remote(target, key, headers=headers, ca=ca, dialect=dialect), settings, observer)


@asynccontextmanager
async def transcribe(
    endpoint: Endpoint,
    *,
    model: str = "gpt-4o-transcribe",
    language: str | None = None,
    prompt: str | None = None,
    keywords: Sequence[str] | None = None,
    logprobs: bool = False,
    session: Mapping[str, Any] | Shape | None = None,
    observer: Observer | None = None,
    **how: Any,
) -> AsyncIterator[Transcript]:
    """Write down what is said: `async with engine.transcribe(engine.WavFile("talk.wav")) as transcript`, and then
    `async for line in transcript.lines()`. Nothing is answered and nothing played.

    `model`: gpt-4o-transcribe-diarize tells speakers apart; gpt-realtime-whisper and gpt-live-transcribe write while
    somebody speaks, and are asked to settle their words at every pause. `language` is an ISO-639-1 code; `prompt` and
    `keywords` say what to expect; `logprobs` asks how sure the words are. `session` adds fields of a
    `TranscriptionSession` (turn_detection, noise_reduction). The server, key and all else are as for `connect`; the
    server inside has the words of a script (`responder="script:words.yaml"`).
    """
    from engine.realtime.types.shape import merged  # imported when used: it brings all types

    words = {"model": model, "language": language, "prompt": prompt, "keywords": keywords}
    asked = {name: value for name, value in words.items() if value is not None}
    wanted: dict[str, Any] = {"type": "transcription", "audio": {"input": {"transcription": asked}}}
    if logprobs:
        wanted["include"] = ["item.input_audio_transcription.logprobs"]
    more = dict(session or {}) if session is None or isinstance(session, Mapping) else session.to_wire()
    pauses = Pauses(observer)
    how.setdefault("barge_in", BargeIn(policy=Policy.NEVER))
    how.setdefault("hearing", Hearing())  # nothing is played, so there is no echo
    async with connect(endpoint, session=merged(wanted, more), observer=pauses, **how) as conversation:
        transcript = Transcript(conversation, pauses)
        settling = asyncio.create_task(transcript.keep_committing())
        try:
            yield transcript
        finally:
            settling.cancel()
            with suppress(asyncio.CancelledError):
                await settling


def _elsewhere(endpoint: Endpoint | None) -> Endpoint:
    if endpoint is not None:
        raise ConfigError("call_id is given, so the sound is on the server: leave the endpoint out")
    return Elsewhere()


def _session(
    instructions: str | None,
    voice: str | None,
    more: Mapping[str, Any] | Shape | None,
    extra: Mapping[str, Any] | None = None,
    validate: bool = True,
) -> dict[str, Any]:
    """The session object to ask for; {} when nothing is asked."""
    if more is None and instructions is None and voice is None:
        return dict(extra or {})
    from engine.realtime import rules  # imported when used: they bring all types
    from engine.realtime.types.shape import merged

    named: dict[str, Any] = {} if instructions is None else {"instructions": instructions}
    if voice is not None:
        named["audio"] = {"output": {"voice": voice}}
    if not isinstance(more, Mapping | None):
        asked = rules.prepared(more, validate=validate)
        return merged(merged(asked, rules.prepared({**named, "type": asked["type"]}, validate=validate)), extra or {})
    return rules.prepared(merged(more or {}, named), extra=extra, validate=validate)


def server_url(
    url: str | None, key: str | None, model: str, *, call_id: str | None = None, transcription: bool = False
) -> str | None:
    """The WebSocket URL to use, None for the server inside; see `engine.service.socket_url`."""
    if url == INSIDE:
        return None
    base = url or os.environ.get("OPENAI_BASE_URL") or None
    if base is None:
        base = OPENAI if key or os.environ.get("OPENAI_API_KEY") else None
    return None if base is None else socket_url(base, model=model, call_id=call_id, transcription=transcription)


def remote(
    url: str,
    key: str | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    ca: CertificateAuthority | None = None,
    proxy: str | None = None,
    dialect: str = "ga",
) -> OpenConnection:
    """Opens a WebSocket to `url`; the key goes into the header that the service expects and nowhere else. With the
    dialect "beta" everything is translated for a server of the older dialect.
    """
    secret = secret_for(url, key)
    if secret is None and os.environ.get("OPENAI_API_KEY"):
        _log.warning("OPENAI_API_KEY is not sent unencrypted to another machine; give the key itself if it shall be")
    sent = key_headers(url, secret, {**(HEADERS if dialect == "beta" else {}), **(headers or {})})
    context = tls(ca)

    def opened() -> AbstractAsyncContextManager[Connection]:
        return websocket_transport.connect(url, headers=sent, ca=context, proxy=proxy)

    return in_beta(opened) if dialect == "beta" else opened


secret_for = key_for


def embedded(
    responder: str | Responder = "echo",
    options: ServerOptions | None = None,
    *,
    voice: Voice | None = None,
    transcription: bool = False,
) -> OpenConnection:
    """Starts the server inside for one conversation: over a WebSocket on loopback, or in memory on a virtual loop.
    `voice` None takes the best there is.
    """

    def opened() -> AbstractAsyncContextManager[Connection]:
        where = _in_memory if clock.is_virtual() else _on_loopback
        return where(responder, options, voice, transcription)

    return opened


@asynccontextmanager
async def _on_loopback(
    responder: str | Responder, options: ServerOptions | None, voice: Voice | None, transcription: bool
) -> AsyncIterator[Connection]:
    from engine import server  # imported when used: a client of another server does not pay for this one

    brain = server.responder(responder) if isinstance(responder, str) else responder
    async with (
        server.serve(port=0, responder=brain, voice=voice, options=options, front="bare") as running,
        websocket_transport.connect(running.url + ("?intent=transcription" if transcription else "")) as connection,
    ):
        yield connection


@asynccontextmanager
async def _in_memory(
    responder: str | Responder, options: ServerOptions | None, voice: Voice | None, transcription: bool
) -> AsyncIterator[Connection]:
    from engine import server

    brain = server.responder(responder) if isinstance(responder, str) else responder
    ours, theirs = pair()
    serving = server.serve_connection(
        theirs, responder=brain, voice=voice, options=options, transcription=transcription
    )
    task = asyncio.create_task(serving)
    try:
        yield ours
    finally:
        await ours.close()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


__all__ = ["connect", "embedded", "remote", "secret_for", "server_url", "transcribe"]
