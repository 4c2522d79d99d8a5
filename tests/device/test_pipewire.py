"""Timing on PipeWire, whose null nodes keep time better than PulseAudio's: `make test-pipewire`, not `make test`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.device.conftest import Scenario
from tests.device.pipewire import PipeWire, skip_or_fail

SECONDS = 10


@pytest.mark.parametrize("block_ms", [5, 10, 20])
def test_callbacks_come_and_stamps_hold(tmp_path: Path, block_ms: int, capsys: pytest.CaptureFixture[str]) -> None:
    if "pipewire" not in os.environ.get("BARGEIN_REQUIRE", ""):
        pytest.skip("timing runs are for `make test-pipewire`")
    skip_or_fail()
    server = PipeWire(tmp_path / "sound")
    server.start()
    program = Scenario(server, "timing", str(SECONDS), str(block_ms))
    try:
        figures = program.expect("figures")
        program.end()
    finally:
        program.close()
        server.kill()
    with capsys.disabled():
        print(f"\n{block_ms} ms: " + ", ".join(f"{name} {value}" for name, value in figures.items() if name != "what"))
    assert figures["callbacks"] > 0
    assert abs(figures["callbacks"] - figures["due"]) <= 0.05 * figures["due"]
