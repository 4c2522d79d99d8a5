"""Through a real sound server and back: every sample as the core makes it, in both directions at once."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.audio import BargeIn, Duplex, DuplexConfig, Policy
from tests.device.conftest import Start
from tests.device.soundserver import SoundServer

Shorts = NDArray[np.int16]
RATE = 48000


def speech(seconds: float, rate: int, seed: int) -> Shorts:
    """Speech-like: noise in syllables, quiet enough never to be limited."""
    random = np.random.default_rng(seed)
    count = int(seconds * rate)
    smooth = np.convolve(random.standard_normal(count + 15), np.ones(16) / 4, "valid")[:count]
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 4.0 * np.arange(count) / rate)
    sound = (smooth * syllables * 4000).clip(-20000, 20000).astype(np.int16)
    sound[: rate // 100] = np.maximum(sound[: rate // 100], 1)  # its beginning can be found
    return sound


def write_wav(path: Path, samples: Shorts) -> None:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(samples.tobytes())


def reference() -> Duplex:
    return Duplex(DuplexConfig(barge_in=BargeIn(policy=Policy.NEVER)))


def as_sent(wav: Shorts, shift: int) -> Shorts:
    """What the capture half sends of the WAV, when its first sample is `shift` samples after an even one."""
    duplex = reference()
    padded = np.concatenate([np.zeros(4800 + shift, np.int16), wav, np.zeros(9600 - shift, np.int16)])
    for first in range(0, len(padded) - 480, 480):
        duplex.capture(padded[first : first + 480])
    return np.frombuffer(b"".join(record["payload"].tobytes() for record in duplex.read_records()), np.int16)


def as_heard(reply: Shorts) -> Shorts:
    """What the playback half makes of the reply."""
    duplex = reference()
    duplex.queue.push("item", 0, reply.tobytes(), duplex.queue.open())
    duplex.queue.complete("item", 0)
    return np.concatenate([duplex.playback(480) for _ in range(2 * len(reply) // 480 + 20)])


def trimmed(samples: Shorts) -> Shorts:
    sounding = np.flatnonzero(samples)
    assert len(sounding), "nothing but silence"
    return samples[sounding[0] : sounding[-1] + 1]


def different(got: Shorts, wanted: Shorts) -> int:
    """Samples that differ, the first ones laid together; a length that differs counts whole."""
    both = min(len(got), len(wanted))
    return int(np.count_nonzero(got[:both] != wanted[:both])) + abs(len(got) - len(wanted))


@dataclass(frozen=True)
class Run:
    """One run through the sound server: samples that differ of what was sent and heard, and what the program said."""

    sent: int
    heard: int
    told: dict[str, Any]


def run(server: SoundServer, scenario: Start, folder: Path, streams: str, wav: Shorts, reply: Shorts) -> Run:
    """Speak the WAV into the microphone while the reply is played."""
    recording = server.record(folder / "spk.raw")
    program = scenario("content", folder / "reply.npy", folder / "sent.npy", 5.0, streams)
    opened = program.expect("open")
    assert opened["streams"] == (1 if streams == "one" else 2)
    assert opened["rates"] == [RATE, RATE]
    speaking = server.speak(folder / "in.wav")
    program.go_on()
    told = program.expect("played")
    program.expect("closed")
    program.end()
    assert speaking.wait(20) == 0
    recording.terminate()
    recording.wait(20)
    sent = trimmed(np.load(folder / "sent.npy"))
    heard = trimmed(np.fromfile(folder / "spk.raw", np.int16))
    return Run(
        min(different(sent, trimmed(as_sent(wav, shift))) for shift in (0, 1)),
        different(heard, trimmed(as_heard(reply))),
        told,
    )


@pytest.mark.parametrize("streams", ["one", "two"])
def test_both_directions_at_once_are_exact(server: SoundServer, scenario: Start, tmp_path: Path, streams: str) -> None:
    """A sound server on a busy machine loses pieces without a word, so there are six tries; what the core did wrong
    would be wrong in each.
    """
    wav, reply = speech(3.0, RATE, 1), speech(2.5, 24000, 2)
    write_wav(tmp_path / "in.wav", wav)
    np.save(tmp_path / "reply.npy", reply)
    runs: list[Run] = []
    while not runs or (runs[-1].sent or runs[-1].heard):
        assert len(runs) < 6, f"never exact: {runs}"
        runs.append(run(server, scenario, tmp_path, streams, wav, reply))
    told = runs[-1].told
    assert told["played"] == len(reply)
    assert told["ended"]
    assert (told["underruns"], told["lost_records"]) == (0, 0)


def test_the_comparison_finds_one_wrong_sample() -> None:
    reply = speech(0.5, 24000, 3)
    heard = as_heard(reply)
    reply[6000] += 40
    assert different(trimmed(as_heard(reply)), trimmed(heard)) > 0
    assert different(trimmed(heard)[:-5], trimmed(heard)) == 5
