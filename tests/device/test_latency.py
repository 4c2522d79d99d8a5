"""How much latency a device gets: begun low, grown when sound is lost, remembered. No sound is needed."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import engine
from engine.endpoints import DeviceSound, SoundSettings
from engine.endpoints import device as device_module
from engine.endpoints import latency as latency_module
from engine.endpoints.latency import MOST_DEVICES, Latencies, Probe, lost, state_file
from engine.endpoints.negotiate import Pair
from engine.errors import ConfigError
from tests.device.world import USB, World, beating, opened

FOUND = Pair(USB, USB)
DEVICE = "USB Audio: - > USB Audio: -, ALSA"


@pytest.fixture
def losing(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How much has been lost: its one entry counts up."""
    count = [0]
    monkeypatch.setattr(latency_module, "lost", lambda stream: count[0])
    return count


def latencies(folder: Path) -> Latencies:
    return Latencies(folder / "state" / "latency.json")


def troubled(probe: Probe, losing: list[int], seconds: list[float], *, sounding: bool = False) -> list[float | None]:
    """What it wants at these moments of loss."""
    answers: list[float | None] = []
    for second in seconds:
        losing[0] += 1
        answers.append(probe.wants([None], second, sounding))  # type: ignore[list-item]
    return answers


def test_it_begins_low_and_behind_a_sound_server_with_what_is_whole() -> None:
    nothing = Latencies(None)
    assert Probe(FOUND, 10.0, nothing).ms == 20.0
    assert Probe(FOUND, 2.0, nothing).ms == 10.0
    assert Probe(FOUND, 60.0, nothing).ms == 150.0
    hidden = replace(USB, name="pulse")
    assert Probe(Pair(hidden, hidden), 10.0, nothing).ms == 100.0


def test_three_losses_in_little_time_are_too_many(losing: list[int]) -> None:
    probe = Probe(FOUND, 10.0, Latencies(None))
    probe.started(0.0)
    assert troubled(probe, losing, [0.1, 0.5, 1.0, 1.5]) == [None] * 4  # it settles
    assert troubled(probe, losing, [10.0, 21.0, 31.0]) == [None] * 3  # too far apart
    assert probe.wants([], 32.0, False) is None  # nothing new
    assert troubled(probe, losing, [103.0, 104.0, 105.0]) == [None, None, 30.0]


def test_a_stream_that_dies_of_its_losses_counts_and_one_that_was_unplugged_does_not(losing: list[int]) -> None:
    probe = Probe(FOUND, 10.0, Latencies(None))
    for now, away_s in ((10.0, 0.2), (12.0, 60.0), (14.0, 0.2)):
        probe.died(away_s, now)
        probe.started(now)
    assert probe.wants([], 16.5, False) is None
    probe.died(0.2, 17.0)
    probe.started(17.0)
    assert probe.wants([], 18.0, False) is None  # it settles
    assert probe.wants([], 19.5, False) == 30.0
    probe.grown(30.0)
    assert probe.wants([], 20.0, False) is None


def test_a_reply_is_not_disturbed_for_five_seconds(losing: list[int]) -> None:
    probe = Probe(FOUND, 10.0, Latencies(None))
    probe.started(0.0)
    assert troubled(probe, losing, [3.0, 4.0, 5.0], sounding=True) == [None] * 3
    assert probe.wants([None], 7.0, False) == 30.0  # type: ignore[list-item]
    assert probe.wants([None], 8.5, True) == 30.0  # type: ignore[list-item]


def test_what_is_largest_stays(losing: list[int]) -> None:
    probe = Probe(FOUND, 10.0, Latencies(None))
    probe.grown(500.0)
    probe.started(0.0)
    assert troubled(probe, losing, [3.0, 4.0, 5.0]) == [None] * 3


def test_it_is_remembered_by_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Probe(FOUND, 10.0, latencies(tmp_path)).grown(45.0)
    assert Probe(FOUND, 10.0, latencies(tmp_path)).ms == 45.0
    replugged = replace(USB, index=9, name="USB Audio: - (hw:3,0)")
    assert Probe(Pair(replugged, replugged), 10.0, latencies(tmp_path)).ms == 45.0
    assert Probe(Pair(USB, replace(USB, name="HDMI (hw:0,0)")), 10.0, latencies(tmp_path)).ms == 20.0
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 31 * 86400)
    assert Probe(FOUND, 10.0, latencies(tmp_path)).ms == 20.0


