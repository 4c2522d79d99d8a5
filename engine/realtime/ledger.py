"""The state of a session and the rules that move it, the same for both roles. Protocol gives it its two doors.

_apply() is asked with every event of either end. It raises ProtocolError before it changes anything when the event is
not allowed; the message and code are those a server answers with. Where a client must live with careless servers, the
lapse goes to _note() and the state stays consistent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import UNSET

from engine.errors import ProtocolError
from engine.realtime import client_rules, problems
from engine.realtime import events as ev
from engine.realtime.items import MAX_ITEMS, Item, Items
from engine.realtime.output import Response
from engine.realtime.roles import Role
from engine.realtime.session import bytes_per_ms, merge_report
from engine.realtime.transitions import LIFE_EVENTS, Session, Slot, Turn, following

MAX_OUT_OF_BAND = 16
"""Out-of-band responses asked for or running at a time, by default and at most; one more is refused."""
MAX_FINISHED = 256
"""Ids of finished responses remembered, to tell a late event from a strange one; the oldest goes first."""

MAX_FRONTED = 256
"""Items put in front by a client and not yet added that are remembered; an older one would be put at the end."""


def out_of_band_request(event: ev.ResponseCreate) -> bool:
    """Whether a response.create asks for a response outside the conversation."""
    return isinstance(event.response, dict) and event.response.get("conversation") == "none"


class Ledger:
    """Session state. See Protocol for what the attributes mean."""

    def __init__(
        self,
        role: Role,
        ids: Callable[[str], str],
        *,
        call: bool,
        max_items: int | None,
        max_out_of_band: int | None,
    ) -> None:
        self.role = role
        self.ids = ids
        self.call = call
        self.session = Session.CONNECTING
        self.slot = Slot.FREE
        self.turn = Turn.IDLE
        self.effective: Mapping[str, Any] = MappingProxyType({})
        self.items = Items(MAX_ITEMS if max_items is None else max_items)
        self.response: Response | None = None
        self.max_out_of_band = MAX_OUT_OF_BAND if max_out_of_band is None else min(max_out_of_band, MAX_OUT_OF_BAND)
        self.out_of_band: dict[str, Response] = {}  # at most max_out_of_band
        self.audio_started = False
        self._requests: list[ev.ResponseCreate] = []  # accepted, response.created not seen; 1 + MAX_OUT_OF_BAND
        self._reserved_id = ""
        self._finished: dict[str, None] = {}
        self._fronted: dict[str, None] = {}  # client: items it put in front, not added yet; the newest MAX_FRONTED
        self._names_conversation = False

    @property
    def response_id(self) -> str:
        """Id of the default conversation's response; for a server also of the one asked for; "" when there is none."""
        return self.response.response_id if self.response else self._reserved_id

    def is_finished(self, response_id: str) -> bool:
        """Whether this response ended lately (the last 256 are remembered): what still arrives for it is late."""
        return response_id in self._finished

    def _note(self, why: str) -> None:
        raise NotImplementedError

    def _apply(self, sender: Role, event: ev.AnyEvent) -> None:
        if isinstance(event, ev.Unknown):
            if sender is Role.CLIENT and self.role is Role.SERVER:
                raise problems.unknown_event_type(event.type, ev.CLIENT_EVENTS)
            return
        if event.type not in ev.EVENTS[sender]:
            raise problems.unknown_event_type(event.type, ev.EVENTS[sender])
        if self.session is Session.CONNECTING and following(self.session, event.type) is None:
            raise ProtocolError(f"{event.type} before session.created", code="invalid_event")
        if event.type in LIFE_EVENTS:
            self._output(event)
        elif (rule := _RULES.get(type(event))) is not None:
            rule(self, event)

    # ---- session and input buffer

    def _session_created(self, event: ev.SessionCreated) -> None:
        if self.session is not Session.CONNECTING:
            raise ProtocolError("session.created for the second time")
        self.session = Session.OPEN
        self.effective = MappingProxyType(merge_report({}, event.session))

    def _session_updated(self, event: ev.SessionUpdated) -> None:
        self.effective = MappingProxyType(merge_report(self.effective, event.session))
        audio = self.effective.get("audio")
        listening = audio.get("input") if isinstance(audio, dict) else None
        if isinstance(listening, dict) and listening.get("turn_detection", UNSET) is None:
            self._move_turn("off")

    def _input_turn(self, event: ev.Event) -> None:
        self._move_turn(event.type)

    def _move_turn(self, happened: str) -> None:
        after = following(self.turn, happened)
        if not isinstance(after, Turn):
            raise ProtocolError(f"{happened} is out of place: the user's turn is {self.turn.value}")
        self.turn = after

    # ---- response slot

    def _response_create(self, event: ev.ResponseCreate) -> None:
        client_rules.check_response_create(event, self.effective)
        if out_of_band_request(event):
            asked = sum(map(out_of_band_request, self._requests))
            if asked + len(self.out_of_band) >= self.max_out_of_band:
                raise problems.too_many_responses(self.max_out_of_band)
            self._requests.append(event)
            return
        after = following(self.slot, event.type)
        if not isinstance(after, Slot):
            raise problems.active_response(self.response_id)
        self.slot = after
        self._requests = [request for request in self._requests if out_of_band_request(request)] + [event]
        if self.role is Role.SERVER:
            self._reserved_id = self.ids("resp")

    def _response_cancel(self, event: ev.ResponseCancel) -> None:
        wanted = event.response_id
        if isinstance(wanted, str) and wanted in self.out_of_band:
            if self.out_of_band[wanted].cancelling:
                raise problems.cancel_not_active()
            self.out_of_band[wanted].cancelling = True
            return
        after = following(self.slot, event.type)
        if not isinstance(after, Slot) or (isinstance(wanted, str) and wanted != self.response_id):
            raise problems.cancel_not_active()
        self.slot = after
        if self.response is not None:
            self.response.cancelling = True

    def _response_created(self, event: ev.ResponseCreated) -> None:
        response_id = event.response_id
        if not ev.usable_id(response_id) or self._running(response_id) or self.is_finished(response_id):
            raise ProtocolError(f"response.created for response {response_id!r}: the id is missing or was used before")
        out_of_band = self._is_out_of_band(event.response)
        response = Response(response_id, not out_of_band, bytes_per_ms(event.response, self.effective))
        if out_of_band:
            if len(self.out_of_band) >= self.max_out_of_band:
                raise ProtocolError(f"more than {self.max_out_of_band} out-of-band responses")
            self.out_of_band[response_id] = response
            self._settle_request(outside=True, metadata=event.metadata)
            return
        if self.response is not None:
            if self.role is Role.SERVER:
                raise problems.active_response(self.response_id)
            self._note(f"response.created while {self.response_id} is active: that one is taken as lost")
            self._finish(self.response, "lost")
        after = following(self.slot, event.type)
        if not isinstance(after, Slot):
            raise problems.active_response(self.response_id)
        self.slot, self.response, self._reserved_id = after, response, ""
        response.cancelling = after is Slot.CANCELLING
        if self.role is Role.SERVER:
            self._settle_request(outside=False)

    def _response_done(self, event: ev.ResponseDone) -> None:
        response = self._running(event.response_id)
        if response is None and not event.response_id and self.role is Role.CLIENT and self.response:
            self._note("response.done without response.id: taken as the active one's")
            response = self.response
        if response is None:
            raise ProtocolError(f"response.done for response {event.response_id!r}, which is not running")
        if self.role is Role.SERVER and (open_item := response.unfinished()):
            raise ProtocolError(f"response.done while {open_item} is open: send its done events first")
        self._finish(response, event.type)

    def _finish(self, response: Response, happened: str) -> None:
        if response.in_conversation:
            after = following(self.slot, happened)
            assert isinstance(after, Slot), f"{self.slot} does not know {happened}"
            self.slot, self.response = after, None
            self._settle_request(outside=False)
        else:
            del self.out_of_band[response.response_id]
        for item_id in response.items:
            if (item := self.items.get(item_id)) is not None:
                item.done = True
        self._finished[response.response_id] = None
        if len(self._finished) > MAX_FINISHED:
            del self._finished[next(iter(self._finished))]

    def _refuse_request(self, request: ev.ResponseCreate) -> None:
        """A response.create was answered with an error."""
        if request not in self._requests:
            return
        self._requests.remove(request)
        after = following(self.slot, "refused")
        if not out_of_band_request(request) and isinstance(after, Slot):
            self.slot, self._reserved_id = after, ""

    def _settle_request(self, *, outside: bool, metadata: Any = None) -> ev.ResponseCreate | None:
        """The oldest request of this kind has its response; of several, the oldest with this metadata. A client settles
        the default one only when a response is done: response.created may have been for the server's own, and the
        refusal of ours still to come."""
        found = [request for request in self._requests if out_of_band_request(request) is outside]
        told = [request for request in found if metadata and (request.response or {}).get("metadata") == metadata]
        settled = next(iter(told or found), None)
        if settled is not None:
            self._requests = [request for request in self._requests if request is not settled]
        return settled

    def _running(self, response_id: str) -> Response | None:
        if self.response is not None and self.response.response_id == response_id:
            return self.response
        return self.out_of_band.get(response_id)

    def _is_out_of_band(self, response: ev.Object) -> bool:
        """conversation_id null says so. Servers that never name one send null for every response, so a client asks
        for a second sign: that it requested one, that the slot is taken, or that other responses did name it."""
        named = response.get("conversation_id", UNSET)
        self._names_conversation = self._names_conversation or isinstance(named, str)
        if named is not None:
            return False
        expected = any(map(out_of_band_request, self._requests))
        return self.role is Role.SERVER or expected or self._names_conversation or self.response is not None

    # ---- output of responses

    def _output(self, event: ev.Event) -> None:
        response_id: str = event.response_id  # type: ignore[attr-defined]  # every event of LIFE_EVENTS has one
        response = self._running(response_id)
        if response is None:
            state = "finished" if self.is_finished(response_id) else "unknown"
            raise ProtocolError(f"{event.type} of the {state} response {response_id!r}")
        output = response.take(event, self._note if self.role is Role.CLIENT else None)
        if isinstance(event, ev.ResponseOutputAudioDelta):
            self.audio_started = True
        if not response.in_conversation or not output.item_id:
            return
        item = self.items.get(output.item_id)
        if item is None:
            item = self.items.insert({"id": output.item_id}, None)
        if item.output is not output:
            item.output, item.bytes_per_ms, item.kept_ms = output, response.bytes_per_ms, {}
        if isinstance(event, (ev.ResponseOutputItemAdded, ev.ResponseOutputItemDone)):
            self.items.describe(item, event.item)

    # ---- conversation

    def _item_added(self, event: ev.ConversationItemAdded | ev.ConversationItemCreated) -> None:
        present = self.items.get(event.item_id)
        if not ev.usable_id(event.item_id) or (present is not None and present.announced):
            raise ProtocolError(f"{event.type} for item {event.item_id!r}: the id is missing or was added before")
        if any(event.item_id in response.items for response in self.out_of_band.values()):
            raise ProtocolError(f"{event.type} for an item of an out-of-band response")
        after = event.previous_item_id
        if isinstance(after, str) and after not in self.items:
            if self.role is Role.SERVER:
                raise ProtocolError(f"{event.type}: previous_item_id {after!r} is not in the conversation")
            if not self.items.forgotten:
                self._note(f"{event.type} after the unknown item {after!r}: put at the end until that comes")
        # Some servers say null for every item, so a client believes it only of those it put in front itself.
        front = after is None and (self.role is Role.SERVER or event.item_id in self._fronted)
        self._fronted.pop(event.item_id, None)
        item = self.items.insert(event.item, after if isinstance(after, str) else None, front=front)
        item.announced = True

    def _item_done(self, event: ev.ConversationItemDone) -> None:
        item = self.items.get(event.item_id)
        if item is None or (item.done and self.role is Role.SERVER and item.output is None):
            if self.role is Role.SERVER or not ev.usable_id(event.item_id):
                raise ProtocolError(f"{event.type} for item {event.item_id!r}, which is unknown or done")
            self._note(f"{event.type} without conversation.item.added")
            item = self.items.insert(event.item, None)
            item.announced = True
        item.done = True
        self.items.describe(item, event.item)

    def _item_created(self, event: ev.ConversationItemCreated) -> None:
        self._item_added(event)
        if (item := self.items.get(event.item_id)) is not None:
            item.done = True

    def _item_truncated(self, event: ev.ConversationItemTruncated) -> None:
        item = self._known(event, event.item_id)
        if self.role is Role.SERVER and event.audio_end_ms > item.audio_ms(event.content_index):
            raise problems.already_shorter(item.audio_ms(event.content_index), event.audio_end_ms)
        item.keep(event.content_index, event.audio_end_ms)

    def _item_deleted(self, event: ev.ConversationItemDeleted) -> None:
        self._known(event, event.item_id)
        self.items.remove(event.item_id)

    def _item_retrieved(self, event: ev.ConversationItemRetrieved) -> None:
        self._known(event, event.item_id)

    def _known(self, event: ev.Event, item_id: str) -> Item:
        item = self.items.get(item_id)
        if item is None:
            raise ProtocolError(f"{event.type} for item {item_id!r}, which is not in the conversation")
        return item

    # ---- what a client asks of the session and the conversation

    def _client_asks(self, event: ev.ClientEvent) -> None:
        client_rules.check(self, event)
        if (
            self.role is Role.CLIENT
            and isinstance(event, ev.ConversationItemCreate)
            and event.previous_item_id == "root"
        ):
            self._fronted[ev.text_of(event.item, "id")] = None
            if len(self._fronted) > MAX_FRONTED:
                del self._fronted[next(iter(self._fronted))]

    def producing(self, item_id: str) -> bool:
        """Whether a running response still works on this item."""
        running = [self.response] if self.response else []
        return any(item_id in response.items for response in (*running, *self.out_of_band.values()))


