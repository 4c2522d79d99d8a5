"""Ten minutes of conversation through a real sound server: does anything grow, drift or get lost?

    python bench/soak_device.py [--seconds 600] [--seed 1]

Starts a PulseAudio of its own with null sinks (see tests/device), a server in one process, and in another one, which is
measured, a conversation with it through those devices, while a caller (the questions, coughs and pauses of
`bench/soak.py`) speaks into the virtual microphone for all that time; application sounds, holds and mutes come in
between. At the end the ledger and the counters must come out exactly, every turn must agree with what was sent, and
memory must not grow by 1 MB per hour or more after the first third (`bench/memory.py` says how it is measured); under
five minutes a slope says nothing and only the sums are checked. A conversation remembers its words, some 4 kB a turn up
to 4096 items; here up to 16, so that what grows is not memory of that kind. `--leak MB` loses that much per hour on
purpose: 3 must fail. Run by `make soak-device`.

What the sound server itself loses is reported and no failure: the figures must stay consistent with it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

if TYPE_CHECKING:
    from bench import memory, soak
else:
    import memory
    import soak

import engine  # noqa: E402
from engine.audio import Resampler  # noqa: E402
from engine.conversation import Conversation, Settings, converse  # noqa: E402
from engine.endpoints import DeviceSound  # noqa: E402
from engine.endpoints.wav import WavWriter  # noqa: E402
from engine.realtime import ledger as remembering  # noqa: E402
from engine.server import responder, serve  # noqa: E402
from engine.server.voices import ToneVoice  # noqa: E402
from engine.transport.websocket import connect  # noqa: E402

RATE = 48000
REMEMBERED = 16  # items of the conversation
SAMPLE_S = 10.0
LEAST_S_FOR_A_SLOPE = 300.0
LATENCY_MS = 200.0
LEAD_S = 5.0  # the caller begins before the conversation does, and speaks on after it


def speech(seconds: float, seed: int) -> NDArray[np.int16]:
    """What the caller says, at 48 kHz."""
    parts: list[NDArray[np.int16]] = []
    pieces = soak.speech(seed)
    while sum(len(part) for part in parts) < seconds * soak.RATE:
        parts.append(next(pieces))
    resampler = Resampler(soak.RATE, RATE)
    return np.concatenate([resampler.process(np.concatenate(parts)), resampler.flush()]).astype(np.int16)


@dataclass
class Report:
    """A run in figures."""

    seconds: float
    outcome: soak.Outcome
    reports: dict[str, int]
    ledger: dict[str, int]
    streams: dict[str, float]
    memory: list[memory.Sample]
    events: list[str] = field(default_factory=list)

    def told(self) -> str:
        """For people and for the process that asked."""
        outcome = self.outcome
        slopes = growth(self.memory) if self.seconds >= LEAST_S_FOR_A_SLOPE else {}
        return json.dumps(
            {
                "seconds": self.seconds,
                "turns": outcome.turns,
                "interrupted": outcome.interrupted,
                "own_sounds": outcome.sounds,
                "reports": self.reports,
                "ledger": self.ledger,
                "device": self.streams,
                "device_events": self.events,
                "resident_mb": [round(each.resident, 1) for each in self.memory],
                "in_use_mb": [each.in_use and round(each.in_use, 2) for each in self.memory],
                "mb_per_hour": {name: [round(each, 2) for each in astuple(slope)] for name, slope in slopes.items()},
                "wrong": outcome.wrong[:20],
                "well": not outcome.wrong and bounded(slopes),
            }
        )


def growth(samples: Sequence[memory.Sample]) -> dict[str, memory.Slope]:
    """How fast memory grew after the first third, in which buffers and caches take what they will need."""
    late = samples[len(samples) // 3 :]
    hours = [each.hours for each in late]
    found = {"resident": memory.slope(hours, [each.resident for each in late])}
    used = [each.in_use for each in late if each.in_use is not None]
    if len(used) == len(late):
        found["in_use"] = memory.slope(hours, used)
    return found


def bounded(slopes: dict[str, memory.Slope]) -> bool:
    """Whether it is less than 1 MB per hour: what is in use by its slope, and pages, which come in lumps, unless they
    are above it for certain. Where the allocator cannot tell, pages have to do.
    """
    exact = slopes.get("in_use", slopes.get("resident"))
    return exact is None or (
        exact.mb_per_hour < soak.MOST_MB_PER_HOUR and slopes["resident"].low < soak.MOST_MB_PER_HOUR
    )


async def converse_for(url: str, seconds: float, seed: int, leak_mb: float = 0.0) -> Report:
    """Hold the conversation, and add up."""
    vars(remembering)["MAX_ITEMS"] = REMEMBERED
    outcome, tally, told = soak.Outcome(), soak.Tally(), list[str]()
    device = engine.Device(
        "vmic", "vspk", latency_ms=LATENCY_MS, on_event=lambda event: told.append(f"{event.kind}: {event.text}")
    )
    async with converse(device, partial(connect, url), Settings(), tally) as conversation:
        tasks = [
            asyncio.create_task(soak._turns(conversation, outcome, tally)),
            asyncio.create_task(soak._events(conversation)),
            asyncio.create_task(soak._meddle(conversation, outcome, random.Random(seed))),
        ]
        count = max(round(seconds / SAMPLE_S), 2)
        samples, leaked = [], []
        for number in range(count):
            await asyncio.sleep(seconds / count)
            leaked.append(b"x" * round(leak_mb * memory.MB * seconds / count / 3600))
            samples.append(memory.sample((number + 1) * seconds / count / 3600))
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled() and (failure := task.exception()) is not None:
                outcome.wrong.append(f"ended early: {failure!r}")
        conversation.resume()
        conversation.mute()
        conversation.interrupt()
        await asyncio.sleep(min(15.0, 3.0 + seconds / 10))
        sound = conversation.sound
        assert isinstance(sound, DeviceSound)
        streams = await figures(sound)
        sums(conversation, outcome, tally, streams, told)
    queue = conversation.stats()[1].playout
    ledger = {name: getattr(queue, name) for name in ("queued", "played", "faded", "discarded", "underruns")}
    return Report(seconds, outcome, dict(sorted(tally.reports.items())), ledger, streams, samples, told)


async def figures(sound: DeviceSound) -> dict[str, float]:
    """What the device's own counters say, its audio thread stopped."""
    stats = sound.stats()
    capture, playback = sound.stamps("capture"), sound.stamps("playback")
    await sound.stop()
    return {
        "callbacks": sum(each.callbacks for each in stats),
        "missing_frames": sum(each.missing_frames for each in stats),
        "flagged": sum(each.flagged for each in stats),
        "longest_gap_ms": round(max(each.longest_gap_ms for each in stats), 1),
        "gaps": capture.gaps + playback.gaps,
        "gap_ms": round((capture.gap_frames + playback.gap_frames) * 1000 / RATE, 1),
        "ppm": round(capture.ppm, 1),
        "streams": len(stats),
    }


