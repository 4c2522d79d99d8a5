"""`bargein devices`: the microphones and loudspeakers there are."""

from __future__ import annotations

import dataclasses
import os
from argparse import Namespace
from pathlib import Path
from typing import Any

import msgspec

from engine.cli.main import plain, say
from engine.endpoints import Device
from engine.endpoints.portaudio import DeviceEntry
from engine.endpoints.waiting import in_thread

SOUND_FOLDER = Path("/dev/snd")


async def run(options: Namespace) -> int:
    """List them; 0, or 1 when there is not at least one of each kind. Raises `DeviceError` without PortAudio."""
    entries = list(await in_thread(Device.list))
    if options.json:
        for entry in entries:
            print(msgspec.json.encode(as_mapping(entry)).decode())
    elif entries:
        _table(entries)
    missing = [kind for kind, count in (("input", _inputs(entries)), ("output", _outputs(entries))) if not count]
    for kind in missing:
        say(f"there is no {kind} device: {remedy()}")
    return 1 if missing else 0


def as_mapping(entry: DeviceEntry) -> dict[str, Any]:
    """One device for JSON: `name` is what to give, `listed` what the sound system wrote."""
    fields = {**dataclasses.asdict(entry), "hidden": entry.hidden}
    return {"name": entry.stable_name, "listed": fields.pop("name"), **fields}


def _inputs(entries: list[DeviceEntry]) -> int:
    return sum(entry.inputs > 0 for entry in entries)


def _outputs(entries: list[DeviceEntry]) -> int:
    return sum(entry.outputs > 0 for entry in entries)


def _table(entries: list[DeviceEntry]) -> None:
    rows = [("name", "host API", "in", "out", "rate", ""), *map(_row, entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    for row in rows:
        cells = [
            cell.rjust(width) if column in (2, 3, 4) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def _row(entry: DeviceEntry) -> tuple[str, ...]:
    defaults = [word for word, is_it in (("input", entry.default_input), ("output", entry.default_output)) if is_it]
    notes = [f"default {' and '.join(defaults)}"] if defaults else []
    notes += ["behind a sound server"] if entry.hidden else []
    counts = (str(entry.inputs or "-"), str(entry.outputs or "-"), f"{entry.default_rate} Hz")
    return (plain(entry.stable_name), plain(entry.host_api), *counts, ", ".join(notes))


def remedy() -> str:
    """What mends a machine that lists no device, as far as it can be seen from here."""
    cards = sorted(SOUND_FOLDER.glob("pcm*")) if SOUND_FOLDER.is_dir() else []
    if cards and not any(os.access(card, os.R_OK | os.W_OK) for card in cards):
        return "this user may not use the sound cards: sudo usermod -aG audio $USER, then log in anew"
    if cards:
        return "the cards in /dev/snd are not usable: `aplay -l` and `arecord -l` say what ALSA sees"
    if not any(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")):
        return "no sound card, and no way to a sound server: sudo apt-get install libasound2-plugins"
    return "no sound card is seen: plug one in, or start a sound server (systemctl --user start pipewire-pulse)"
