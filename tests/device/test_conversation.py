"""A whole spoken conversation over the virtual device with the server inside; the recording shows the barge-in."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np

from engine.audio import Resampler
from tests.device.conftest import Start
from tests.device.soundserver import SoundServer
from tests.device.test_content import RATE, Shorts, as_heard, write_wav

DATA = Path(__file__).resolve().parents[2] / "engine" / "data"


def caller() -> Shorts:
    """The demo's caller at the device's rate: a question, then another one into the answer."""
    with wave.open(str(DATA / "caller.wav"), "rb") as wav:
        samples = np.frombuffer(wav.readframes(wav.getnframes()), np.int16)
        resampler = Resampler(wav.getframerate(), RATE)
    return np.concatenate([resampler.process(samples), resampler.flush()]).astype(np.int16)


def pieces(recording: Shorts) -> list[Shorts]:
    """What sounds in it, apart by more than 600 ms of silence."""
    sounding = np.flatnonzero(recording)
    return np.split(recording[sounding], np.flatnonzero(np.diff(sounding) > 6 * RATE // 10) + 1)


DUCKED = 10 ** (-18 / 20)
DELAY = 48  # samples at 48 kHz, of the filter


def heard_until(recording: Shorts, answer: Shorts) -> tuple[float, float]:
    """Milliseconds of the answer before its fade began, found sample by sample in the recording of the loudspeaker: the
    last that is there, and the first that is not. They are apart where the voice pauses.
    """
    whole = as_heard(answer)
    lead = int(np.flatnonzero(whole)[0])
    recording = recording[np.flatnonzero(recording)[0] :][: len(whole) - lead].astype(np.float64)
    wanted = whole[lead : lead + len(recording)].astype(np.float64)
    assert np.any(recording != wanted), "never ducked"
    full = int(np.flatnonzero(recording != wanted)[0])  # exact until the duck begins
    after = full + RATE // 50  # the ramp is over
    ducked = DUCKED * wanted[after:]
    faded = np.flatnonzero(np.abs(recording[after:] - ducked) > 1.0)
    assert len(faded), "never faded"
    missing = int(faded[0])
    there = np.flatnonzero(np.abs(ducked[:missing]) > 20.0)
    assert len(there), "the recording is not the answer, ducked"
    begin = lead + after - DELAY
    return (begin + int(there[-1])) * 1000 / RATE, (begin + missing) * 1000 / RATE


def test_question_answer_interruption_answer(server: SoundServer, scenario: Start, tmp_path: Path) -> None:
    write_wav(tmp_path / "caller.wav", caller())

    def attempt(latency_ms: int) -> None:
        recording = server.record(tmp_path / "spk.raw")
        program = scenario("conversation", tmp_path / "answer.npy", latency_ms)
        program.expect("open")
        speaking = server.speak(tmp_path / "caller.wav")
        replies: list[dict[str, Any]] = []
        while len(replies) < 2:
            turn = program.expect("turn")
            if turn["role"] == "assistant":
                replies.append(turn)
        assert speaking.wait(60) == 0
        program.go_on()
        truncated = program.expect("truncated")["ms"]
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
        assert truncated == [interrupted["played"]]
        heard = np.fromfile(tmp_path / "spk.raw", np.int16)
        assert len(pieces(heard)) == 2
        last, missing = heard_until(heard, np.load(tmp_path / "answer.npy"))
        assert last - 3.0 <= interrupted["played"] <= missing, (last, missing)  # 2 ms, and the floor to a whole one

    scenario.in_tries(attempt)


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
