"""The server that `load.py` loads: a front as anybody starts it, on one core, in a process of its own.

    python bench/load_server.py CORE [asgi|bare|mounted|plain] [BURST]

`asgi` and `bare` are the fronts of `bargein serve`, `mounted` is `engine.server.app(...)` under uvicorn's own
WebSocket, as in an application of somebody else. `plain` is what they are compared with: websockets, json, base64 and
numpy in the way of their documentation, which reads the sound, takes its level and keeps it, and has neither turns nor
answers.

Prints the port, then one line of JSON for every line it reads: "stat" (a new measuring window begins), "profile" (and
sampling), "quit". Figures of the process are the kernel's; `lag` is how late the loop came to a timer that is due every
10 ms, `collections` how long the collector of cycles took each time, both in milliseconds; `waited` is the time in
which the loop's thread wanted a processor and had none.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

SAMPLE_S = 0.001  # of processor time between two samples of the profile; many kernels take four times as long
LAG_S = 0.010
MOST_SESSIONS = 5000


class LoopLag:
    """How late the running loop comes to its timers."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.late_ms: list[float] = []
        self._due = self._loop.time() + LAG_S
        self._loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        self.late_ms.append((now - self._due) * 1000)
        self._due = max(self._due, now) + LAG_S
        self._loop.call_at(self._due, self._tick)


class Pauses:
    """How long the collector of cycles held everything up, in milliseconds."""

    def __init__(self) -> None:
        self.ms: list[float] = []
        self._began = 0.0
        gc.callbacks.append(self._note)

    def _note(self, phase: str, _info: dict[str, int]) -> None:
        now = time.perf_counter()
        if phase == "start":
            self._began = now
        else:
            self.ms.append((now - self._began) * 1000)


class Sampler:
    """Where the processor's time goes: the Python function that runs, or that called the C that does."""

    def __init__(self) -> None:
        self.samples: Counter[str] = Counter()

    def start(self) -> None:
        """Begin, until the process ends."""
        signal.signal(signal.SIGPROF, self._take)
        signal.setitimer(signal.ITIMER_PROF, SAMPLE_S, SAMPLE_S)

    def _take(self, _signal: int, frame: FrameType | None) -> None:
        if frame is not None:
            code = frame.f_code
            self.samples[f"{place(code.co_filename)}:{code.co_qualname}"] += 1


def place(filename: str) -> str:
    """A module's file, from its package on."""
    parts = Path(filename).parts
    for root in ("engine", "uvicorn", "websockets", "asyncio", "bench", "numpy"):
        if root in parts:
            return "/".join(parts[len(parts) - 1 - parts[::-1].index(root) :])
    return parts[-1]


def resident() -> int:
    """Bytes of this process in memory."""
    fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGESIZE")


def status() -> dict[str, Any]:
    """What the kernel knows of this process."""
    ran_ns, waited_ns, _ = (int(field) for field in Path("/proc/self/schedstat").read_text(encoding="ascii").split())
    threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208  # only their number
    return {
        "time": time.perf_counter(),
        "cpu": time.process_time(),
        "kernel": os.times().system,
        "ran": ran_ns / 1e9,
        "waited": waited_ns / 1e9,
        "rss": resident(),
        "threads": threads,
    }


@asynccontextmanager
async def bargein(front: str, burst: float) -> AsyncIterator[int | None]:
    """Ours; yields the port. Replies leave `burst` times faster than they play."""
    from engine.server import ServerOptions, app, serve
    from engine.server.responders import Echo
    from engine.server.voices import ToneVoice

    options = ServerOptions(max_sessions=MOST_SESSIONS, burst=burst)
    if front != "mounted":
        async with serve(responder=Echo(), options=options, voice=ToneVoice(), front=front) as server:
            yield urlsplit(server.url).port
        return
    import uvicorn

    config = uvicorn.Config(
        app(responder=Echo(), options=options, voice=ToneVoice()),
        port=0,
        log_config=None,
        access_log=False,
        ws="websockets-sansio",
        ws_max_size=2**25,
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=5,
    )
    running = uvicorn.Server(config)
    task = asyncio.create_task(running._serve())
    while not running.started:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)
    yield running.servers[0].sockets[0].getsockname()[1]
    running.should_exit = True
    await task


@asynccontextmanager
async def plain() -> AsyncIterator[int | None]:
    """The peer; yields the port."""
    from base64 import b64decode

    import numpy as np
    from websockets.asyncio.server import ServerConnection
    from websockets.asyncio.server import serve as listen

    async def handle(socket: ServerConnection) -> None:
        kept, loud = bytearray(), 0
        await socket.send('{"type":"session.created","session":{"instructions":"' + "." * 300 + '"}}')
        async for message in socket:
            event = json.loads(message)
            if event["type"] == "input_audio_buffer.append":
                sound = b64decode(event["audio"])
                kept += sound
                samples = np.frombuffer(sound, "<i2").astype(np.float32) / 32768
                loud += bool(np.sqrt(np.mean(samples * samples)) > 0.01)
            else:
                answer = {"type": "error", "error": {"event_id": event["event_id"]}}
                await socket.send(json.dumps(answer, separators=(",", ":")))

    async with listen(handle, "127.0.0.1", 0, ping_interval=None) as server:
        yield next(iter(server.sockets)).getsockname()[1]


async def main(kind: str = "asgi", burst: str = "8") -> None:
    """Serve until "quit" or the end of input."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    lag, sampler, pauses = LoopLag(), Sampler(), Pauses()
    async with plain() if kind == "plain" else bargein(kind, float(burst)) as port:
        gc.collect()
        gc.freeze()  # as `bargein serve` does
        print(port, flush=True)
        while (line := (await lines.readline()).decode().strip()) not in ("", "quit"):
            if line == "profile":
                sampler.start()
            late, lag.late_ms = lag.late_ms, []
            held, pauses.ms = pauses.ms, []
            told = {**status(), "lag": late, "collections": held, "profile": dict(sampler.samples)}
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[1])})  # before numpy counts the processors it makes threads for
    asyncio.run(main(*sys.argv[2:]))
