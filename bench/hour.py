"""How much memory does a conversation of one hour take, beside openai's realtime client and openai-agents?

180 turns of 20 s: five seconds are spoken, ten are answered, every word is transcribed. All three hold the same
conversation (`scripted.py`, `clients.py`) in virtual time over a line in memory, each in a process of its own: 36,000
appends of 100 ms, 18,000 deltas. Ours runs its whole chain, interruption and ledger included. Told are the resident
memory at the end, all modules and the script included, and what it grew by from the fifth minute on; then the same
when the application reads none of the events (openai's client then receives nothing, so it has no row). The
virtual hour takes some 20 s of processor time each.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from engine.clock import run_virtual
from engine.conversation import conversation as meeting
from engine.endpoints import SoundSettings
from engine.realtime.items import MAX_ITEMS
from engine.transport import pair

if TYPE_CHECKING:
    from bench.clients import CLIENTS
    from bench.scripted import Plan, check, serve
else:
    from clients import CLIENTS
    from scripted import Plan, check, serve

Row = tuple[str, float, float, float, str]

PERIOD_S = 20.0
FRAME_MS = 100
SETTLED_S = 300.0


def resident_mib() -> float:
    gc.collect()
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


async def converse(name: str, read: bool) -> list[float]:
    """MiB of this process: once settled, and at the end."""
    plan = Plan(turns=round(3600 / PERIOD_S), period=PERIOD_S, user=5.0, reply=10.0)
    ours, theirs = pair()
    measured: list[float] = []

    async def measure() -> None:
        for seconds in (SETTLED_S, plan.seconds - 2 - SETTLED_S):
            await asyncio.sleep(seconds)
            measured.append(resident_mib())

    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(serve(theirs, plan))
        tasks.create_task(measure())
        await CLIENTS[name](ours, plan, FRAME_MS, read)
        await ours.close()
    check(serving.result(), plan)
    return measured


def child(name: str, read: bool) -> tuple[float, float] | None:
    """What one process reports, None when the client is not installed or fails."""
    command = [sys.executable, __file__, name, "read" if read else "unread"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"hour: {name} is left out: {(done.stderr.strip().splitlines() or ['?'])[-1]}", file=sys.stderr)
        return None
    settled, end = json.loads(done.stdout)
    return settled, end


def main() -> list[Row]:
    rows: list[Row] = []
    for read, peers in ((True, ["openai", "openai-agents"]), (False, ["openai-agents"])):
        mine = child("bargein", read)
        for peer in peers:
            theirs = child(peer, read)
            if mine is None or theirs is None:
                continue
            what = f"an hour{'' if read else ', events unread'}, beside {peer}"
            grown = mine[1] - mine[0], theirs[1] - theirs[0]
            rows.append((f"{what}: resident at the end", mine[1], theirs[1], theirs[1] / mine[1], "MiB"))
            rows.append((f"{what}: grown since minute 5", grown[0], grown[1], float("nan"), "MiB"))
    return rows


def notes() -> list[str]:
    """The bounds that make it so."""
    queue = SoundSettings().queue_s
    return [
        f"Ours is bounded: {queue:g} s of reply in the queue ({queue * 48000 / 2**20:.1f} MiB, touched at once), "
        f"{meeting.MAX_UNREAD_TURNS} unread turns, {meeting.MAX_UNREAD_EVENTS} unread events and "
        f"{meeting.MAX_UNREAD_BYTES / 2**20:g} MiB of messages behind them, {MAX_ITEMS} items of history; "
        "the oldest go. openai-agents keeps every item of the "
        "conversation, as its applications want, and an unread queue without a bound."
    ]


def show(rows: list[Row]) -> None:
    print(f"{'hour':62} {'bargein':>9} {'peer':>9}")
    for name, mine, peer, _, unit in rows:
        print(f"{name:62} {mine:9.1f} {peer:9.1f}  {unit}")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(run_virtual(converse(sys.argv[1], sys.argv[2] == "read"))))
    else:
        show(main())
        print(*notes(), sep="\n")
