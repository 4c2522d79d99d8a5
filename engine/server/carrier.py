"""An accepted WebSocket on the short way: hundreds of callers send fifty frames a second, nearly all of one shape.

A masked, unfragmented text frame that has come whole is cut out here and put into the inbox; messages are framed here,
and those of one turn of the loop leave in one write. Everything else (the handshake, control frames, fragments, large
frames, violations, closing) is the library's. Its parser is handed frames from their first byte to their last, and
everything once the connection is not open any more, so its rules hold in every case and no byte is read by both.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.frames import Opcode
from websockets.http11 import Request
from websockets.protocol import State

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

_PLAIN = 0x81  # final, text
_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)
_OVERHEAD = 64  # bytes that a message takes beside its own


class Carrier(ServerConnection):
    """A server's connection with `take` and `put` for whole messages. One task takes, one puts."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
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
            if data[at] != _PLAIN or size > LARGE_BYTES or self._fragments is not None:
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
        known = self.request is not None
        super().data_received(data)
        if self.protocol.state is State.CONNECTING and self.request is not None:
            # Frames before the answer: nobody may, and where the library's next one begins is not known here.
            self._careful = known or data.find(b"\r\n\r\n") != len(data) - 4

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        super().connection_lost(exc)
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


def _wake(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)


__all__ = ["READ_AHEAD_BYTES", "Carrier"]
