"""One connection to another Realtime server, as a place that answers turns: what `proxy` asks.

The other server keeps no conversation of its own for us. Every turn is an out-of-band response with the whole context
as its `input`, so what was truncated, deleted or left out here is so there, and responses may run side by side. Only
sound is put into its conversation, once, and named from then on: it would be sent with every turn otherwise.
"""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from engine.errors import ConnectionLost, ProtocolError, RemoteProtocolError
from engine.realtime import events as ev
from engine.realtime import wire
from engine.realtime.redaction import redacted
from engine.realtime.roles import Role
from engine.server.formats import Samples
from engine.server.responders.base import Audio, Fail, Part, Stop, Text, ToolCall, Turn
from engine.transport import Connection

MAX_EVENTS = 4096
"""Events of one response that wait to be spoken; when full, the other server's socket is not read."""
MAX_ITEMS = 200
"""Sounds kept in the other server's conversation; beyond, the oldest is deleted there (and sent again if needed)."""
HANDSHAKE_S = 10.0
ASKED = "bargein_ask"
"""Key of the metadata that tells responses apart."""

_log = logging.getLogger("bargein.server")


class LineLost(Exception):
    """The connection is gone."""


class _Ask:
    """One response under way."""

    def __init__(self) -> None:
        self.response_id: str | None = None
        self.over = False
        self.events: asyncio.Queue[ev.Event | None] = asyncio.Queue(MAX_EVENTS)  # when full, the reader waits


class Upstream:
    """One open connection. `read` runs beside the asks, in the owner's TaskGroup; `known` are secrets for no text."""

    def __init__(self, connection: Connection, known: tuple[str, ...] = ()) -> None:
        self._connection = connection
        self._known = known
        self._asks: dict[str, _Ask] = {}  # by number; the session's bound on responses bounds it
        self._sent: dict[str, None] = {}  # items there, oldest first; at most MAX_ITEMS
        self._count = 0
        self._lost = False

    async def open(self) -> None:
        """Meet the server and set the session: no turns of its own, 24 kHz both ways. Raises ConnectionLost,
        TimeoutError, RemoteProtocolError (it refuses the session).
        """
        async with asyncio.timeout(HANDSHAKE_S):
            await self._until(ev.SessionCreated)
            pcm = {"type": "audio/pcm", "rate": 24000}
            audio = {"input": {"format": pcm, "turn_detection": None}, "output": {"format": pcm}}
            await self._send(ev.SessionUpdate(session={"type": "realtime", "audio": audio}))
            await self._until(ev.SessionUpdated)

    async def read(self) -> None:
        """Hand out what arrives until the connection ends, then tell all who wait. Raises ConnectionLost."""
        try:
            while True:
                await self._take(await self._connection.receive())
        finally:
            self._lost = True
            for ask in self._asks.values():
                ask.over = True
                if ask.events.full():
                    ask.events.get_nowait()
                ask.events.put_nowait(None)

    async def answer(self, turn: Turn) -> AsyncIterator[Part]:
        """The parts of one response. Raises LineLost when the connection ends before it does."""
        if self._lost:
            raise LineLost
        self._count += 1
        number, ask = str(self._count), _Ask()
        self._asks[number] = ask
        try:
            try:
                await self._ask(number, turn)
            except ConnectionLost:
                raise LineLost from None
            writing = _Writing(turn.modality == "text", self._known)
            while True:
                event = await ask.events.get()
                if event is None:
                    raise LineLost
                for part in writing.parts(event):
                    yield part
                    if isinstance(part, Stop | Fail):
                        ask.over = True
                        return
        finally:
            del self._asks[number]
            if ask.response_id is not None and not ask.over and not self._lost:
                await self._cancel(ask.response_id)

    async def _cancel(self, response_id: str) -> None:
        with suppress(ConnectionLost):  # then it is cancelled
            await self._send(ev.ResponseCancel(response_id=response_id))

    # ---- asking

    async def _ask(self, number: str, turn: Turn) -> None:
        response: dict[str, Any] = {
            "conversation": "none",
            "input": [entry for item in turn.items if (entry := await self._entry(number, item, turn)) is not None],
            "instructions": turn.instructions,
            "output_modalities": [turn.modality],
            "audio": {"output": {"voice": turn.voice}},
            "tools": [_tool(tool) for tool in turn.tools],
            "tool_choice": turn.tool_choice,
            "metadata": {ASKED: number},
        }
        await self._send(ev.ResponseCreate(event_id=f"ask_{number}", response=response))

    async def _entry(self, number: str, item: Mapping[str, Any], turn: Turn) -> dict[str, Any] | None:
        """How an item of the context is told."""
        if item["type"] != "message":
            return _call(item)
        content = list(item.get("content", ()))
        if item["role"] == "assistant":
            said = " ".join(filter(None, (part.get("text") or part.get("transcript") for part in content)))
            return _message("assistant", [{"type": "output_text", "text": said}]) if said else None
        if any(part["type"] == "input_audio" for part in content):
            return await self._spoken(number, item, content, turn.audio_of(str(item["id"])))
        return _message(item["role"], content) if content else None

    async def _spoken(
        self, number: str, item: Mapping[str, Any], content: list[dict[str, Any]], samples: Samples
    ) -> dict[str, Any] | None:
        item_id = str(item["id"])
        if item_id not in self._sent:
            if not samples.size:  # dropped for want of room: what is left are its words
                words = [
                    {"type": "input_text", "text": part["transcript"]} for part in content if part.get("transcript")
                ]
                return _message("user", words) if words else None
            rest = [part for part in content if part["type"] != "input_audio"]
            sound = {"type": "input_audio", "audio": _pcm16(samples)}
            whole = {"id": item_id, **_message("user", [sound, *rest])}
            await self._send(ev.ConversationItemCreate(event_id=f"item_{number}", item=whole))
            self._sent[item_id] = None
            await self._make_room()
        return {"type": "item_reference", "id": item_id}

    async def _make_room(self) -> None:
        while len(self._sent) > MAX_ITEMS:
            oldest = next(iter(self._sent))
            del self._sent[oldest]
            await self._send(ev.ConversationItemDelete(item_id=oldest))

    async def _send(self, event: ev.Event) -> None:
        await self._connection.send(wire.encode(event))

    # ---- hearing

    async def _until(self, wanted: type[ev.Event]) -> None:
        while True:
            event = wire.decode(await self._connection.receive(), Role.SERVER)
            if isinstance(event, wanted):
                return
            if isinstance(event, ev.Error):
                raise RemoteProtocolError(redacted(event.message, self._known), code=event.code)

    async def _take(self, message: bytes | str) -> None:
        try:
            event = wire.decode(message, Role.SERVER)
        except ProtocolError as problem:
            _log.warning("the other server sent something that is no event: %s", redacted(str(problem), self._known))
            return
        if isinstance(event, ev.Unknown):
            return
        ask = self._asked_by(event)
        if ask is not None and not ask.over:
            await ask.events.put(event)

    def _asked_by(self, event: ev.Event) -> _Ask | None:
        if isinstance(event, ev.Error):
            cause = event.cause_event_id or ""
            if (ask := self._asks.get(cause.removeprefix("ask_").removeprefix("item_"))) is None:
                _log.warning("the other server says: %s", redacted(event.message, self._known))
            return ask
        if isinstance(event, ev.ResponseCreated):
            number = (event.response.get("metadata") or {}).get(ASKED)
            if (ask := self._asks.get(str(number))) is not None:
                ask.response_id = str(event.response.get("id"))
            return ask
        wanted = event.response.get("id") if isinstance(event, ev.ResponseDone) else getattr(event, "response_id", None)
        return next((ask for ask in self._asks.values() if wanted is not None and ask.response_id == wanted), None)


