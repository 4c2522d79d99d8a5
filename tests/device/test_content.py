"""Through a real sound server and back: every sample as the core makes it, in both directions at once."""

from __future__ import annotations

import wave
from pathlib import Path

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


@pytest.mark.parametrize("streams", ["one", "two"])
def test_both_directions_at_once_are_exact(server: SoundServer, scenario: Start, tmp_path: Path, streams: str) -> None:
    """The WAV goes into the microphone while the reply is played, and the program's loop stalls for a second."""
    wav, reply = speech(3.0, RATE, 1), speech(2.5, 24000, 2)
    write_wav(tmp_path / "in.wav", wav)
    np.save(tmp_path / "reply.npy", reply)

    def attempt(latency_ms: int) -> None:
        recording = server.record(tmp_path / "spk.raw")
        program = scenario("content", tmp_path / "reply.npy", tmp_path / "sent.npy", 5.0, streams, latency_ms)
        opened = program.expect("open")
        assert opened["streams"] == (1 if streams == "one" else 2)
        assert opened["rates"] == [RATE, RATE]
        speaking = server.speak(tmp_path / "in.wav")
        program.go_on()
        told = program.expect("played")
        program.expect("closed")
        program.end()
        assert speaking.wait(20) == 0
        recording.terminate()
        recording.wait(20)
        assert told["played"] == len(reply)
        assert told["ended"]
        assert (told["underruns"], told["lost_records"]) == (0, 0)
        sent = trimmed(np.load(tmp_path / "sent.npy"))
        assert min(different(sent, trimmed(as_sent(wav, shift))) for shift in (0, 1)) == 0
        assert different(trimmed(np.fromfile(tmp_path / "spk.raw", np.int16)), trimmed(as_heard(reply))) == 0

    scenario.in_tries(attempt)


def test_the_comparison_finds_one_wrong_sample() -> None:
    reply = speech(0.5, 24000, 3)
    heard = as_heard(reply)
    reply[6000] += 40
    assert different(trimmed(as_heard(reply)), trimmed(heard)) > 0
    assert different(trimmed(heard)[:-5], trimmed(heard)) == 5