def test_the_file_stays_small_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    memory = latencies(tmp_path)
    memory._path.parent.mkdir()  # type: ignore[union-attr]
    memory._path.write_text(json.dumps({f"old {n}": [30.0, 1000 + n] for n in range(MOST_DEVICES)}))  # type: ignore[union-attr]
    memory.remember(DEVICE, 30.0)
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["latency.json"]
    entries = json.loads((tmp_path / "state" / "latency.json").read_text())
    assert len(entries) == MOST_DEVICES
    assert "old 0" not in entries and "old 1" in entries and entries[DEVICE][0] == 30.0


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"x": 3}', "\xff", json.dumps({DEVICE: ["30", 1e12]}), json.dumps({DEVICE: [9e9, 1e12]}),
             json.dumps({DEVICE: [True, 1e12]}), "[" * 60000]
)  # fmt: skip
def test_a_spoilt_file_is_written_anew(tmp_path: Path, text: str) -> None:
    path = tmp_path / "latency.json"
    path.write_text(text, encoding="latin-1")
    memory = Latencies(path)
    assert memory.known(DEVICE) is None
    memory.remember(DEVICE, 30.0)
    assert memory.known(DEVICE) == 30.0


def test_a_place_that_cannot_be_written_is_no_failure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "state").write_text("a file in the way")
    latencies(tmp_path).remember(DEVICE, 30.0)
    assert "cannot be written" in caplog.text


def test_nothing_is_kept_unless_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_file() == tmp_path / "bargein" / "latency.json"
    monkeypatch.setenv("XDG_STATE_HOME", "not/absolute")
    assert state_file() == Path("~/.local/state/bargein/latency.json").expanduser()
    assert device_module._memory(False) is None
    assert device_module._memory("here.json") == Path("here.json")
    assert engine.Device()._latencies is None
    with pytest.raises(ConfigError, match="latency_ms is 'low'"):
        wrong: Any = "low"
        engine.Device(latency_ms=wrong)


def test_a_device_that_loses_sound_is_opened_again_with_more(
    world: World, losing: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency_module, "SETTLING_S", 0.0)

    async def body(_sound: DeviceSound) -> None:
        def grown() -> bool:
            losing[0] += 1
            return len(world.events) >= 2

        await beating(world, grown)

    async def main() -> None:
        probe = Probe(FOUND, 10.0, latencies(tmp_path))
        async with opened(world, SoundSettings(), probe=probe) as sound, asyncio.timeout(60):
            await body(sound)

    asyncio.run(main())
    assert world.kinds()[:2] == ["latency", "latency"]
    assert [stream.plan.latency_s for stream in world.opened][1:3] == [0.03, 0.045]
    assert "lost sound at 20 ms, opened with 30 ms" in world.events[0].text
    known = latencies(tmp_path).known(DEVICE)
    assert known is not None and known >= 45.0


def test_a_device_that_goes_while_it_is_given_more_is_told_lost_and_back(
    world: World, losing: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency_module, "SETTLING_S", 0.0)

    def lose() -> bool:
        losing[0] += 1
        return "back" in world.kinds()

    async def main() -> None:
        probe = Probe(FOUND, 10.0, latencies(tmp_path))
        async with opened(world, SoundSettings(), probe=probe), asyncio.timeout(60):
            world.refusals = 3
            await beating(world, lose)

    asyncio.run(main())
    assert world.kinds()[:2] == ["lost", "back"]


def test_every_kind_of_loss_counts(world: World) -> None:
    async def main() -> None:
        async with opened(world, SoundSettings()):
            stream: Any = world.opened[0]
            stream.beat()
            assert lost(stream) == 0
            stream.beat(flags=2)
            stream.beat(flags=4)
            assert lost(stream) == 2

    asyncio.run(main())
