"""How much processor does a full-duplex conversation over loopback take, beside openai and openai-agents?

All three hold the same conversation in real time (`scripted.py`, `clients.py`): 18 s, three turns, the microphone in
frames of 20 ms all the time, replies at four times real time. The server is a process of its own. Told is user and
system time of the client's process between its third and its last second, by their length; then that of the loop's
thread alone. What ours has besides is the sound's own thread, and what the peers' applications would still need: voice
detection, gate, barge-in, playout with its ledger, limiter. `full` lets them take turns three times; the best of each.
"""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from engine.transport.websocket import WebSocketConnection

if TYPE_CHECKING:
    from bench.clients import CLIENTS
    from bench.scripted import Plan, check, serve
else:
    from clients import CLIENTS
    from scripted import Plan, check, serve

Row = tuple[str, float, float, float, str]

PLAN = Plan(turns=3, period=6.0, user=1.5, reply=2.5)
FRAME_MS = 20


async def server() -> None:
    """One conversation, on a port that it prints first; at the end, how much sound came."""
    from websockets.asyncio.server import ServerConnection
    from websockets.asyncio.server import serve as listen

    heard: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def handle(socket: ServerConnection) -> None:
        heard.set_result(await serve(WebSocketConnection(socket), PLAN))

    async with listen(handle, "127.0.0.1", 0, compression=None) as listening:
        print(next(iter(listening.sockets)).getsockname()[1], flush=True)
        check(await heard, PLAN)


async def client(name: str, port: int) -> tuple[float, float]:
    """Percent of one core: the process, and the loop's thread."""
    loop = asyncio.get_running_loop()
    marks: list[tuple[float, float, float]] = []

    def mark() -> None:
        marks.append((loop.time(), time.process_time(), time.thread_time()))

    loop.call_later(2.0, mark)  # imports and handshake are over
    loop.call_later(PLAN.seconds - 1.0, mark)
    await CLIENTS[name](f"ws://127.0.0.1:{port}/v1/realtime", PLAN, FRAME_MS, True)
    seconds, process, thread = (after - before for before, after in zip(*marks, strict=True))
    return process / seconds * 100, thread / seconds * 100


def child(name: str) -> tuple[float, float] | None:
    """What one process reports, None when the client is not installed or fails."""
    with subprocess.Popen([sys.executable, __file__, "server"], stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        port = serving.stdout.readline().strip()
        done = subprocess.run([sys.executable, __file__, name, port], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            serving.wait(10)
        serving.kill()
    if done.returncode != 0 or serving.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["the server says it did not do its work"])[-1]
        print(f"duplex_cpu: {name} is left out: {said}", file=sys.stderr)
        return None
    process, thread = json.loads(done.stdout)
    return process, thread


def main(full: bool = False) -> list[Row]:
    best: dict[str, tuple[float, float]] = dict.fromkeys(CLIENTS, (math.inf, math.inf))
    for name in [*CLIENTS] * (3 if full else 1):
        found = child(name) if name in best else None
        if found is None:
            best.pop(name, None)
        else:
            best[name] = min(best[name], found)
    mine = best.pop("bargein", (math.nan, math.nan))
    return [
        (f"full-duplex conversation, {what}, beside {name}", mine[at], peer[at], peer[at] / mine[at], "% core")
        for at, what in enumerate(("whole process", "loop's thread"))
        for name, peer in best.items()
    ]


def show(rows: list[Row]) -> None:
    print(f"{'full duplex over loopback':62} {'bargein':>9} {'peer':>9} {'ratio':>7}")
    for name, mine, peer, ratio, unit in rows:
        print(f"{name:62} {mine:9.2f} {peer:9.2f} {ratio:6.1f}x  {unit}")


if __name__ == "__main__":
    if sys.argv[1:] == ["server"]:
        asyncio.run(server())
    elif sys.argv[1:2] and sys.argv[1] in CLIENTS:
        print(json.dumps(asyncio.run(client(sys.argv[1], int(sys.argv[2])))))
    else:
        show(main(full="--full" in sys.argv))
