"""Servers of every temper, each in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import threading
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from http import HTTPStatus
from typing import Any

import numpy as np
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as listen
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from engine import server
from engine.server.responders import Part, Say, Turn
from engine.server.voices import ToneVoice

Session = Callable[[ServerConnection], Awaitable[None]]
TONE = (8000 * np.sin(np.arange(2400) * 0.1)).astype("<i2").tobytes()  # 100 ms


@contextmanager
def running(opened: AbstractAsyncContextManager[str]) -> Iterator[str]:
    """Keep an asynchronous block open in a thread; gives what it yields."""
    ready = threading.Event()
    state: dict[str, Any] = {}

    async def main() -> None:
        state["loop"], state["stop"] = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with opened as url:
                state["url"] = url
                ready.set()
                await state["stop"].wait()
        finally:
            ready.set()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    try:
        assert ready.wait(30) and "url" in state
        yield state["url"]
    finally:
        with suppress(RuntimeError):  # it has ended by itself
            state["loop"].call_soon_threadsafe(state["stop"].set)
        thread.join(30)
        assert not thread.is_alive()


# ---- our own server, well-behaved or not


class Brief:
    """Says one sentence."""

    name = "brief"

    async def respond(self, _turn: Turn) -> AsyncIterator[Part]:
        yield Say("Of course, the next high tide is at twenty to five.")


@asynccontextmanager
async def ours(faults: server.Faults | None = None, responder: Any = None) -> AsyncIterator[str]:
    """The embedded server, with the built-in voice."""
    options = server.ServerOptions(burst=100, faults=faults or server.Faults())
    async with server.serve(responder=responder or Brief(), options=options, voice=ToneVoice()) as up:
        yield up.url


# ---- WebSocket servers that follow a script


@asynccontextmanager
async def websocket(session: Session) -> AsyncIterator[str]:
    """A WebSocket server whose every connection is one call of `session`."""

    async def guarded(socket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await session(socket)

    async with listen(guarded, "127.0.0.1", 0, compression=None, max_size=None, close_timeout=1) as up:
        yield f"ws://127.0.0.1:{up.sockets[0].getsockname()[1]}/v1/realtime"


@asynccontextmanager
async def refusing(status: int) -> AsyncIterator[str]:
    """Answers every handshake with an HTTP status."""

    def refuse(socket: ServerConnection, _request: Request) -> Response:
        return socket.respond(HTTPStatus(status), "no\n")

    async def never(_socket: ServerConnection) -> None:
        raise AssertionError("let in")

    async with listen(never, "127.0.0.1", 0, process_request=refuse) as up:
        yield f"ws://127.0.0.1:{up.sockets[0].getsockname()[1]}/v1/realtime"


@asynccontextmanager
async def tcp(answer: bytes, *, stay: bool = False) -> AsyncIterator[str]:
    """Plain TCP: writes `answer` once somebody says something, then hangs up, or reads on in silence."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(answer)
        with suppress(ConnectionError):
            await writer.drain()
            while stay and await reader.read(4096):
                pass
        writer.close()

    up = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with up:
        yield f"ws://127.0.0.1:{up.sockets[0].getsockname()[1]}/v1/realtime"


async def tell(socket: ServerConnection, type: str, **fields: Any) -> None:
    """Send one event."""
    await socket.send(json.dumps({"type": type, "event_id": "event_x", **fields}))


async def welcome(socket: ServerConnection) -> None:
    """The first event of a session."""
    form = {"type": "audio/pcm", "rate": 24000}
    audio = {
        "input": {"format": form, "turn_detection": {"type": "server_vad", "silence_duration_ms": 200}},
        "output": {"format": form, "voice": "alloy"},
    }
    await tell(socket, "session.created", session={"type": "realtime", "id": "sess_1", "model": "m", "audio": audio})


async def begin_reply(socket: ServerConnection) -> dict[str, Any]:
    """Everything up to the first delta; returns where the deltas belong."""
    await socket.recv()  # the sound has begun
    await tell(socket, "response.created", response=_response("in_progress", []))
    await tell(socket, "response.output_item.added", response_id="resp_1", output_index=0, item=_item("in_progress"))
    await tell(socket, "conversation.item.added", previous_item_id=None, item=_item("in_progress"))
    place = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
    await tell(socket, "response.content_part.added", **place, part={"type": "audio", "transcript": ""})
    return place


async def delta(socket: ServerConnection, place: dict[str, Any], audio: str | None = None) -> None:
    """A tenth of a second of tone, or `audio` as it is."""
    await tell(
        socket, "response.output_audio.delta", **place, delta=b64encode(TONE).decode() if audio is None else audio
    )


async def end_reply(socket: ServerConnection, place: dict[str, Any]) -> None:
    """Everything after the last delta."""
    await tell(socket, "response.output_audio.done", **place)
    await tell(socket, "response.output_audio_transcript.done", **place, transcript="Good day.")
    await tell(socket, "response.content_part.done", **place, part={"type": "audio", "transcript": "Good day."})
    await tell(socket, "conversation.item.done", previous_item_id=None, item=_item("completed"))
    await tell(socket, "response.output_item.done", response_id="resp_1", output_index=0, item=_item("completed"))
    await tell(socket, "response.done", response=_response("completed", [_item("completed")]))


async def listen_on(socket: ServerConnection) -> None:
    """Take what comes until the client leaves."""
    async for _ in socket:
        pass


def _item(status: str) -> dict[str, Any]:
    content = [{"type": "output_audio", "transcript": "Good day."}] if status == "completed" else []
    return {"id": "item_1", "type": "message", "role": "assistant", "status": status, "content": content}


def _response(status: str, output: list[Any]) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "realtime.response",
        "status": status,
        "output": output,
        "conversation_id": "conv_1",
    }
