"""A client that does anything at any time, on the virtual clock, with the ten rules watched (see invariants.py)."""

from __future__ import annotations

import asyncio
import json
import random
from base64 import b64decode, b64encode
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from engine.audio import AudioFormat
from engine.clock import VirtualLoop
from engine.errors import ConnectionLost, ProtocolError
from engine.realtime.protocol import Protocol, Role
from engine.realtime.wire import decode
from engine.server import ServerOptions, serve_connection
from engine.transport import Connection, pair
from engine.transport.dialect import BetaConnection
from tests.server.invariants import Event, Watch
from tests.server.scripted import KINDS, AnyBrain, LoudnessDetector, NumberVoice, sound

FORMATS = st.sampled_from(list(AudioFormat))
SPOTS = st.integers(0, 5)
"""Which of the known items, calls or responses is meant, counted from the newest."""
DETECTIONS: list[Any] = [
    None,
    {"type": "server_vad"},
    {"type": "server_vad", "interrupt_response": False},
    {"type": "server_vad", "create_response": False},
    {"type": "server_vad", "silence_duration_ms": 200, "prefix_padding_ms": 1000},
    {"type": "server_vad", "idle_timeout_ms": 5000},
    {"type": "semantic_vad", "eagerness": "high"},
]
WIKI = {"type": "mcp", "server_label": "wiki", "server_url": "https://a.example"}
UPDATES: list[Event] = [
    *({"audio": {"input": {"turn_detection": detection}}} for detection in DETECTIONS),
    {"output_modalities": ["text"]},
    {"output_modalities": ["audio"]},
    {"audio": {"output": {"format": {"type": "audio/pcm"}}}},
    {"audio": {"output": {"format": {"type": "audio/pcma"}}}},
    {"audio": {"output": {"speed": 1.5}}},
    {"audio": {"output": {"speed": 0.25}}},
    {"truncation": "disabled"},
    {"truncation": {"type": "retention_ratio", "retention_ratio": 0.5, "token_limits": {"post_instructions": 60}}},
    {"truncation": {"type": "retention_ratio"}},
    {"truncation": "auto"},
    {"audio": {"output": {"voice": "ash"}}},
    {"audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}},
    {"audio": {"input": {"transcription": None}}},
    {"max_output_tokens": 20},
    {"max_output_tokens": "inf"},
    {"instructions": "Be brief."},
    {"tools": [{**WIKI, "require_approval": "never"}]},
    {"tools": [WIKI, {"type": "function", "name": "f"}]},
    {"tools": [{**WIKI, "server_label": "gone"}]},
    {"tools": []},
    {"shiny": 1},
    {"audio": {"input": {"turn_detection": {"threshold": 7}}}},
    {},
]  # fmt: skip
OVERRIDES: list[Event] = [
    {},
    {},
    {"output_modalities": ["text"]},
    {"output_modalities": ["audio"], "audio": {"output": {"format": {"type": "audio/pcmu"}}}},
    {"max_output_tokens": 15},
    {"instructions": "Sing."},
    {"input": []},
    {"temperature": 1},
]
NONSENSE = ["{", "[]", "7", '{"type": 3}', '{"type": "session.uptade"}', '{"type": "output_audio_buffer.clear"}']
PATIENCE_S = 90.0


class AnyClient(RuleBasedStateMachine):
    """One client after the other with the same server's parts."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.stays = 0  # deeds for which this client will not leave
        self.session: Held | None = None

    @initialize(kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=6))
    def brain(self, kinds: list[str]) -> None:
        self.mind = AnyBrain(kinds)

    def do(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run a client's deed; the server gets as many moments as the deed takes."""
        self.stays -= 1
        try:
            self.run(work)
        except ConnectionLost:
            self.held.lost = True
        self.held.look()

    def run(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run to its end; what has none is a failure, not a test that hangs."""
        task = self.loop.create_task(work)
        done, _ = self.loop.run_until_complete(asyncio.wait({task}, timeout=3 * PATIENCE_S))
        if not done:
            self.session = None
            raise AssertionError(f"8: hangs: {asyncio.all_tasks(self.loop)}")
        task.result()

    @property
    def held(self) -> Held:
        assert self.session is not None
        return self.session

    @precondition(lambda self: self.session is None)
    @rule(
        beta=st.booleans(),
        format=FORMATS,
        limit=st.sampled_from([4, 64, 256]),
        stays=st.sampled_from([0, 10, 25, 40, 55]),
        options=st.sampled_from(
            [
                {},
                {},
                {"max_items": 10},
                {"retained_bytes": 2**17, "send_queue_bytes": 2**16},
                {"session_s": 20.0, "expiry_reminder": True, "expiry_warning_s": 5.0},
                {"burst": 1.0, "max_responses": 2},
                {"context_tokens": 150},
                {"requests_per_minute": 5, "tokens_per_minute": 2000},
            ]
        ),
    )
    def connect(self, beta: bool, format: AudioFormat, limit: int, options: Event, stays: int) -> None:
        self.stays = stays
        ours, theirs = pair(limit)
        chosen = ServerOptions(**{"burst": 4, **options})
        serving = serve_connection(
            theirs,
            responder=self.mind,
            options=chosen,
            voice=NumberVoice(),
            rng=random.Random(1),
            detector=LoudnessDetector,
            beta=beta,
        )
        self.session = Held(BetaConnection(ours) if beta else ours, self.loop.create_task(serving), format, chosen)
        self.do(self.held.open(self.loop))

    @precondition(lambda self: self.session is not None)
    @rule(ms=st.integers(1, 1500), loud=st.booleans(), real_time=st.booleans())
    def sounds(self, ms: int, loud: bool, real_time: bool) -> None:
        self.do(self.held.sounds(ms, loud, real_time))

    @precondition(lambda self: self.session is not None)
    @rule(ms=st.integers(400, 900))
    def speaks(self, ms: int) -> None:
        self.do(self.held.sounds(ms, True, False))
        self.do(self.held.sounds(1000, False, False))

    @precondition(lambda self: self.session is not None)
    @rule(seconds=st.sampled_from([0, 0.0001, 0.02, 0.1, 0.5, 2.0, 7.0]))
    def waits(self, seconds: float) -> None:
        self.do(asyncio.sleep(seconds))

    @precondition(lambda self: self.session is not None)
    @rule(kind=st.sampled_from(["input_audio_buffer.commit", "input_audio_buffer.clear"]))
    def handles_the_buffer(self, kind: str) -> None:
        self.do(self.held.send(kind))

    @precondition(lambda self: self.session is not None)
    @rule(update=st.sampled_from(UPDATES))
    def updates(self, update: Event) -> None:
        self.do(self.held.send("session.update", session={"type": "realtime", **update}))

    @precondition(lambda self: self.session is not None)
    @rule(overrides=st.sampled_from(OVERRIDES), aside=st.booleans())
    def asks(self, overrides: Event, aside: bool) -> None:
        self.do(self.held.ask({**overrides, **({"conversation": "none"} if aside else {})}))

    @precondition(lambda self: self.session is not None)
    @rule(which=st.none() | SPOTS)
    def cancels(self, which: int | None) -> None:
        known = [*self.held.watch.ended, *self.held.watch.aside, self.held.watch.active or "resp_nobody"]
        named = {} if which is None else {"response_id": known[-1 - which % len(known)]}
        self.do(self.held.send("response.cancel", **named))

    @precondition(lambda self: self.session is not None)
    @rule(
        what=st.sampled_from(["text", "call", "output", "approve", "decline", "announced"]),
        which=SPOTS,
        place=st.none() | SPOTS | st.just("root"),
    )
    def adds(self, what: str, which: int, place: int | str | None) -> None:
        self.do(self.held.add(what, which, place))

    @precondition(lambda self: self.session is not None)
    @rule(
        what=st.sampled_from(["truncate", "truncate", "delete", "retrieve"]),
        which=SPOTS,
        ms=st.sampled_from([0, 1, 90, 400, 5000]),
        of_model=st.booleans(),
    )
    def touches(self, what: str, which: int, ms: int, of_model: bool) -> None:
        more = {"content_index": 0, "audio_end_ms": ms} if what == "truncate" else {}
        spoken = [item_id for item_id, _ in self.held.watch.heard] if of_model else []
        item_id = spoken[-1 - which % len(spoken)] if spoken else self.held.item(which)
        self.do(self.held.send(f"conversation.item.{what}", item_id=item_id, **more))

    @precondition(lambda self: self.session is not None and not self.held.reads.is_set())
    @rule(count=st.integers(50, 120))
    def floods(self, count: int) -> None:
        for _ in range(count):
            self.do(self.held.send("session.update", session={"type": "realtime", "instructions": "x" * 3000}))

    @precondition(lambda self: self.session is not None)
    @rule(message=st.sampled_from(NONSENSE))
    def babbles(self, message: str) -> None:
        self.do(self.held.babble(message))

    @precondition(lambda self: self.session is not None)
    @rule(reads=st.booleans())
    def reads_or_not(self, reads: bool) -> None:
        (self.held.reads.set if reads else self.held.reads.clear)()

    @precondition(lambda self: self.session is not None and self.stays <= 0)
    @rule(twice=st.booleans(), server_too=st.booleans())
    def goes(self, twice: bool, server_too: bool) -> None:
        self.run(self.held.go(twice, server_too))
        self.leave()

    @precondition(lambda self: self.session is not None and self.stays <= 0)
    @rule()
    def comes_to_rest(self) -> None:
        self.run(self.held.rest())
        items, gone = self.held.watch.items, self.held.watch.gone
        deleted = {items[item_id].get("call_id") for item_id in gone}
        assert self.mind.orphans <= deleted, "9: a turn had an output without its call"
        self.run(self.held.go(False, False))
        self.leave()

    def leave(self) -> None:
        """Rule 8: nothing of the session is left."""
        self.session = None
        self.mind.orphans.clear()
        left = asyncio.all_tasks(self.loop)
        assert not left, f"8: tasks left behind: {left}"
        assert self.mind.begun == self.mind.ended, "8: a brain still thinks"

    def teardown(self) -> None:
        try:
            if self.session is not None:
                self.comes_to_rest()
        finally:
            left = asyncio.all_tasks(self.loop)  # after a failure
            for task in left:
                task.cancel()
            self.loop.run_until_complete(asyncio.wait(left, timeout=PATIENCE_S)) if left else None
            self.loop.close()


class Held:
    """One session as its client holds it."""

    def __init__(
        self, connection: Connection, serving: asyncio.Task[None], format: AudioFormat, options: ServerOptions
    ) -> None:
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

    async def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """As far as the first update."""
        self._reader = loop.create_task(self._read())
        if self.format is not AudioFormat.PCM:
            listening = {"format": {"type": self.format.value}}
            await self.send("session.update", session={"type": "realtime", "audio": {"input": listening}})

    async def _read(self) -> None:
        try:
            while True:
                await self.reads.wait()
                message = await self.connection.receive()
                self._events.append(json.loads(message))
                self.protocol.receive(decode(message, Role.SERVER))
        except ConnectionLost as lost:
            self._closed = lost

    def look(self) -> None:
        """Hold what has come against the rules."""
        if self.serving.done() and not self.serving.cancelled() and self.serving.exception() is not None:
            raise AssertionError("the session failed") from self.serving.exception()
        for event in self._events:
            self.watch.saw(event)
        self._events.clear()
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
            await self.send("session.update", session={"type": "realtime", **off})
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
