"""A line between a client and the server that passes every byte on as it came, and reads along.

Where it is encrypted, it shows the client the server's own certificate, with the server's key, and is itself a client
that trusts no other: what both say of TLS is said as if nobody were between them.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from websockets.frames import Close, Frame, Opcode
from websockets.streams import StreamReader

MAX_LINE = 8192


@dataclass(frozen=True)
class Message:
    """One event that went over the line, and when, in seconds of the monotonic clock."""

    at: float
    sender: str
    """`client` or `server`."""
    event: dict[str, Any]

    @property
    def type(self) -> str:
        """Of the event."""
        return str(self.event.get("type"))


@dataclass
class Recording:
    """What went over one connection."""

    request: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    """Of the client, names in lower case."""
    status: str = ""
    messages: list[Message] = field(default_factory=list)
    closes: dict[str, int] = field(default_factory=dict)
    """Who sent which close code."""

    def of(self, sender: str, *types: str) -> list[Message]:
        """The messages of one sender, of these types."""
        return [message for message in self.messages if message.sender == sender and message.type in types]


def _read(recording: Recording, sender: str, reader: StreamReader) -> Generator[None, None, None]:
    """Follow one direction: the head of the HTTP message, then frames."""
    first = (yield from reader.read_line(MAX_LINE)).decode("latin-1").strip()
    headers = {}
    while line := (yield from reader.read_line(MAX_LINE)).decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if sender == "client":
        recording.request, recording.headers = first, headers
    else:
        recording.status = first
    whole = bytearray()
    while True:
        frame = yield from Frame.parse(reader.read_exact, mask=sender == "client")
        if frame.opcode is Opcode.CLOSE:
            recording.closes[sender] = int(Close.parse(bytes(frame.data)).code)
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            continue
        whole += frame.data
        if frame.fin:
            recording.messages.append(Message(time.monotonic(), sender, json.loads(bytes(whole))))
            whole.clear()


@dataclass
class Tap:
    """A listening line."""

    port: int
    recordings: list[Recording]
    failures: list[str]


@asynccontextmanager
async def tap(url: str, ours: ssl.SSLContext | None = None, theirs: ssl.SSLContext | None = None) -> AsyncIterator[Tap]:
    """Listen on a port of loopback for what is meant for the server at `url`. `ours` encrypts what the client sends,
    `theirs` what goes on to the server.
    """
    host, port = urlsplit(url).hostname, urlsplit(url).port
    recordings: list[Recording] = []
    failures: list[str] = []

    async def copy(recording: Recording, sender: str, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        read = StreamReader()
        following = _read(recording, sender, read)
        following.send(None)
        with suppress(ConnectionError):
            while data := await source.read(65536):
                read.feed_data(data)
                try:
                    following.send(None)
                except Exception as error:
                    failures.append(f"{sender}: {type(error).__name__}: {error}")
                    raise
                sink.write(data)
                await sink.drain()
        with suppress(ConnectionError, OSError):
            # What the other side still has to say is waited for, but over TLS, which cannot be closed by halves.
            sink.write_eof() if sink.can_write_eof() else sink.close()

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        recording = Recording()
        recordings.append(recording)
        up_reader, up_writer = await asyncio.open_connection(host, port, ssl=theirs)
        await asyncio.gather(
            copy(recording, "client", reader, up_writer),
            copy(recording, "server", up_reader, writer),
            return_exceptions=True,
        )

    listening = await asyncio.start_server(join, "127.0.0.1", 0, ssl=ours)
    async with listening:
        yield Tap(listening.sockets[0].getsockname()[1], recordings, failures)
