"""What each client event does, one method per event.

All synchronous; a ProtocolError raised here is answered with `error`. Only events that Protocol.receive accepted come
here: what engine.realtime.client_rules and the state machines refuse is not checked again, so each rule has one text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.errors import RemoteProtocolError
from engine.realtime import events as ev
from engine.server.answering import Answering
from engine.server.config import reported, updated
from engine.server.history import truncate
from engine.server.items import from_client
from engine.server.listening import Listening
from engine.server.mcp.side import McpSide
from engine.server.refusal import unknown_parameter
from engine.server.run import snapshot
from engine.server.state import SessionState


class Handlers:
    """Obeys the events of one client."""

    def __init__(self, state: SessionState, listening: Listening, answering: Answering, mcp: McpSide) -> None:
        self._state = state
        self._listening = listening
        self._answering = answering
        self._mcp = mcp
        self._by_type: dict[type[Any], Callable[[Any], None]] = {
            ev.SessionUpdate: self._session_update,
            ev.InputAudioBufferCommit: lambda _: listening.commit(),
            ev.InputAudioBufferClear: lambda _: listening.clear(),
            ev.ConversationItemCreate: self._item_create,
            ev.ConversationItemRetrieve: self._item_retrieve,
            ev.ConversationItemTruncate: self._item_truncate,
            ev.ConversationItemDelete: self._item_delete,
            ev.ResponseCreate: self._response_create,
            ev.ResponseCancel: lambda event: answering.cancel(event.response_id or None),
        }

    def handle(self, event: ev.AnyEvent) -> None:
        """Obey one event (appended audio excepted).

        Raises ProtocolError when it is refused; then nothing has changed.
        """
        # The protocol refuses unknown types and output_audio_buffer.clear, refuse_unknown (below) unknown members.
        assert not isinstance(event, ev.Unknown) and not event.extra
        self._by_type[type(event)](event)

    def _session_update(self, event: ev.SessionUpdate) -> None:
        state = self._state
        config = updated(state.config, event.session, state.mcp_rules)
        self._listening.check_format(config["audio"]["input"]["format"]["type"])
        state.config = config
        self._listening.reconfigure()
        state.emit(ev.SessionUpdated(session=reported(config)))
        self._mcp.reconfigured(event.session)

    def _item_create(self, event: ev.ConversationItemCreate) -> None:
        state = self._state
        item = from_client("item", event.item, state.new_item_id(), state.input_format)
        self._mcp.check_answer(item)
        place = state.history.place_for(item, event.previous_item_id or None)
        state.history.insert(item, place)
        previous = state.history.previous(item.id)
        state.emit(ev.ConversationItemAdded(previous_item_id=previous, item=snapshot(item)))
        state.emit(ev.ConversationItemDone(previous_item_id=previous, item=snapshot(item)))
        self._mcp.answered(item)

    def _item_retrieve(self, event: ev.ConversationItemRetrieve) -> None:
        item = self._state.history[event.item_id]
        self._state.emit(ev.ConversationItemRetrieved(item=item.retrieved()))

    def _item_truncate(self, event: ev.ConversationItemTruncate) -> None:
        state = self._state
        item = state.history[event.item_id]
        truncate(item, event.content_index, event.audio_end_ms, state.budget)
        state.emit(
            ev.ConversationItemTruncated(
                item_id=event.item_id, content_index=event.content_index, audio_end_ms=event.audio_end_ms
            )
        )

    def _item_delete(self, event: ev.ConversationItemDelete) -> None:
        history = self._state.history
        history.remove(history[event.item_id])
        self._state.emit(ev.ConversationItemDeleted(item_id=event.item_id))

    def _response_create(self, event: ev.ResponseCreate) -> None:
        self._answering.create(dict(event.response) if event.response else {})


def refuse_unknown(event: ev.AnyEvent) -> None:
    """Raise RemoteProtocolError for a member that its type has not, before the event moves any state."""
    if not isinstance(event, ev.Unknown) and event.extra:
        problem = unknown_parameter(next(iter(event.extra)))
        event_id = event.event_id if isinstance(event.event_id, str) else None
        raise RemoteProtocolError(str(problem), code=problem.code, param=problem.param, event_id=event_id)
