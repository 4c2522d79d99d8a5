"""A whole spoken conversation over the virtual device with the server inside; the recording shows the barge-in."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np

from engine.audio import Resampler
from tests.device.conftest import Start
from tests.device.soundserver import SoundServer
from tests.device.test_content import RATE, Shorts, write_wav

DATA = Path(__file__).resolve().parents[2] / "engine" / "data"
HOP = RATE // 100


def caller() -> Shorts:
    """The demo's caller at the device's rate: a question, then another one into the answer."""
    with wave.open(str(DATA / "caller.wav"), "rb") as wav:
        samples = np.frombuffer(wav.readframes(wav.getnframes()), np.int16)
        resampler = Resampler(wav.getframerate(), RATE)
    return np.concatenate([resampler.process(samples), resampler.flush()]).astype(np.int16)


def loudness(path: Path) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The recording's RMS per 10 ms."""
    samples = np.fromfile(path, np.int16).astype(np.float64)
    hops = samples[: len(samples) // HOP * HOP].reshape(-1, HOP)
    return np.asarray(np.sqrt((hops**2).mean(axis=1)))


def test_question_answer_interruption_answer(server: SoundServer, scenario: Start, tmp_path: Path) -> None:
    write_wav(tmp_path / "caller.wav", caller())
    recording = server.record(tmp_path / "spk.raw")
    program = scenario("conversation")
    program.expect("open")
    speaking = server.speak(tmp_path / "caller.wav")
    replies: list[dict[str, Any]] = []
    while len(replies) < 2:
        turn = program.expect("turn")
        if turn["role"] == "assistant":
            replies.append(turn)
    assert speaking.wait(60) == 0
    program.go_on()
    stats = program.expect("stats")
    program.expect("closed")
    program.end()
    recording.terminate()
    recording.wait(20)

    interrupted, whole = replies
    assert interrupted["interrupted"]
    assert 0 < interrupted["played"] < interrupted["received"]
    assert not whole["interrupted"]
    assert whole["played"] == whole["received"]
    assert stats["lost_records"] == 0
    assert stats["anomalies"] == []
    # What the loudspeaker gave is what the ledger says, to the length of a fade and two pauses in the voice.
    sounding = np.flatnonzero(loudness(tmp_path / "spk.raw") > 0)
    parts = np.split(sounding, np.flatnonzero(np.diff(sounding) > 60) + 1)
    assert len(parts) == 2, [len(part) for part in parts]
    first, second = (10 * (part[-1] - part[0] + 1) for part in parts)
    assert abs(first - interrupted["played"]) <= 60
    assert second <= whole["played"] + 60


def test_a_conversation_outlives_its_device(server: SoundServer, scenario: Start) -> None:
    """The answer that nobody could hear counts as interrupted where it was heard last; the next one is whole."""
    program = scenario("outage")
    program.expect("playing")
    server.kill()
    program.expect("lost")
    program.expect("silenced")
    cut = program.expect("turn")
    assert cut["interrupted"]
    assert 1000 <= cut["played"] < cut["received"]
    server.start()
    program.expect("back")
    whole = program.expect("turn")
    assert not whole["interrupted"]
    assert whole["played"] == whole["received"] > 0
    program.expect("closed")
    program.end()
