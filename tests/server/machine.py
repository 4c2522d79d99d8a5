"""A client that does anything at any time, on the virtual clock, with the ten rules watched (see invariants.py)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from engine.audio import AudioFormat
from engine.clock import VirtualLoop
from engine.errors import ConnectionLost
from engine.server import ServerOptions, serve_connection
from engine.transport import pair
from engine.transport.dialect import BetaConnection
from tests.server.held import PATIENCE_S, Held
from tests.server.invariants import Event
from tests.server.scripted import KINDS, AnyBrain, AtOnce, LoudnessDetector, NumberVoice

FORMATS = st.sampled_from(list(AudioFormat))
SPOTS = st.integers(0, 5)
"""Which of the known items, calls or responses is meant, counted from the newest."""
MORE: st.SearchStrategy[Event] = st.sampled_from([{}, {}, {}, {"shiny": 1}])
"""Members that no event has: it is refused, and nothing may have changed."""
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


class AnyClient(RuleBasedStateMachine):
    """One client after the other with the same server's parts."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.broken = False  # a rule is: what would come after it says nothing
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
        self.run(self.held.looks())

    def run(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run to its end; what has none is a failure, not a test that hangs."""
        task = self.loop.create_task(work)
        done, _ = self.loop.run_until_complete(asyncio.wait({task}, timeout=3 * PATIENCE_S))
        if not done:
            self.broken = True
            raise AssertionError(f"8: hangs: {asyncio.all_tasks(self.loop)}")
        self.broken = isinstance(task.exception(), AssertionError)
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
        at_once=st.booleans(),
        detection=st.sampled_from(DETECTIONS),
        kind=st.sampled_from(["realtime", "realtime", "realtime", "transcription"]),
        options=st.sampled_from(
            [
                {},
                {},
                {"max_items": 10},
                {"max_items": 12, "burst": 2},
                {"retained_bytes": 2**17, "send_queue_bytes": 2**16},
                {"session_s": 20.0, "expiry_reminder": True, "expiry_warning_s": 5.0},
                {"burst": 1.0, "max_responses": 2},
                {"context_tokens": 150},
                {"requests_per_minute": 5, "tokens_per_minute": 2000},
            ]
        ),
    )
    def connect(
        self,
        beta: bool,
        format: AudioFormat,
        limit: int,
        options: Event,
        stays: int,
        at_once: bool,
        kind: str,
        detection: Any,
    ) -> None:
        self.stays = stays
        ours, theirs = pair(limit)
        if at_once:
            end = AtOnce(theirs)
            ours, theirs = end.other(ours), end
        chosen = ServerOptions(**{"burst": 4, **options})
        serving = serve_connection(
            theirs,
            responder=self.mind,
            options=chosen,
            voice=NumberVoice(),
            rng=random.Random(1),
            detector=LoudnessDetector,
            beta=beta,
            transcription=kind == "transcription",
        )
        self.session = Held(
            BetaConnection(ours) if beta else ours, self.loop.create_task(serving), format, chosen, kind
        )
        self.do(self.held.open(self.loop, detection))

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
    @rule(kind=st.sampled_from(["input_audio_buffer.commit", "input_audio_buffer.clear"]), more=MORE)
    def handles_the_buffer(self, kind: str, more: Event) -> None:
        self.do(self.held.send(kind, **more))

    @precondition(lambda self: self.session is not None)
    @rule(update=st.sampled_from(UPDATES))
    def updates(self, update: Event) -> None:
        self.do(self.held.send("session.update", session={"type": self.held.kind, **update}))

    @precondition(lambda self: self.session is not None)
    @rule(overrides=st.sampled_from(OVERRIDES), aside=st.booleans())
    def asks(self, overrides: Event, aside: bool) -> None:
        self.do(self.held.ask({**overrides, **({"conversation": "none"} if aside else {})}))

    @precondition(lambda self: self.session is not None)
    @rule(which=st.none() | SPOTS, more=MORE)
    def cancels(self, which: int | None, more: Event) -> None:
        known = [*self.held.watch.ended, *self.held.watch.aside, self.held.watch.active or "resp_nobody"]
        named = {} if which is None else {"response_id": known[-1 - which % len(known)]}
        self.do(self.held.send("response.cancel", **named, **more))

    @precondition(lambda self: self.session is not None)
    @rule(
        what=st.sampled_from(["text", "call", "output", "both", "both", "approve", "decline", "announced"]),
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

    @precondition(lambda self: self.session is not None)
    @rule(count=st.integers(2, 8))
    def fills_the_conversation(self, count: int) -> None:
        for _ in range(count):
            self.do(self.held.sounds(120, False, False))
            self.do(self.held.send("input_audio_buffer.commit"))

    @precondition(lambda self: self.session is not None and not self.held.reads.is_set())
    @rule(count=st.integers(50, 120))
    def floods(self, count: int) -> None:
        for _ in range(count):
            self.do(self.held.send("session.update", session={"type": self.held.kind, "instructions": "x" * 3000}))

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
            if self.session is not None and not self.broken:
                self.comes_to_rest()
        finally:
            left = asyncio.all_tasks(self.loop)  # after a failure
            for task in left:
                task.cancel()
            self.loop.run_until_complete(asyncio.wait(left, timeout=PATIENCE_S)) if left else None
            self.loop.close()
