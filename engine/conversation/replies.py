"""The replies of the model: their sound on its way to the loudspeaker, what a barge-in cut off, and what the server is
told of it.

Each response gets a generation of its own in the playout queue. An interruption, decided in C or here, kills
generations; when the ledger says what was heard and the server has finished the response, the server's copy is cut to
that (`conversation.item.truncate`), or deleted where nothing was heard. What was heard whole is left alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.audio import Inlet, ItemKey, PlayoutQueue, Position
from engine.conversation.turns import Turn, spoken_text
from engine.errors import LocalProtocolError
from engine.realtime import Protocol, Session, Slot
from engine.realtime import events as ev

HOP = 240  # samples of 10 ms
MOST_CUT_OFF = 64  # items of which it is remembered how much was heard
LOST = "connection_lost"
"""The reason of a reply that broke off with its connection."""

_log = logging.getLogger("bargein")


@dataclass(slots=True)
class Reply:
    """One response as this side sees it."""

    response_id: str
    generation: int
    in_conversation: bool
    sounds: dict[ItemKey, Position | None] = field(default_factory=dict)  # in order; the ledger's last word, once final
    whole: set[ItemKey] = field(default_factory=set)  # no more sound of these comes
    announced: dict[str, None] = field(default_factory=dict)  # messages with a part of sound, heard or not
    answers_speech: bool = False
    speech_end: int | None = None  # captured samples, before the reply
    first_sound: int | None = None  # played samples
    gone: set[str] = field(default_factory=set)  # items that the server deleted by itself
    interrupted: bool = False
    overflowed: bool = False
    received: dict[ItemKey, int] | None = None  # ms, once the line it came on is lost: no server remembers it
    over: bool = False  # the server says no more of it
    response: dict[str, Any] = field(default_factory=dict)  # of response.done; empty when that was never seen


class Replies:
    """Keeps the books of all replies that are not settled. Sends through `send`; belongs to the loop thread."""

    def __init__(self, queue: PlayoutQueue, protocol: Protocol, send: Callable[[ev.AnyEvent], None]) -> None:
        self.queue = queue
        self.inlet = Inlet(queue)
        self._speech_end: int | None = None  # captured samples; not yet answered by any sound
        self._turn_ended = False  # a turn of the user's was ended, and no response has begun since
        self._protocol = protocol
        self._send = send
        self._dead = 0
        self._cut_off: dict[str, tuple[int, int]] = {}  # the newest MOST_CUT_OFF items
        # The protocol's running responses, which it bounds, and those still sounding, which the queue's rows bound.
        self._replies: dict[str, Reply] = {}

    # ---- what the server says

    def created(self, event: ev.ResponseCreated) -> None:
        """A response begins: what it says gets a generation of its own."""
        self._follow_protocol()
        in_conversation = event.response_id not in self._protocol.out_of_band
        reply = Reply(event.response_id, self.queue.open(), in_conversation, answers_speech=self._turn_ended)
        self._turn_ended = False
        self._replies[event.response_id] = reply
        if in_conversation and self._protocol.slot is Slot.CANCELLING:  # withdrawn before it was created
            self.interrupt(reply.generation)
        elif not self._protocol.call and self._speaks_otherwise(
            form := _audio_type(event.response) or _audio_type(self._protocol.effective)
        ):
            _log.warning("response %s speaks %s, which would be noise here: not played", event.response_id[:64], form)
            self.interrupt(reply.generation)

    def _speaks_otherwise(self, form: str | None) -> bool:
        return form is not None and form != self.queue.format.value

    def part_added(self, event: ev.ResponseContentPartAdded) -> None:
        """A message announces a part; if it is sound, remember the message in case none of it is heard."""
        reply = self._replies.get(event.response_id)
        if reply is not None and event.part.get("type") in ("audio", "output_audio"):
            reply.announced[event.item_id] = None

    def audio(self, event: ev.ResponseOutputAudioDelta) -> bool:
        """Sound arrived. False when even the overflow is full: the response has to be cancelled."""
        reply = self._replies.get(event.response_id)
        key = (event.item_id, event.content_index)
        if reply is None or reply.generation <= self._dead or reply.overflowed:
            return True  # a dead reply's late sound; the protocol has counted it
        if key not in reply.sounds:
            if any(key in other.sounds for other in self._replies.values()):
                _log.warning("item %s belongs to two responses; the later one's sound is dropped", event.item_id[:64])
                return True
            reply.sounds[key] = None
        reply.overflowed = not self.inlet.push(*key, reply.generation, event.delta)
        return not reply.overflowed

    def audio_done(self, event: ev.ResponseOutputAudioDone) -> None:
        """The sound of one part is whole."""
        reply = self._replies.get(event.response_id)
        if reply is not None:
            self._complete(reply, (event.item_id, event.content_index))

    def _complete(self, reply: Reply, key: ItemKey) -> None:
        if key in reply.sounds and key not in reply.whole:
            reply.whole.add(key)
            self.inlet.complete(*key, reply.generation)

    def finished(self, event: ev.ResponseDone) -> None:
        """The server has said all it will say of this response."""
        reply = self._replies.get(event.response_id)
        if reply is not None:
            reply.response = event.response
        self._follow_protocol()

    def item_deleted(self, event: ev.ConversationItemDeleted) -> None:
        """An item is not in the conversation any more, whatever response.done lists: it is not corrected."""
        for reply in self._replies.values():
            if event.item_id in reply.announced:
                reply.gone.add(event.item_id)

    def _follow_protocol(self) -> None:
        """What the protocol no longer counts as running is over, also when its response.done was never seen."""
        running = {self._protocol.response_id, *self._protocol.out_of_band}
        for reply in self._replies.values():
            if reply.response_id not in running:
                self._end(reply)

    def _end(self, reply: Reply) -> None:
        reply.over = True
        for key in reply.sounds:  # a server that broke off may have left its parts open
            self._complete(reply, key)

    def abandon(self) -> None:
        """The connection is gone: nothing more comes of any reply. What has come is played."""
        for reply in self._replies.values():
            reply.received = {key: self._audio_ms(reply, key) for key in reply.sounds}
            if not reply.response:
                reply.response = self._as_far_as_it_came(reply)
            self._end(reply)

    def _as_far_as_it_came(self, reply: Reply) -> dict[str, Any]:
        """The response object of a response.done that never came."""
        running = (self._protocol.response, *self._protocol.out_of_band.values())
        items = {*reply.announced, *(item_id for item_id, _ in reply.sounds)}
        for response in running:
            items |= set(response.items) if response and response.response_id == reply.response_id else set()
        output = [
            {"id": entry.item_id, "type": entry.kind, "role": entry.role, "content": [{"text": entry.text}]}
            for entry in self._protocol.history()
            if entry.item_id in items
        ]
        details = {"type": "incomplete", "reason": LOST}
        return {"id": reply.response_id, "status": "incomplete", "status_details": details, "output": output}

    def move(self, protocol: Protocol) -> None:
        """Another server goes on. `abandon` came before, unless nothing was unsettled."""
        self._protocol = protocol

    @property
    def heard(self) -> dict[str, tuple[int, int]]:
        """Milliseconds played and received of the newest items that were cut off."""
        cut: dict[str, tuple[int, int]] = {}
        for reply in self._replies.values():
            if reply.interrupted:
                cut |= self._heard(reply)
        return self._cut_off | cut

    # ---- what the ears and the loudspeaker say

    def interrupt(self, generation: int) -> None:
        """Everything of this generation and older ones is cut off, whether C decided it or the caller."""
        self.queue.interrupt(generation)
        self.inlet.drop(generation)
        self._dead = max(self._dead, generation)
        for reply in self._replies.values():
            if reply.generation <= generation and not self._fully_heard(reply):
                reply.interrupted = True

    def begins(self, number: int, position: int) -> ItemKey | None:
        """An item of the ledger begins to sound at this played position; which one it is."""
        key = self.queue.key(number)
        for reply in self._replies.values():
            if key in reply.sounds and reply.first_sound is None:
                reply.first_sound = position
                if reply.answers_speech and self._speech_end is not None and self._speech_end <= position:
                    reply.speech_end, self._speech_end = self._speech_end, None
        return key

    def speech_ended(self, position: int) -> None:
        """The user's speech ended at this captured position. A quick server's answer may sound before this is known."""
        for reply in self._replies.values():
            if reply.answers_speech and reply.speech_end is None and (reply.first_sound or -1) >= position:
                reply.speech_end = position
                return
        self._speech_end = position

    def turn_ended(self) -> None:
        """The server ended a turn of the user's: what it says next is an answer to speech."""
        self._turn_ended = True

    @property
    def sounding(self) -> bool:
        """Whether anything is to be heard, now or soon."""
        return self.queue.waiting > 0 or self.inlet.waiting_bytes > 0 or self.queue.stats().state != "silent"

    @property
    def arriving(self) -> bool:
        """Whether a reply has begun to sound and more of it is to come."""
        return any(
            reply.generation > self._dead and set(reply.sounds) - reply.whole for reply in self._replies.values()
        )

    @property
    def unsettled(self) -> bool:
        """Whether any reply is not settled."""
        return bool(self._replies)

    # ---- settling

    def settle(self) -> list[Turn]:
        """Move sound on, tell the server what was cut off, and return the turns that are over."""
        self.inlet.pump()
        turns = []
        for reply in list(self._replies.values()):
            self._close_books(reply)
            if not reply.over or any(final is None for final in reply.sounds.values()):
                continue
            turns.append(self._turn(reply))
            if reply.in_conversation and reply.interrupted:
                self._remember_heard(reply)
                closed = self._protocol.session is Session.CLOSED
                if reply.received is None and not closed and not self._protocol.call:
                    self._correct(reply)
            del self._replies[reply.response_id]
        return turns

    def _close_books(self, reply: Reply) -> None:
        """Note the final figures of each item that has ended, and give its row of the ledger back."""
        for key, final in reply.sounds.items():
            if final is not None or self.inlet.holds(*key):
                continue
            position = self.queue.position(*key)
            if position is None:  # dropped before any of it reached the queue
                reply.sounds[key] = Position(*key, reply.generation, 0, 0, 0, 0, True, True, self.queue.format.rate)
            elif position.waiting == 0 and position.ended and self.queue.retire(*key):
                reply.sounds[key] = position

    def _fully_heard(self, reply: Reply) -> bool:
        return reply.over and self._played_ms(reply) >= self._received_ms(reply) > 0

    def _heard(self, reply: Reply) -> dict[str, tuple[int, int]]:
        heard = dict.fromkeys(reply.announced, (0, 0))
        for key in reply.sounds:
            played, received = heard.get(key[0], (0, 0))
            heard[key[0]] = played + self._part_played_ms(reply, key), received + self._audio_ms(reply, key)
        return {item_id: cut for item_id, cut in heard.items() if cut[0] < max(cut[1], 1)}

    def _remember_heard(self, reply: Reply) -> None:
        self._cut_off |= self._heard(reply)
        while len(self._cut_off) > MOST_CUT_OFF:
            del self._cut_off[next(iter(self._cut_off))]

    def _correct(self, reply: Reply) -> None:
        """Make the server's memory of the reply what was heard."""
        heard = {item_id for item_id, _ in reply.sounds if self._item_played_ms(reply, item_id) > 0}
        for key in reply.sounds:
            received = self._audio_ms(reply, key)
            played = min(self._part_played_ms(reply, key), received)
            item_id, content_index = key
            if 0 < played < received and item_id not in reply.gone:
                self._try(
                    ev.ConversationItemTruncate(item_id=item_id, content_index=content_index, audio_end_ms=played)
                )
        for item_id in reply.announced:
            if item_id not in heard and item_id not in reply.gone and item_id in self._protocol.items:
                self._try(ev.ConversationItemDelete(item_id=item_id))

    def _try(self, event: ev.AnyEvent) -> None:
        """A correction that the protocol does not allow (the server forgot the item, say) must not end everything."""
        try:
            self._send(event)
        except LocalProtocolError as refused:
            _log.warning("the server's memory of a reply stays as it is: %s", refused)

    def _part_played_ms(self, reply: Reply, key: ItemKey) -> int:
        position = reply.sounds[key] or self.queue.position(*key)
        return position.played_ms if position is not None else 0

    def _item_played_ms(self, reply: Reply, item_id: str) -> int:
        return sum(self._part_played_ms(reply, key) for key in reply.sounds if key[0] == item_id)

    def _played_ms(self, reply: Reply) -> int:
        return sum(self._part_played_ms(reply, key) for key in reply.sounds)

    def _received_ms(self, reply: Reply) -> int:
        return sum(self._audio_ms(reply, key) for key in reply.sounds)

    def _audio_ms(self, reply: Reply, key: ItemKey) -> int:
        if reply.received is not None:
            return reply.received.get(key, 0)
        item = self._protocol.items.get(key[0])
        return item.audio_ms(key[1]) if item is not None else 0

    def _turn(self, reply: Reply) -> Turn:
        done = ev.ResponseDone(response=reply.response)
        listed = reply.response.get("output")
        output = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
        latency = None
        if reply.first_sound is not None and reply.speech_end is not None and reply.first_sound >= reply.speech_end:
            # a block is played when the block captured beside it is complete: one hop later than its own position
            latency = (reply.first_sound + HOP - reply.speech_end) / 24.0
        return Turn(
            "assistant",
            " ".join(filter(None, (spoken_text(item) for item in output))),
            tuple(str(item.get("id", "")) for item in output),
            reply.response_id,
            reply.interrupted or (self._protocol.call and done.status == "cancelled"),
            self._played_ms(reply),
            self._received_ms(reply),
            latency,
            done.status or "incomplete",
            done.reason or ("" if reply.response else "lost"),
            done.failure,
            done.usage,
        )


def _audio_type(holder: Mapping[str, Any]) -> str | None:
    """The type of audio.output.format in a response or session; None when it does not say."""
    value: Any = holder
    for name in ("audio", "output", "format", "type"):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else None
