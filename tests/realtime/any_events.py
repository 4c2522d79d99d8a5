"""Events of either side with plausible and implausible members, and what a lawful server's events keep to."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from engine.realtime import events as ev
from engine.realtime.protocol import Role
from engine.realtime.transitions import LIFE_EVENTS

RESPONSES = st.sampled_from(["r1", "r2", "r3", "o1", ""])
ITEMS = st.sampled_from(["a", "b", "c", "u", ""])
SMALL = st.integers(-1, 2)
ANYTHING = st.none() | st.integers(-5, 5) | st.text(max_size=3) | st.lists(st.none(), max_size=2)
MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "event_id": st.sampled_from([ev.UNSET, None, "e1", "e2"]),
    "response_id": RESPONSES,
    "item_id": ITEMS,
    "output_index": SMALL,
    "content_index": SMALL,
    "previous_item_id": st.sampled_from([ev.UNSET, None, "root", "a", "b", "x"]),
    "delta": st.sampled_from([b"", b"\0" * 480]),
    "audio": st.sampled_from([b"", b"\0" * 480]),
    "audio_end_ms": st.integers(-1, 30),
    "audio_start_ms": st.integers(-1, 30),
    "item": st.fixed_dictionaries(
        {},
        optional={
            "id": ITEMS | ANYTHING,
            "type": st.sampled_from(["message", "function_call", "function_call_output"]) | ANYTHING,
            "role": st.sampled_from(["user", "assistant"]) | ANYTHING,
            "content": st.just([]) | st.just([{"type": "input_text", "text": "x"}]) | ANYTHING,
            "call_id": st.sampled_from(["c1"]) | ANYTHING,
            "output": st.just(""),
            "name": st.just("f"),
            "arguments": st.just("{}"),
        },
    ),
    "part": st.fixed_dictionaries({}, optional={"type": st.sampled_from(["audio", "text"]) | ANYTHING}),
    "error": st.fixed_dictionaries(
        {},
        optional={
            "code": st.sampled_from(["conversation_already_has_active_response", "invalid_value"]) | ANYTHING,
            "event_id": st.sampled_from(["e1", "event_1", "event_2"]) | ANYTHING,
        },
    ),
    "session": st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["realtime", "transcription"]) | ANYTHING,
            "audio": ANYTHING
            | st.fixed_dictionaries(
                {},
                optional={
                    "input": ANYTHING | st.fixed_dictionaries({"turn_detection": ANYTHING | st.just({"type": "x"})}),
                    "output": ANYTHING | st.fixed_dictionaries({"voice": ANYTHING}),
                },
            ),
            "tracing": ANYTHING,
        },
    ),
    "transcript": st.just(""),
    "text": st.just(""),
    "arguments": st.just("{}"),
    "call_id": st.just("c1"),
    "rate_limits": st.just([]),
    "conversation": st.just({}),
    "start": st.just(0.0),
    "end": st.just(0.0),
}
RESPONSE_OBJECT = st.fixed_dictionaries(
    {},
    optional={
        "id": RESPONSES | ANYTHING,
        "status": st.sampled_from(["in_progress", "cancelled"]) | ANYTHING,
        "conversation_id": st.sampled_from([None, "conv"]),
        "audio": ANYTHING | st.just({"output": {"format": {"type": "audio/pcmu"}}}),
    },
)
RESPONSE_PARAMS = st.sampled_from([ev.UNSET, None, {"conversation": "none"}, {"conversation": "auto"}])


def any_event(sender: Role) -> st.SearchStrategy[ev.AnyEvent]:
    """Typed events of one side with plausible and implausible members; ids from a small pool, so that they meet."""

    def members(cls: type[ev.Event]) -> st.SearchStrategy[ev.AnyEvent]:
        drawn: dict[str, st.SearchStrategy[Any]] = {}
        for name in cls.__struct_fields__:
            if name == "response":
                drawn[name] = RESPONSE_PARAMS if cls is ev.ResponseCreate else RESPONSE_OBJECT
            elif name == "delta" and "output_audio.delta" not in str(cls.__struct_config__.tag):
                drawn[name] = st.just("x")
            elif name in MEMBERS:
                drawn[name] = MEMBERS[name]
            elif name in cls.__struct_fields__ and name in ("id", "speaker", "event"):
                drawn[name] = st.just("s")
            elif name == "received_at":
                drawn[name] = st.just(0)
        return st.builds(cls, **drawn)

    typed = st.sampled_from(list(ev.EVENTS[sender].values())).flatmap(members)
    lively = st.sampled_from([cls for kind, cls in ev.EVENTS[sender].items() if "response" in kind]).flatmap(members)
    unknown: st.SearchStrategy[ev.AnyEvent] = st.just(ev.Unknown(type="novel", fields={}))
    return st.one_of(typed, lively, unknown)


def assert_lawful(sent: list[ev.AnyEvent]) -> None:
    """One default response at a time, one end each, output only inside, every event_id once."""
    default: str | None = None
    running: set[str] = set()
    ended: set[str] = set()
    for event in sent:
        if isinstance(event, ev.ResponseCreated):
            assert event.response_id not in running | ended
            running.add(event.response_id)
            if event.response.get("conversation_id", "") is not None:
                assert default is None, "two active default responses"
                default = event.response_id
        elif isinstance(event, ev.ResponseDone):
            assert event.response_id in running
            running.remove(event.response_id)
            ended.add(event.response_id)
            default = None if default == event.response_id else default
        elif isinstance(event, ev.Event) and event.type in LIFE_EVENTS:
            assert event.response_id in running  # type: ignore[attr-defined]
