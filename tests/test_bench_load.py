"""The load bench finds what is lost, counts what it says it counts, and its frames are frames."""

from __future__ import annotations

import json
import socket
import sys
from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

if TYPE_CHECKING:
    from bench import load, load_clients, load_report
else:
    import load
    import load_clients
    import load_report


@pytest.mark.parametrize("size", [0, 125, 126, 1300, 65_535])
def test_frames_are_frames(size: int) -> None:
    payload = bytes(n % 251 for n in range(size))
    reader = StreamReader()
    reader.feed_data(load_clients.framed(payload))
    parsing = Frame.parse(reader.read_exact, mask=True)
    with pytest.raises(StopIteration) as done:
        next(parsing)
    frame = done.value.value
    assert (frame.opcode, frame.fin, bytes(frame.data)) == (Opcode.TEXT, True, payload)


def test_what_is_said_goes_round() -> None:
    said = load.script()
    assert len(said.frames) == 400
    assert said.said(100, 200) == said.audio[4800:9600]
    assert said.said(7900, 8100) == said.audio[-4800:] + said.audio[:4800]
    sound = np.frombuffer(said.audio, "<i2")
    assert len({sound[at : at + 480].tobytes() for at in range(0, sound.size, 480)}) == 400  # no frame is like another


def answered(said: bytes, turns: int = 1) -> load_clients.Session:
    """A session that spoke from 300 to 400 ms, and was answered with `said`."""
    script = load.script()
    callers = object.__new__(load_clients.Callers)
    callers.script, callers.heard, callers.counts, callers.frame_s = script, load_clients.Heard(), True, 0.02
    ours, theirs = socket.socketpair()
    with ours, theirs:
        session = load_clients.Session(ours, script, began=10.0)
        events = [
            {"type": "input_audio_buffer.speech_started", "audio_start_ms": 300},
            {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 400},
            {"type": "response.output_audio.delta", "delta": b64encode(said[:480]).decode()},
            {"type": "response.output_audio.delta", "delta": b64encode(said[480:]).decode()},
            {"type": "response.done", "response": {"status": "completed"}},
        ]
        for _ in range(turns):
            for event in events:
                callers._message(session, json.dumps(event, separators=(",", ":")).encode(), 10.5)
    assert callers.heard.answers[0] == pytest.approx(0.5 - 0.38)  # the frame that ends at 400 ms was due at 380
    return session


def test_nothing_lost_is_nothing_lost_and_anything_else_is_told() -> None:
    right = load.script().said(300, 400)
    assert answered(right).lost(1) == []
    assert answered(right).kept == 2 * len(right)
    assert "2 turns were spoken, 1 heard, 1 answered" in answered(right).lost(2)
    assert answered(right, turns=2).lost(1)
    for wrong in (right[:-2], right + b"\0\0", load.script().said(320, 420)):
        assert answered(wrong).lost(1)
    unanswered = answered(right)
    unanswered.probes[b"probe1"] = 0.0
    assert unanswered.lost(1) == ["1 questions were not answered"]


def run(sessions: int, late: float, lost: bool = False, own: float = 1.0, waited: float = 0.0) -> load.Run:
    lines = ["session 0: something"] if lost else []
    times = ((1.0, late, 2 * late), own, (1.0, 2.0), (1.0, 2.0), 1.0)
    return load.Run(
        sessions, *times, sessions / 1000, 0.3, waited, 200.0, (1, 1), lost=lines, profile={"asyncio/events.py:x": 3}
    )


def test_capacity_is_the_largest_below_the_first_that_fails() -> None:
    runs = [run(50, 2), run(100, 19.9), run(150, 20), run(200, 5)]
    assert load_report.capacity(runs) is runs[1]
    assert load_report.capacity([run(50, 2, lost=True)]) is None
    assert run(10, 1).valid
    assert not run(10, 1, own=9).valid
    assert not run(10, 1, waited=0.5).valid
    # In stretched time others may have the core, as long as the server had no more than one core's worth.
    assert replace(run(10, 1, waited=0.8), stretch=6.0, share=0.16).valid
    assert not replace(run(10, 1, waited=0.8), stretch=6.0, share=0.2).valid
    assert run(100, 1).cost == pytest.approx(1.0)


def test_the_page_says_so(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    curves = {"asgi": [run(50, 2), run(100, 30, waited=0.5)], "bare": [run(25, 2)]}
    said = load_report.write(curves, run(50, 2), 1.0, tmp_path / "a.md", tmp_path / "a.svg")
    page = (tmp_path / "a.md").read_text(encoding="utf-8")
    assert "asgi: Held: 50 sessions" in said
    assert "bare: Held: 25 sessions" in said
    assert "## The front `asgi`\n\nHeld: 50 sessions" in page
    assert "## The front `bare`\n\nHeld: 25 sessions" in page
    assert "50.0% *" in page
    assert "| the loop: asyncio, selector, sockets | 100.0% |" in page
    assert (tmp_path / "a.svg").stat().st_size > 1000
