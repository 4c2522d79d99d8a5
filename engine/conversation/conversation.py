"""The one meeting place: an endpoint's sound, the protocol and a connection, joined for the length of one
conversation.

Three tasks in one TaskGroup: `_listen` reads what the audio threads report and settles replies, `_read` takes the
server's events, and `_write` is the only one that sends. Socket and protocol are a `Line`, which a fourth, the keeper,
replaces when it is lost or will expire; the rest goes on. None of them touches a sample: sound goes from the wire
into the C queue and from the C ring to the wire. A stalled network or a busy loop delays words, never the sound.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TypeVar

from engine.audio import AudioEvent, CaptureStats, EventKind, ItemKey, PlaybackStats, TimeMap
from engine.conversation.commits import Commits
from engine.conversation.connected import Connected
from engine.conversation.deviceevents import follow_device
from engine.conversation.ending import Ending
from engine.conversation.feed import Feed
from engine.conversation.framing import MOST_RECORDS, Framer
from engine.conversation.freshness import Backlog
from engine.conversation.handshake import tell_differences
from engine.conversation.keeper import Keeper
from engine.conversation.line import Line, OpenConnection
from engine.conversation.local import LocalSounds
from engine.conversation.mcpservers import McpServer
from engine.conversation.observer import Observer
from engine.conversation.quiet import Quiet
from engine.conversation.replies import Replies
from engine.conversation.settings import Settings, heeds_server, server_interrupts, transcribes
from engine.conversation.telling import Telling
from engine.conversation.toolbox import Toolbox
from engine.conversation.turns import Turn, UserTurns
from engine.endpoints import Sound
from engine.errors import ConnectionLost, EngineError, RemoteProtocolError, TransportError
from engine.realtime import Role, Slot, Verdict, wire
from engine.realtime import events as ev

MAX_UNREAD_TURNS = 1024
MAX_UNREAD_EVENTS = 4096
MAX_UNREAD_BYTES = 8 * 1024 * 1024  # of messages behind the unread events
NORMAL_CLOSE = 1000
SPEECH_TAIL = 14 * 240  # samples between the end of speech and its report

T = TypeVar("T")


class Conversation(Connected, Telling):
    """A running conversation. Made by `engine.connect`; one loop, one thread.

    `turns` and `events` tell what happens; `say`, `play`, `mute`, `hold`, `volume`, `interrupt`, `push_to_talk`,
    `commit` and `send` act; `session`, `anomalies` and `stats` show, and `left_out_ms` counts captured sound that a
    stalled network made too old to be sent. `start`, `take` and `stop` belong to what made it. `sound.duplex` is the C
    core's face, and `time_map` tells when sent sound was captured.
    """

    def __init__(
        self,
        sound: Sound,
        line: Line,
        settings: Settings,
        observer: Observer | None,
        open_connection: OpenConnection,
    ) -> None:
        self.sound = sound
        self.time_map = TimeMap()
        self._backlog = Backlog(settings.oldest_s)
        self.line = line
        self._settings = settings
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        protocol = line.protocol
        self._replies = Replies(sound.duplex.queue, protocol, self._queue)
        self._local = LocalSounds(sound.duplex.queue, self._replies.inlet, lambda: self._replies.arriving)
        bytes_per_ms = settings.audio_format.bytes_per_ms
        framer = Framer(bytes_per_ms, settings.frame_ms)
        self._commits = Commits(framer, bytes_per_ms, self._send_now, counts=not settings.call)
        self._user_turns = UserTurns()
        self._user_turns.transcribing = transcribes(protocol.effective)
        self._turns: Feed[Turn] = Feed(MAX_UNREAD_TURNS)
        self._events: Feed[ev.AnyEvent] = Feed(MAX_UNREAD_EVENTS, MAX_UNREAD_BYTES)
        self._writable = asyncio.Event()
        self._over = asyncio.Event()
        self._failure: EngineError | None = None
        self._failure_seen = False
        self._lost: ConnectionLost | None = None
        self._on_hold, self._muted, self._volume = False, settings.activation is not None, 1.0
        self._toolbox = Toolbox(self, settings.tools, settings.approve, lambda: self.line.protocol, self._events.put)
        self._ending = Ending(sound, protocol, self._replies, self._user_turns, settings, self._loop.time())
        self._quiet = Quiet(self._replies, self._user_turns, self._commits, self._ending)
        policy = settings.reconnect
        self._keeper = Keeper(self, open_connection, settings, observer, policy) if policy is not None else None

    # ---- for the caller

    async def turns(self) -> AsyncIterator[Turn]:
        """Each turn once it is settled: the user's when its words are in, a reply when it has been heard or cut off.

        Ends with the conversation: when the server closes it, or, for a file, when the file is over and so is all that
        it started; a conversation with a device goes on until its block is left. Raises what ended it badly
        (`TransportError`). Unread, the newest 1024 are kept.
        """
        async for turn in self._told(self._turns):
            yield turn

    async def events(self) -> AsyncIterator[ev.AnyEvent]:
        """Every event of the server that the session's state allows, typed, and reports of this side: `ToolFinished`,
        `DeviceChanged`, and `Unknown` ones of the type bargein.*. Unread, the newest are kept, at most 4096 and 8 MiB.
        Ends and fails as `turns` does.
        """
        async for event in self._told(self._events):
            yield event

    async def _told(self, feed: Feed[T]) -> AsyncIterator[T]:
        try:
            async for entry in feed.read():
                yield entry
        except EngineError:
            self._failure_seen = True
            raise

    @property
    def mcp_servers(self) -> dict[str, McpServer]:
        """The MCP servers of the session by label: whether the service has their tools, and which."""
        return self._toolbox.servers.labelled()

    async def tools_ready(self, timeout_s: float = 15.0) -> dict[str, McpServer]:
        """Wait until the service has asked every MCP server for its tools: before that the model does not know them.
        Raises `TransportError` after `timeout_s` seconds. A server that failed is no error: look at its status.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._toolbox.servers.ready()
        except TimeoutError:
            raise TransportError(f"no tools of an MCP server within {timeout_s:g} s: {self.mcp_servers}") from None

    def stats(self) -> tuple[CaptureStats, PlaybackStats]:
        """One snapshot of each half."""
        return self.sound.duplex.capture_stats(), self.sound.duplex.playback_stats()

    # ---- the three tasks

    async def _listen(self) -> None:
        while not self._over.is_set():
            await self.sound.wait(0.1)
            for event in self.sound.duplex.read_events():
                self._hear(event)
            for turn in self._replies.settle():
                self._turns.put(turn)
            self._local.settle()
            self._writable.set()
            if self._lost is None and self.line.lost is not None:
                over = False
            elif self._lost is None:
                over = not self._toolbox.busy and self._ending.reached(self._loop.time())
                for turn in self._user_turns.give_up() if over else []:
                    self._turns.put(turn)
            else:
                over = not self._replies.unsettled and not self._replies.sounding
            if over:
                self._finish(self._lost if self._lost is not None and self._lost.code != NORMAL_CLOSE else None)

    async def _read(self) -> None:
        while self._lost is None:
            line = self.line
            try:
                message = await line.connection.receive()
            except ConnectionLost as lost:
                self._line_lost(line, lost)
                if self._keeper is not None:
                    await self._keeper.up.wait()
                continue
            if line is self.line:
                self._arrived(message if isinstance(message, bytes) else message.encode())

    async def _write(self) -> None:
        while self._lost is None:
            self._writable.clear()
            if self._keeper is not None:
                self._keeper.exchange()
            line = self.line
            self._take_records(keep=line.lost is not None)
            if line.lost is None:
                try:
                    await line.flush(self._observer)
                except ConnectionLost as lost:
                    self._line_lost(line, lost)
            if line.lost is not None or not self._backlog.waiting:
                await self._writable.wait()

    def _take_records(self, keep: bool) -> None:
        """Captured sound becomes append events, 200 ms at a time. While the network stalls it stays in the C ring,
        which is bounded, and while there is none (`keep`) in the backlog; what has become too old is left out.
        """
        settled = self.sound.duplex.capture_stats().settled  # first: what it speaks of is in the ring by then
        read = self.sound.duplex.read_records()
        records = self._backlog.take(read, self.sound.seconds, 0 if keep else MOST_RECORDS)
        if keep:
            return
        if len(records):
            self.time_map.add(records)
        self._commits.append(records, min(settled, self._backlog.earliest(settled)))

    # ---- what happens

    def _hear(self, event: AudioEvent) -> None:
        item: ItemKey | None = None
        self._quiet.heard(event, self._loop.time())
        if event.kind is EventKind.CONFIRMED:
            self._interrupt(event.value)
            if not server_interrupts(self._protocol.effective):
                self._cancel()
        elif event.kind is EventKind.SPEECH_STOPPED:
            self._replies.speech_ended(event.position - SPEECH_TAIL)
        elif event.kind is EventKind.CAPTURE_GAP:
            self.time_map.lose(event.position / 24, event.value / 24)
        elif EventKind.PLAYING <= event.kind <= EventKind.SILENT:  # those of an item
            known = event.kind is EventKind.PLAYING
            item = self._replies.begins(event.value, event.position) if known else self._replies.queue.key(event.value)
        if self._observer is not None:
            self._observer.sound(event, item)

    def _arrived(self, message: bytes) -> None:
        try:
            event = wire.decode(message, Role.SERVER)
        except RemoteProtocolError as problem:
            self._protocol.malformed(problem)
            if self._observer is not None:
                self._observer.event("received", message, None)
            return
        if self._observer is not None:
            self._observer.event("received", message, event)
        self._ending.event_came(self._loop.time())
        self.line.follow(event)
        if self._protocol.receive(event) is Verdict.ACCEPTED and not self.line.echoes(event):
            self.take(event, len(message))
        self._writable.set()  # the protocol may have something to say

    def take(self, event: ev.AnyEvent, size: int = 0) -> None:
        """Act on an event that the protocol has accepted; `size` is that of its message."""
        self._act(event)
        self._events.put(event, size)
        for turn in self._user_turns.receive(event):
            self._turns.put(turn)
        self._toolbox.receive(event)

    def _act(self, event: ev.AnyEvent) -> None:
        match event:
            case ev.ResponseOutputAudioDelta():
                if not self._settings.call and not self._replies.audio(event):
                    self._overflowed(event.response_id)
            case ev.ResponseOutputAudioDone():
                self._replies.audio_done(event)
            case ev.ResponseCreated():
                self._ending.answered()
                self._replies.created(event)
            case ev.ResponseContentPartAdded():
                self._replies.part_added(event)
            case ev.ResponseDone():
                self._replies.finished(event)
            case ev.ConversationItemDeleted():
                self._replies.item_deleted(event)
            case ev.InputAudioBufferSpeechStarted():
                self._speech_started()
            case ev.InputAudioBufferSpeechStopped() | ev.InputAudioBufferCommitted():
                if isinstance(event, ev.InputAudioBufferCommitted):
                    self._commits.committed(event)
                self.sound.duplex.set_turn_open(False)
                self._replies.turn_ended()
                self._ending.turn_ended(self._loop.time())
            case ev.SessionUpdated():
                self._user_turns.transcribing = transcribes(self._protocol.effective)
                tell_differences(self._protocol)
            case ev.Error():
                self._ending.answered()
                self._commits.error(event)

    def _speech_started(self) -> None:
        self.sound.duplex.set_turn_open(True)
        running = self._replies.sounding or self._protocol.slot is not Slot.FREE
        if running and heeds_server(self._settings.barge_in):
            self._interrupt(self.sound.duplex.queue.newest)
            if not server_interrupts(self._protocol.effective):
                self._cancel()

    def _interrupt(self, generation: int) -> None:
        self._replies.interrupt(generation)
        self._local.interrupt()

    def _cancel(self) -> None:
        self._protocol.withdraw_request()
        if self._lost is not None:
            return
        if self._protocol.slot is Slot.ACTIVE:
            self._queue(ev.ResponseCancel(response_id=self._protocol.response_id))
        elif self._protocol.slot is Slot.REQUESTED:
            self._queue(ev.ResponseCancel())

    def _overflowed(self, response_id: str) -> None:
        """More sound than queue and overflow hold: end this response rather than stop reading the socket."""
        self._interrupt(self.sound.duplex.queue.newest)
        if self._protocol.slot is Slot.ACTIVE and self._protocol.response_id == response_id:
            self._cancel()
        self._events.put(ev.Unknown(type="bargein.playback_overflow", fields={"response_id": response_id}))

    def _queue(self, event: ev.AnyEvent) -> None:
        self._protocol.send(event)
        self._writable.set()

    # ---- the end

    def disconnected(self, lost: ConnectionLost) -> None:
        """Nothing more comes or goes. After a normal close what has arrived is played; else it is cut off now."""
        if self._lost is not None:
            return
        self._lost = lost
        if lost.code != NORMAL_CLOSE:
            self._interrupt(self.sound.duplex.queue.newest)
        self._protocol.close()
        self._replies.abandon()
        self._commits.abandon()
        if self._keeper is not None:
            self._keeper.up.set()
        self._writable.set()

    def _finish(self, failure: EngineError | None = None) -> None:
        if self._over.is_set():
            return
        self._failure = failure
        self._over.set()
        self._toolbox.close()
        self._commits.abandon()
        self._local.abandon()
        self._turns.close(failure)
        self._events.close(failure)

    def start(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Start the three tasks in the conversation's group, and what opens the microphone."""
        self._toolbox.start(tasks)
        follow_device(self.sound, self._events.put)
        parts = [self._listen, self._read, self._write] + ([self._activate] if self._settings.activation else [])
        parts += [self._keeper.run] if self._keeper is not None else []
        return [tasks.create_task(self._guarded(part)) for part in parts]

    async def _activate(self) -> None:
        assert self._settings.activation is not None
        try:
            await self._settings.activation(self)
        except EngineError:
            raise
        except Exception as failure:
            raise EngineError(f"what opens the microphone failed: {failure!r}") from failure

    async def _guarded(self, task: Callable[[], Coroutine[None, None, None]]) -> None:
        """What goes wrong in a task ends the conversation, and is told to whoever follows it."""
        try:
            await task()
        except EngineError as failure:
            self._finish(failure)

    def stop(self) -> EngineError | None:
        """End the feeds. Returns the failure that no reader of a feed has been told of yet."""
        self._finish()
        return None if self._failure_seen else self._failure
