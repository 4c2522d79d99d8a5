"""Which latency a device needs: found by trying, and remembered from run to run."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.endpoints.negotiate import HIDDEN_LATENCY_S, Pair
from engine.endpoints.portaudio import Stream

STEPS_MS = (10.0, 15.0, 20.0, 30.0, 45.0, 70.0, 100.0, 150.0, 200.0, 300.0, 500.0)
SETTLING_S = 2.0  # after a start: no sound server begins without an odd figure
TROUBLES = 3  # so many moments of lost sound ...
WITHIN_S = 20.0  # ... in so much time are too many
WAIT_FOR_SILENCE_S = 5.0  # a change costs a tenth of a second: not into a reply, if that can wait
MOST_DEVICES = 64
MOST_BYTES = 64 * 1024
FORGOTTEN_S = 30 * 86400.0  # machines change: begin low again
_log = logging.getLogger("bargein")


def state_file() -> Path:
    """Where latencies are remembered: bargein/latency.json in $XDG_STATE_HOME, else ~/.local/state."""
    named = os.environ.get("XDG_STATE_HOME") or ""
    folder = Path(named) if Path(named).is_absolute() else Path("~/.local/state").expanduser()
    return folder / "bargein" / "latency.json"


class Latencies:
    """A small file: milliseconds by device, at most 64, the oldest goes. None remembers nothing. A file that cannot be
    read or written is logged and does without. For threads that may wait.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def known(self, device: str) -> float | None:
        """What was needed at last; None when that is not known, or a month old."""
        entry = self._read().get(device)
        return None if entry is None or time.time() - entry[1] > FORGOTTEN_S else entry[0]

    def remember(self, device: str, ms: float) -> None:
        """Write it down, all or nothing."""
        if self._path is None:
            return
        entries = self._read()
        entries.pop(device, None)
        entries[device] = (ms, round(time.time()))
        newest = dict(sorted(entries.items(), key=lambda entry: entry[1][1])[-MOST_DEVICES:])
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._replace(json.dumps(newest, indent=1, ensure_ascii=False))
        except OSError as error:
            _log.warning("%s cannot be written: %s; the latency is found anew next time", self._path, error.strerror)

    def _replace(self, text: str) -> None:
        assert self._path is not None
        handle, name = tempfile.mkstemp(prefix=self._path.name, dir=self._path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).replace(self._path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise

    def _read(self) -> dict[str, tuple[float, float]]:
        if self._path is None:
            return {}
        try:
            with self._path.open("rb") as file:
                found = json.loads(file.read(MOST_BYTES))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            _log.warning("%s cannot be read: %s; it will be written anew", self._path, error)
            return {}
        entries = found.items() if isinstance(found, dict) else ()
        return {device: (entry[0], entry[1]) for device, entry in entries if _sound(entry)}


def _sound(entry: Any) -> bool:
    numbers = isinstance(entry, list) and len(entry) == 2 and all(type(each) in (int, float) for each in entry)
    return numbers and 1 <= entry[0] <= 2000


class Probe:
    """Watches one device, and says when it needs more. Begins at what is remembered, else at two blocks; behind a sound
    server at 100 ms, since below that one loses sound without any of the figures telling.

    Lost sound is what the audio thread counts: flags, callbacks that never came, gaps in the time stamps. A reply that
    ran dry is the network's doing and does not count. Not for two threads at once.
    """

    def __init__(self, found: Pair, block_ms: float, latencies: Latencies) -> None:
        self.device = f"{found.microphone.stable_name} > {found.loudspeaker.stable_name}, {found.microphone.host_api}"
        self._latencies = latencies
        least = max(2 * block_ms, 1000 * HIDDEN_LATENCY_S if found.hidden else 0)
        lowest = next((step for step in STEPS_MS if step >= least), STEPS_MS[-1])
        self.ms = max(latencies.known(self.device) or lowest, lowest)
        self._counted = 0
        self._started = 0.0
        self._moments: deque[float] = deque(maxlen=TROUBLES)  # the newest; older ones do not matter

    def started(self, now: float) -> None:
        """The streams run anew."""
        self._started, self._counted = now, 0

    def died(self, away_s: float, now: float) -> None:
        """The streams ended by themselves. At once back again, that was lost sound as well: PortAudio gives up on
        some of it.
        """
        if away_s < WITHIN_S / TROUBLES:
            self._moments.append(now)

    def wants(self, streams: Sequence[Stream], now: float, sounding: bool) -> float | None:
        """The larger latency that is needed, in ms; None while all is well, or nothing larger is left. While a reply
        sounds it waits, five seconds at most.
        """
        counted = sum(lost(stream) for stream in streams)
        grew, self._counted = counted > self._counted, counted
        if now - self._started < SETTLING_S:
            return None
        if grew:
            self._moments.append(now)
        if len(self._moments) < TROUBLES or self._moments[-1] - self._moments[0] > WITHIN_S:
            return None
        if sounding and now - self._moments[0] < WAIT_FOR_SILENCE_S:
            return None
        return next((step for step in STEPS_MS if step > self.ms), None)

    def grown(self, ms: float) -> None:
        """It is this now. For a thread that may wait."""
        self.ms = ms
        self._moments.clear()
        self._latencies.remember(self.device, ms)


def lost(stream: Stream) -> int:
    """How often a stream has lost sound since it was opened; grows with every loss, and is no exact count."""
    stats, direction = stream.callback.stats(), stream.plan.direction
    parts = ("capture", "playback") if direction == "both" else (direction,)
    gaps = sum(stream.callback.stamps(part).gaps for part in parts)
    return stats.flagged + gaps + stats.missing_frames // max(stream.plan.block, 1)
