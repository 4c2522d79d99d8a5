"""The clock in place of a device: real time on a C thread. Counts are asserted, times never."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from engine.audio import BargeIn, Duplex, DuplexConfig, Pacer, Policy
from engine.errors import ConfigError, EngineError

from .sounds import reply, voice


def duplex() -> Duplex:
    """Mono int16 at 24 kHz in blocks of 10 ms, that nobody interrupts."""
    return Duplex(DuplexConfig(capture_rate=24000, playback_rate=24000, max_block=240, barge_in=BargeIn(Policy.NEVER)))


def wait_for(pacer: Pacer, frames: int) -> None:
    """Until so many frames are done; gives up after ten thousand looks."""
    for _ in range(10_000):
        if pacer.stats().frames >= frames:
            return
        time.sleep(0.001)
    pytest.fail(f"only {pacer.stats().frames} of {frames} frames were done")


def threads() -> int:
    """Threads of this process, those of C included."""
    folder = Path("/proc/self/task")
    return len(list(folder.iterdir())) if folder.is_dir() else threading.active_count()


def test_it_plays_the_microphone_and_records_both_sides() -> None:
    sound, answer = voice(4800), reply(2400)
    pair = duplex()
    pair.queue.push("a", 0, answer.tobytes())
    pair.queue.complete("a", 0)
    pacer = Pacer(pair, sound, speed=100)
    before = threads()
    pacer.start()
    assert threads() == before + 1
    wait_for(pacer, 7200)
    pacer.stop()
    assert threads() == before
    both = pacer.recorded()
    stats = pacer.stats()
    assert len(both) == stats.frames >= 7200
    assert stats.lost_frames == 0
    assert (both[:4800, 0] == sound).all()
    assert not both[4800:, 0].any()
    assert (both[:2400, 1] == answer).all()
    assert pair.capture_stats().frames == pair.playback_stats().frames == stats.frames
    assert len(pair.read_records()) > 0


def test_stopping_twice_starting_twice_and_stopping_what_never_ran() -> None:
    pacer = Pacer(duplex(), voice(240), speed=100)
    pacer.stop()
    pacer.start()
    with pytest.raises(EngineError, match="did not start"):
        pacer.start()
    pacer.stop()
    pacer.stop()
    done = pacer.stats().frames
    pacer.start()
    wait_for(pacer, done + 2400)
    pacer.stop()


def test_after_stop_nothing_moves() -> None:
    pair = duplex()
    pacer = Pacer(pair, voice(240), speed=100)
    pacer.start()
    wait_for(pacer, 2400)
    pacer.stop()
    frames = pair.capture_stats().frames
    time.sleep(0.02)
    assert pair.capture_stats().frames == frames == pacer.stats().frames


def test_a_pacer_that_is_forgotten_ends_its_thread() -> None:
    before = threads()
    for _ in range(5):
        pacer = Pacer(duplex(), voice(24000), speed=20)
        pacer.start()
        wait_for(pacer, 240)
        del pacer
        gc.collect()
    assert threads() == before


def test_a_full_recording_loses_and_counts() -> None:
    pair = Duplex(DuplexConfig(capture_rate=8000, playback_rate=8000, max_block=80))
    pacer = Pacer(pair, voice(80), speed=100)
    room = 1 << (30 * 8000 - 1).bit_length()
    pacer.start()
    for _ in range(60):
        if pacer.stats().lost_frames:
            break
        time.sleep(0.1)
    pacer.stop()
    stats = pacer.stats()
    assert len(pacer.recorded()) == room == stats.frames - stats.lost_frames


def run(script: str) -> subprocess.CompletedProcess[str]:
    """A program of its own, with a pacer running at the speed of a phone call."""
    head = (
        "import os, sys, time, threading, numpy as np\n"
        "from engine.audio import Duplex, DuplexConfig, Pacer\n"
        "duplex = Duplex(DuplexConfig(capture_rate=24000, playback_rate=24000, max_block=240))\n"
        "pacer = Pacer(duplex, np.zeros(24000, np.int16), speed=10)\n"
        "pacer.start()\n"
        "while pacer.stats().frames < 2400: time.sleep(0.001)\n"
    )
    return subprocess.run(
        [sys.executable, "-X", "dev", "-W", "ignore::DeprecationWarning", "-c", head + script],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "script",
    [
        "print('end')\n",
        "print('end'); sys.exit(0)\n",
        "print('end'); del duplex, pacer\n",
        "print('end'); sys.stdout.flush(); raise SystemExit\n",
        "pacer.stop(); print('end')\n",
        "keep = [pacer]; keep.append(keep); del pacer; print('end')\n",
        "import threading; threading.Thread(target=time.sleep, args=(0.05,)).start(); print('end')\n",
    ],
    ids=["falls off the end", "exits", "forgets", "raises", "stops", "cycle", "thread outlives main"],
)
def test_the_interpreter_ends_under_a_running_thread(script: str) -> None:
    done = run(script)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "end", "")


def test_an_exception_leaves_no_crash() -> None:
    done = run("raise ValueError('the users own')\n")
    assert done.returncode == 1
    assert done.stderr.strip().endswith("ValueError: the users own")


def test_a_child_has_no_such_thread_and_stops_without_waiting() -> None:
    done = run(
        "child = os.fork()\n"
        "if child == 0:\n"
        "    before = pacer.stats().frames\n"
        "    pacer.stop(); pacer.stop(); del pacer, duplex\n"
        "    os._exit(7)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7\n"
        "frames = pacer.stats().frames\n"
        "while pacer.stats().frames < frames + 2400: time.sleep(0.001)\n"
        "print('the parent plays on')\n"
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "the parent plays on", "")


def test_a_child_that_ends_as_an_interpreter_does_hangs_on_nothing() -> None:
    done = run(
        "child = os.fork()\n"
        "if child == 0:\n"
        "    sys.exit(3)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3\n"
        "print('both ended')\n"
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "both ended", "")


@pytest.mark.parametrize("speed", [0.0, 0.05, 101.0, float("nan"), float("inf")])
def test_a_speed_out_of_range_is_refused(speed: float) -> None:
    with pytest.raises(ConfigError, match=r"speed 0\.1 to 100"):
        Pacer(duplex(), voice(240), speed=speed)


@pytest.mark.parametrize(
    "config",
    [
        DuplexConfig(capture_rate=24000, playback_rate=48000),
        DuplexConfig(sample="float32"),
        DuplexConfig(playback_channels=2),
        DuplexConfig(max_block=100),
    ],
    ids=["rates", "float", "stereo", "short blocks"],
)
def test_a_duplex_it_cannot_run_is_refused(config: DuplexConfig) -> None:
    with pytest.raises(ConfigError, match="mono int16 duplex of equal rates"):
        Pacer(Duplex(config), voice(240))


def test_no_samples_are_silence() -> None:
    pacer = Pacer(duplex(), np.zeros(0, np.int16), speed=100)
    pacer.start()
    wait_for(pacer, 480)
    pacer.stop()
    assert not pacer.recorded().any()
