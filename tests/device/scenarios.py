"""What a program does with a device, each in a process of its own: `python -m tests.device.scenarios NAME ...`.

Every line printed is a JSON object with `what`; a scenario that calls `told` waits for a line on its input.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import engine
from engine.audio import AudioEvent, EventKind, HearingStats, ItemKey
from engine.endpoints import DeviceEvent, DeviceSound, SoundSettings
from engine.endpoints.wav import read_wav

SETTINGS = SoundSettings(hearing=engine.Hearing())  # the sound as it is
RATE = 24000
DATA = Path(engine.__file__).parent / "data"


def say(what: str, **more: Any) -> None:
    """One line."""
    print(json.dumps({"what": what, **more}), flush=True)


async def told() -> None:
    """Until the test says so."""
    await asyncio.to_thread(sys.stdin.readline)


def device(**more: Any) -> engine.Device:
    """The virtual microphone and loudspeaker."""
    return engine.Device("vmic", "vspk", on_event=say_event, **more)


def say_event(event: DeviceEvent) -> None:
    """What the application is told."""
    say(event.kind, text=event.text, seconds=event.seconds)


async def flowing(sound: DeviceSound, callbacks: int) -> None:
    """Until the stream, as it is open now, has had so many callbacks."""
    while not sound.streams or any(stats.callbacks < callbacks for stats in sound.stats()):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def content(reply: str, out: str, seconds: str, streams: str, latency_ms: str) -> None:
    """Play `reply` (int16, 24 kHz) and keep what the microphone sends for so long."""
    sound_out = np.load(reply)
    settings = SoundSettings(barge_in=engine.BargeIn(policy=engine.Policy.NEVER), hearing=SETTINGS.hearing)
    async with device(one_stream=streams == "one", latency_ms=float(latency_ms)).open(settings) as sound:
        await flowing(sound, 30)
        opened = sound.opened
        say("open", streams=opened.streams, rates=[opened.capture_rate, opened.playback_rate], realtime=opened.realtime)
        await told()
        queue = sound.duplex.queue
        queue.push("item", 0, sound_out.tobytes(), queue.open())
        queue.complete("item", 0)
        time.sleep(1.0)  # noqa: ASYNC251  # a loop that stalls for a second is not heard, and nothing it should hear is lost
        payloads: list[bytes] = []
        while len(payloads) < float(seconds) * 100:
            await sound.wait(0.1)
            payloads += [record["payload"].tobytes() for record in sound.duplex.read_records()]
        np.save(out, np.frombuffer(b"".join(payloads), dtype=np.int16))
        position = queue.position("item", 0)
        assert position is not None
        playout = sound.duplex.playback_stats().playout
        say(
            "played",
            played=position.played,
            ended=position.ended,
            underruns=playout.underruns,
            missing=sum(stats.missing_frames for stats in sound.stats()),
            flagged=sum(stats.flagged for stats in sound.stats()),
            lost_records=sound.duplex.capture_stats().lost_records,
        )
    say("closed")


def traces() -> tuple[int, int, int]:
    """Threads that are not Python's, descriptors, and memory in kB, of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return (
        len(list(Path("/proc/self/task").iterdir())) - threading.active_count(),
        len(list(Path("/proc/self/fd").iterdir())),
        pages * os.sysconf("SC_PAGE_SIZE") // 1024,
    )


async def lifecycle(times: str) -> None:
    """Open and close again and again."""
    figures = []
    for _ in range(int(times)):
        async with device().open(SoundSettings(queue_s=1.0, hearing=SETTINGS.hearing)) as sound:
            await flowing(sound, 3)
        del sound
        gc.collect()
        figures.append(traces())
    say("traces", figures=figures)


async def death(reopen: str) -> None:
    """Be there while the sound server dies, and see what is left."""
    try:
        async with device(reopen=reopen == "reopen", hold_s=0.5).open(SETTINGS) as sound:
            await flowing(sound, 30)
            queue = sound.duplex.queue
            queue.push("item", 0, bytes(48000 * 20), queue.open())  # twenty seconds of reply
            say("open")
            captured = sound.duplex.capture_stats().hops
            while not sound.away:
                await sound.wait(0.1)
                sound.duplex.read_records()
            sent = 0
            while sound.away:  # silence goes on being sent
                await sound.wait(0.1)
                sent += len(sound.duplex.read_records())
            await flowing(sound, 30)
            position = queue.position("item", 0)
            say(
                "flows",
                sent=sent,
                captured=sound.duplex.capture_stats().hops - captured,
                waiting=queue.waiting,
                discarded=position.discarded if position else None,
            )
    except engine.DeviceError as error:
        say("error", text=str(error), type=type(error).__name__)
    say("closed", threads=traces()[0])


async def probing(memory: str) -> None:
    """Find the latency that is needed, and go on with it."""
    async with device(latency_ms="auto", remember=memory).open(SETTINGS) as sound:
        await flowing(sound, 30)
        say("open", latency_ms=1000 * (sound.streams[0].plan.latency_s or 0))
        await told()
    say("closed")


