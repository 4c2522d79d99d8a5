"""A sound server without hardware: PulseAudio with two null sinks, as a loudspeaker and as what a microphone hears."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MICROPHONE = "source_name=mic master=micfeed.monitor channels=1 master_channel_map=mono channel_map=mono"
SERVER = f"""load-module module-native-protocol-unix auth-anonymous=1
load-module module-null-sink sink_name=spk     rate=48000 channels=1 norewinds=1
load-module module-null-sink sink_name=micfeed rate=48000 channels=1 norewinds=1
load-module module-remap-source {MICROPHONE}
set-default-sink spk
set-default-source mic
"""
ALSA = """pcm.!default { type pulse }
ctl.!default { type pulse }
pcm.vspk  { type pulse device spk          hint { show on description "vspk" } }
pcm.vmic  { type pulse device mic          hint { show on description "vmic" } }
pcm.vloop { type pulse device spk.monitor  hint { show on description "vloop" } }
pcm.varray { type pulse device array.monitor hint { show on description "varray" } }
"""
ARGUMENTS = (
    "-n --daemonize=no --exit-idle-time=-1 --disallow-exit=1 --use-pid-file=no --realtime=no --high-priority=no "
    "--log-target=stderr"
)


def missing() -> str | None:
    """What this machine lacks for the tests of this folder; None when it has all."""
    absent = [tool for tool in ("pulseaudio", "paplay", "parec", "pactl") if shutil.which(tool) is None]
    if absent:
        return f"{absent[0]} is absent: apt-get install pulseaudio pulseaudio-utils"
    try:
        import sounddevice  # noqa: F401
    except ModuleNotFoundError:
        return "sounddevice is absent: pip install 'bargein[device]'"
    except OSError:
        return "PortAudio is absent: apt-get install libportaudio2"
    if not any(Path(root).rglob("libasound_module_pcm_pulse.so") for root in ("/usr/lib",)):
        return "ALSA's way to PulseAudio is absent: apt-get install libasound2-plugins"
    return None


def required() -> bool:
    """Whether a machine without PulseAudio fails instead of skipping: BARGEIN_REQUIRE names it."""
    return "pulseaudio" in os.environ.get("BARGEIN_REQUIRE", "").split(",")


def skip_or_fail() -> None:
    """Skip with one line, or fail where PulseAudio is required."""
    if (reason := missing()) is None:
        return
    if required():
        pytest.fail(f"BARGEIN_REQUIRE has pulseaudio, but {reason}")
    pytest.skip(f"no sound server: {reason}")


class SoundServer:
    """One private PulseAudio in `folder`; nothing of the user's is read or changed."""

    def __init__(self, folder: Path, realtime: bool = False) -> None:
        self.folder = folder
        self._priority = ["--realtime=yes", "--high-priority=yes"] if realtime else []
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "default.pa").write_text(SERVER)
        (folder / "daemon.conf").write_text("default-sample-rate = 48000\navoid-resampling = yes\nrlimit-rttime = -1\n")
        (folder / "client.conf").write_text("autospawn = no\n")
        (folder / ".asoundrc").write_text(ALSA)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """For programs that shall use this server."""
        return {
            **os.environ,
            "XDG_RUNTIME_DIR": str(self.folder),
            "PULSE_SERVER": f"unix:{self.folder}/pulse/native",
            "PULSE_CLIENTCONFIG": str(self.folder / "client.conf"),
            "HOME": str(self.folder),
        }

    @property
    def _tools(self) -> dict[str, str]:
        """For PulseAudio's own programs, which shall not run under a sanitizer."""
        return {name: value for name, value in self.environment.items() if name != "LD_PRELOAD"}

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["pulseaudio", "-F", str(self.folder / "default.pa"), *ARGUMENTS.split(), *self._priority],
                env={**self._tools, "PULSE_CONFIG": str(self.folder / "daemon.conf")},
                stdout=log,
                stderr=log,
            )
        for _ in range(400):
            if self._tool("pactl", "info").returncode == 0:
                return
            assert self._process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.05)
        raise AssertionError(f"PulseAudio does not answer: {(self.folder / 'log').read_text()}")

    def kill(self) -> None:
        """As when it crashes."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(20)
            self._process = None
            shutil.rmtree(self.folder / "pulse", ignore_errors=True)

    @contextmanager
    def stuttering(self) -> Iterator[None]:
        """While it stops for a quarter of a second, again and again: more than the latency that is asked for."""
        over = threading.Event()

        def stutter() -> None:
            while not over.wait(1.0):
                assert self._process is not None
                self._process.send_signal(signal.SIGSTOP)
                over.wait(0.25)
                self._process.send_signal(signal.SIGCONT)

        thread = threading.Thread(target=stutter)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _tool(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=self._tools, capture_output=True, text=True, timeout=20, check=False)

    def control(self, *arguments: str) -> str:
        """`pactl` with these arguments."""
        done = self._tool("pactl", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def speak(self, wav: Path, sink: str = "micfeed") -> subprocess.Popen[bytes]:
        """Play a WAV file into the microphone, or another sink; ends with the file. In small pieces: with paplay's
        own two seconds the null sink hands the microphone over in bursts, which starve a full-duplex stream of 100 ms.
        """
        return subprocess.Popen(["paplay", "--latency-msec=20", "-d", sink, str(wav)], env=self._tools)

    def record(self, target: Path, channels: int = 1) -> subprocess.Popen[bytes]:
        """Record what the loudspeaker plays, raw int16 at 48 kHz, until it is terminated."""
        with target.open("wb") as out:
            return subprocess.Popen(
                ["parec", "-d", "spk.monitor", "--format=s16le", "--rate=48000", f"--channels={channels}",
                 "--latency-msec=10"],
                env=self._tools,
                stdout=out,
            )  # fmt: skip
