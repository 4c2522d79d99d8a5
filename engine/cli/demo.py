"""`bargein demo`: a whole spoken conversation with the server inside, and the evidence of it in one folder."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from engine import clock
from engine.audio import PacerStats
from engine.cli.evidence import Evidence, Labelled
from engine.cli.table import render
from engine.cli.timeline import draw
from engine.cli.trace import Trace
from engine.conversation import Conversation, Settings, Turn, converse
from engine.endpoints import WavFile
from engine.endpoints.wav import read_wav
from engine.errors import ConfigError, MissingExtraError
from engine.front import embedded
from engine.realtime import events as ev
from engine.server.responders.script import Script


class Watcher:
    """Gives every event and report to the trace file and to the evidence, with the audio time at which it came."""

    def __init__(self, trace: Trace, evidence: Evidence) -> None:
        self._trace = trace
        self._evidence = evidence
        self.conversation: Conversation | None = None

    def event(self, direction: str, message: bytes, event: ev.AnyEvent | None) -> None:
        """See `Observer.event`."""
        self._trace.event(direction, message, event)
        if event is not None and self.conversation is not None:
            self._evidence.event(direction, event, self.conversation.sound.seconds)

    def sound(self, event: Any, item: Any) -> None:
        """See `Observer.sound`."""
        self._trace.sound(event, item)
        self._evidence.sound(event, item)


def run(options: Namespace) -> int:
    """Hold the conversation. `options`: wav (path or None), out (folder), fast (virtual time)."""
    out = Path(options.out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"--out is {str(out)!r}, which can be no folder ({reason}): name another") from None
    wav = Path(options.wav) if options.wav else None
    main = _hold(wav, out)
    figures = clock.run_virtual(main) if options.fast else asyncio.run(main)
    _report(figures, out, virtual=bool(options.fast))
    return 0


class Figures:
    """What is left when the conversation is over."""

    def __init__(self, evidence: Evidence, turns: list[Turn], cpu_s: float, pacer: PacerStats | None) -> None:
        self.evidence = evidence
        self.turns = turns
        self.cpu_s = cpu_s
        self.audio_thread_s = pacer.busy_s if pacer is not None else None
        self.lost_ms = 1000.0 * pacer.lost_frames / evidence.rate if pacer is not None else 0.0


async def _hold(wav: Path | None, out: Path) -> Figures:
    data = resources.files("engine") / "data"
    with resources.as_file(data / "caller.wav") as ours:
        path = wav or ours
        labels = [] if wav else _labels(json.loads((data / "caller.json").read_text(encoding="utf-8")))
        brain = Script(json.loads((data / "demo.json").read_text(encoding="utf-8")), "demo")
        source = read_wav(path)
        evidence = Evidence(source.rate, labels)
        if source.note:
            print(f"{path.name}: {source.note}")
        print(f"caller {path.name}: {source.seconds:.1f} s at {source.rate} Hz; the server inside answers", flush=True)
        turns = []
        with Trace(out / "events.jsonl") as trace:
            async with _conversation(path, out, brain, Watcher(trace, evidence)) as conversation:
                begun = time.process_time()
                async for turn in conversation.turns():
                    _say(turn)
                    turns.append(turn)
                cpu_s = time.process_time() - begun
                pacer = getattr(conversation.sound, "pacer", None)
                evidence.finish(conversation, turns)
    evidence.recording(*_channels(out / "conversation.wav"))
    return Figures(evidence, turns, cpu_s, pacer.stats() if pacer is not None else None)


def _conversation(path: Path, out: Path, brain: Script, watcher: Watcher) -> AbstractAsyncContextManager[Conversation]:
    endpoint = WavFile(path, conversation=out / "conversation.wav")
    settings = Settings(session={"instructions": "Be brief."})

    @asynccontextmanager
    async def watched() -> AsyncIterator[Conversation]:
        async with converse(endpoint, embedded(brain), settings, watcher) as conversation:
            watcher.conversation = conversation
            yield conversation

    return watched()


def _labels(described: dict[str, Any]) -> list[Labelled]:
    return [Labelled(part["start_s"], part["end_s"], part["text"]) for part in described["speech"]]


def _channels(path: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    return read_wav(path, channel=0).samples, read_wav(path, channel=1).samples


def _say(turn: Turn) -> None:
    words = turn.text or "(speech)"
    cut = f"  [interrupted after {turn.played_ms} ms]" if turn.interrupted else ""
    print(f"  {turn.role}: {words if len(words) <= 90 else words[:87] + '...'}{cut}", flush=True)


def _report(figures: Figures, out: Path, *, virtual: bool) -> None:
    evidence = figures.evidence
    print()
    if figures.turns:
        print(render(*evidence.turn_table()))
    else:
        print("nobody was heard: the caller said nothing that the server took for speech")
    if cuts := evidence.cut_table():
        print()
        print(render(*cuts))
        print("as heard behind a device with blocks of 10 ms; its own latency comes on top")
    print()
    print(f"processor: {1000 * figures.cpu_s / evidence.seconds:.1f} ms per second of audio, both ends and the voice")
    if figures.lost_ms:
        print(f"{figures.lost_ms:.0f} ms of the recording were lost: this machine was too busy to take it")
    if figures.audio_thread_s is not None:
        print(f"audio thread: {1000 * figures.audio_thread_s / evidence.seconds:.2f} ms per second of audio, C only")
    print(f"memory: {_peak_megabytes():.0f} MB at most")
    written = ["conversation.wav", "events.jsonl"]
    try:
        draw(evidence.timeline(), out / "timeline.png")
        written.append("timeline.png")
    except MissingExtraError as missing:
        print(f"no picture: {missing}")
    print(f"in {out}/: {', '.join(written)}" + (" (virtual time)" if virtual else ""))


def _peak_megabytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
