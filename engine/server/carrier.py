"""A WebSocket on the short way: hundreds of callers send fifty frames a second, nearly all of one shape.

The head of the request is collected here, bounded, and judged by a `Porter`, who answers it or opens the WebSocket; the
handshake itself is the library's. Then a masked, unfragmented text frame that has come whole is cut out here and put
into the inbox; messages are framed here, and those of one turn of the loop leave in one write. Everything else (control
frames, fragments, large frames, violations, closing) is the library's. Its parser is handed frames from their first
byte to their last, and everything once the connection is not open any more, so its rules hold in every case and no
byte is read by both.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection
from websockets.frames import Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from engine.server.web import head

try:
    from websockets.speedups import apply_mask
except ImportError:  # the library without its C part
    from websockets.utils import apply_mask

READ_AHEAD_BYTES = 64 * 2**10
"""Messages that wait to be taken, beside those of one read of the socket; then the socket is left alone."""
TOGETHER_BYTES = 64 * 2**10
"""Messages that wait to be written; then they are, and less than that at the end of the loop's turn."""
LARGE_BYTES = 64 * 2**10
"""A frame with more is read by the library from its first byte on."""
MOST_IN_A_ROW = 16
"""Messages of one client without letting other sessions run."""
WRITE_LIMIT = 64 * 2**10
"""Bytes handed to the kernel ahead; then the session's outbox fills instead."""
CLOSE_S = 2.0
"""Longest wait for the peer's part of a close."""

_PLAIN = 0x81  # final, text
_PING = 0x89
_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)
_OVERHEAD = 64  # bytes that a message takes beside its own


class Porter(Protocol):
    """Stands at the door: decides what becomes of a socket. Called on the loop."""

    def came(self, carrier: Carrier) -> None:
        """A socket is there, and has said nothing yet."""

    def arrived(self, carrier: Carrier, request_head: bytes, rest: bytes) -> None:
        """The whole head of a request, and what came behind it: to be answered with `refuse` or `open`."""

    def overlong(self, carrier: Carrier) -> None:
        """Its head has no end: to be answered with `refuse`."""

    def gone(self, carrier: Carrier) -> None:
        """The socket is closed."""


