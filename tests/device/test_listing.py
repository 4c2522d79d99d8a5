"""`bargein devices` on a real sound server."""

from __future__ import annotations

import json

from tests.cli.harness import run
from tests.device.soundserver import SoundServer


def test_the_virtual_devices_are_listed(server: SoundServer) -> None:
    ran = run("devices", "--json", env=server.environment)
    assert ran.code == 0, ran.err
    listed = {line["name"]: line for line in map(json.loads, ran.out.splitlines())}
    assert {"vspk", "vmic", "vloop", "default"} <= set(listed)
    assert listed["default"]["default_input"] and listed["default"]["default_output"]
    assert run("devices", env=server.environment).out.count("\n") == len(listed) + 1


def test_without_a_sound_server_it_says_what_to_do(server: SoundServer) -> None:
    server.kill()
    ran = run("devices", env=server.environment)
    assert ran.code == 1
    assert "no input device" in ran.err and "no output device" in ran.err
