"""How far is `audio_end_ms` from what was heard, for our ledger and for the arithmetic of peers?

Replies arrive on a simulated clock with the same bursts, stalls and late event loops for all; the listener interrupts
at a random moment. Each claim is compared with what that player's loudspeaker has really given by the moment it falls
silent: ours runs the C playout, slow-down and underruns included, and what its loudspeaker gave is read from the sound
itself, which rises from the reply's first sample to its last (to about half a millisecond); the peers get a plain
player that plays what is there and waits when nothing is. Device latency is left out for all.

The formulas, in our own words, from the public sources of November 2026:

- agents: openai-agents-python, default tracker: time since the first delta of the newest audio item was handled; not
  more than was received (its newer rule), nothing when the response is over and all of it must have been played.
- pipecat: time since the first delta of the item was handled, at most what was received of it.
- livekit: agents console: time since the first frame of the segment was taken for playing, at most what was pushed.
- Twilio: the speech-assistant sample: the caller's media timestamp (20 ms frames) now, less that at the first delta of
  the response, without a limit; of the item that came last.

Per scene: mean and largest error in ms (claimed less heard; several items count as one stretch of sound), and the
share of claims that a server refuses because less was received.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from engine.audio import Playout

HOP_MS = 10
RATE = 24


@dataclass(frozen=True)
class Delta:
    """Sound of `ms` of an item that arrived, and when the event loop handled it."""

    at: float
    item: int
    ms: int
    handled: float


@dataclass
class Scene:
    """One reply and its interruption: `now` when the listener speaks, `handled` when the event loop comes to it."""

    deltas: list[Delta]
    now: float
    handled: float
    over: bool = False  # the response was finished before
    lengths: dict[int, int] = field(default_factory=dict)

    def known(self) -> list[Delta]:
        """What the event loop had handled when it came to the interruption."""
        return [delta for delta in self.deltas if delta.handled <= self.handled]


Claim = tuple[int, float] | None
"""Item and milliseconds; None claims nothing."""


def before(deltas: list[Delta], item: int) -> int:
    """Milliseconds of the items before this one."""
    return sum(delta.ms for delta in deltas if delta.item < item)


def agents(scene: Scene) -> Claim:
    """See above."""
    known = scene.known()
    item = known[-1].item
    received = sum(delta.ms for delta in known if delta.item == item)
    elapsed = int(scene.handled - next(delta.handled for delta in known if delta.item == item))
    if elapsed <= 0 or (scene.over and elapsed >= received):
        return None
    return item, min(elapsed, received)


def pipecat(scene: Scene) -> Claim:
    """See above."""
    known = scene.known()
    item = known[-1].item
    received = sum(delta.ms for delta in known if delta.item == item)
    return item, min(int(scene.handled - next(delta.handled for delta in known if delta.item == item)), received)


def livekit(scene: Scene) -> Claim:
    """See above; a segment is the whole response."""
    known = scene.known()
    pushed = sum(delta.ms for delta in known)
    return 0, min(max(0.0, scene.handled - known[0].handled), pushed)


def twilio(scene: Scene) -> Claim:
    """See above. Marks come back as sound is played: with none outstanding it claims nothing."""
    known = scene.known()
    if plain_player(scene) >= sum(delta.ms for delta in known):
        return None
    return known[-1].item, 20 * (scene.handled // 20) - 20 * (known[0].handled // 20)


PEERS: dict[str, Callable[[Scene], Claim]] = {
    "agents": agents,
    "pipecat": pipecat,
    "livekit": livekit,
    "Twilio": twilio,
}


def plain_player(scene: Scene) -> float:
    """Milliseconds given by a player that plays what is there, until the event loop stops it."""
    played, clock = 0.0, 0.0
    for delta in scene.deltas:
        begin = max(clock, delta.handled)  # the loop hands it over
        if begin >= scene.handled:
            break
        played += min(delta.ms, scene.handled - begin)
        clock = begin + delta.ms
    return played


def ours(scene: Scene) -> tuple[float, float]:
    """What the ledger says and what the loudspeaker gave, in ms: the real C block. C decides at `now`, whatever the
    event loop does; its deltas come when the loop hands them over.
    """
    playout = Playout(capacity_s=120)
    queue = playout.queue
    generation = queue.open()
    total = sum(delta.ms for delta in scene.deltas) * RATE
    slope = np.rint(np.linspace(1, 32000, total)).astype("<i2")
    clock = given = place = 0
    top = 0.0
    while clock < scene.now:
        while place < len(scene.deltas) and scene.deltas[place].handled <= clock:
            delta = scene.deltas[place]
            samples = slope[given : given + delta.ms * RATE]
            queue.push(f"item_{delta.item}", 0, samples.tobytes(), generation)
            given += len(samples)
            place += 1
            if place == len(scene.deltas) or scene.deltas[place].item != delta.item:
                queue.complete(f"item_{delta.item}", 0)
        top = max(top, float(playout.process(HOP_MS * RATE).max()) * 32768)
        clock += HOP_MS
    heard = int(np.searchsorted(slope, round(top), "right")) if top else 0
    said = sum(position.played for position in queue.positions())
    return said / RATE, heard / RATE


# ---- scenes


def arrivals(
    rng: np.random.Generator, speed: float, stalls: tuple[float, float] | None, items: int = 1, loop_ms: float = 0.0
) -> list[Delta]:
    """A reply of 8 to 12 s in deltas of 100 ms at so many times real time; `stalls` chance per delta and longest ms."""
    deltas: list[Delta] = []
    time = 0.0
    total = int(rng.integers(80, 120))
    busy = [(float(rng.uniform(0, 9000)), float(rng.uniform(0.2, 1) * loop_ms)) for _ in range(6)] if loop_ms else []
    for number in range(total):
        if stalls and rng.random() < stalls[0]:
            time += rng.uniform(0.2, 1.0) * stalls[1]
        handled = max([time, *(begin + length for begin, length in busy if begin <= time < begin + length)])
        handled = max(handled, deltas[-1].handled if deltas else 0.0)
        deltas.append(Delta(time, number * items // total, 100, handled))
        time += 100 / speed
    return deltas


SCENES: dict[str, dict[str, object]] = {
    "burst, 8x": {"speed": 8.0, "stalls": None},
    "burst, 8x, first words then 0.4 s of thought": {"speed": 8.0, "stalls": None, "thought": 400.0},
    "1.05x, network stalls up to 1.5 s": {"speed": 1.05, "stalls": (0.04, 1500.0)},
    "slow model, 0.8x": {"speed": 0.8, "stalls": None},
    "burst, 8x, event loop busy up to 1 s": {"speed": 8.0, "stalls": None, "loop_ms": 1000.0},
    "two items in a burst": {"speed": 8.0, "stalls": None, "items": 2},
}


def scene(
    rng: np.random.Generator, speed: float, stalls: object, items: int = 1, thought: float = 0, loop_ms: float = 0
) -> Scene:
    """One run of a scene."""
    chance = stalls if isinstance(stalls, tuple) else None
    deltas = arrivals(rng, speed, chance, items, loop_ms)
    if thought:
        deltas = deltas[:1] + [Delta(d.at + thought, d.item, d.ms, d.handled + thought) for d in deltas[1:]]
    now = HOP_MS * int(rng.integers(60, 900))
    handled = now + (float(rng.uniform(0, loop_ms)) if loop_ms else 0.0)
    over = deltas[-1].handled < handled
    return Scene(deltas, now, handled, over)


def run(runs: int, seed: int = 1) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Per scene and claimant: mean and largest absolute error in ms, refused share."""
    found: dict[str, dict[str, tuple[float, float, float]]] = {}
    for name, fields in SCENES.items():
        rng = np.random.default_rng(seed)
        errors: dict[str, list[tuple[float, bool]]] = {key: [] for key in ("bargein", *PEERS)}
        for _ in range(runs):
            one = scene(rng, **fields)  # type: ignore[arg-type]
            said, heard = ours(one)
            errors["bargein"].append((said - heard, False))
            truth, known = plain_player(one), one.known()
            for peer, formula in PEERS.items():
                claim = formula(one) if known else None
                if claim is None:  # nothing is said: the server keeps all that was received
                    errors[peer].append((sum(delta.ms for delta in known) - truth, False))
                    continue
                item, ms = claim
                received = sum(delta.ms for delta in known if delta.item == item or peer == "livekit")
                errors[peer].append((before(known, item) + ms - truth, ms > received))
        found[name] = {
            key: (
                float(np.mean([abs(error) for error, _ in values])),
                float(max(abs(error) for error, _ in values)),
                float(np.mean([refused for _, refused in values])),
            )
            for key, values in errors.items()
        }
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Error of truncation beside the arithmetic of peers.")
    parser.add_argument("--runs", type=int, default=200)
    arguments = parser.parse_args()
    result = run(arguments.runs)
    print("| mean / largest error, ms (refused, %) | " + " | ".join(("bargein", *PEERS)) + " |")
    print("| --- |" + " --- |" * (1 + len(PEERS)))
    for row, cells in result.items():
        shown = [f"{mean:.1f} / {most:.1f} ({100 * refused:.0f})" for mean, most, refused in cells.values()]
        print(f"| {row} | " + " | ".join(shown) + " |")