class Carrier(ServerConnection):
    """A server's connection with `take` and `put` for whole messages. One task takes, one puts.

    No pings: a busy machine must not cost a call, and the kernel knows when a network is gone.
    """

    def __init__(self, protocol: ServerProtocol, porter: Porter) -> None:
        super().__init__(
            protocol,
            None,  # type: ignore[arg-type]  # the library's server, which would own the handshake: we do
            ping_interval=None,
            ping_timeout=None,
            close_timeout=CLOSE_S,
            write_limit=WRITE_LIMIT,
        )
        self._porter = porter
        self._head = bytearray()  # of the request; at most head.MOST_BYTES and one read of the socket
        self._refused = False
        self._careful = False  # the client breaks a rule of framing, or could not wait: all is left to the library
        self._rest = b""  # the beginning of a frame whose end is still to come; at most LARGE_BYTES and its header
        self._theirs = 0  # bytes to come of a frame that the library reads
        self._fragments: bytearray | None = None  # of the message under way; the library refuses more than max_size
        self._inbox: deque[bytes] = deque()  # from READ_AHEAD_BYTES on the socket is not read
        self._inbox_bytes = 0
        self._held = False
        self._taker: Callable[[bytes], bool] | None = None
        self._in_a_row = 0
        self._waiting: asyncio.Future[None] | None = None  # for a message
        self._unsent: list[bytes] = []  # at most TOGETHER_BYTES and one message; then they are written
        self._unsent_bytes = 0
        self._full = False
        self._room: asyncio.Future[None] | None = None
        self._closing = False
        self._over = False

    # ---- the door

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A socket. The library's own way from here would start its task for the handshake."""
        Connection.connection_made(self, transport)
        self._porter.came(self)

    def open(self, request_head: bytes, rest: bytes = b"") -> Response | None:
        """Answer the handshake: None when the WebSocket is open now, else what the library would refuse it with."""
        super().data_received(request_head)
        if self.request is None:  # it reads heads more strictly than we do, and has hung up
            self.transport.abort()
            return self.protocol.reject(400, "This is no request for a WebSocket.\n")
        response = self.protocol.accept(self.request)
        if response.status_code != 101:
            return response
        response.headers["Server"] = "bargein"
        self.protocol.send_response(response)
        self.send_data()
        if rest:
            self.data_received(rest)
        return None

    def refuse(self, answer: bytes) -> None:
        """Answer with bytes of HTTP, and hang up once the client has read them; what it says is not heard any more."""
        self._refused = True
        self._head.clear()
        last_words(self.transport, answer)

    def _knock(self, data: bytes) -> None:
        if self._refused:
            return
        start = max(len(self._head) - len(head.END) + 1, 0)
        self._head += data
        end = self._head.find(head.END, start)
        size = end + len(head.END) if end >= 0 else len(self._head)
        if size > head.MOST_BYTES:
            self._porter.overlong(self)
        elif end >= 0:
            whole, self._head = bytes(self._head), bytearray()
            self._porter.arrived(self, whole[:size], whole[size:])

    # ---- messages

    def deliver(self, taker: Callable[[bytes], bool]) -> None:
        """See `Prompt.deliver`. Of one read of the socket, MOST_IN_A_ROW messages are offered."""
        self._taker = taker

    async def take(self) -> bytes:
        """The next message, text or binary. Raises `websockets.ConnectionClosed` after the last one."""
        self._in_a_row += 1
        if self._in_a_row > MOST_IN_A_ROW:
            self._in_a_row = 0
            await asyncio.sleep(0)
        while not self._inbox:
            if self._over:
                raise self.protocol.close_exc
            self._in_a_row = 0
            self._waiting = self.loop.create_future()
            await self._waiting
        message = self._inbox.popleft()
        self._inbox_bytes -= len(message) + _OVERHEAD
        if self._held and not self._inbox:
            self._held = False
            self.transport.resume_reading()
        return message

    async def put(self, data: bytes) -> None:
        """Send a text message of UTF-8 bytes; waits while the kernel takes no more. Raises as `take` does."""
        if self.protocol.state is not State.OPEN:
            await self.send(data, text=True)  # which says why not
            return
        self._queue(data)
        while self._full and not self._over:
            self._room = self.loop.create_future()
            await self._room

    def post(self, data: bytes) -> bool:
        """See `Prompt.post`."""
        if self._full or self.protocol.state is not State.OPEN:
            return False
        self._queue(data)
        return True

    def _queue(self, data: bytes) -> None:
        size = len(data)
        if size < 126:
            header = bytes((_PLAIN, size))
        elif size < 65536:
            header = bytes((_PLAIN, 126, size >> 8, size & 255))
        else:
            header = bytes((_PLAIN, 127)) + size.to_bytes(8, "big")
        if not self._unsent:
            self.loop.call_soon(self._write)
        self._unsent += (header, data)
        self._unsent_bytes += size
        if self._unsent_bytes >= TOGETHER_BYTES:
            self._write()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close, and listen for the peer's close only: nobody takes messages any more."""
        self._closing = True
        self._taker = None
        self._inbox.clear()
        self._inbox_bytes = 0
        if self._held:
            self._held = False
            self.transport.resume_reading()
        await super().close(code, reason)

    def _write(self) -> None:
        if self._unsent:
            together = b"".join(self._unsent)
            self._unsent.clear()
            self._unsent_bytes = 0
            if not self.transport.is_closing():
                self.transport.write(together)

    def _arrive(self, message: bytes) -> None:
        if self._closing:
            return
        if self._taker is not None and not self._inbox and self._in_a_row < MOST_IN_A_ROW:
            self._in_a_row += 1
            if self._taker(message):
                return
        self._inbox.append(message)
        self._inbox_bytes += len(message) + _OVERHEAD
        _wake(self._waiting)
        if self._inbox_bytes >= READ_AHEAD_BYTES and not self._held:
            self._held = True
            self.transport.pause_reading()

    # ---- called by the library

    def send_data(self) -> None:
        """What the library writes comes after what was put before it."""
        self._write()
        super().send_data()

    def process_event(self, event: Any) -> None:
        """What the library has read."""
        if isinstance(event, Request) or event.opcode not in _DATA:
            super().process_event(event)
        elif event.fin and self._fragments is None:
            self._arrive(bytes(event.data))
        else:
            self._fragments = self._fragments if self._fragments is not None else bytearray()
            self._fragments += event.data
            if event.fin:
                self._arrive(bytes(self._fragments))
                self._fragments = None

    # ---- called by the loop

    def data_received(self, data: bytes) -> None:
        """Bytes from the socket."""
        self._in_a_row = 0
        if self.protocol.state is State.CONNECTING:
            self._knock(data)
            return
        if self._careful or self.protocol.state is not State.OPEN:
            self._to_library(data)
            return
        if self._rest:
            data, self._rest = self._rest + data, b""
        at, end = 0, len(data)
        while at < end:
            if self._theirs:
                stop = min(at + self._theirs, end)
                self._theirs -= stop - at
                super().data_received(data[at:stop])
                at = stop
                if self.protocol.state is not State.OPEN:
                    self._to_library(data[at:])
                    return
                continue
            if end - at < 2:
                break
            size = data[at + 1] - 128
            if size < 0:  # not masked, which no client may do
                self._careful = True
                self._to_library(data[at:])
                return
            body = at + 6
            if size > 125:
                body += 2 if size == 126 else 8
                if body > end:
                    break
                size = int.from_bytes(data[at + 2 : body - 4], "big")
            stop = body + size
            if self._full and data[at] == _PING and size <= 125:
                if stop > end:
                    break
                at = stop  # who reads nothing gets no pongs either: they would wait here without end
            elif data[at] != _PLAIN or size > LARGE_BYTES or self._fragments is not None:
                self._theirs = stop - at
            elif stop > end:
                break
            else:
                self._arrive(apply_mask(data[body:stop], data[body - 4 : body]))
                at = stop
        self._rest = data[at:]

    def _to_library(self, data: bytes) -> None:
        if self._rest:
            data, self._rest = self._rest + data, b""
        if not data:
            return
        super().data_received(data)

    def eof_received(self) -> None:
        """The client says no more."""
        if self.protocol.state is State.CONNECTING:
            self.transport.close()
        else:
            super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        super().connection_lost(exc)
        self._porter.gone(self)
        self._over = True
        self._taker = None
        _wake(self._waiting)
        _wake(self._room)

    def pause_writing(self) -> None:
        """The kernel takes no more."""
        super().pause_writing()
        self._full = True

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        self._full = False
        _wake(self._room)


def last_words(transport: asyncio.Transport, answer: bytes) -> None:
    """Write an answer and end the connection, but not before the client could read it: closed with bytes of theirs
    unread, a socket throws away what is on its way to them.
    """
    if transport.is_closing():
        return
    transport.write(answer)
    if transport.can_write_eof():
        transport.write_eof()
        asyncio.get_running_loop().call_later(CLOSE_S, transport.abort)
    else:
        transport.close()


def _wake(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)


__all__ = ["READ_AHEAD_BYTES", "Carrier", "Porter", "last_words"]
