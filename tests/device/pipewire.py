"""PipeWire with null nodes: finer timing than PulseAudio, for `make test-pipewire`. Five packages, three processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

CONFIGURATION = """
context.properties = {
    core.daemon = true  core.name = pipewire-0  support.dbus = false  clock.power-of-two-quantum = false
    default.clock.rate = 48000  default.clock.quantum = 480
    default.clock.min-quantum = 240  default.clock.max-quantum = 960
}
context.spa-libs = { audio.convert.* = audioconvert/libspa-audioconvert  support.* = support/libspa-support }
context.modules = [
    { name = libpipewire-module-rt  args = { nice.level = -11 }  flags = [ ifexists nofail ] }
    { name = libpipewire-module-protocol-native }
    { name = libpipewire-module-metadata }
    { name = libpipewire-module-spa-node-factory }
    { name = libpipewire-module-client-node }
    { name = libpipewire-module-access  args = { } }
    { name = libpipewire-module-adapter }
    { name = libpipewire-module-link-factory }
    { name = libpipewire-module-session-manager }
]
context.objects = [
    { factory = adapter args = { factory.name = support.null-audio-sink  node.name = spk  media.class = Audio/Sink
        audio.position = [ MONO ]  object.linger = true } }
    { factory = adapter args = { factory.name = support.null-audio-sink  node.name = mic
        media.class = Audio/Source/Virtual  audio.position = [ MONO ]  object.linger = true } }
]
"""
ALSA = """pcm_type.pipewire {{ lib "{plugin}" }}
pcm.vspk {{ type pipewire playback_node "spk" capture_node "-1" hint {{ show on description "vspk" }} }}
pcm.vmic {{ type pipewire capture_node "mic" playback_node "-1" hint {{ show on description "vmic" }} }}
"""
PLUGIN = "libasound_module_pcm_pipewire.so"


def plugin() -> Path | None:
    """ALSA's way to PipeWire; Debian 12 has it in a package that conflicts with PulseAudio, so it may be elsewhere."""
    roots = [Path(os.environ["BARGEIN_PIPEWIRE_ALSA"])] if "BARGEIN_PIPEWIRE_ALSA" in os.environ else [Path("/usr/lib")]
    return next((found for root in roots for found in root.rglob(PLUGIN)), None)


def skip_or_fail() -> None:
    """Skip with one line, or fail where PipeWire is required."""
    absent = [tool for tool in ("pipewire", "wireplumber", "dbus-daemon", "pw-link") if shutil.which(tool) is None]
    reason = f"{absent[0]} is absent" if absent else f"{PLUGIN} is absent" if plugin() is None else None
    if reason is None:
        return
    remedy = "apt-get install pipewire pipewire-bin wireplumber pipewire-alsa dbus"
    if "pipewire" in os.environ.get("BARGEIN_REQUIRE", "").split(","):
        pytest.fail(f"BARGEIN_REQUIRE has pipewire, but {reason}: {remedy}")
    pytest.skip(f"no PipeWire: {reason}")


class PipeWire:
    """One private PipeWire in `folder`, with its session manager and bus."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "pipewire.conf").write_text(CONFIGURATION)
        (folder / ".asoundrc").write_text(ALSA.format(plugin=plugin()))
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def environment(self) -> dict[str, str]:
        """For programs that shall use this server."""
        return {
            **os.environ,
            "XDG_RUNTIME_DIR": str(self.folder),
            "HOME": str(self.folder),
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.folder}/bus",
        }

    def _run(self, *command: str) -> None:
        with (self.folder / "log").open("ab") as log:
            self._processes.append(subprocess.Popen(command, env=self.environment, stdout=log, stderr=log))

    def start(self) -> None:
        """Start all three and wait until both nodes are there."""
        self._run("pipewire", "-c", str(self.folder / "pipewire.conf"))
        self._run("dbus-daemon", "--session", "--nofork", f"--address=unix:path={self.folder}/bus")
        for _ in range(400):
            if (self.folder / "pipewire-0").exists() and (self.folder / "bus").exists():
                break
            time.sleep(0.05)
        self._run("wireplumber")
        for _ in range(400):
            if {"spk:playback_MONO", "mic:input_MONO"} <= set(self._ports()):
                return
            time.sleep(0.05)
        raise AssertionError(f"PipeWire does not answer: {(self.folder / 'log').read_text()}")

    def _ports(self) -> list[str]:
        done = subprocess.run(
            ["pw-link", "-io"], env=self.environment, capture_output=True, text=True, timeout=20, check=False
        )
        return done.stdout.split()

    def kill(self) -> None:
        """End all three."""
        for process in reversed(self._processes):
            process.kill()
            process.wait(20)
        self._processes.clear()
