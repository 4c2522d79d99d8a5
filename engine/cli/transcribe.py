"""`bargein transcribe`: a microphone or a file, written down line by line, and into caption files."""

from __future__ import annotations

import dataclasses
import os
import sys
from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path

import msgspec

from engine import clock
from engine.cli.file import FAST, Watcher
from engine.cli.inputs import read_key
from engine.cli.main import plain, say
from engine.cli.trace import Trace
from engine.conversation import Line, captions
from engine.endpoints import Device, Endpoint, WavFile
from engine.endpoints.wav import read_wav
from engine.errors import ConfigError
from engine.front import secret_for, server_url, transcribe
from engine.realtime.redaction import without

COLUMNS = 100
"""Of the line that grows on a terminal: its newest words."""


def target(options: Namespace) -> str | None:
    """The server's WebSocket URL, None for the server inside. Raises ConfigError for options that cannot be."""
    options.key = read_key(options.key_file)
    taken = {os.path.realpath(options.input)} if options.input != "mic" else set()
    for path in [*options.out, *([options.events] if options.events else [])]:
        if path in options.out:
            captions.writer(path)
        if (real := os.path.realpath(path)) in taken:
            raise ConfigError(f"{path!r} is the input or written twice: name another file")
        taken.add(real)
    url = server_url(options.server, options.key, "", transcription=True)
    if url is not None:
        secret_for(url, options.key)
        if options.responder is not None:
            raise ConfigError("--responder is the brain of the server inside, but a server was named: leave one out")
    return url


async def run(options: Namespace) -> int:
    """Write down; `options.url` is what `target` gave. 0, or 1 when a line has no words since it failed."""
    endpoint = _endpoint(options)
    if options.url is None:
        why = "no --server, no OPENAI_BASE_URL and no key"
        say(f"{why}: the server inside answers, responder {options.responder or 'echo'}")
    secret = secret_for(options.url, options.key) if options.url is not None else None
    known = (secret,) if secret else ()
    lines: list[Line] = []
    shown = _Shown(options.json, known)
    try:
        with ExitStack() as files:
            watcher = Watcher(files.enter_context(Trace(options.events, known)) if options.events else None, known)
            async with transcribe(
                endpoint,
                model=options.model,
                language=options.language,
                prompt=options.prompt,
                keywords=options.keyword,
                logprobs=options.logprobs,
                url=options.url,
                key=options.key,
                responder=options.responder or "echo",
                observer=watcher,
            ) as transcript:
                async for line in transcript.live():
                    if line.final:
                        lines.append(line)
                    shown.show(line)
    finally:
        shown.clear()
        for path in options.out:
            _write(path, without(captions.writer(path)(lines), known))
    return 1 if any(line.error for line in lines) else 0


def _write(path: str, text: str) -> None:
    Path(path).write_text(text, encoding="utf-8")


def _endpoint(options: Namespace) -> Endpoint:
    if options.input == "mic":
        return Device(options.device) if options.device else Device()
    if options.device:
        raise ConfigError("--device is the microphone, but a file was named: leave one out")
    source = read_wav(options.input)  # before anybody is called: a file that cannot be used costs nothing
    if source.note:
        say(f"{options.input}: {source.note}")
    return WavFile(options.input, speed=FAST if options.fast and not clock.is_virtual() else 1.0)


class _Shown:
    """What stands on the terminal: settled lines, and below them one that grows."""

    def __init__(self, as_json: bool, known: tuple[str, ...]) -> None:
        self._json = as_json
        self._known = known
        self._growing = False
        self._terminal = not as_json and sys.stdout is not None and sys.stdout.isatty()

    def show(self, line: Line) -> None:
        """One line, settled or not."""
        if not line.final:
            if self._terminal:
                self.clear()
                print(plain(without(line.text, self._known))[-COLUMNS:], end="", flush=True)
                self._growing = True
            return
        self.clear()
        text = msgspec.json.encode(dataclasses.asdict(line)).decode() if self._json else _told(line)
        print(without(text, self._known), flush=True)

    def clear(self) -> None:
        """Take the growing line away."""
        if self._growing:
            print("\r\x1b[K", end="", flush=True)
            self._growing = False


def _told(line: Line) -> str:
    minutes, seconds = divmod(line.start_s, 60)
    who = f"{plain(line.speaker)}: " if line.speaker else ""
    words = f"[{plain(line.error)}]" if line.error else plain(line.text)
    return f"{minutes:02.0f}:{seconds:04.1f}  {who}{words}"


__all__ = ["run", "target"]
