"""What of a conversation a response reads: the session's truncation policy over estimated tokens.

A context that is too long loses its oldest items, as the service does it: nothing is told to the client, the items stay
in the conversation, can be retrieved, and are read no more. A call goes only together with its outputs, an approval
together with the call it allowed. What was left out once stays out, so that the beginning of the context, which a model
has in its cache, changes seldom.

    auto                  until the context fits
    retention_ratio       once it does not fit, until only that part of the room is used
    disabled              never: a context that does not fit fails the response with context_length_exceeded
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

import msgspec

from engine.errors import EngineError
from engine.server.items import Item
from engine.server.usage import NOTHING, Tokens, Usage, item_tokens, text_tokens

CODE = "context_length_exceeded"

Read = Sequence[tuple[Any, Tokens]]
"""Instructions with tools, then items: what identifies each, and its tokens."""


class TooLong(EngineError):
    """The context does not fit, and nothing may, or can, be left out."""

    def __init__(self, needed: int, limit: int) -> None:
        super().__init__(f"The conversation has {needed} tokens, but this response can read at most {limit}.")


class Reader(Enum):
    """Which response reads."""

    CONVERSATION = "one in the conversation: take() belongs to it"
    ASIDE = "an out-of-band one, which reads the conversation and changes nothing"
    PRIVATE = "one with an input of its own, which is read also where it refers to what was left out"


class Reading(NamedTuple):
    """What one response reads."""

    items: Sequence[Item]
    usage: Usage
    read: Read = ()
    dropped: Sequence[Item] = ()


class Window:
    """One session's. `limit` is the tokens that a response can read: instructions, tools and items."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._read: Read = ()  # what the last response of the conversation read, in order

    def look(self, items: Sequence[Item], config: Mapping[str, Any], reader: Reader) -> Reading:
        """What a response reads of `items`, and what it costs. Raises TooLong. Nothing changes before `take`."""
        instructions, tools = config["instructions"], config["tools"]
        head = Tokens(text_tokens(instructions) + (text_tokens(msgspec.json.encode(tools).decode()) if tools else 0))
        tokens = [item_tokens(item) for item in items]
        kept, dropped = self._choose(items, tokens, config["truncation"], head.total, reader)
        if dropped or len(kept) < len(items):
            tokens = [item_tokens(item) for item in kept]
        read = [((instructions, tools), head), *zip([item.id for item in kept], tokens, strict=True)]
        usage = Usage(_sum(tokens for _, tokens in read), NOTHING if dropped else self._cached(read))
        return Reading(kept, usage, read, dropped)

    def take(self, reading: Reading) -> None:
        """The conversation's response reads it: what is left out stays out, and the next finds this context cached."""
        self._read = reading.read
        for item in reading.dropped:
            item.left_out = True

    def _choose(
        self, items: Sequence[Item], tokens: Sequence[Tokens], policy: Any, head: int, reader: Reader
    ) -> tuple[Sequence[Item], Sequence[Item]]:
        """The items to read, and those that are to be left out from now on."""
        most = self._limit - head
        room, wanted = _room(policy, most)
        whole = reader is Reader.PRIVATE or not any(item.left_out for item in items)
        if whole and sum(each.total for each in tokens) <= room <= most:
            return items, ()  # nearly always
        units = [unit for unit in _units(items) if whole or not any(item.left_out for item in unit)]
        sizes = [sum(item_tokens(item).total for item in unit) for unit in units]
        used, first = sum(sizes), 0
        if used > room and policy != "disabled":
            while first < len(units) - 1 and used > wanted:  # the newest stays, or there would be nothing to answer
                used -= sizes[first]
                first += 1
        if used > most:
            raise TooLong(used + head, self._limit)
        chosen = {id(item) for unit in units[first:] for item in unit}
        return [item for item in items if id(item) in chosen], [item for unit in units[:first] for item in unit]

    def _cached(self, read: Read) -> Tokens:
        """The beginning that the last response has read, too."""
        same = 0
        for now, before in zip(read, self._read, strict=False):
            if now != before:
                break
            same += 1
        return _sum(tokens for _, tokens in read[:same])


def _room(policy: Any, most: int) -> tuple[int, float]:
    """Tokens that items may have, and to how many a context that has more is brought."""
    if not isinstance(policy, Mapping):
        return most, most
    asked = (policy.get("token_limits") or {}).get("post_instructions")
    room = most if asked is None else min(most, asked)
    return room, room * policy["retention_ratio"]


def _units(items: Sequence[Item]) -> list[list[Item]]:
    """Groups that stay or go together, each at the place of its first item."""
    units: dict[Any, list[Item]] = {}
    for item in items:
        units.setdefault(_belongs_to(item), []).append(item)
    return list(units.values())


def _belongs_to(item: Item) -> Any:
    wire = item.wire
    if item.type in ("function_call", "function_call_output"):
        return ("call", wire["call_id"])
    if item.type == "mcp_approval_request":
        return ("approval", item.id)
    if item.type in ("mcp_approval_response", "mcp_call") and wire.get("approval_request_id"):
        return ("approval", wire["approval_request_id"])
    return ("item", item.id)


def _sum(all_tokens: Iterable[Tokens]) -> Tokens:
    text = audio = image = 0
    for tokens in all_tokens:
        text += tokens[0]
        audio += tokens[1]
        image += tokens[2]
    return Tokens(text, audio, image)
