"""What only a client keeps: requests that wait for the response slot, updates that wait for their answer, and accounts.

One response may write to the conversation at a time, and the server starts some by itself. So a request waits until the
slot is free; one that lost the race is sent once more; and what the server refuses for good is an outcome like any
other, so that nobody waits for an answer that never comes.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET

from engine.errors import LocalProtocolError
from engine.realtime import events as ev
from engine.realtime.agreement import Difference, changes, differences
from engine.realtime.ledger import Ledger, out_of_band_request
from engine.realtime.output import Response
from engine.realtime.redaction import scrub
from engine.realtime.transitions import Slot
from engine.realtime.usage import Meter, Prices
from engine.realtime.words import TAKERS, Book, Entry

if TYPE_CHECKING:
    from engine.realtime.types.shape import Shape

V = TypeVar("V")

MAX_WAITING = 16
"""Requests that may wait for the slot; one more is refused."""
MAX_UPDATES = 16
"""Updates without an answer that are remembered; of older ones only the effect is seen."""
MAX_OUTCOMES = 64
"""Newest responses that were not completed; older ones are only counted by who reads them."""
MAX_RATE_LIMITS = 16
MAX_WORDS = 1000  # characters of what an outcome says
MAX_PAIRS = 16  # of its metadata

RACE_LOST = "conversation_already_has_active_response"
NOTHING_TO_CANCEL = "response_cancel_not_active"
_OF_UPDATES = frozenset(
    {"cannot_update_voice", "unknown_parameter"}
)  # codes that nothing but an update is refused with


class Requested(enum.Enum):
    """What request_response() did."""

    SENT = "sent"
    QUEUED = "queued"  # goes out when the slot is free, after those that wait already
    JOINED = "joined"  # one that asks for the same waits already: one answer serves both


class _Waiting(NamedTuple):
    event: ev.ResponseCreate
    is_retry: bool


class _Update(NamedTuple):
    event_id: str
    session: Mapping[str, Any]


class Asking(Ledger):
    """The client's part of Protocol, which documents the attributes."""

    def __init__(self, *args: Any, prices: Prices | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.usage = Meter(prices)
        self.rate_limits: dict[str, ev.RateLimit] = {}  # at most MAX_RATE_LIMITS names; further ones are not taken
        self.outcomes: deque[ev.Outcome] = deque(maxlen=MAX_OUTCOMES)  # full: the oldest goes
        self.differences: list[Difference] = []
        self.refusal: ev.Error | None = None
        self._book = Book()
        self._updates: deque[_Update] = deque(maxlen=MAX_UPDATES)  # full: the oldest goes uncompared
        self._waiting: deque[_Waiting] = deque()  # at most MAX_WAITING and one retry: one more is refused
        self._retried: dict[str, None] = {}  # event_ids of creates that were sent again; the newest MAX_WAITING
        self._answered: dict[str, ev.ResponseCreate] = {}  # believed, not known to be answered; the newest MAX_WAITING
        self._echoes = False  # whether this server tells a response by the metadata of its request
        self._foreign = ""  # the active response, when it is known to be the server's own while a request is under way
        self._foreign_slot = Slot.REQUESTED  # what the slot is again after it
        self._held = False  # a race was lost against a response that was not announced: wait for its end
        self._ended_since = False  # whether a response ended after the newest request went out
        self._cancel_missed = False  # a cancel came before the response it meant: cancel that when it appears
        self._sound_sent = False

    def send(self, event: ev.AnyEvent) -> ev.AnyEvent:
        """See Protocol."""
        raise NotImplementedError

    # ---- requests

    def request_response(
        self, request: ev.ResponseCreate | Shape | Mapping[str, Any] | None = None, *, validate: bool = True
    ) -> Requested:
        """Client: ask for a response now, or as soon as the slot is free. Out-of-band ones never wait.

        `request` is the whole event, or its `response` (types.ResponseRequest, or a mapping in the wire's shape).
        Raises ConfigError for what the rules forbid; validate=False turns them off.

        Requests wait in order, at most 16 (LocalProtocolError then); one that asks for the same as a waiting one joins
        it. A request that loses the race against the server's own response is sent once more after that response.
        """
        event = _as_event(request, validate)
        if out_of_band_request(event) or (self.slot is Slot.FREE and not self._waiting and not self._held):
            self.send(event)
            return Requested.SENT
        if any(waiting.event.response == event.response for waiting in self._waiting):
            return Requested.JOINED
        if len(self._waiting) >= MAX_WAITING:
            message = f"{MAX_WAITING} requests wait for the active response: let one be answered, or withdraw them"
            raise LocalProtocolError(message, code="too_many_requests")
        self._waiting.append(_Waiting(event, is_retry=False))
        return Requested.QUEUED

    def withdraw_request(self) -> bool:
        """Client: drop every response.create that waits; whether there was one."""
        waited = bool(self._waiting)
        self._waiting.clear()
        return waited

    def expire_request(self) -> bool:
        """Client: stop waiting for the answer to a response.create that never came; whether there was one."""
        if self.slot not in (Slot.REQUESTED, Slot.WITHDRAWN) and not self._held:
            return False
        self._held = False
        for request in [request for request in self._requests if not out_of_band_request(request)]:
            self._refuse_request(request)
            self._give_up(request, "no_answer", "the server did not answer")
        self._pump()
        return True

    @property
    def waiting(self) -> int:
        """How many requests wait for the slot."""
        return len(self._waiting)

    def _pump(self) -> None:
        while self._waiting and self.slot is Slot.FREE and not self._held:
            request, is_retry = self._waiting.popleft()
            try:
                sent = self.send(request)
            except LocalProtocolError as problem:
                self._note(str(problem))
                self._give_up(request, problem.code, str(problem))
                continue
            if is_retry and isinstance(sent.event_id, str):
                _remember(self._retried, sent.event_id, None)

    def _give_up(self, request: ev.ResponseCreate, code: str | None, why: str) -> None:
        metadata = _metadata(request)
        self.outcomes.append(_short(ev.Outcome(status="refused", code=code or "", message=why, metadata=metadata)))

    # ---- whose response it is

    def _begun(self, event: ev.ResponseCreated) -> None:
        """A response of the conversation began. Metadata tell whose it is, once the server is known to echo them;
        without them it is believed to be ours when we asked for one."""
        request = next((each for each in self._requests if not out_of_band_request(each)), None)
        if request is None or event.response_id != self.response_id:
            return
        asked = _metadata(request)
        if asked and event.metadata == asked:
            self._echoes = True
        elif asked and self._echoes:
            self._foreign = event.response_id
            self._foreign_slot = Slot.WITHDRAWN if self.slot is Slot.CANCELLING else Slot.REQUESTED

    def _settle_request(self, *, outside: bool, metadata: Any = None) -> ev.ResponseCreate | None:
        if not outside and self._foreign:
            return None
        settled = super()._settle_request(outside=outside, metadata=metadata)
        if settled is not None and not outside and isinstance(settled.event_id, str) and not self._echoes:
            _remember(self._answered, settled.event_id, settled)
        return settled

    def _finish(self, response: Response, happened: str) -> None:
        super()._finish(response, happened)
        if happened == "lost":
            self.outcomes.append(ev.Outcome(response_id=response.response_id, status="lost"))
        if response.response_id == self._foreign:
            self._foreign = ""
            if not all(map(out_of_band_request, self._requests)):
                self.slot = self._foreign_slot

    # ---- updates

    def update_session(
        self, wanted: Mapping[str, Any] | Shape, *, extra: Mapping[str, Any] | None = None, validate: bool = True
    ) -> ev.AnyEvent | None:
        """Client: ask for these settings; only what is not in force already is sent, and nothing at all (None) when
        that is nothing. `extra` is merged in last, unchecked.

        Raises ConfigError, and sends nothing, for what the rules forbid (engine.realtime.rules); validate=False turns
        them off. The answer is compared with what was asked: see `differences` and `refusal`.
        """
        from engine.realtime import rules  # imported when used: they bring all types
        from engine.realtime.types.shape import merged

        if validate and self.effective.get("type") == "transcription" and isinstance(wanted, Mapping):
            wanted = {"type": "transcription", **wanted}
        state = rules.SessionState(self.effective, self.audio_started, self.slot is not Slot.FREE)
        whole = rules.prepared(wanted, validate=validate, state=state)
        return self.send_changes(merged(whole, extra or {}))

    def check_session(self, session: Mapping[str, Any]) -> None:
        """Client: raise ConfigError when this session object must not be sent now."""
        from engine.realtime import rules  # imported when used: they bring all types

        rules.prepared(
            session, state=rules.SessionState(self.effective, self.audio_started, self.slot is not Slot.FREE)
        )

    def send_changes(self, session: Mapping[str, Any]) -> ev.AnyEvent | None:
        """Client: send what of a checked session object is not in force; None when that is nothing."""
        changed = changes(self.effective, session)
        if not changed:
            return None
        return self.send(ev.SessionUpdate(session={"type": session.get("type", "realtime"), **changed}))

    def _asked(self, event: ev.AnyEvent) -> None:
        """This event goes out: remember what has to be answered."""
        if isinstance(event, ev.SessionUpdate) and isinstance(event.event_id, str):
            self._updates.append(_Update(event.event_id, event.session))
        elif isinstance(event, ev.ResponseCreate) and not out_of_band_request(event):
            self._ended_since = False

    def _check_sound(self) -> None:
        """Sound that the server would take under settings nobody asked for is not sent."""
        if self.refusal is not None and not self._sound_sent:
            refusal = self.refusal
            message = (
                f"no sound is sent, for the server refused the session: {refusal.message}"
                f"{f' ({refusal.param})' if refusal.param else ''}; correct the settings and update again"
            )
            raise LocalProtocolError(
                scrub(message), code=refusal.code, param=refusal.param, event_id=refusal.cause_event_id
            )
        self._sound_sent = True

    def _updated(self) -> None:
        self.refusal = None
        if self._updates:
            self.differences = differences(self._updates.popleft().session, self.effective)

    def _refused_update(self, error: ev.Error) -> bool:
        named = error.cause_event_id
        for update in self._updates:
            about_session = (error.param or "").startswith("session") or error.code in _OF_UPDATES
            if update.event_id == named or (named is None and about_session):
                self._updates.remove(update)
                self.refusal = error
                return True
        return False

    # ---- accounts

    def history(self) -> list[Entry]:
        """Client: the conversation as it stands, in order, each item with its words as far as they have come."""
        items = (self.items.get(item_id) for item_id in self.items)
        return [self._book.entry(item) for item in items if item is not None]

    # ---- what the server says

    def _after_server_event(self, event: ev.AnyEvent) -> bool:
        """Follow an accepted event. Whether it is worth anybody's while: a cancel that came too late is not."""
        self.usage.receive(event)
        self._book.receive(event, self.effective)
        worth = True
        match event:
            case ev.Error():
                worth = self._error_arrived(event)
            case ev.SessionUpdated():
                self._updated()
            case ev.RateLimitsUpdated():
                self._limits(event)
            case ev.ResponseCreated():
                self._begun(event)
                if self._cancel_missed and self.slot is Slot.ACTIVE and not self._foreign:
                    self._cancel_missed = False
                    self._cancel_now()
            case ev.ResponseDone() if event.status != "completed":
                self.outcomes.append(_short(event.outcome))
        return worth

    def _release(self, event: ev.AnyEvent) -> None:
        """The end of any response, even of one that was never announced, ends the wait for it; then the slot is looked
        at again."""
        if isinstance(event, ev.ResponseDone):
            self._held, self._ended_since = False, True
        if self._waiting:
            self._pump()

    def _cancel_now(self) -> None:
        try:
            self.send(ev.ResponseCancel(response_id=self.response_id))
        except LocalProtocolError as problem:
            self._note(str(problem))

    def _limits(self, event: ev.RateLimitsUpdated) -> None:
        for limit in event.limits:
            room = len(self.rate_limits) < MAX_RATE_LIMITS and len(limit.name) <= ev.MAX_ID
            if limit.name in self.rate_limits or room:
                self.rate_limits[limit.name] = limit

    def _error_arrived(self, error: ev.Error) -> bool:
        if error.code == NOTHING_TO_CANCEL:  # only a cancel of ours is answered so, and it crossed the response's end
            if self.slot is Slot.WITHDRAWN:
                self.slot, self._cancel_missed = Slot.REQUESTED, True
            return False
        if not self._refused_update(error):
            self._refused_create(error)
        return True

    def _refused_create(self, error: ev.Error) -> None:
        """Match an error with the response.create it refuses; services sometimes leave event_id out."""
        request = self._matching_request(error)
        if request is None:
            return
        withdrawn = self.slot is Slot.WITHDRAWN or self._cancel_missed
        unannounced = request in self._requests and self.response is None and not self._ended_since
        self._refuse_request(request)
        self._cancel_missed = False
        lost_race = error.code == RACE_LOST and not out_of_band_request(request)
        if not lost_race or withdrawn or request.event_id in self._retried:
            self._give_up(request, error.code, error.message)
            return
        self._waiting.appendleft(_Waiting(msgspec.structs.replace(request, event_id=UNSET), is_retry=True))
        self._held = unannounced

    def _matching_request(self, error: ev.Error) -> ev.ResponseCreate | None:
        named = error.cause_event_id
        if named is not None:
            late = self._answered.pop(named, None)  # the response that was taken for its answer was the server's own
            return late or next((request for request in self._requests if request.event_id == named), None)
        if error.code != RACE_LOST:
            return None
        found = next((request for request in self._requests if not out_of_band_request(request)), None)
        return found or (self._answered.popitem()[1] if self._answered else None)


FOLLOWED = frozenset({*TAKERS, ev.Error, ev.SessionUpdated, ev.RateLimitsUpdated, ev.ResponseCreated, ev.ResponseDone})
"""What a client's accounts come from. Sound is not among it, and passes them by."""


def _as_event(request: ev.ResponseCreate | Shape | Mapping[str, Any] | None, validate: bool) -> ev.ResponseCreate:
    response = request.response if isinstance(request, ev.ResponseCreate) else request
    if response is None or response is UNSET or not response:
        return request if isinstance(request, ev.ResponseCreate) else ev.ResponseCreate()
    from engine.realtime import rules  # imported when used: they bring all types
    from engine.realtime.types import ResponseRequest

    body = rules.prepared(response, ResponseRequest, where="response", validate=validate)
    return request if isinstance(request, ev.ResponseCreate) else ev.ResponseCreate(response=body)


def _metadata(request: ev.ResponseCreate) -> ev.Object:
    metadata = request.response.get("metadata") if isinstance(request.response, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def _short(outcome: ev.Outcome) -> ev.Outcome:
    """As it is remembered: servers choose how long their words are."""
    words = ("response_id", "status", "reason", "error_type", "code", "message")
    kept = {
        name: value
        for name, value in outcome.metadata.items()
        if len(name) <= ev.MAX_ID and isinstance(value, str) and len(value) <= ev.MAX_ID
    }
    metadata = kept if len(kept) <= MAX_PAIRS else {}
    return msgspec.structs.replace(
        outcome, metadata=metadata, **{name: getattr(outcome, name)[:MAX_WORDS] for name in words}
    )


def _remember(memory: dict[str, V], key: str, value: V) -> None:
    """Keep the newest MAX_WAITING."""
    memory[key] = value
    if len(memory) > MAX_WAITING:
        del memory[next(iter(memory))]
