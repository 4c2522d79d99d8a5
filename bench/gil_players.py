"""One player under one load, in a process of its own: `python gil_players.py PLAYER LOAD BLOCK_MS SECONDS`.

Run by bench/gil.py with the Python of the player's own environment. Prints one JSON object: callbacks that ran and were
due between the first second and the end, flags, longest gap, time from near-end onset to duck. What was really heard
is measured by gil.py, from outside.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import threading
import time
from typing import Any

import numpy as np

RATE = 24000
LATENCY_S = 0.03  # of ours and the plain one; peers keep their own


def square(seconds: float, rate: int = RATE) -> Any:
    """100 Hz, never silent: silence in the recording is sound that was missing."""
    half = rate // 200
    return np.where(np.arange(int(seconds * rate)) // half % 2, 6000, -6000).astype(np.int16)


# ---- loads


def cpu() -> None:
    n = 0
    while True:
        n += 1


def parse() -> None:
    text = json.dumps([{"id": i, "name": "x" * 40, "values": list(range(20))} for i in range(20000)])
    while True:
        json.dumps(json.loads(text))


def substitute() -> None:
    text, pattern = "the quick brown fox jumps " * 160000, re.compile(r"(\w+) (\w+)")
    while True:
        pattern.sub("-", text)  # 4 MB in one call of C; a template with groups would come back to Python in between


LOADS: dict[str, list[Any]] = {
    "none": [],
    "cpu": [cpu],
    "cpu4": [cpu] * 4,
    "json": [parse],
    "regex": [substitute],
    "mix": [cpu, parse, substitute],
}


def begin(load: str) -> None:
    for work in LOADS[load]:
        threading.Thread(target=work, daemon=True).start()


# ---- players with a callback in Python, counted by what they are given


class Count:
    """Callbacks of sounddevice, seen from inside them."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, int, bool]] = []

    def wrap(self, callback: Any) -> Any:
        """The same callback, noting when it ran and with what flag."""

        def counted(*arguments: Any) -> Any:
            frames, status = (arguments[2], arguments[4]) if len(arguments) == 5 else (arguments[1], arguments[3])
            self.calls.append((time.monotonic(), frames, bool(status)))
            return callback(*arguments)

        return counted

    def figures(self, rate: int, started: float, ended: float) -> dict[str, Any]:
        """From the first second on."""
        inside = [call for call in self.calls if started + 1.0 <= call[0] <= ended]
        if len(inside) < 2:
            return {"got": len(inside), "due": None, "flags": 0, "longest_ms": None}
        times = [call[0] for call in inside]
        block = float(np.median([call[1] for call in inside])) / rate
        return {
            "got": len(inside),
            "due": round((ended - started - 1.0) / block),
            "flags": sum(call[2] for call in inside),
            "longest_ms": max(b - a for a, b in zip(times, [*times[1:], ended], strict=True)) * 1000,
        }


def plain(load: str, block_ms: int, seconds: float) -> dict[str, Any]:
    """What one writes first: a RawStream with a Python callback; the main thread listens and ducks."""
    import queue

    import sounddevice

    count, heard, duck = Count(), queue.Queue[Any](), threading.Event()  # unbounded: a benchmark of seconds
    sound = np.repeat(square(seconds + 5), 2).tobytes()
    at, reactions, onset = 0, [], [0.0]

    def callback(given: Any, out: Any, _frames: int, _time: Any, _status: Any) -> None:
        nonlocal at
        now = time.monotonic()
        heard.put((now, bytes(given)))
        out[:] = sound[at : at + len(out)]
        at += len(out)
        if duck.is_set() and onset[0]:
            reactions.append((now - onset[0]) * 1000)
            onset[0] = 0.0

    stream = sounddevice.RawStream(
        samplerate=48000,
        blocksize=48 * block_ms,
        device=("vmic", "vspk"),
        channels=1,
        dtype="int16",
        latency=LATENCY_S,
        callback=count.wrap(callback),
        dither_off=True,
        clip_off=True,
    )
    started = time.monotonic()
    with stream:
        begin(load)
        while (now := time.monotonic()) < started + seconds:
            when, block = heard.get()
            loud = np.abs(np.frombuffer(block, np.int16)).max() > 1000
            if loud and not duck.is_set():
                onset[0] = when
                duck.set()
            elif not loud:
                duck.clear()
        return {**count.figures(48000, started, now), "duck_ms": _median(reactions), "ducks": len(reactions)}


def openai(load: str, _block_ms: int, seconds: float) -> dict[str, Any]:
    """openai-python's LocalAudioPlayer, with everything in its buffer."""
    import sounddevice
    from openai.helpers import LocalAudioPlayer

    count, constructor = Count(), sounddevice.OutputStream

    def counted(**options: Any) -> Any:
        return constructor(**{**options, "callback": count.wrap(options["callback"])})

    sounddevice.OutputStream = counted
    started = time.monotonic()
    ends = started + seconds
    player = LocalAudioPlayer(should_stop=lambda: time.monotonic() > ends)
    begin(load)
    asyncio.run(player.play(square(seconds + 5)))
    return count.figures(RATE, started, min(time.monotonic(), ends))


