"""What a conversation uses and costs: tokens by kind per response and in all, and money by a price table passed in.

    meter = Meter(Prices(text_input=4.0, cached_text_input=0.4, audio_input=32.0, audio_output=64.0, ...))
    meter.receive(event)                       # any server event
    meter.total.audio_output, meter.total.cost

Prices change; none are built in. Without a table cost is None.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from engine.errors import ConfigError
from engine.realtime import events as ev

MILLION = 1_000_000
MAX_TURNS = 256
"""Responses whose figures are kept one by one; older ones count in the total only."""


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """Prices per million tokens, in any one currency, 0 or more; cached input tokens have prices of their own.

    `transcription_minute` is for transcription models that charge by time, the other two for those that charge by
    token.
    """

    text_input: float = 0.0
    audio_input: float = 0.0
    image_input: float = 0.0
    cached_text_input: float = 0.0
    cached_audio_input: float = 0.0
    cached_image_input: float = 0.0
    text_output: float = 0.0
    audio_output: float = 0.0
    transcription_input: float = 0.0
    transcription_output: float = 0.0
    transcription_minute: float = 0.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if not 0.0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} is {getattr(self, name)!r}: a price is 0 or more")


class Tally(NamedTuple):
    """Tokens by kind. Input figures do not contain the cached ones beside them. Tallies can be added."""

    responses: int = 0
    text_input: int = 0
    audio_input: int = 0
    image_input: int = 0
    cached_text_input: int = 0
    cached_audio_input: int = 0
    cached_image_input: int = 0
    text_output: int = 0
    audio_output: int = 0
    transcription_input: int = 0
    transcription_output: int = 0
    transcription_seconds: float = 0.0
    cost: float | None = None
    """None without a price table."""

    @property
    def input(self) -> int:
        """Input tokens of all kinds, cached ones too; transcription has its own."""
        return self.text_input + self.audio_input + self.image_input + self.cached

    @property
    def cached(self) -> int:
        """Cached input tokens of all kinds."""
        return self.cached_text_input + self.cached_audio_input + self.cached_image_input

    @property
    def output(self) -> int:
        """Output tokens of all kinds; transcription has its own."""
        return self.text_output + self.audio_output

    def plus(self, other: Tally) -> Tally:
        """The two together."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in self._fields if name != "cost"}
        cost = None if self.cost is None and other.cost is None else (self.cost or 0.0) + (other.cost or 0.0)
        return self._replace(**sums, cost=cost)

    def priced(self, prices: Prices | None) -> Tally:
        """With its cost by this table."""
        if prices is None:
            return self
        tokens = sum(getattr(self, name) * getattr(prices, name) for name in _PRICED)
        return self._replace(cost=tokens / MILLION + self.transcription_seconds / 60.0 * prices.transcription_minute)


_PRICED = tuple(name for name in Prices.__struct_fields__ if name != "transcription_minute")


def tally(usage: ev.Usage) -> Tally:
    """The tokens of one response.

    Where a server leaves details out, what is unaccounted for counts as text, and cached tokens of no kind come off
    text first, then audio, then images: no more of a kind is cached than was sent.
    """
    given, out, kinds = usage.input_token_details, usage.output_token_details, ("text", "audio", "image")
    sent = {kind: max(0, getattr(given, f"{kind}_tokens")) for kind in kinds}
    sent["text"] += max(0, usage.input_tokens - sum(sent.values()))
    details = given.cached_tokens_details
    cached = {kind: min(sent[kind], max(0, getattr(details, f"{kind}_tokens")) if details else 0) for kind in kinds}
    rest = max(0, given.cached_tokens - sum(cached.values()))
    for kind in kinds:
        more = min(rest, sent[kind] - cached[kind])
        cached[kind], rest = cached[kind] + more, rest - more
    text_output = max(0, out.text_tokens) + max(0, usage.output_tokens - out.text_tokens - out.audio_tokens)
    return Tally(
        responses=1,
        text_input=sent["text"] - cached["text"],
        audio_input=sent["audio"] - cached["audio"],
        image_input=sent["image"] - cached["image"],
        cached_text_input=cached["text"],
        cached_audio_input=cached["audio"],
        cached_image_input=cached["image"],
        text_output=text_output,
        audio_output=max(0, out.audio_tokens),
    )


class Turn(NamedTuple):
    """What one response used."""

    response_id: str
    tally: Tally


class Meter:
    """Counts from the server's events. `total` is of the session, `turns` of its newest responses."""

    def __init__(self, prices: Prices | None = None) -> None:
        self.prices = prices
        self.total = Tally().priced(prices)
        self.turns: deque[Turn] = deque(maxlen=MAX_TURNS)  # full: the oldest goes, and stays in the total

    def receive(self, event: ev.AnyEvent) -> None:
        """Count what this event reports; most report nothing."""
        if isinstance(event, ev.ResponseDone):
            usage = event.usage
            if usage is not None:
                counted = tally(usage).priced(self.prices)
                self.turns.append(Turn(event.response_id[: ev.MAX_ID], counted))
                self.total = self.total.plus(counted)
        elif isinstance(event, ev.ConversationItemInputAudioTranscriptionCompleted):
            usage_object = event.usage
            if isinstance(usage_object, dict):
                self.total = self.total.plus(_transcription(usage_object).priced(self.prices))


def _transcription(usage: Mapping[str, Any]) -> Tally:
    return Tally(
        transcription_input=int(_amount(usage.get("input_tokens"))),
        transcription_output=int(_amount(usage.get("output_tokens"))),
        transcription_seconds=float(_amount(usage.get("seconds"))),
    )


def _amount(value: Any) -> float:
    """What a server says was used; 0 when it makes no sense."""
    return value if type(value) in (int, float) and 0 < value < 1e12 else 0
