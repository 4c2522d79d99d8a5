"""The protocol's state machines as one table: state -> what happened -> next state. What a row lacks is not allowed.

Both roles use it. A row's keys are the wire's event types (client and server types never coincide) and three things
that have no event of their own:

    refused   the server answered a response.create with an error
    lost      a client saw another response begin: the one it believed active ended unseen
    off       voice detection was switched off
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias


class Session(enum.Enum):
    """The connection's life. CONNECTING lasts until session.created."""

    CONNECTING = "connecting"
    OPEN = "open"
    CLOSED = "closed"


class Slot(enum.Enum):
    """The one response that may write to the default conversation."""

    FREE = "free"
    REQUESTED = "requested"  # response.create sent, response.created not seen
    WITHDRAWN = "withdrawn"  # ... and cancelled already: it will be created, then end
    ACTIVE = "active"
    CANCELLING = "cancelling"  # still taken until response.done


class Turn(enum.Enum):
    """The user's turn in the input buffer, as voice detection reports it."""

    IDLE = "idle"
    SPEAKING = "speaking"
    STOPPED = "stopped"  # ended, its audio not yet committed


class Life(enum.Enum):
    """An output item, a part of it, or a stream of deltas in a part. `begin`, `more`, `end` come from LIFE_EVENTS."""

    ABSENT = "absent"
    OPEN = "open"
    DONE = "done"


State: TypeAlias = Session | Slot | Turn | Life

TRANSITIONS: Mapping[State, Mapping[str, State]] = MappingProxyType(
    {
        Session.CONNECTING: {"session.created": Session.OPEN, "error": Session.CONNECTING},
        Session.OPEN: {},  # everything but a second session.created; see Protocol
        Session.CLOSED: {},
        # ---- response slot
        Slot.FREE: {
            "response.create": Slot.REQUESTED,
            "response.created": Slot.ACTIVE,  # the server's own, after a turn
        },
        Slot.REQUESTED: {
            "response.created": Slot.ACTIVE,
            "response.cancel": Slot.WITHDRAWN,
            "refused": Slot.FREE,
        },
        Slot.WITHDRAWN: {"response.created": Slot.CANCELLING, "refused": Slot.FREE},
        Slot.ACTIVE: {"response.cancel": Slot.CANCELLING, "response.done": Slot.FREE, "lost": Slot.FREE},
        Slot.CANCELLING: {"response.done": Slot.FREE, "lost": Slot.FREE},
        # ---- input turn
        Turn.IDLE: {
            "input_audio_buffer.speech_started": Turn.SPEAKING,
            "input_audio_buffer.timeout_triggered": Turn.STOPPED,
            "input_audio_buffer.commit": Turn.IDLE,
            "input_audio_buffer.committed": Turn.IDLE,
            "input_audio_buffer.clear": Turn.IDLE,
            "input_audio_buffer.cleared": Turn.IDLE,
            "off": Turn.IDLE,
        },
        Turn.SPEAKING: {
            "input_audio_buffer.speech_stopped": Turn.STOPPED,
            "input_audio_buffer.commit": Turn.STOPPED,  # ends the segment; speech_stopped need not follow
            "input_audio_buffer.committed": Turn.IDLE,
            "input_audio_buffer.clear": Turn.SPEAKING,
            "input_audio_buffer.cleared": Turn.IDLE,
            "off": Turn.IDLE,
        },
        Turn.STOPPED: {
            "input_audio_buffer.speech_started": Turn.SPEAKING,  # a client's commit was refused, or was in flight
            "input_audio_buffer.speech_stopped": Turn.STOPPED,  # was in flight when the client committed
            "input_audio_buffer.commit": Turn.STOPPED,
            "input_audio_buffer.committed": Turn.IDLE,
            "input_audio_buffer.clear": Turn.STOPPED,
            "input_audio_buffer.cleared": Turn.IDLE,
            "off": Turn.IDLE,
        },
        # ---- output items, parts, streams
        Life.ABSENT: {"begin": Life.OPEN},
        Life.OPEN: {"more": Life.OPEN, "end": Life.DONE},
        Life.DONE: {},
    }
)

ITEM, PART = "item", "part"
AUDIO, TRANSCRIPT, TEXT, ARGUMENTS = "audio", "transcript", "text", "arguments"

LIFE_EVENTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "response.output_item.added": (ITEM, "begin"),
        "response.output_item.done": (ITEM, "end"),
        "response.content_part.added": (PART, "begin"),
        "response.content_part.done": (PART, "end"),
        "response.output_audio.delta": (AUDIO, "more"),
        "response.output_audio.done": (AUDIO, "end"),
        "response.output_audio_transcript.delta": (TRANSCRIPT, "more"),
        "response.output_audio_transcript.done": (TRANSCRIPT, "end"),
        "response.output_text.delta": (TEXT, "more"),
        "response.output_text.done": (TEXT, "end"),
        "response.function_call_arguments.delta": (ARGUMENTS, "more"),
        "response.function_call_arguments.done": (ARGUMENTS, "end"),
        "response.mcp_call_arguments.delta": (ARGUMENTS, "more"),
        "response.mcp_call_arguments.done": (ARGUMENTS, "end"),
    }
)
"""Event -> (what it belongs to, what it does to it). A stream begins with its part (ARGUMENTS with its item)."""


def following(state: State, happened: str) -> State | None:
    """The next state, or None when `happened` is not allowed in `state`."""
    return TRANSITIONS[state].get(happened)
