"""`bargein file`: a WAV file holds a conversation, and every turn of it is a line on the terminal."""

from __future__ import annotations

import dataclasses
import os
from argparse import Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from statistics import fmean
from typing import Any
from urllib.parse import urlsplit

import msgspec

from engine import clock, connect
from engine.audio import AudioEvent, ItemKey
from engine.cli.config import ears
from engine.cli.inputs import read_key
from engine.cli.main import plain, say
from engine.cli.trace import Trace
from engine.conversation import Conversation, Turn
from engine.endpoints import WavFile
from engine.endpoints.wav import read_wav
from engine.errors import ConfigError
from engine.front import secret_for, server_url
from engine.realtime import events as ev
from engine.realtime.redaction import redacted, without
from engine.service import is_loopback

FAST = 4.0  # times real time with a server that is not ours: its turn detection still hears every pause
MOST_COMPLAINTS = 10  # of the server, on the terminal; the rest is counted


class Watcher:
    """Passes everything to the trace, if there is one, and tells the user what the server complains about."""

    def __init__(self, trace: Trace | None, known: Sequence[str] = ()) -> None:
        self.complaints = 0
        self._known = known  # secrets that a server may quote
        self._trace = trace

    def event(self, direction: str, message: bytes, event: ev.AnyEvent | None) -> None:
        """See `Observer.event`."""
        if self._trace is not None:
            self._trace.event(direction, message, event)
        if isinstance(event, ev.Error) and direction == "received":
            self.complaints += 1
            if self.complaints <= MOST_COMPLAINTS:
                said = redacted(event.message, self._known)[:500]
                say(f"the server reports: {said or event.error_type}{_named(event)}")

    def sound(self, event: AudioEvent, item: ItemKey | None) -> None:
        """See `Observer.sound`."""


def target(options: Namespace) -> str | None:
    """The server's WebSocket URL, None for the server inside. Raises ConfigError for options that cannot be."""
    options.key = read_key(options.key_file)
    _check_files(options)
    return whom(options)


def whom(options: Namespace) -> str | None:
    """As `target`, of a command without files; `options.key` is the key's file's."""
    url = server_url(options.server, options.key, options.model)
    if url is not None:
        secret_for(url, options.key)  # refuses what is no key before any file is opened
    if url is not None and options.responder is not None:
        raise ConfigError("--responder is the brain of the server inside, but a server was named: leave one out")
    return url


async def run(options: Namespace) -> int:
    """Hold the conversation; `options.url` is what `target` gave. 0, or 1 when it failed in a part."""
    source = read_wav(options.input)  # before anybody is called: a file that cannot be used costs nothing
    if source.note:
        say(f"{options.input}: {source.note}")
    _announce(options)
    speed = FAST if options.fast and not clock.is_virtual() else 1.0
    endpoint = WavFile(options.input, options.out, conversation=options.conversation, speed=speed)
    turns: list[Turn] = []
    with ExitStack() as files:
        known = known_secrets(options)
        watcher = Watcher(files.enter_context(Trace(options.events, known)) if options.events else None, known)
        async with connect(
            endpoint,
            url=options.url,
            key=options.key,
            model=options.model,
            instructions=options.instructions,
            voice=options.voice,
            audio_format=options.format,
            responder=options.responder or options.inside,
            **ears(options),
            reconnect=None,  # what is measured is one session; a file can be run again
            observer=watcher,
        ) as conversation:
            async for turn in conversation.turns():
                turns.append(turn)
                print(without(turn_json(turn) if options.json else turn_line(turn), known), flush=True)
            over = conversation.sound.ended
            whole = over and not any(turn.reason in ("lost", "connection_lost") for turn in turns)
            summary = _summary(conversation, turns, watcher, whole)
    print(_json(summary) if options.json else _summary_line(summary, options), flush=True)
    if not whole:
        say(f"the server ended the conversation {'in the middle of a reply' if over else 'before the file was over'}")
    if broken := conversation.anomalies:
        last = redacted(broken[-1], known)
        say(f"the server broke the protocol, and the conversation went on without those events; the last: {last}")
    return 0 if whole and not summary["failed"] else 1