async def reference(played: str, out: str, how: str, latency_ms: str) -> None:
    """Play `played`, if there is any, and keep microphone and reference side by side."""
    settings = SoundSettings(barge_in=engine.BargeIn(policy=engine.Policy.NEVER), hearing=SETTINGS.hearing)
    common: dict[str, Any] = {"latency_ms": float(latency_ms), "pairs_ms": 10000, "on_event": say_event}
    if how == "device":
        ends = engine.Device("vmic", "vspk", reference_device="vloop", **common)
    else:
        ends = engine.Device("varray", "vspk", microphone_channel=0, reference_channel=1, **common)
    async with ends.open(settings) as sound:
        await flowing(sound, 30)
        directions = [stream.plan.direction for stream in sound.streams]
        say("open", reference=sound.opened.reference, directions=directions)
        while how == "device" and ((now := sound.reference()) is None or now.hops < 350):  # what the start had too much
            await sound.wait(0.1)
            sound.duplex.read_records()
        sound.duplex.read_pairs()
        settled = sound.reference()
        before = settled.starved + settled.jumps if settled is not None else 0
        if played:
            queue = sound.duplex.queue
            queue.push("item", 0, np.load(played).tobytes(), queue.open())
            queue.complete("item", 0)
        kept: list[Any] = []
        while sum(map(len, kept)) < 800:
            await sound.wait(0.1)
            sound.duplex.read_records()
            kept.append(sound.duplex.read_pairs())
        np.save(out, np.concatenate(kept))
        stats = sound.reference()
        assert stats is not None
        stamps = sound.stamps(directions[-1] if how == "device" else "capture")
        missing = sum(each.missing_frames + each.flagged for each in sound.stats())
        gaps = sum(sound.stamps(part).gaps for part in ("capture", "playback")) + stamps.gaps
        say("heard", stats=asdict(stats), stamps=asdict(stamps), before=before, lost=missing + gaps)
    say("closed")


async def gaps(reply: str, latency_ms: str) -> None:
    """Play `reply` at a latency that loses sound, and say what was counted."""
    events: list[str] = []
    settings = SoundSettings(barge_in=engine.BargeIn(policy=engine.Policy.NEVER), hearing=SETTINGS.hearing)
    ends = engine.Device("vmic", "vspk", latency_ms=float(latency_ms), on_event=lambda event: events.append(event.kind))
    async with ends.open(settings) as sound:
        await flowing(sound, 200)  # the first second settles
        queue = sound.duplex.queue
        queue.push("item", 0, np.load(reply).tobytes(), queue.open())
        queue.complete("item", 0)
        reported, end, begun = 0, 0.0, False
        while not end or time.monotonic() < end:
            await sound.wait(0.1)
            if not begun and sound.duplex.playback_stats().playout.played > 24000:
                begun = True
                say("playing")
            sound.duplex.read_records()
            reported += sum(event.kind is EventKind.PLAYBACK_GAP for event in sound.duplex.read_events())
            position = queue.position("item", 0)
            if not end and position is not None and position.ended:
                end = time.monotonic() + 0.5
        stamps = sound.stamps("playback") if sound.streams else None
        say(
            "heard",
            events=events,
            reported=reported,
            gaps=stamps.gaps if stamps else 0,
            net_gap_ms=stamps.gap_frames / 48 if stamps else 0.0,
            missing=sum(stats.missing_frames for stats in sound.stats()),
            flagged=sum(stats.flagged for stats in sound.stats()),
        )
    say("closed")


async def echo(streams: str) -> None:
    """Play a reply into the own microphone until the canceller has learnt the way."""
    endpoint = engine.Device("vloop", "vspk", on_event=say_event, one_stream=streams == "one")
    ears = engine.BargeIn(policy=engine.Policy.NEVER)
    async with endpoint.open(SoundSettings(barge_in=ears)) as sound:
        duplex, queue = sound.duplex, sound.duplex.queue
        said = read_wav(DATA / "caller.wav").samples.tobytes()
        say("open", two_clocks=duplex.config.two_clocks, mode=duplex.hearing_stats().echo)
        queue.open()

        async def until(learnt: bool) -> HearingStats:
            item = 0
            while (stats := duplex.hearing_stats()).converged != learnt or (learnt and stats.erle_db < 10.0):
                if queue.waiting < RATE:
                    item += 1
                    queue.push(f"item{item}", 0, said)
                duplex.read_records()
                duplex.read_events()
                await asyncio.sleep(0.05)
            return stats

        stats = await until(True)
        say("learnt", mode=stats.echo, delay_ms=stats.delay_ms, erle_db=stats.erle_db, near=stats.near)
    say("closed")


async def reference_lost() -> None:
    """Go on while the second device gives nothing, and when it gives something again."""
    async with device(reference_device="varray").open(SETTINGS) as sound:

        async def until(starved: int, flows: bool) -> int:
            while True:
                stats = sound.reference()
                assert stats is not None
                if stats.starved >= starved and stats.flowing == flows:
                    return stats.hops
                await asyncio.sleep(0.01)

        await until(0, True)
        say("open")
        await until(1, False)
        say("starved")
        await told()
        before = await until(1, True)
        while (stats := sound.reference()) is None or stats.hops < before + 100:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        say("flows", hops=stats.hops)
    say("closed")


