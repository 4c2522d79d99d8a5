"""Open and closed again and again nothing is left; a device that dies is told, and comes back."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from random import Random

import pytest

from tests.device.conftest import Start
from tests.device.soundserver import SoundServer

TIMES = 20


def test_opened_and_closed_nothing_is_left(server: SoundServer, scenario: Start) -> None:
    program = scenario("lifecycle", TIMES)
    figures = program.expect("traces")["figures"]
    program.end()
    warm, last = figures[2], figures[-1]
    assert last[0] <= warm[0], f"threads: {figures}"
    assert last[1] <= warm[1], f"descriptors: {figures}"
    if "libasan" not in os.environ.get("LD_PRELOAD", ""):  # which keeps what was freed
        assert last[2] - warm[2] < 4096, f"kB: {figures}"  # a duplex with its queue is more than that


def test_a_device_that_dies_is_reopened_by_name(server: SoundServer, scenario: Start) -> None:
    program = scenario("death", "reopen")
    program.expect("open")
    server.kill()
    assert "vmic" in program.expect("lost")["text"]
    assert program.expect("silenced")["seconds"] >= 0.5
    server.start()
    assert program.expect("back")["seconds"] > 0.5
    flows = program.expect("flows")
    assert flows["sent"] > 0  # silence, so that an open turn ends
    assert flows["waiting"] == 0
    assert flows["discarded"] > 0  # of the reply that nobody could hear
    program.expect("closed")
    program.end()


def test_without_reopening_it_is_a_clean_error(server: SoundServer, scenario: Start) -> None:
    program = scenario("death", "not")
    program.expect("open")
    server.kill()
    program.expect("lost")
    error = program.expect("error")
    assert error["type"] == "DeviceError"
    assert "'vspk' lost" in error["text"]
    program.expect("closed")
    program.end()


def test_two_devices_of_a_process_come_back_together(server: SoundServer, scenario: Start) -> None:
    program = scenario("together")
    program.expect("open")
    server.kill()
    program.expect("lost")
    server.start()
    program.expect("back")
    program.go_on()
    program.expect("flows")
    program.expect("closed")
    program.end()


def test_the_latency_that_was_needed_is_remembered(server: SoundServer, scenario: Start, tmp_path: Path) -> None:
    """A server that stops and goes: more latency is asked for, and again with the next start. What else a busy machine
    tells (lost, back, more latency still) is passed over.
    """
    program = scenario("probing", tmp_path / "latency.json")
    assert program.skip_to("open")["latency_ms"] == 100
    with server.stuttering():
        text = program.skip_to("latency")["text"]  # some of it PortAudio gives up on: then it is lost, and back
    assert "lost sound at 100 ms, opened with 150 ms" in text
    program.go_on()
    program.skip_to("closed")
    again = scenario("probing", tmp_path / "latency.json")
    assert again.skip_to("open")["latency_ms"] >= 150
    again.go_on()
    again.skip_to("closed")
    again.end()


def test_ctrl_c_at_any_time_ends_it_and_closes_the_streams(server: SoundServer, scenario: Start) -> None:
    random = Random(5)
    for _ in range(8):
        program = scenario("forever")
        if random.random() < 0.6:
            program.expect("open")
        time.sleep(random.uniform(0.0, 0.6))
        assert program.interrupt() in (-signal.SIGINT, 1, 130)
    assert server.control("list", "short", "sink-inputs") == ""


@pytest.mark.parametrize(
    ("microphone", "loudspeaker", "more", "words"),
    [
        ("nobody", "vspk", "{}", ["no 'nobody' among the input devices", "vmic"]),
        ("vmic", "nob*y", "{}", ["no 'nob*y' among the output devices", "vspk"]),
        ("vmic", "vspk", '{"microphone_channel": 31, "rate": 1000}', ["rate is 1000", "8000 to 192000"]),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(
    server: SoundServer, scenario: Start, microphone: str, loudspeaker: str, more: str, words: list[str]
) -> None:
    program = scenario("refusal", microphone, loudspeaker, more)
    text = program.expect("refused")["text"]
    program.end()
    assert all(word in text for word in words), text


def test_without_a_sound_server_it_is_refused_and_says_so(server: SoundServer, scenario: Start) -> None:
    server.kill()
    program = scenario("refusal", "vmic", "vspk", "{}")
    told = program.expect("refused")
    program.end()
    assert told["type"] == "DeviceError"
    assert "is a sound server running?" in told["text"]