_RULES: Mapping[type[msgspec.Struct], Callable[[Ledger, Any], None]] = MappingProxyType(
    {
        ev.SessionCreated: Ledger._session_created,
        ev.SessionUpdated: Ledger._session_updated,
        ev.InputAudioBufferSpeechStarted: Ledger._input_turn,
        ev.InputAudioBufferSpeechStopped: Ledger._input_turn,
        ev.InputAudioBufferTimeoutTriggered: Ledger._input_turn,
        ev.InputAudioBufferCommitted: Ledger._input_turn,
        ev.InputAudioBufferCleared: Ledger._input_turn,
        ev.InputAudioBufferCommit: Ledger._input_turn,
        ev.InputAudioBufferClear: Ledger._input_turn,
        ev.ResponseCreate: Ledger._response_create,
        ev.ResponseCancel: Ledger._response_cancel,
        ev.ResponseCreated: Ledger._response_created,
        ev.ResponseDone: Ledger._response_done,
        ev.ConversationItemAdded: Ledger._item_added,
        ev.ConversationItemCreated: Ledger._item_created,
        ev.ConversationItemDone: Ledger._item_done,
        ev.ConversationItemTruncated: Ledger._item_truncated,
        ev.ConversationItemDeleted: Ledger._item_deleted,
        ev.ConversationItemRetrieved: Ledger._item_retrieved,
        ev.SessionUpdate: Ledger._client_asks,
        ev.InputAudioBufferAppend: Ledger._client_asks,
        ev.ConversationItemCreate: Ledger._client_asks,
        ev.ConversationItemRetrieve: Ledger._client_asks,
        ev.ConversationItemTruncate: Ledger._client_asks,
        ev.ConversationItemDelete: Ledger._client_asks,
        ev.OutputAudioBufferClear: Ledger._client_asks,
    }
)
"""Event -> the rule that follows it. Events that move no state have none."""
