"""The replies of the model: their sound on its way to the loudspeaker, what a barge-in cut off, and what the server
is told of it.

Each response gets a generation of its own in the playout queue. An interruption, decided in C or here, kills
generations; when the ledger says what was heard and the server has finished the response, the server's copy is cut
to that (`conversation.item.truncate`), or deleted where nothing was heard. What was heard whole is left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from engine.audio import Inlet, ItemKey, PlayoutQueue
from engine.conversation.turns import Turn, spoken_text
from engine.realtime import Protocol
from engine.realtime import events as ev

HOP_MS = 10


@dataclass(slots=True)
class Reply:
    """One response as this side sees it."""

    response_id: str
    generation: int
    in_conversation: bool
    keys: list[ItemKey] = field(default_factory=list)  # with sound, in order
    silent_items: list[str] = field(default_factory=list)  # messages that have announced sound and sent none
    speech_end: int | None = None  # captured samples, before the reply
    first_sound: int | None = None  # played samples
    interrupted: bool = False
    overflowed: bool = False
    done: ev.ResponseDone | None = None


class Replies:
    """Keeps the books of all replies that are not settled. Sends through `send`; belongs to the loop thread."""

    def __init__(self, queue: PlayoutQueue, protocol: Protocol, send: Callable[[ev.AnyEvent], None]) -> None:
        self.queue = queue
        self.inlet = Inlet(queue)
        self.speech_end: int | None = None
        self._protocol = protocol
        self._send = send
        self._dead = 0
        self._replies: dict[str, Reply] = {}  # bounded by the server's running responses plus those still sounding

    # ---- what the server says

    def created(self, event: ev.ResponseCreated) -> None:
        """A response begins: what it says gets a generation of its own."""
        in_conversation = event.response.get("conversation_id", "") is not None
        reply = Reply(event.response_id, self.queue.open(), in_conversation, speech_end=self.speech_end)
        self._replies[event.response_id] = reply

    def part_added(self, event: ev.ResponseContentPartAdded) -> None:
        """A message announces a part; if it is sound, remember the message in case none of it is heard."""
        reply = self._replies.get(event.response_id)
        if reply is not None and event.part.get("type") in ("audio", "output_audio"):
            reply.silent_items.append(event.item_id)

    def audio(self, event: ev.ResponseOutputAudioDelta) -> bool:
        """Sound arrived. False when even the overflow is full: the response has to be cancelled."""
        reply = self._replies.get(event.response_id)
        if reply is None or reply.generation <= self._dead or reply.overflowed:
            return True  # a dead reply's late sound; the protocol has counted it
        key = (event.item_id, event.content_index)
        if key not in reply.keys:
            reply.keys.append(key)
        reply.overflowed = not self.inlet.push(*key, reply.generation, event.delta)
        return not reply.overflowed

    def audio_done(self, event: ev.ResponseOutputAudioDone) -> None:
        """The sound of one part is whole."""
        reply = self._replies.get(event.response_id)
        if reply is not None and (event.item_id, event.content_index) in reply.keys:
            self.inlet.complete(event.item_id, event.content_index, reply.generation)

    def finished(self, event: ev.ResponseDone) -> None:
        """The server has said all it will say of this response."""
        reply = self._replies.get(event.response_id)
        if reply is None:
            return
        reply.done = event
        for key in reply.keys:  # a server that broke off may have left its parts open
            self.inlet.complete(*key, reply.generation)

    # ---- what the ears and the loudspeaker say

    def interrupt(self, generation: int) -> None:
        """Everything of this generation and older ones is cut off, whether C decided it or the caller."""
        self.queue.interrupt(generation)
        self.inlet.drop(generation)
        self._dead = max(self._dead, generation)
        for reply in self._replies.values():
            if reply.generation <= generation and not self._fully_heard(reply):
                reply.interrupted = True

    def sounds(self, number: int, position: int) -> ItemKey | None:
        """An item of the ledger begins to sound at this played position; which one it is."""
        key = self.queue.key(number)
        for reply in self._replies.values():
            if key in reply.keys and reply.first_sound is None:
                reply.first_sound = position
        return key

    @property
    def sounding(self) -> bool:
        """Whether anything is to be heard, now or soon."""
        return self.queue.waiting > 0 or self.inlet.waiting_bytes > 0 or self.queue.stats().state != "silent"

    @property
    def unsettled(self) -> bool:
        """Whether any reply is not settled."""
        return bool(self._replies)

    # ---- settling

    def settle(self) -> list[Turn]:
        """Move sound on, tell the server what was cut off, and return the turns that are over."""
        self.inlet.pump()
        over = [reply for reply in self._replies.values() if reply.done is not None and self._at_rest(reply)]
        turns = []
        for reply in over:
            turns.append(self._turn(reply))
            if reply.in_conversation and reply.interrupted:
                self._correct(reply)
            for key in reply.keys:
                self.queue.retire(*key)
            del self._replies[reply.response_id]
        return turns

    def _at_rest(self, reply: Reply) -> bool:
        """Whether all its sound was played or given up, so that the ledger's figures are final."""
        if any(self.inlet.holds(*key) for key in reply.keys):
            return False
        positions = [self.queue.position(*key) for key in reply.keys]
        return all(position is None or (position.waiting == 0 and position.ended) for position in positions)

    def _fully_heard(self, reply: Reply) -> bool:
        return reply.done is not None and self._played_ms(reply) >= self._received_ms(reply) > 0

    def _correct(self, reply: Reply) -> None:
        """Make the server's memory of the reply what was heard."""
        heard = {item_id for item_id, _ in reply.keys if self._item_played(item_id, reply) > 0}
        for item_id, content_index in reply.keys:
            position = self.queue.position(item_id, content_index)
            received = self._audio_ms(item_id, content_index)
            played = min(position.played_ms if position else 0, received)
            if item_id in heard and played < received:
                self._send(
                    ev.ConversationItemTruncate(item_id=item_id, content_index=content_index, audio_end_ms=played)
                )
        for item_id in dict.fromkeys(reply.silent_items):
            if item_id not in heard and item_id in self._protocol.items:
                self._send(ev.ConversationItemDelete(item_id=item_id))

    def _item_played(self, item_id: str, reply: Reply) -> int:
        positions = [self.queue.position(*key) for key in reply.keys if key[0] == item_id]
        return sum(position.played_ms for position in positions if position is not None)

    def _played_ms(self, reply: Reply) -> int:
        return sum(self._item_played(item_id, reply) for item_id in dict.fromkeys(item_id for item_id, _ in reply.keys))

    def _received_ms(self, reply: Reply) -> int:
        return sum(self._audio_ms(*key) for key in reply.keys)

    def _audio_ms(self, item_id: str, content_index: int) -> int:
        item = self._protocol.items.get(item_id)
        return item.audio_ms(content_index) if item is not None else 0

    def _turn(self, reply: Reply) -> Turn:
        done = reply.done
        assert done is not None
        output = [item for item in done.response.get("output") or [] if isinstance(item, dict)]
        latency = None
        if reply.first_sound is not None and reply.speech_end is not None and reply.first_sound >= reply.speech_end:
            latency = (reply.first_sound - reply.speech_end) / 24.0
        return Turn(
            "assistant",
            " ".join(filter(None, (spoken_text(item) for item in output))),
            tuple(str(item.get("id", "")) for item in output),
            reply.response_id,
            reply.interrupted,
            self._played_ms(reply),
            self._received_ms(reply),
            latency,
            done.status,
            done.reason,
            done.failure,
            done.usage,
        )