def known_secrets(options: Namespace) -> tuple[str, ...]:
    """What nothing may show: the key that goes to the server."""
    secret = secret_for(options.url, options.key) if options.url is not None else None
    return (secret,) if secret else ()


# ---- options


def _check_files(options: Namespace) -> None:
    """No file may be read and written, or written twice."""
    seen = {os.path.realpath(options.input): "the input"}
    for name in ("out", "conversation", "events"):
        path = getattr(options, name)
        if path is None:
            continue
        other = seen.setdefault(os.path.realpath(path), f"--{name}")
        if other != f"--{name}":
            raise ConfigError(f"--{name} is {path!r}, which is {other} too: name another file")


def _announce(options: Namespace) -> None:
    if options.url is None:
        why = "no --server, no OPENAI_BASE_URL and no key" if options.server is None else "as asked"
        say(f"{why}: the server inside answers, responder {options.responder or options.inside}")
        return
    parts = urlsplit(options.url)
    secret = secret_for(options.url, options.key)
    if secret and parts.scheme == "ws" and not is_loopback(parts.hostname):
        say(f"the key travels unencrypted to {parts.hostname}: wss:// would protect it")
    if options.fast:
        say(
            f"this server is not the one inside: the file is spoken at {FAST:g} times real time, not on a virtual clock"
        )


# ---- what is told


def turn_line(turn: Turn) -> str:
    """One line for people."""
    line = f"{turn.role}: {plain(turn.text) or '(speech)'}"
    if turn.interrupted:
        line += f" [interrupted after {turn.played_ms} ms]"
    if turn.status not in ("completed", "cancelled") and turn.role == "assistant":
        why = plain(str(turn.error.get("message") or turn.reason or ""))
        line += f" [{plain(turn.status)}{': ' + why if why else ''}]"
    return line + (f" ({turn.latency_ms:.0f} ms)" if turn.latency_ms is not None else "")


def turn_json(turn: Turn) -> str:
    """One line of JSON."""
    fields = {field.name: getattr(turn, field.name) for field in dataclasses.fields(turn)}
    return _json({"type": "turn", **fields})


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _summary(conversation: Conversation, turns: list[Turn], watcher: Watcher, whole: bool) -> dict[str, Any]:
    replies = [turn for turn in turns if turn.role == "assistant"]
    latencies = [turn.latency_ms for turn in replies if turn.latency_ms is not None]
    return {
        "type": "summary",
        "turns": len(turns),
        "replies": len(replies),
        "interrupted": sum(turn.interrupted for turn in replies),
        "failed": sum(turn.status == "failed" for turn in replies),
        "mean_latency_ms": round(fmean(latencies), 1) if latencies else None,
        "seconds": round(conversation.sound.seconds, 3),
        "whole": whole,
        "lost_s": round(_lost_s(conversation), 3),
        "server_errors": watcher.complaints,
    }


def _lost_s(conversation: Conversation) -> float:
    """Seconds of sound that this machine was too busy to take: recorded, or heard and not sent."""
    pacer = getattr(conversation.sound, "pacer", None)
    unrecorded = pacer.stats().lost_frames / conversation.sound.duplex.config.capture_rate if pacer is not None else 0.0
    return float(unrecorded + 0.01 * conversation.stats()[0].lost_records)


def _summary_line(summary: dict[str, Any], options: Namespace) -> str:
    replies = summary["replies"]
    parts = [f"{replies} {'reply' if replies == 1 else 'replies'}"]
    parts += [f"{summary[kind]} {kind}" for kind in ("interrupted", "failed") if summary[kind]]
    if summary["mean_latency_ms"] is not None:
        parts.append(f"{summary['mean_latency_ms']:.0f} ms from speech to answer on average")
    parts.append(f"{summary['seconds']:.1f} s of sound")
    if summary["lost_s"]:
        parts.append(f"{summary['lost_s']:.2f} s of it lost, this machine was too busy")
    written = [path for path in (options.out, options.conversation, options.events) if path]
    return ", ".join(parts) + (f"; wrote {', '.join(written)}" if written else "")


def _named(event: ev.Error) -> str:
    named = [word for word in (event.code, event.param) if word]
    return f" ({', '.join(named)})" if named else ""


__all__ = ["Watcher", "known_secrets", "run", "target", "turn_json", "turn_line", "whom"]
