"""What does each event of the protocol cost to parse, and to write, beside the openai package and openai-agents?

One message of every type, as the tests keep them (`tests/realtime/samples.json`, sound of a few bytes: what sound costs
is `wire.py`'s). Parse: the bytes of a server's message to a typed event. Ours checks types, required members, base64
and depth; openai's `parse_event` (what `recv` of a connection calls) builds its models without checking, and leaves
base64 as text; openai-agents loads the JSON and validates it with its own adapter, as its session's listener does.
Write: a client's event, already built, to the message; openai's `to_json` and openai-agents' `model_dump_json`, as
their `send` calls them. A type that a peer does not know, refuses or warns of is left out of the row on both sides,
and named.
All take turns; best of many rounds for each type, summed over the types.
"""

from __future__ import annotations

import json
import math
import sys
import timeit
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.realtime import Role, wire

Row = tuple[str, float, float, float, str]
Call = Callable[[], object]

SAMPLES = Path(__file__).parent.parent / "tests" / "realtime" / "samples.json"
ROUNDS = 25
CALLS = 20
OURS = "bargein"


@dataclass
class Task:
    """One way of one peer: what it does with each type, and which types it cannot."""

    what: str
    peer: str
    calls: dict[str, tuple[Call, Call]] = field(default_factory=dict)  # type: (ours, the peer's)
    unknown: list[str] = field(default_factory=list)


def messages(sender: str) -> dict[str, bytes]:
    """The longest sample of each type as it travels."""
    found: dict[str, bytes] = {}
    for sample in json.loads(SAMPLES.read_text(encoding="utf-8"))[sender]:
        data = json.dumps(sample).encode()
        found[sample["type"]] = max(found.get(sample["type"], b""), data, key=len)
    return found


def our_parse(data: bytes) -> Call:
    return lambda: wire.decode(data, Role.SERVER)


def our_write(data: bytes) -> Call:
    event = wire.decode(data, Role.CLIENT)
    return lambda: wire.encode(event)


def fill(task: Task, sender: str, ours: Callable[[bytes], Call], theirs: Callable[[bytes], Call | None]) -> Task:
    for kind, data in messages(sender).items():
        try:
            with warnings.catch_warnings(action="error"):
                call = theirs(data)
                if call is not None:
                    call()
        except Exception:  # whatever keeps a peer from it
            call = None
        if call is None:
            task.unknown.append(kind)
        else:
            task.calls[kind] = ours(data), call
    return task


def openai_tasks() -> list[Task]:
    from openai._models import construct_type_unchecked
    from openai.resources.realtime.realtime import RealtimeConnection
    from openai.types.realtime import RealtimeClientEvent

    nowhere: Any = None  # parsing needs no line
    connection = RealtimeConnection(nowhere)

    def parse(data: bytes) -> Call | None:
        event = connection.parse_event(data)
        return (lambda: connection.parse_event(data)) if _typed(event, data) else None

    def write(data: bytes) -> Call | None:
        event: Any = construct_type_unchecked(value=json.loads(data), type_=RealtimeClientEvent)
        return (lambda: event.to_json(use_api_names=True, exclude_unset=True)) if _typed(event, data) else None

    return [
        fill(Task("parse", "openai"), "server", our_parse, parse),
        fill(Task("write", "openai"), "client", our_write, write),
    ]


def _typed(event: object, data: bytes) -> bool:
    """Whether the peer has a type for it: an unknown one becomes whichever of the union is nearest."""
    literal = getattr(type(event), "model_fields", {}).get("type")
    return literal is not None and json.loads(data)["type"] in str(literal.annotation)


def agents_tasks() -> list[Task]:
    from agents.realtime import openai_realtime
    from pydantic import TypeAdapter

    adapter: Any = openai_realtime.OpenAIRealtimeWebSocketModel()._server_event_type_adapter
    client: Any = TypeAdapter(openai_realtime.OpenAIRealtimeClientEvent)

    def parse(data: bytes) -> Call:
        return lambda: adapter.validate_python(json.loads(data))

    def write(data: bytes) -> Call:
        event = client.validate_python(json.loads(data))
        return lambda: event.model_dump_json(exclude_unset=True)

    return [
        fill(Task("parse", "openai-agents"), "server", our_parse, parse),
        fill(Task("write", "openai-agents"), "client", our_write, write),
    ]


def tasks() -> list[Task]:
    found = []
    for make in (openai_tasks, agents_tasks):
        try:
            found += make()
        except (ImportError, AttributeError) as error:
            print(f"everyevent: a peer is left out: {error}", file=sys.stderr)
    return found


def measured(task: Task) -> dict[str, tuple[float, float]]:
    """Microseconds per call of each type, ours and the peer's, best round of each."""
    best = dict.fromkeys(task.calls, (math.inf, math.inf))
    for _ in range(ROUNDS):
        for kind, pair in task.calls.items():
            spent = [timeit.timeit(call, number=CALLS) / CALLS * 1e6 for call in pair]
            best[kind] = min(best[kind][0], spent[0]), min(best[kind][1], spent[1])
    return best


_notes: list[str] = []


def main() -> list[Row]:
    rows: list[Row] = []
    _notes.clear()
    for task in tasks():
        best = measured(task)
        if not best:
            continue
        mine, peer = (sum(pair[side] for pair in best.values()) for side in (0, 1))
        sender = "server" if task.what == "parse" else "client"
        what = f"{task.what} all {len(best)} events of a {sender} once, beside {task.peer}"
        rows.append((what, mine, peer, peer / mine, "us"))
        ratios = sorted((theirs / ours, kind) for kind, (ours, theirs) in best.items())
        note = f"{task.what.capitalize()}, {task.peer} over bargein by type: least {ratios[0][0]:.1f}x ({ratios[0][1]})"
        note += f", median {ratios[len(ratios) // 2][0]:.1f}x, most {ratios[-1][0]:.1f}x ({ratios[-1][1]})."
        if task.unknown:
            note += f" Without {', '.join(task.unknown)}, which it does not take as the sample has it."
        each = ", ".join(f"{kind} {ours:.1f}/{theirs:.1f}" for kind, (ours, theirs) in best.items())
        _notes.extend([note, f"Each, bargein/{task.peer}, us: {each}."])
    return rows


def notes() -> list[str]:
    """The figures behind the sums; after `main`."""
    return list(_notes)


def show(rows: list[Row]) -> None:
    print(f"{'every event':62} {'bargein':>9} {'peer':>9} {'ratio':>7}")
    for name, mine, peer, ratio, unit in rows:
        print(f"{name:62} {mine:9.1f} {peer:9.1f} {ratio:6.1f}x  {unit}")


if __name__ == "__main__":
    show(main())
    print(*notes(), sep="\n")
