"""The echo reference through a real sound server: what the loudspeaker played is what stands beside the microphone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.audio import Resampler
from engine.endpoints.wav import WavWriter
from tests.device.conftest import Start
from tests.device.soundserver import SoundServer
from tests.device.tracking import noise, place

RATE = 24000
SECONDS = 6
PIECE = RATE  # compared a second at a time: what a busy server loses moves what comes after


def with_array(server: SoundServer) -> None:
    """A sink of two channels, whose monitor is a microphone array; once more after a server was started anew."""
    if "array" not in server.control("list", "short", "sinks"):
        more = ("rate=48000", "channels=2", "norewinds=1")
        server.control("load-module", "module-null-sink", "sink_name=array", *more)


def test_the_monitor_of_a_sink_is_the_reference(server: SoundServer, scenario: Start, tmp_path: Path) -> None:
    played = noise(1, RATE, SECONDS)
    np.save(tmp_path / "played.npy", played)

    def attempt(latency_ms: int) -> None:
        program = scenario("reference", tmp_path / "played.npy", tmp_path / "pairs.npy", "device", latency_ms)
        opened = program.expect("open")
        assert opened["reference"] == "channel 0 of vloop"
        assert opened["directions"] == ["both", "reference"]
        told = program.expect("heard")
        program.expect("closed")
        program.end()
        heard = np.load(tmp_path / "pairs.npy")["reference"].ravel()
        loud = np.flatnonzero(np.abs(heard) > 0.01)
        first = int(loud[0])
        pieces = [heard[at : at + PIECE] for at in range(first + PIECE // 2, first + (SECONDS - 2) * RATE, PIECE)]
        found = [place(piece, played) for piece in pieces]
        stats = told["stats"]
        steps = np.diff([at for at, _ in found])  # in its place, but for the bends of the drift loop
        even = min(fit for _, fit in found) > 0.98 and np.abs(steps - PIECE).max() < 0.003 * RATE
        counted = stats["starved"] + stats["jumps"] - told["before"] + told["lost"]
        assert even or counted, found  # what a busy server lost is counted
        assert sum(fit > 0.98 for _, fit in found) >= 2, found
        assert stats["lost"] == 0
        assert stats["hops"] * 240 >= len(heard)
        assert abs(stats["ppm"]) < 500
        assert told["stamps"]["ppm_error"] > 0  # it has a clock of its own, and that is looked at

    scenario.in_tries(attempt)


def test_a_reference_that_falls_silent_is_counted_and_comes_back(server: SoundServer, scenario: Start) -> None:
    with_array(server)
    program = scenario("reference_lost")
    program.expect("open")
    server.control("suspend-sink", "array", "1")
    program.skip_to("starved")
    server.control("suspend-sink", "array", "0")
    program.go_on()
    assert program.skip_to("flows")["hops"] > 0
    program.skip_to("closed")
    program.end()


def test_a_channel_of_an_array_is_the_reference(server: SoundServer, scenario: Start, tmp_path: Path) -> None:
    """A microphone of two channels, the right one a loopback: to the sample beside the left."""
    channels = [noise(2, 48000, 8), noise(3, 48000, 8)]
    wav = WavWriter(tmp_path / "array.wav", 48000, channels=2)
    wav.write(np.stack(channels, axis=1))
    wav.close()
    wanted = [Resampler(48000, RATE).process(channel) for channel in channels]

    def attempt(latency_ms: int) -> None:
        with_array(server)
        program = scenario("reference", "", tmp_path / "pairs.npy", "channel", latency_ms)
        assert program.expect("open")["reference"] == "channel 1 of varray"
        speaking = server.speak(tmp_path / "array.wav", "array")
        stats = program.expect("heard")["stats"]
        program.expect("closed")
        program.end()
        speaking.terminate()
        speaking.wait(20)
        assert (stats["starved"], stats["jumps"], stats["lost"]) == (0, 0, 0)
        pairs = np.load(tmp_path / "pairs.npy")
        heard = [pairs["microphone"].ravel(), pairs["reference"].ravel()]
        first = int(np.flatnonzero(np.abs(heard[0]) > 0.01)[0]) + RATE
        places = [place(each[first : first + RATE], truth) for each, truth in zip(heard, wanted, strict=True)]
        assert places[0][0] == places[1][0], places
        assert all(fit > 0.98 for _, fit in places), places

    scenario.in_tries(attempt)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('{"reference_device": "nobody"}', ["no 'nobody' among the input devices", "vloop"]),
        ('{"reference_channel": 40}', ["reference_channel is 40", "0 to 31"]),
        ('{"pairs_ms": 50}', ["pairs_ms is 50", "100 to 10000"]),
    ],
)
def test_what_is_not_there_is_refused(server: SoundServer, scenario: Start, more: str, words: list[str]) -> None:
    program = scenario("refusal", "vmic", "vspk", more)
    text = program.expect("refused")["text"]
    program.end()
    assert all(word in text for word in words), text


@pytest.mark.parametrize("streams", ["one", "two"])
def test_the_echo_of_ones_own_loudspeaker_is_learnt(server: SoundServer, scenario: Start, streams: str) -> None:
    """The microphone is the loudspeaker's monitor; with two streams the reference crosses from one clock to another."""
    program = scenario("echo", streams)
    opened = program.expect("open")
    assert opened["two_clocks"] is (streams == "two")
    assert opened["mode"] == "aec"
    learnt = program.skip_to("learnt")
    assert learnt["mode"] in ("aec", "half_duplex")
    assert 0.0 <= learnt["delay_ms"] <= 510.0
    program.expect("closed")
    program.end()
