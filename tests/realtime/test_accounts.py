"""A client's accounts: words by item in any order, tokens and money, rate limits, and what became of each response."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigError
from engine.realtime import events as ev
from engine.realtime import session, usage
from engine.realtime.asking import MAX_OUTCOMES, MAX_RATE_LIMITS
from engine.realtime.protocol import Protocol, Role
from engine.realtime.usage import Meter, Prices, Tally
from engine.realtime.words import Book, Entry, Hearing
from tests.realtime.scenes import IN_PART, client, created, done

# ---- words


def hearing() -> Protocol:
    near = Protocol(Role.CLIENT)
    effective = session.merge(session.realtime("s"), {"audio": {"input": {"transcription": {"model": "whisper-1"}}}})
    near.receive(ev.SessionCreated(session=effective))
    return near


def heard(item_id: str, text: str) -> ev.Event:
    return ev.ConversationItemInputAudioTranscriptionCompleted(item_id=item_id, content_index=0, transcript=text)


def spoken(item_id: str, after: str | None) -> list[ev.Event]:
    item = {"id": item_id, "type": "message", "role": "user", "content": [{"type": "input_audio", "transcript": None}]}
    return [
        ev.ConversationItemAdded(item=item, previous_item_id=after),
        ev.ConversationItemDone(item=item, previous_item_id=after),
    ]


def replied(item_id: str, after: str, text: str) -> list[ev.Event]:
    place: dict[str, Any] = {**IN_PART, "response_id": f"r_{item_id}", "item_id": item_id}
    item = {"id": item_id, "type": "message", "role": "assistant", "content": []}
    return [
        created(place["response_id"]),
        ev.ResponseOutputItemAdded(response_id=place["response_id"], output_index=0, item=item),
        ev.ConversationItemAdded(item=item, previous_item_id=after),
        ev.ResponseContentPartAdded(**place, part={"type": "audio"}),
        ev.ResponseOutputAudioTranscriptDelta(**place, delta=text[:2]),
        ev.ResponseOutputAudioTranscriptDelta(**place, delta=text[2:]),
        ev.ResponseOutputAudioTranscriptDone(**place, transcript=text),
        done(place["response_id"]),
    ]


TURNS = [
    *spoken("u1", None),
    *replied("a1", "u1", "Hello."),
    *spoken("u2", "a1"),
    *replied("a2", "u2", "Five o'clock."),
]


def told(near: Protocol) -> list[tuple[str, str, str]]:
    return [(entry.item_id, entry.role, entry.text) for entry in near.history()]


@pytest.mark.parametrize("order", list(itertools.permutations([0, 1, 2])))
def test_transcripts_find_their_items_in_any_order(order: tuple[int, ...]) -> None:
    late = [[heard("u1", "Hi.")], [heard("u2", "What time is it?")], TURNS]
    near = hearing()
    for number in order:
        for event in late[number]:
            near.receive(event)
    assert told(near) == [
        ("u1", "user", "Hi."),
        ("a1", "assistant", "Hello."),
        ("u2", "user", "What time is it?"),
        ("a2", "assistant", "Five o'clock."),
    ]
    assert {entry.hearing for entry in near.history() if entry.role == "user"} == {Hearing.SETTLED}


@given(st.permutations(["i1", "i2", "i3", "i4", "i5"]))
def test_items_are_linked_by_what_they_follow_in_any_order(arriving: list[str]) -> None:
    near = client()
    follows = {"i2": "i1", "i3": "i2", "i4": "i3", "i5": "i4"}
    for item_id in arriving:
        near.receive(ev.ConversationItemAdded(item={"id": item_id}, previous_item_id=follows.get(item_id)))
    assert list(near.items) == ["i1", "i2", "i3", "i4", "i5"]


def test_items_that_name_each_other_do_no_harm() -> None:
    near = client()
    for item_id, after in (("x", "y"), ("y", "x"), ("z", "z"), ("y", "z")):
        near.receive(ev.ConversationItemAdded(item={"id": item_id}, previous_item_id=after))
    assert sorted(near.items) == ["x", "y", "z"]


def test_what_is_pending_failed_and_cut_off_is_told() -> None:
    near = hearing()
    for event in TURNS:
        near.receive(event)
    assert [entry.hearing for entry in near.history()] == [Hearing.PENDING, Hearing.NONE, Hearing.PENDING, Hearing.NONE]
    near.receive(
        ev.ConversationItemInputAudioTranscriptionFailed(
            item_id="u1", content_index=0, error={"code": "unintelligible"}
        )
    )
    near.receive(ev.ConversationItemTruncated(item_id="a2", content_index=0, audio_end_ms=300))
    near.receive(ev.ConversationItemDeleted(item_id="a1"))
    first, second, last = near.history()
    assert first == Entry(item_id="u1", kind="message", role="user", hearing=Hearing.FAILED, done=True)
    assert second.hearing is Hearing.PENDING
    assert (last.text, last.truncated_ms) == ("Five o'clock.", 300)


def test_deltas_join_and_a_whole_text_ends_them() -> None:
    near = hearing()
    near.receive(spoken("u1", None)[0])
    for text in ("What ", "time"):
        near.receive(ev.ConversationItemInputAudioTranscriptionDelta(item_id="u1", content_index=0, delta=text))
    (entry,) = near.history()
    assert (entry.text, entry.hearing) == ("What time", Hearing.PENDING)
    near.receive(heard("u1", "What time is it?"))
    near.receive(ev.ConversationItemInputAudioTranscriptionDelta(item_id="u1", content_index=0, delta=" late"))
    assert told(near) == [("u1", "user", "What time is it?")]
    near.receive(heard("u1", "What time is it?"))
    assert told(near) == [("u1", "user", "What time is it?")]


def test_calls_and_typed_words_are_in_the_history() -> None:
    near = client()
    call = {"id": "f1", "type": "function_call", "name": "clock", "call_id": "c1", "arguments": "{}"}
    output = {"id": "o1", "type": "function_call_output", "call_id": "c1", "output": "5"}
    typed = {"id": "t1", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
    for item in (call, output, typed):
        near.receive(ev.ConversationItemAdded(item=item))
    assert [(entry.kind, entry.name, entry.call_id, entry.text) for entry in near.history()] == [
        ("function_call", "clock", "c1", "{}"),
        ("function_call_output", "", "c1", "5"),
        ("message", "", "", "Hi"),
    ]


def test_the_book_has_a_bound() -> None:
    book = Book(limit=10_000)
    for number in range(1000):
        book.receive(heard(f"u{number}", "x" * 100), {})
        assert book.characters <= 10_000
    assert book.get("u999") is not None
    assert book.forgotten == 1000 - len(book)
    for index in range(1000):
        empty = ev.ConversationItemInputAudioTranscriptionDelta(item_id="u999", content_index=index, delta="")
        book.receive(empty, {})
        assert book.characters <= 10_000
    book.receive(heard("big", "x" * 20_000), {})
    assert book.characters == 0 == len(book)


# ---- tokens and money

USAGE = {
    "total_tokens": 253,
    "input_tokens": 132,
    "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 32,
        "audio_tokens": 90,
        "image_tokens": 10,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 20, "audio_tokens": 44},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}
PRICES = Prices(
    text_input=4.0,
    cached_text_input=0.4,
    audio_input=32.0,
    cached_audio_input=0.5,
    image_input=5.0,
    text_output=16.0,
    audio_output=64.0,
    transcription_minute=0.006,
)


def test_tokens_and_money_per_turn_and_session() -> None:
    near = Protocol(Role.CLIENT, prices=PRICES)
    near.receive(ev.SessionCreated(session=session.realtime("s")))
    for number in range(2):
        near.receive(created(f"r{number}"))
        near.receive(ev.ResponseDone(response={"id": f"r{number}", "status": "completed", "usage": USAGE}))
    near.receive(
        ev.ConversationItemInputAudioTranscriptionCompleted(
            item_id="u", content_index=0, transcript="x", usage={"type": "duration", "seconds": 30}
        )
    )
    expected = Tally(1, 12, 46, 10, 20, 44, 0, 30, 91)
    assert [turn.tally._replace(cost=None) for turn in near.usage.turns] == [expected, expected]
    cost = (12 * 4 + 46 * 32 + 10 * 5 + 20 * 0.4 + 44 * 0.5 + 30 * 16 + 91 * 64) / 1e6
    assert near.usage.turns[0].tally.cost == pytest.approx(cost)
    total = near.usage.total
    assert total.cost == pytest.approx(2 * cost + 0.003)
    assert (total.responses, total.input, total.cached, total.output) == (2, 264, 128, 242)
    assert total.transcription_seconds == 30


def test_without_prices_there_is_no_cost() -> None:
    meter = Meter()
    meter.receive(ev.ResponseDone(response={"id": "r", "usage": USAGE}))
    assert meter.total.cost is None
    assert meter.total.responses == 1


counts = st.integers(-5, 1000) | st.none()
details = st.none() | st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("text_tokens", "audio_tokens", "image_tokens", "cached_tokens"), counts)
    | {"cached_tokens_details": st.none() | st.fixed_dictionaries({"text_tokens": counts, "audio_tokens": counts})},
)


@given(counts, counts, details, details)
def test_no_token_is_counted_twice(sent: Any, said: Any, given_details: Any, said_details: Any) -> None:
    reported = {
        "input_tokens": sent,
        "output_tokens": said,
        "input_token_details": given_details,
        "output_token_details": said_details,
    }
    counted = ev.ResponseDone(response={"id": "r", "usage": reported}).usage
    assert counted is not None
    found = usage.tally(counted)
    assert min(found[:-1]) >= 0
    kinds = [max(0, (given_details or {}).get(f"{kind}_tokens") or 0) for kind in ("text", "audio", "image")]
    assert found.input == max(sum(kinds), sent or 0, 0)
    assert found.cached <= found.input


def test_cached_tokens_of_no_kind_come_off_what_is_left_of_each_kind() -> None:
    given = {"text_tokens": 30, "audio_tokens": 50, "cached_tokens": 64, "cached_tokens_details": {"text_tokens": 20}}
    event = ev.ResponseDone(response={"usage": {"input_tokens": 80, "input_token_details": given}})
    assert event.usage is not None
    found = usage.tally(event.usage)
    assert (found.text_input, found.cached_text_input) == (0, 30)
    assert (found.audio_input, found.cached_audio_input) == (16, 34)


def test_a_price_below_nought_is_a_mistake() -> None:
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match=r"text_input is .*a price is 0 or more"):
            Prices(text_input=wrong)


# ---- outcomes and limits


@pytest.mark.parametrize(
    ("status", "details", "words"),
    [
        ("cancelled", {"type": "cancelled", "reason": "turn_detected"}, "response r1 is cancelled: turn_detected"),
        ("incomplete", {"reason": "max_output_tokens"}, "response r1 is incomplete: max_output_tokens"),
        (
            "failed",
            {"error": {"type": "invalid_request_error", "code": "insufficient_quota", "message": "You exceeded it."}},
            "response r1 is failed: invalid_request_error, insufficient_quota, You exceeded it.",
        ),
        ("failed", None, "response r1 is failed"),
    ],
)
def test_whatever_was_not_completed_is_told_with_its_reason(status: str, details: Any, words: str) -> None:
    near = client()
    near.receive(created())
    near.receive(ev.ResponseDone(response={"id": "r1", "status": status, "status_details": details}))
    near.receive(created("r2"))
    near.receive(done("r2"))
    (outcome,) = near.outcomes
    assert str(outcome) == words
    assert not outcome.completed


def test_a_response_whose_end_was_never_seen_is_told_too() -> None:
    near = client()
    near.receive(created("r1"))
    near.receive(created("r2"))
    assert [str(outcome) for outcome in near.outcomes] == ["response r1 is lost"]


def test_outcomes_are_bounded() -> None:
    near = client()
    for number in range(MAX_OUTCOMES + 5):
        near.receive(created(f"r{number}"))
        near.receive(done(f"r{number}", "failed"))
    assert len(near.outcomes) == MAX_OUTCOMES
    assert near.outcomes[-1].response_id == f"r{MAX_OUTCOMES + 4}"


def test_what_a_server_says_of_an_outcome_is_kept_short() -> None:
    near = client()
    near.receive(created("r1"))
    long = {"error": {"code": "c" * 10_000, "message": "m" * 1_000_000}, "reason": "r" * 10_000}
    metadata = {**{str(number): "" for number in range(17)}, "k": "v" * 10_000}
    near.receive(
        ev.ResponseDone(response={"id": "r1", "status": "s" * 10_000, "status_details": long, "metadata": metadata})
    )
    (outcome,) = near.outcomes
    assert len(str(outcome)) < 4200
    assert outcome.metadata == {}


def test_the_newest_rate_limits_are_kept_by_name() -> None:
    near = client()
    tokens: dict[str, Any] = {"name": "tokens", "limit": 50000, "remaining": 40000, "reset_seconds": 60}
    near.receive(ev.RateLimitsUpdated(rate_limits=[{"name": "requests", "limit": 100}, {"nameless": 1}, tokens]))
    near.receive(ev.RateLimitsUpdated(rate_limits=[{**tokens, "remaining": 5}]))
    assert near.rate_limits["tokens"] == ev.RateLimit(name="tokens", limit=50000, remaining=5, reset_seconds=60)
    assert near.rate_limits["requests"].limit == 100
    near.receive(ev.RateLimitsUpdated(rate_limits=[{"name": str(number)} for number in range(100)]))
    assert len(near.rate_limits) == MAX_RATE_LIMITS


def test_out_of_band_responses_are_told_apart_by_their_metadata() -> None:
    near = client()
    for tag in ("a", "b"):
        near.request_response(ev.ResponseCreate(response={"conversation": "none", "metadata": {"tag": tag}}))
    response = {"id": "o1", "conversation_id": None, "metadata": {"tag": "b"}}
    near.receive(ev.ResponseCreated(response=response))
    left = [request.response for request in near._requests]
    assert left == [{"conversation": "none", "metadata": {"tag": "a"}}]
    near.receive(ev.ResponseDone(response={**response, "status": "failed"}))
    assert near.outcomes[-1].metadata == {"tag": "b"}
