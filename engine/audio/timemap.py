"""Captured time and sent time: where a server's offsets lie in what the microphone heard."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from engine.audio.duplex import SILENCE

MAX_GAPS = 4096
"""Gaps remembered apart; older ones are taken together, and count from the beginning."""
MAX_RUNS = 4096
"""Runs remembered; older ones are forgotten. Steady sending is one run however long it lasts."""


@dataclass(slots=True)
class _Run:
    sent: int  # ms
    captured: int  # ms
    length: int  # ms
    silence: bool


class TimeMap:
    """Maps milliseconds of sent sound (the server's audio_start_ms, audio_end_ms) to captured milliseconds, and
    back.

    Exact to the hop of 10 ms. Sound that was sent late (pre-roll, held speech) maps to when it was captured;
    silence sent in its place maps to the time it stood for.
    """

    def __init__(self) -> None:
        self._runs: list[_Run] = []
        self._gaps: list[tuple[float, float]] = []  # captured ms, lost ms up to and with it; at most MAX_GAPS
        self.sent_ms = 0

    @property
    def lost_ms(self) -> float:
        """Microphone sound that its device lost, in milliseconds."""
        return self._gaps[-1][1] if self._gaps else 0.0

    def lose(self, captured_ms: float, lost_ms: float) -> None:
        """The device lost so much of the microphone there: from there on its clock is later than what was captured.

        Negative when it gave too much.
        """
        self._gaps.append((captured_ms, self.lost_ms + lost_ms))
        if len(self._gaps) > MAX_GAPS:
            del self._gaps[0]

    def clock(self, captured_ms: float) -> float:
        """When the sound captured at this offset was heard, on the microphone's clock: what was lost before it counts,
        too.
        """
        index = bisect_right(self._gaps, captured_ms, key=lambda gap: gap[0]) - 1
        return captured_ms + (self._gaps[index][1] if index >= 0 else 0.0)

    def add(self, records: NDArray[Any]) -> None:
        """Note records (10 ms each) in the order in which they are sent."""
        for position, flags in zip(records["position"].tolist(), records["flags"].tolist(), strict=True):
            self._add(position // 24, bool(flags & SILENCE))

    def _add(self, captured: int, silence: bool) -> None:
        last = self._runs[-1] if self._runs else None
        if last is not None and last.silence == silence and last.captured + last.length == captured:
            last.length += 10
        else:
            self._runs.append(_Run(self.sent_ms, captured, 10, silence))
            if len(self._runs) > MAX_RUNS:
                del self._runs[: MAX_RUNS // 2]
        self.sent_ms += 10

    def restart(self, unsent_ms: int = 0) -> None:
        """A new session counts from 0: it gets the last `unsent_ms` of what was noted here, and what follows."""
        base = self.sent_ms - unsent_ms
        for run in self._runs:
            run.sent -= base
        self.sent_ms = unsent_ms

    def captured(self, sent_ms: int, *, end: bool = False) -> int | None:
        """When the sound at this sent offset was captured; None before the remembered runs or when nothing was sent.

        With `end` the offset is where something ended (audio_end_ms), so the sound before it tells: what follows it may
        have been captured later, behind something that a gate left out.
        """
        if end and sent_ms > 0:
            before = self.captured(sent_ms - 1)
            return None if before is None else before + 1
        index = bisect_right(self._runs, sent_ms, key=lambda run: run.sent) - 1
        if index < 0:
            return None
        run = self._runs[index]
        return run.captured + min(sent_ms - run.sent, run.length)

    def sent(self, captured_ms: int) -> int | None:
        """Where sound captured at this time was sent; None when it was not (or only silence in its place)."""
        for run in reversed(self._runs):
            if not run.silence and run.captured <= captured_ms < run.captured + run.length:
                return run.sent + captured_ms - run.captured
        return None
