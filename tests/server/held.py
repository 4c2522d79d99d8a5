"""One session as a client that does anything holds it: what it sent, what came back, what must be true at its end."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any

from engine.audio import AudioFormat
from engine.errors import ConnectionLost, ProtocolError
from engine.realtime.protocol import Protocol, Role
from engine.realtime.wire import decode
from engine.server import ServerOptions
from engine.transport import Connection
from tests.server.invariants import Event, Watch
from tests.server.scripted import sound

PATIENCE_S = 90.0


class Held:
    """One session as its client holds it."""

    def __init__(
        self,
        connection: Connection,
        serving: asyncio.Task[None],
        format: AudioFormat,
        options: ServerOptions,
        kind: str = "realtime",
    ) -> None:
        self.kind = kind
        self.connection = connection
        self.serving = serving
        self.format = format
        self.options = options
        self.watch = Watch()
        self.protocol = Protocol(Role.CLIENT)
        self.reads = asyncio.Event()
        self.reads.set()
        self.lost = False
        self.babbled = 0
        self.written = bytearray()
        self.commits: list[tuple[str, int]] = []
        self.sent: dict[str, str] = {}
        self._events: list[Event] = []
        self._closed: ConnectionLost | None = None
        self._commits_seen = 0
        self._compared = 0  # bytes of input that are some item's already

    async def open(self, loop: asyncio.AbstractEventLoop, detection: Any) -> None:
        """As far as the first update."""
        self._reader = loop.create_task(self._read())
        listening: Event = {"format": {"type": self.format.value}}
        if detection:
            listening["turn_detection"] = detection
        await self.send("session.update", session={"type": self.kind, "audio": {"input": listening}})

    async def _read(self) -> None:
        try:
            while True:
                await self.reads.wait()
                message = await self.connection.receive()
                self._events.append(json.loads(message))
                self.protocol.receive(decode(message, Role.SERVER))
        except ConnectionLost as lost:
            self._closed = lost

    async def looks(self) -> None:
        """As `look`."""
        self.look()

    def look(self) -> None:
        """Hold what has come against the rules."""
        if self.serving.done() and not self.serving.cancelled() and self.serving.exception() is not None:
            raise AssertionError("the session failed") from self.serving.exception()
        events, self._events = self._events, []
        for event in events:
            self.watch.saw(event)
        assert not self.protocol.anomalies, self.protocol.anomalies

    async def send(self, kind: str, **fields: Any) -> str:
        """Send one event; its id."""
        event_id = f"mine_{len(self.sent)}"
        self.sent[event_id] = kind
        message = json.dumps({"type": kind, "event_id": event_id, **fields})
        with suppress(ProtocolError):
            self.protocol.send(decode(message, Role.CLIENT))
        self.protocol.outgoing()
        if kind == "input_audio_buffer.commit":
            self.commits.append((event_id, len(self.written)))
        await self.connection.send(message)
        return event_id

    async def babble(self, message: str) -> None:
        """Send what has no event_id and is wrong."""
        self.babbled += 1
        await self.connection.send(message)

    async def sounds(self, ms: int, loud: bool, real_time: bool) -> None:
        """Send sound, all at once or as it is made."""
        size = self.format.bytes_per_ms // self.format.sample_bytes
        for piece in (20,) * (ms // 20) + (ms % 20,) if real_time else (ms,):
            made = sound(len(self.written) // self.format.sample_bytes, piece * size, loud, self.format)
            self.written += made
            message = {"type": "input_audio_buffer.append", "audio": b64encode(made).decode()}
            await self.connection.send(json.dumps(message))
            await asyncio.sleep(piece / 1000 if real_time else 0)

    async def ask(self, response: Event) -> None:
        """response.create, named so that it is known again."""
        tag = f"tag_{len(self.sent)}"
        self.watch.tags[tag] = response
        self.sent[tag] = "tagged"
        await self.send("response.create", response={**response, "metadata": {"tag": tag}})

    async def add(self, what: str, which: int, place: int | str | None) -> None:
        """conversation.item.create of some kind."""
        known = list(self.watch.items.values())
        item: Event = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
        if what == "call":
            item = {"type": "function_call", "name": "f", "arguments": "{}", "call_id": f"call_{len(self.sent)}"}
        elif what == "output":
            calls = [each["call_id"] for each in known if each["type"] == "function_call"] or ["call_none"]
            item = {"type": "function_call_output", "call_id": calls[-1 - which % len(calls)], "output": "1"}
        elif what == "both":
            item = {"type": "function_call", "name": "f", "arguments": "{}", "call_id": f"call_{len(self.sent)}"}
            await self.send("conversation.item.create", item=item)
            item = {"type": "function_call_output", "call_id": item["call_id"], "output": "1"}
        elif what in ("approve", "decline"):
            asked = [each["id"] for each in known if each["type"] == "mcp_approval_request"] or ["none"]
            item = {"type": "mcp_approval_response", "approval_request_id": asked[-1 - which % len(asked)]}
            item["approve"] = what == "approve"
        elif what == "announced" and self.watch.announced:
            item["id"] = self.watch.announced
        more = {} if place is None else {"previous_item_id": place if isinstance(place, str) else self.item(place)}
        await self.send("conversation.item.create", item=item, **more)

    def item(self, which: int) -> str:
        """The id of an item that is known, or of none."""
        known = [*self.watch.items] or ["item_none"]
        return known[-1 - which % len(known)]

    # ---- the end

    async def go(self, twice: bool, server_too: bool) -> None:
        """Rule 10: leave, perhaps twice, perhaps while the server closes."""
        if server_too:
            self.serving.cancel()
        await self.connection.close(1000, "")
        if twice:
            await asyncio.gather(self.connection.close(1001, "again"), self.connection.close())
        self.reads.set()
        with suppress(asyncio.CancelledError):
            await self.serving
        await self._reader
        self.look()

    async def rest(self) -> None:
        """Let everything come to its end, then ask for all that is kept."""
        self.reads.set()
        try:
            off = {"audio": {"input": {"turn_detection": None}}}
            await self.send("session.update", session={"type": self.kind, **off})
            await asyncio.sleep(PATIENCE_S)
            self.look()
            if self._closed is None:
                self.watch.rest()
                self._count_answers()
                await self._retrieve_all()
        except ConnectionLost as lost:
            self._closed = lost
        self.look()
        if self._closed is not None and self._closed.code not in (1001, 1013):
            raise AssertionError(f"7: closed with {self._closed.code} {self._closed.reason}")

    def _count_answers(self) -> None:
        """Rule 7: each event of the client's was obeyed or refused, once."""
        answers, refused = self.watch.answers, set[str]()
        assert answers.get("error None", 0) == self.babbled, "7: errors that answer nothing"
        for event_id, kind in self.sent.items():
            count = answers.get(f"error {event_id}", 0)
            assert count <= 1, f"7: {kind} was refused {count} times"
            if count:
                refused.add(event_id)
        for kind in ("session.update", "input_audio_buffer.commit", "input_audio_buffer.clear",
                     "conversation.item.truncate", "conversation.item.delete", "conversation.item.retrieve",
                     "response.cancel"):  # fmt: skip
            obeyed = [event_id for event_id, sent in self.sent.items() if sent == kind and event_id not in refused]
            unasked = kind == "session.update" and self.options.expiry_reminder
            assert answers.get(kind, 0) - unasked in (len(obeyed), len(obeyed) - unasked), f"7: {kind}: {answers}"
        asked = [event_id for event_id, sent in self.sent.items() if sent == "response.create"]
        created = sum(count for name, count in answers.items() if name.startswith("created "))
        assert created == len([event_id for event_id in asked if event_id not in refused]), "7: response.create"

    async def _retrieve_all(self) -> None:
        """Rules 6 and 9, on what the conversation holds."""
        found: dict[str, Event] = {}
        for item_id in list(self.watch.items):
            event_id = await self.send("conversation.item.retrieve", item_id=item_id)
            answer = await self._answer(event_id)
            if answer["type"] == "conversation.item.retrieved":
                found[item_id] = answer["item"]
            elif answer["error"]["code"] == "item_audio_not_retained":
                found[item_id] = {"type": "message"}
            else:
                assert answer["error"]["code"] == "item_retrieve_invalid_item_id", answer
        for item_id in found:
            assert item_id not in self.watch.gone, "7: a deleted item is there"
        self._check_calls(found)
        self._check_sound(found)

    async def _answer(self, event_id: str) -> Event:
        for _ in range(1000):
            for event in self._events:
                if event["type"] == "conversation.item.retrieved" or event.get("error", {}).get("event_id") == event_id:
                    self.look()
                    return event
            if self._closed is not None:
                raise self._closed
            self.look()
            await asyncio.sleep(0.001)
        raise AssertionError(f"7: {event_id} has no answer")

    def _check_calls(self, found: dict[str, Event]) -> None:
        deleted = {self.watch.items[item_id].get("call_id") for item_id in self.watch.gone}
        outputs = {item["call_id"] for item in found.values() if item["type"] == "function_call_output"}
        for item_id, item in self.watch.items.items():
            if item["type"] == "function_call_output" and item_id not in self.watch.gone | found.keys():
                kept = [each for each in found.values() if each.get("call_id") == item["call_id"]]
                assert not kept or item["call_id"] in outputs | deleted, "9: a call without its output"
        calls = {item["call_id"] for item in found.values() if item["type"] == "function_call"}
        for item in found.values():
            if item["type"] == "function_call_output" and item["call_id"] not in deleted:
                assert item["call_id"] in calls, "9: an output without its call"

    def _check_sound(self, found: dict[str, Event]) -> None:
        ends = dict(self._ends_of_commits())
        for item_id in (*self.watch.turns, *self.watch.by_hand):
            item = found.get(item_id)
            if item is None or "content" not in item:
                continue
            kept = b64decode(item["content"][0].get("audio") or "")
            if item_id in self.watch.turns:
                start, end = (ms * self.format.bytes_per_ms for ms in self.watch.turns[item_id])
                assert kept == self.written[start:end], "6: a turn is not what was said"
            else:
                end = ends[item_id] - ends[item_id] % self.format.sample_bytes
                assert kept == self.written[end - len(kept) : end], "6: a commit is not what was written"
        self._check_overlap(found, ends)

    def _check_overlap(self, found: dict[str, Event], ends: dict[str, int]) -> None:
        spans = [tuple(ms * self.format.bytes_per_ms for ms in span) for span in self.watch.turns.values()]
        for item_id in self.watch.by_hand:
            content = found.get(item_id, {}).get("content")
            if content:
                length = len(b64decode(content[0].get("audio") or ""))
                spans.append((ends[item_id] - length, ends[item_id]))
        spans.sort()
        for (_, end), (start, _) in pairwise(spans):
            assert start >= end, "6: the same sound in two items"

    def _ends_of_commits(self) -> Iterator[tuple[str, int]]:
        refused = {name.removeprefix("error ") for name in self.watch.answers if name.startswith("error ")}
        obeyed = [position for event_id, position in self.commits if event_id not in refused]
        yield from zip(self.watch.by_hand, obeyed, strict=True)
