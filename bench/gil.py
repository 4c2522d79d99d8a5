"""Does a busy interpreter reach the sound? Our C callback beside players whose callback is Python, under loads that
hold the GIL.

    python bench/gil.py [--seconds 5] [--only ours plain] [--loads none mix] [--output bench/gil.md]

Starts a PulseAudio of its own with null sinks (see tests/device), real-time where it may, as on a desktop, and each
player in a process of its own, playing a sound without any silence while a voice-like burst comes into the microphone
every 1.5 s. Columns: callbacks that ran against those due (PortAudio can only flag those that ran), the longest gap
between two, flags, missing output (milliseconds of silence in the recording of the loudspeaker, taken from outside;
there was always sound to play), and milliseconds from the onset of near-end sound to the first ducked block. The first
second is left out.

Peers are installed from the package index into build/gil, each into an environment of its own; one that does not
install is left out and named. openai-agents has no player in its package. What C does not protect: the scheduling of
the operating system (more busy threads than processors delay any callback without real-time priority), and the Python
side, which still stalls. Ours asks for SCHED_FIFO, as it does by default; where it is refused, other programs may delay
it. Its time to duck is counted in captured sound (both are in one callback), that of the plain player by the clock.
One light thread (`cpu`) hardly hurts a Python callback either, and blocks of 100 ms
(livekit's) outlive most stalls, at the price of a tenth of a second before anything can be heard or stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.device.soundserver import SoundServer, missing  # noqa: E402

LOADS = ["none", "cpu", "cpu4", "json", "regex", "mix"]
PEERS = {"openai": ["openai[voice-helpers]"], "livekit": ["livekit-agents"], "pipecat": ["pipecat-ai", "pyaudio"]}
RATE = 48000


@dataclass(frozen=True)
class Row:
    """One player, one block, one load."""

    player: str
    load: str
    figures: dict[str, Any]
    missing_ms: float

    def cells(self) -> list[str]:
        """As the table shows it."""
        f = self.figures
        ran = "-" if f.get("due") is None else f"{f['got']}/{f['due']}"
        longest = "-" if f.get("longest_ms") is None else f"{f['longest_ms']:.0f}"
        duck = "-" if f.get("duck_ms") is None else f"{f['duck_ms']:.0f} ({f['ducks']})"
        flags = "-" if f.get("flags") is None else str(f["flags"])
        return [self.player, self.load, ran, longest, flags, f"{self.missing_ms:.0f}", duck]


HEAD = ["player", "load", "ran/due", "longest gap ms", "flags", "missing output ms", "onset to duck ms"]


def interpreter(player: str, folder: Path) -> str | None:
    """The Python of the player's environment; None when it does not install."""
    if player not in PEERS:
        return sys.executable
    environment = folder / player
    python = environment / "bin" / "python"
    if not (environment / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        done = subprocess.run(
            [str(python), "-m", "pip", "install", "-q", "sounddevice", "numpy", *PEERS[player]],
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            return None
        (environment / "ready").touch()
    return str(python)


def bursts(path: Path, seconds: float) -> None:
    """300 ms of a buzz with a pitch every 1.5 s."""
    at = np.arange(int(seconds * RATE))
    buzz = ((at * 150 / RATE) % 1.0 - 0.5) * 16000 * (at % int(1.5 * RATE) > int(1.2 * RATE))
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(buzz.astype(np.int16).tobytes())


def missing_ms(recording: Path, seconds: float) -> float:
    """Silence of more than a millisecond inside the recording, from its first second to the last that is due."""
    samples = np.fromfile(recording, np.int16)
    sounding = np.flatnonzero(samples)
    if not len(sounding):
        return 1000.0 * (seconds - 1.0)
    steady = samples[sounding[0] + RATE : sounding[0] + int((seconds - 0.3) * RATE)]
    silent = np.concatenate([[0], (steady == 0).astype(np.int8), [0]])
    edges = np.flatnonzero(np.diff(silent))
    lengths = edges[1::2] - edges[::2]
    return float(lengths[lengths > RATE // 1000].sum()) * 1000 / RATE


def measure(server: SoundServer, python: str, player: str, load: str, block: int, seconds: float) -> Row | str:
    """One run; a string says why there is none."""
    raw, voice = server.folder / "spk.raw", server.folder / "voice.wav"
    bursts(voice, seconds + 4)
    recording, speaking = server.record(raw), server.speak(voice)
    try:
        done = subprocess.run(
            [python, str(Path(__file__).with_name("gil_players.py")), player, load, str(block), str(seconds)],
            env={**server.environment, "PYTHONPATH": str(ROOT) if player == "ours" else ""},
            capture_output=True,
            text=True,
            timeout=seconds * 4 + 60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{player}, {load}: did not end"
    finally:
        for process in (recording, speaking):
            process.terminate()
            process.wait(20)
    if done.returncode != 0:
        return f"{player}, {load}: {(done.stderr.strip().splitlines() or ['ended badly'])[-1]}"
    name = f"{player}, {block} ms" if player in ("ours", "plain") else player
    return Row(name, load, json.loads(done.stdout.splitlines()[-1]), missing_ms(raw, seconds))


def table(rows: list[Row], left_out: list[str], command: str) -> str:
    """The page."""
    lines = [
        f"Written by `{command}`; what the columns mean stands at the top of that file.",
        "",
        "| " + " | ".join(HEAD) + " |",
        "|" + " --- |" * len(HEAD),
    ]
    lines += ["| " + " | ".join(row.cells()) + " |" for row in rows]
    if left_out:
        lines += ["", "Left out:", *(f"- {each}" for each in left_out)]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Runs all, prints the table as it grows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--only", nargs="*", default=["ours", "plain", *PEERS])
    parser.add_argument("--loads", nargs="*", default=LOADS)
    parser.add_argument("--blocks", nargs="*", type=int, default=[10, 20])
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if (reason := missing()) is not None:
        sys.exit(reason)
    rows: list[Row] = []
    before = os.getloadavg()[0]
    left_out = ["openai-agents: its package has no player; its examples use the same kind of callback as `plain`"]
    with tempfile.TemporaryDirectory() as folder:
        server = SoundServer(Path(folder) / "sound", realtime=True)
        try:
            for player in options.only:
                server.kill()
                server.start()
                python = interpreter(player, ROOT / "build" / "gil")
                if python is None:
                    left_out.append(f"{player}: {' '.join(PEERS[player])} did not install")
                    continue
                for block in options.blocks if player in ("ours", "plain") else options.blocks[:1]:
                    for load in options.loads:
                        result = measure(server, python, player, load, block, options.seconds)
                        if isinstance(result, str):
                            left_out.append(result)
                        else:
                            rows.append(result)
                            print("  ".join(result.cells()), flush=True)
        finally:
            server.kill()
    after = os.getloadavg()[0]
    page = table(
        rows, left_out, "python bench/gil.py" + (f" --seconds {options.seconds:g}" if options.seconds != 5 else "")
    )
    if options.output:
        machine = f"{os.cpu_count()} processors, load average {before:.1f} before and {after:.1f} after the run"
        options.output.write_text(f"# A busy interpreter and the sound\n\n{machine}. {page}")


if __name__ == "__main__":
    main()
