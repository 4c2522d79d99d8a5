"""What a new session is told: bounded, in order, calls with their outputs, replies as far as they were heard."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.audio import TimeMap
from engine.conversation.history import ANCHOR, anchored, as_heard, remembered
from engine.conversation.line import joined
from engine.realtime import Protocol, Role, Verdict
from engine.realtime import events as ev

from .sessions import words


def conversation(*items: dict[str, Any]) -> Protocol:
    """A client's state after these items."""
    protocol = Protocol(Role.CLIENT)
    protocol.receive(ev.SessionCreated(event_id="e", session={"type": "realtime", "id": "sess_1"}))
    for number, given_item in enumerate(items):
        item = {"id": f"item_{number}", **given_item}
        assert protocol.receive(ev.ConversationItemAdded(event_id="e", item=item)) is Verdict.ACCEPTED
        assert protocol.receive(ev.ConversationItemDone(event_id="e", item=item)) is Verdict.ACCEPTED
    return protocol


def message(role: str, text: str) -> dict[str, Any]:
    """A message of words."""
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def call(name: str) -> dict[str, Any]:
    """A function call."""
    return {"type": "function_call", "call_id": name, "name": "look", "arguments": "{}"}


def output(name: str) -> dict[str, Any]:
    """Its output."""
    return {"type": "function_call_output", "call_id": name, "output": f"seen {name}"}


def told(protocol: Protocol, most_items: int = 64, most_characters: int = 10_000, **more: Any) -> list[tuple[str, str]]:
    """What would be created, in short."""
    items, _ = remembered(protocol, more.get("heard", {}), most_items, most_characters)
    return [words(item) for item in items]


def test_words_of_both_sides_in_order_with_their_ids() -> None:
    protocol = conversation(message("user", "Hello?"), message("assistant", "Hello."), message("system", "Be kind."))
    items, left_out = remembered(protocol, {}, 64, 1000)
    assert [item["id"] for item in items] == ["item_0", "item_1", "item_2"]
    assert [words(item) for item in items] == [("user", "Hello?"), ("assistant", "Hello."), ("system", "Be kind.")]
    assert [item["content"][0]["type"] for item in items] == ["input_text", "output_text", "input_text"]
    assert left_out == 0


def test_what_was_told_can_be_told_again() -> None:
    first = conversation(message("user", "One."), call("a"), output("a"), message("assistant", "Two."))
    items, _ = remembered(first, {}, 64, 1000)
    second = conversation(*anchored(items, "Go on.", f"{ANCHOR}1"))
    assert remembered(second, {}, 64, 1000)[0] == items, "but for the anchor, of which there is one each time"


def test_the_newest_are_kept() -> None:
    protocol = conversation(*(message("user", f"number {n}") for n in range(10)))
    assert told(protocol, most_items=3) == [("user", f"number {n}") for n in (7, 8, 9)]
    assert told(protocol, most_characters=20) == [("user", "number 8"), ("user", "number 9")]
    assert told(protocol, most_items=0) == []


def test_a_call_without_an_output_is_told_whatever_the_bound() -> None:
    protocol = conversation(call("open"), *(message("user", f"number {n}") for n in range(10)))
    assert told(protocol, most_items=1) == [("function_call", "{}"), ("user", "number 9")]


def test_an_output_without_its_call_and_a_call_without_its_words_are_left_out() -> None:
    broken = {"type": "function_call", "call_id": "broken", "name": "look", "arguments": ""}
    protocol = conversation(output("gone"), broken, message("user", ""), {"type": "mcp_call", "arguments": "{}"})
    assert told(protocol) == []


ITEMS = st.lists(
    st.one_of(
        st.builds(message, st.sampled_from(["user", "assistant"]), st.text("ab", max_size=9)),
        st.builds(call, st.sampled_from("abc")),
        st.builds(output, st.sampled_from("abc")),
    ),
    max_size=16,
)


@settings(max_examples=150, deadline=None)
@given(ITEMS, st.integers(0, 8), st.integers(0, 40))
def test_calls_and_outputs_are_never_parted(items: list[dict[str, Any]], most: int, characters: int) -> None:
    protocol = conversation(*items)
    whole, _ = remembered(protocol, {}, 10**6, 10**6)
    kept, left_out = remembered(protocol, {}, most, characters)
    assert [item for item in whole if item in kept] == kept, "in order"
    assert left_out == len(items) - len(kept)

    def ends(items: list[dict[str, Any]], name: str) -> set[str]:
        return {item["id"] for item in items if item.get("call_id") == name}

    answered = {item["call_id"] for item in whole if item["type"] == "function_call_output"}
    for name in "abc":
        assert ends(kept, name) in (set(), ends(whole, name))
        if ends(whole, name) and name not in answered:
            assert ends(kept, name), "an open call is always told"
    counted = [item for item in kept if item.get("call_id") in (None, *answered)]
    assert len(counted) <= most


@pytest.mark.parametrize(
    ("heard", "left"),
    [
        ((0, 1000), ""),
        ((0, 0), ""),
        ((1000, 1000), "one two three four"),
        ((500, 1000), "one two …"),
        ((990, 1000), "one two three …"),
        ((100, 1000), ""),
        ((389, 1000), "one two …"),
    ],
)
def test_a_reply_is_told_as_far_as_it_was_heard(heard: tuple[int, int], left: str) -> None:
    assert as_heard("one two three four", heard) == left
    protocol = conversation(message("assistant", "one two three four"))
    assert told(protocol, heard={"item_0": heard}) == ([("assistant", left)] if left else [])


def test_the_anchor_needs_something_to_hold() -> None:
    assert anchored([], "Go on.", "anchor_1") == []
    items = [{"id": "item_1"}]
    assert anchored(items, "", "anchor_1") == items
    assert words(anchored(items, "Go on.", "anchor_1", broken_off=True)[-1]) == (
        "system",
        "Go on. Your last answer broke off before its end.",
    )


def test_wishes_are_laid_over_each_other() -> None:
    first = {"type": "realtime", "audio": {"input": {"turn_detection": None}, "output": {"voice": "cedar"}}}
    more = {"audio": {"output": {"speed": 1.2}}, "instructions": "Be brief."}
    assert joined(first, more) == {
        "type": "realtime",
        "audio": {"input": {"turn_detection": None}, "output": {"voice": "cedar", "speed": 1.2}},
        "instructions": "Be brief.",
    }
    assert first["audio"] == {"input": {"turn_detection": None}, "output": {"voice": "cedar"}}


def test_a_time_map_begins_again_with_what_was_not_sent() -> None:
    time_map = TimeMap()
    for number in range(100):
        time_map._add(10 * number, silence=False)
    time_map.restart(20)
    assert (time_map.sent_ms, time_map.captured(0), time_map.captured(15)) == (20, 980, 995)
    time_map._add(1000, silence=False)
    assert time_map.captured(25) == 1005
    assert time_map.sent(1005) == 25
