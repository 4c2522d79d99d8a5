"""`bargein serve`: the embedded Realtime server by itself, until it is stopped."""

from __future__ import annotations

import asyncio
import gc
import signal
import ssl
from argparse import Namespace
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from engine import server
from engine.cli.main import Interrupts, say
from engine.cli.servelog import session_lines
from engine.errors import ConfigError
from engine.server.recognisers import Recogniser
from engine.server.traces import OpenTelemetryTrace, Trace, TraceFile
from engine.server.voices import Voice
from engine.server.web import certificates
from engine.server.web.keys import KeyRing

MOST_DRAIN_S = 86400.0


async def run(options: Namespace, interrupts: Interrupts) -> int:
    """Listen and say where; 0 when a signal ends it, whatever was going on."""
    if not 0 <= options.port <= 65535:
        raise ConfigError(f"--port is {options.port}: use 1 to 65535, or 0 for any free one")
    if not 0 <= options.drain <= MOST_DRAIN_S:
        raise ConfigError(f"--drain is {options.drain:g}: use 0 to {MOST_DRAIN_S:g} seconds")
    chosen = {
        name: getattr(options, name)
        for name in ("model", "instructions", "voice", "burst", "session_s", "max_sessions", "beta")
        if getattr(options, name) is not None
    }
    mcp = server.McpOptions(allow=options.mcp_allow)
    watchers = () if options.log == "none" else (server.SessionLog(words=options.log_words),)
    credentials = server.Credentials(server.key_ring(options.keys_file))
    traces = {"trace": _trace(options), "trace_all": True, "trace_words": options.trace_words}
    settings = server.ServerOptions(**chosen, **traces, mcp=mcp, watchers=watchers)
    brain = server.responder(options.responder)
    recogniser, voice = _speech(options.speech)
    access = server.Access(
        hosts=tuple(options.allowed_host),
        origins=tuple(options.allow_origin),
        sessions_per_key=options.sessions_per_key,
    )
    tls, kept = _tls(options)
    with session_lines(options.log), suppress(asyncio.CancelledError):  # a signal is how this command ends
        async with server.serve(
            options.host,
            options.port,
            responder=brain,
            options=settings,
            recogniser=recogniser,
            voice=voice,
            access=access,
            credentials=credentials,
            tls=tls,
            front=options.front,
        ) as running:
            _read_again_on_hangup(credentials.ring, tls, options)
            gc.collect()
            gc.freeze()  # half of what a collection would look at, with a hundred sessions, is modules that stay
            _tell(running, kept)
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                await _drain(running, options.drain, interrupts)
    return 0


def _read_again_on_hangup(ring: KeyRing, tls: ssl.SSLContext | None, options: Namespace) -> None:
    """SIGHUP reads the file of keys and that of the certificate again; without any it ends the program, as always."""

    def hangup() -> None:
        if ring.reloadable:
            _again(ring.reload, "the keys", lambda: f": {len(ring.current)}")
        if tls is not None and options.tls_cert is not None:
            read = partial(certificates.read_again, tls, options.tls_cert, options.tls_key)
            _again(read, "certificate and key", lambda: "")

    if ring.reloadable or options.tls_cert is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hangup)


def _again(read: Callable[[], None], what: str, found: Callable[[], str]) -> None:
    try:
        read()
    except ConfigError as error:
        say(f"{error}; {what} stay as they were")
    else:
        say(f"{what} were read again{found()}")


def _tell(running: server.Server, certificate: Path | None) -> None:
    """Where it listens: the WebSocket first, which programs look for."""
    if certificate is not None:
        say(f"its certificate, for clients to trust: {certificate}")
    print(f"listening on {running.url} and {running.base_url.removesuffix('v1')}", flush=True)


async def _drain(running: server.Server, seconds: float, interrupts: Interrupts) -> None:
    """After SIGTERM, let the sessions there are go on for a while; a second signal ends that."""
    task = asyncio.current_task()
    if interrupts.number != signal.SIGTERM or not running.sessions or not seconds or task is None:
        return
    interrupts.again = True
    say(f"{running.sessions} session(s) may go on for {seconds:g} s; another signal ends them now")
    await running.drain(seconds)


def _tls(options: Namespace) -> tuple[ssl.SSLContext | None, Path | None]:
    """TLS as asked for, and the certificate that clients have to be told of."""
    if (options.tls_cert is None) != (options.tls_key is None):
        raise ConfigError("--tls-cert and --tls-key belong together: give both")
    if options.tls is not None and options.tls_cert is not None:
        raise ConfigError("--tls and --tls-cert are both given: use one of them")
    if options.tls_cert is not None:
        return certificates.from_files(options.tls_cert, options.tls_key), None
    if options.tls is None:
        return None, None
    folder = Path(options.tls_folder) if options.tls_folder else certificates.default_folder()
    return certificates.self_signed(options.allowed_host, folder)


def _speech(path: str | None) -> tuple[Recogniser | None, Voice | None]:
    if path is None:
        return None, None
    from engine.server import speechfile  # not everybody pays for its imports

    return speechfile.load(path)


def _trace(options: Namespace) -> Trace[Any] | None:
    if options.trace_file and options.trace_otel:
        raise ConfigError("--trace-file and --trace-otel are both given: use one of them")
    if options.trace_words and not (options.trace_file or options.trace_otel):
        raise ConfigError("--trace-words needs --trace-file or --trace-otel: there is no trace to write into")
    if options.trace_otel:
        return OpenTelemetryTrace()
    return TraceFile(options.trace_file) if options.trace_file else None