class _Writing:
    """Events of one response to parts. A word is passed on whole: a voice and a transcript know no halves."""

    def __init__(self, written: bool, known: tuple[str, ...]) -> None:
        self._text = written
        self._known = known
        self._words = ""  # not passed on yet
        self._sound: Samples | None = None  # the newest delta, kept back for the words that belong to it

    def parts(self, event: ev.Event) -> list[Part]:
        """What an event adds."""
        match event:
            case ev.ResponseOutputAudioDelta():
                held, self._sound = self._sound, _samples(event.delta)
                return [Audio(held, self._whole_words())] if held is not None else []
            case ev.ResponseOutputAudioTranscriptDelta() | ev.ResponseOutputTextDelta():
                self._words += event.delta
                words = self._whole_words() if self._text else ""
                return [Text(words)] if words else []
            case ev.ResponseContentPartDone():
                return self._rest()
            case ev.ResponseOutputItemDone() if event.item.get("type") == "function_call":
                if event.item.get("status") == "incomplete":
                    return []
                name, call_id = str(event.item.get("name")), str(event.item.get("call_id") or "")
                return [*self._rest(), ToolCall(name, str(event.item.get("arguments") or "{}"), call_id)]
            case ev.ResponseDone():
                return [*self._rest(), self._end(event)]
            case ev.Error():
                return [Fail(redacted(event.message, self._known), event.code or "server_error")]
        return []

    def _whole_words(self) -> str:
        end = max(self._words.rfind(" "), self._words.rfind("\n"))
        words, self._words = self._words[: end + 1].strip(), self._words[end + 1 :]
        return words

    def _rest(self) -> list[Part]:
        words, self._words = self._words.strip(), ""
        sound, self._sound = self._sound, None
        if sound is not None:
            return [Audio(sound, words)]
        if not words:
            return []
        return [Text(words) if self._text else Audio(np.zeros(0, np.float32), words)]

    def _end(self, event: ev.ResponseDone) -> Part:
        status = event.response.get("status")
        if status == "failed":
            details = event.response.get("status_details") or {}
            error = details.get("error") or {}
            message = redacted(str(error.get("message") or "The other server failed."), self._known)
            return Fail(message, str(error.get("code") or "server_error"), str(error.get("type") or "server_error"))
        return Stop(event.reason or None) if status == "incomplete" else Stop()


def _message(role: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content}


def _call(item: Mapping[str, Any]) -> dict[str, Any] | None:
    if item["type"] == "function_call" and item.get("status") == "completed":
        return {"type": "function_call"} | {name: item[name] for name in ("call_id", "name", "arguments")}
    if item["type"] == "function_call_output":
        return {"type": "function_call_output"} | {name: item[name] for name in ("call_id", "output")}
    if item["type"] == "mcp_call" and item.get("output"):
        said = f"The tool {item['name']} of {item['server_label']} answered: {item['output']}"
        return _message("system", [{"type": "input_text", "text": said}])
    return None


def _tool(tool: Any) -> dict[str, Any]:
    parameters = dict(tool.parameters) or {"type": "object", "properties": {}}
    return {"type": "function", "name": tool.name, "description": tool.description, "parameters": parameters}


def _pcm16(samples: Samples) -> str:
    return b64encode(np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2").tobytes()).decode()


def _samples(delta: bytes) -> Samples:
    return np.frombuffer(delta[: len(delta) // 2 * 2], "<i2").astype(np.float32) / np.float32(32768)


__all__ = ["LineLost", "Upstream"]