def livekit(load: str, _block_ms: int, seconds: float) -> dict[str, Any]:
    """livekit.rtc's OutputPlayer, with everything in its buffer."""
    import sounddevice
    from livekit.rtc.media_devices import OutputPlayer

    count, constructor = Count(), sounddevice.OutputStream

    def counted(**options: Any) -> Any:
        return constructor(**{**options, "callback": count.wrap(options["callback"])})

    sounddevice.OutputStream = counted
    player = OutputPlayer()
    player._buffer.extend(np.repeat(square(seconds + 5), 2).tobytes())
    started = time.monotonic()
    player._stream.start()
    begin(load)
    time.sleep(seconds)
    ended = time.monotonic()
    player._stream.abort()
    return count.figures(48000, started, ended)


def pipecat(load: str, _block_ms: int, seconds: float) -> dict[str, Any]:
    """pipecat's LocalAudioOutputTransport: blocking writes of 40 ms from an executor thread; it has no callback."""
    from importlib import import_module

    from pipecat.frames.frames import OutputAudioRawFrame
    from pipecat.transports.local.audio import LocalAudioOutputTransport, LocalAudioTransportParams

    pyaudio: Any = import_module("pyaudio")

    async def play() -> None:
        audio = pyaudio.PyAudio()
        transport = LocalAudioOutputTransport(audio, LocalAudioTransportParams(audio_out_enabled=True))
        transport.get_event_loop = asyncio.get_running_loop
        transport._out_stream = audio.open(
            format=audio.get_format_from_width(2), channels=1, rate=RATE, output=True, output_device_index=None
        )
        sound = square(seconds + 5).tobytes()
        begin(load)
        ends, at, step = time.monotonic() + seconds, 0, RATE * 40 // 1000 * 2
        while time.monotonic() < ends:
            frame = OutputAudioRawFrame(audio=sound[at : at + step], sample_rate=RATE, num_channels=1)
            await transport.write_audio_frame(frame)
            at += step
        transport._out_stream.close()

    asyncio.run(play())
    return {"got": None, "due": None, "flags": None, "longest_ms": None}


# ---- ours


def ours(load: str, block_ms: int, seconds: float) -> dict[str, Any]:
    """The Device endpoint, its callback in C; the main thread is the loop."""
    import engine
    from engine.audio import EventKind
    from engine.endpoints import DeviceSound, SoundSettings

    async def play(sound: DeviceSound) -> dict[str, Any]:
        queue = sound.duplex.queue
        queue.push("tone", 0, square(seconds + 5).tobytes(), queue.open())
        started = time.monotonic()
        begin(load)
        events, captured = [], {}
        first = sound.stats()[0]
        while (now := time.monotonic()) < started + seconds:
            await sound.wait(0.1)
            events += sound.duplex.read_events()
            for record in sound.duplex.read_records():
                samples = record["payload"].view(np.int16)
                captured[int(record["position"]) // 240] = int(np.abs(samples).max())
            if now < started + 1.0:
                first = sound.stats()[0]
        last = sound.stats()[0]
        ducks = [event.position // 240 for event in events if event.kind is EventKind.DUCKED]
        playout = sound.duplex.playback_stats().playout
        return {
            "got": last.callbacks - first.callbacks,
            "due": round((last.newest_s - first.newest_s) * 1000 / block_ms),
            "flags": last.flagged - first.flagged,
            "longest_ms": last.longest_gap_ms,
            "duck_ms": _median([10.0 * (duck - _onset(captured, duck) + 1) for duck in ducks]),
            "ducks": len(ducks),
            "missing_frames": last.missing_frames,
            "starved_ms": playout.stalled_samples / 24,
        }

    async def main() -> dict[str, Any]:
        ears = engine.BargeIn(policy=engine.Policy.LOCAL, confirm_ms=1000)
        device = engine.Device("vmic", "vspk", block_ms=block_ms, latency_ms=LATENCY_S * 1000)
        async with device.open(SoundSettings(barge_in=ears, hearing=engine.Hearing())) as sound:
            return await play(sound)

    return asyncio.run(main())


def _onset(captured: dict[int, int], hop: int) -> int:
    """The first loud hop of the burst that was heard in this hop; held hops are sent as silence and skipped."""
    while captured.get(hop - 1, 0) > 300:
        hop -= 1
    return hop


def _median(values: list[float]) -> float | None:
    return float(np.median(values)) if values else None


PLAYERS = {each.__name__: each for each in (ours, plain, openai, livekit, pipecat)}

if __name__ == "__main__":
    name, load, block, seconds = sys.argv[1:]
    print(json.dumps(PLAYERS[name](load, int(block), float(seconds))), flush=True)
    import os

    os._exit(0)  # loads run for ever, and an interpreter would wait for the GIL to leave