async def together() -> None:
    """Two devices of one process, which die and come back together."""
    kinds: list[str] = []
    other = engine.Device("vloop", "vspk", on_event=lambda event: kinds.append(event.kind))
    async with (
        device().open(SETTINGS) as first,
        other.open(SETTINGS) as second,
    ):
        for sound in (first, second):
            await flowing(sound, 30)
        say("open")
        await told()
        while "back" not in kinds or first.away:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for sound in (first, second):
            await flowing(sound, 30)
        say("flows")
    say("closed")


async def refusal(microphone: str, loudspeaker: str, more: str) -> None:
    """Ask for what is not there."""
    try:
        async with engine.Device(microphone, loudspeaker, **json.loads(more)).open(SETTINGS):
            say("open")
    except engine.EngineError as error:
        say("refused", text=str(error), type=type(error).__name__)


class Ears:
    """Keeps the sound of every answer, and what the server was told of it."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self.truncated: dict[str, int] = {}

    def event(self, direction: str, message: bytes, event: engine.events.AnyEvent | None) -> None:
        """See `Observer.event`."""
        match event:
            case engine.events.ResponseOutputAudioDelta():
                self.answers[event.item_id] = self.answers.get(event.item_id, b"") + event.delta
            case engine.events.ConversationItemTruncate():
                self.truncated[event.item_id] = event.audio_end_ms

    def sound(self, event: AudioEvent, item: ItemKey | None) -> None:
        """See `Observer.sound`."""


async def conversation(answer: str, latency_ms: str) -> None:
    """Hold a conversation with the server inside until told to stop; the first answer goes to a file."""
    ears = Ears()
    endpoint = device(latency_ms=float(latency_ms))
    async with engine.connect(endpoint, responder=f"script:{DATA / 'demo.yaml'}", observer=ears) as talk:
        sound = talk.sound
        assert isinstance(sound, DeviceSound)
        await flowing(sound, 10)
        say("open")

        async def follow() -> None:
            async for turn in talk.turns():
                say(
                    "turn",
                    role=turn.role,
                    interrupted=turn.interrupted,
                    played=turn.played_ms,
                    received=turn.received_ms,
                    status=turn.status,
                )

        following = asyncio.create_task(follow())
        await told()
        following.cancel()
        capture, playback = talk.stats()
        np.save(answer, np.frombuffer(next(iter(ears.answers.values())), np.int16))
        say("truncated", ms=list(ears.truncated.values()))
        say("stats", lost_records=capture.lost_records, underruns=playback.playout.underruns, anomalies=talk.anomalies)
    say("closed")


async def timing(seconds: str, block_ms: str) -> None:
    """Run for so long and say how regular it was."""
    async with device(block_ms=float(block_ms), latency_ms=float(block_ms)).open(SETTINGS) as sound:
        await flowing(sound, 100)
        first = sound.stats()[0]
        await asyncio.sleep(float(seconds))
        last, capture, playback = sound.stats()[0], sound.stamps("capture"), sound.stamps("playback")
        say(
            "figures",
            callbacks=last.callbacks - first.callbacks,
            due=(last.newest_s - first.newest_s) * 1000 / float(block_ms),
            missing=last.missing_frames,
            flagged=last.flagged,
            longest_gap_ms=last.longest_gap_ms,
            slowest_ms=last.slowest_ms,
            capture_deviation_ms=capture.deviation_ms,
            playback_deviation_ms=playback.deviation_ms,
            capture_ppm=capture.ppm,
            playback_ppm=playback.ppm,
            gaps=capture.gaps + playback.gaps,
            opened=[sound.opened.microphone_ms, sound.opened.loudspeaker_ms],
        )


async def outage() -> None:
    """Lose the device in the middle of an answer, and go on with another when it is back."""
    async with engine.connect(device(hold_s=0.3), responder="echo") as talk:
        sound = talk.sound
        assert isinstance(sound, DeviceSound)
        await flowing(sound, 10)

        talk.say("one two three four five six seven eight nine ten " * 6)
        while sound.duplex.playback_stats().playout.played < 24000:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        say("playing")
        async for turn in talk.turns():
            if turn.role == "assistant":
                say("turn", interrupted=turn.interrupted, played=turn.played_ms, received=turn.received_ms)
                if not turn.interrupted:
                    break
                while sound.away:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                talk.say("hello")
    say("closed")


async def forever() -> None:
    """Hold a conversation until Ctrl-C."""
    async with engine.connect(device(), responder="echo") as talk:
        say("open")
        async for _ in talk.turns():
            pass


SCENARIOS = {
    each.__name__: each
    for each in (
        *(content, lifecycle, death, probing, together, refusal, conversation, outage, timing, forever, echo),
        *(reference, reference_lost, gaps),
    )
}

if __name__ == "__main__":
    asyncio.run(SCENARIOS[sys.argv[1]](*sys.argv[2:]))
