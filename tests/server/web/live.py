"""A server in a thread of its own, for tests that bring no loop: it is asked through sockets, and must stay well."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from engine.server import Server, ServerOptions, serve
from engine.server.responders import Say
from engine.server.voices import ToneVoice
from tests.server.harness import Says
from tests.server.web.http import Reply, parsed


class Faults(logging.Handler):
    """Keeps what anybody logs as a fault: an exception that nobody caught is one, whatever the client got."""

    NAMES = ("asyncio", "bargein", "uvicorn", "websockets")

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(f"{record.name}: {record.getMessage()} {record.exc_info and record.exc_info[1]!r}")


class Live:
    """The server, from outside its thread."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop, faults: Faults) -> None:
        self.server = server
        self.port = urlsplit(server.url).port
        self.faults = faults
        self._loop = loop

    def send(self, *pieces: bytes, close: bool = True) -> bytes:
        """What comes back for these bytes; with `close`, nothing more is said after them."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as peer:
            with suppress(ConnectionError):  # it may have heard enough
                for piece in pieces:
                    peer.sendall(piece)
            if close:
                with suppress(OSError):  # it has hung up
                    peer.shutdown(socket.SHUT_WR)
            answer = b""
            with suppress(ConnectionError):
                while more := peer.recv(65536):
                    answer += more
            return answer

    def ask(self, *pieces: bytes) -> Reply:
        """As `send`, for the first answer."""
        return parsed(self.send(*pieces))

    def well(self) -> None:
        """Nothing was logged as a fault, nobody is left over, and it answers."""
        assert self.faults.found == []
        head = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nConnection: close\r\n\r\n"
        told = self.ask(head.encode())
        assert told.status == 200, told
        assert json.loads(told.body)["status"] == "ok"

    def idle(self) -> None:
        """Wait until every session has ended."""

        async def ended() -> None:
            async with asyncio.timeout(60):
                while self.server.sessions:  # noqa: ASYNC110 - the server tells nobody
                    await asyncio.sleep(0.001)

        asyncio.run_coroutine_threadsafe(ended(), self._loop).result(70)


@contextmanager
def living(front: str, options: ServerOptions | None = None, **more: Any) -> Iterator[Live]:
    """One while the block runs."""
    faults = Faults()
    ready: threading.Event = threading.Event()
    state: dict[str, Any] = {}

    async def main() -> None:
        state["stop"], state["loop"] = asyncio.Event(), asyncio.get_running_loop()
        brain = Says([Say("Good day. " * 5)])
        try:
            async with serve(
                responder=brain, options=options or ServerOptions(burst=1000), voice=ToneVoice(), front=front, **more
            ) as server:
                state["server"] = server
                ready.set()
                await state["stop"].wait()
            state["left"] = asyncio.all_tasks() - {asyncio.current_task()}
        finally:
            ready.set()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    for name in Faults.NAMES:
        logging.getLogger(name).addHandler(faults)
    try:
        thread.start()
        assert ready.wait(60) and "server" in state
        yield Live(state["server"], state["loop"], faults)
    finally:
        with suppress(RuntimeError, KeyError):
            state["loop"].call_soon_threadsafe(state["stop"].set)
        thread.join(60)
        for name in Faults.NAMES:
            logging.getLogger(name).removeHandler(faults)
    assert not thread.is_alive()
    assert not state["left"]
    assert faults.found == []


__all__ = ["Live", "living"]