def sums(
    conversation: Conversation, outcome: soak.Outcome, tally: soak.Tally, streams: dict[str, Any], events: list[str]
) -> None:
    """What must come out exactly, however the sound server behaved. The device is closed, so nothing moves."""
    duplex = conversation.sound.duplex
    capture, playback = conversation.stats()
    queue, reports = playback.playout, tally.reports
    for event in duplex.read_events():
        tally.sound(event, None)
    decided = sum(reports.get(kind, 0) for kind in ("CONFIRMED", "RESTORED", "RELEASED"))
    whole = streams["streams"] == 1 and not events  # while a device is away silence is captured and nothing played
    unread = len(duplex.read_records())
    exact = {
        "queued = played + faded + discarded": (queue.queued, queue.played + queue.faded + queue.discarded),
        "captured = played frames": (capture.frames, playback.frames if whole else capture.frames),
        "hops of the frames": (capture.hops in (capture.frames // 480, capture.frames // 480 - 1), True),
        "hops = sound + held back + silence": (capture.sound_hops + capture.held_hops, capture.hops),
        "records = sound + silence": (capture.records, capture.sound_hops + capture.silence_hops),
        "appended = records": (abs(tally.appended // 480 + unread - capture.records) <= 40, True),
        "ducks = decisions": (reports.get("DUCKED", 0) - decided in (0, 1), True),
        "gaps reported": (reports.get("CAPTURE_GAP", 0) + reports.get("PLAYBACK_GAP", 0) >= streams["gaps"], True),
        "lost": (capture.lost_records + capture.lost_events + capture.lost_hops + playback.lost_events, 0),
        "anomalies": (conversation.anomalies, []),
        "overflow": (conversation.left_out_ms, 0),
    }
    outcome.wrong += [f"{name}: {mine} and {other}" for name, (mine, other) in exact.items() if mine != other]


async def serve_until_told() -> None:
    """The server, in a process of its own: its history is not what is measured."""
    brain = responder(f"script:{soak.DATA / 'demo.yaml'}")
    async with serve(port=0, responder=brain, voice=ToneVoice(), options=soak.SMALL) as running:
        print(running.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


@contextmanager
def server_elsewhere() -> Iterator[str]:
    """Its URL, while it runs."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    with subprocess.Popen([sys.executable, __file__, "--serve"], **pipes) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.communicate(timeout=20)


def run(seconds: float, seed: int, folder: Path, leak_mb: float = 0.0) -> dict[str, Any]:
    """The sound server, the caller, and the conversation in a process of its own; what that told."""
    from tests.device.soundserver import SoundServer

    server = SoundServer(folder / "sound")
    wav = WavWriter(folder / "caller.wav", RATE)
    wav.write(speech(seconds + 2 * LEAD_S, seed))
    wav.close()
    server.start()
    speaking = server.speak(folder / "caller.wav")
    options = ("--seconds", str(seconds), "--seed", str(seed), "--leak", str(leak_mb))
    try:
        with server_elsewhere() as url:
            done = subprocess.run(
                [sys.executable, __file__, "--inside", url, *options],
                env={**server.environment, "PYTHONMALLOC": "malloc"},
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=(folder / "conversation.log").open("wb"),
                check=False,
            )
    finally:
        speaking.terminate()
        speaking.wait(20)
        server.kill()
    lines = done.stdout.decode().splitlines()
    if done.returncode != 0 or not lines:
        raise RuntimeError(f"the conversation ended with {done.returncode}: {log(folder)}")
    told: dict[str, Any] = json.loads(lines[-1])
    return told


def log(folder: Path) -> str:
    """The end of what the conversation wrote."""
    return (folder / "conversation.log").read_text(errors="replace")[-3000:]


def main() -> bool:
    """Whether all is well."""
    parser = argparse.ArgumentParser(description="Conversation through a real sound server.")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--leak", type=float, default=0.0, metavar="MB")
    parser.add_argument("--inside", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve_until_told())
        return True
    if options.inside:
        print(asyncio.run(converse_for(options.inside, options.seconds, options.seed, options.leak)).told())
        return True
    from tests.device.soundserver import missing

    if (reason := missing()) is not None:
        print(f"make soak-device needs a sound server: {reason}")
        return False
    with tempfile.TemporaryDirectory() as folder:
        told = run(options.seconds, options.seed, Path(folder), options.leak)
    for name, value in told.items():
        print(f"{name}: {value}")
    return bool(told["well"])


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
