"""When a turn begins and ends: probabilities of speech in, one per 10 ms; starts and stops out. No audio, no clock.

A turn opens when `least_speech_ms` of speech have been heard within one and a half times that length: with the
default of 100 ms, ten of the last fifteen hops. A burst of 90 ms never opens one, a dip inside a word does not spoil
one. The start is the first of those hops, less prefix_padding_ms. It closes after silence_duration_ms without a
single hop of speech.

While a turn is open the threshold is lower (by `hysteresis`, 0.15, but not under half), so that a trailing syllable
does not end it.

With semantic_vad the window is the longest wait of the eagerness (8, 4 or 2 s), and a pause is told of: once it has
lasted JUDGE_MS, and every JUDGE_AGAIN_MS from then on. Whoever judges it (`turnend`) may shorten the window for this
pause with `end_after`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HOP_MS = 10
LONGEST_WAIT_MS = {"low": 8000, "medium": 4000, "auto": 4000, "high": 2000}
"""semantic_vad: after so much silence a turn is over, whatever was judged."""
SEMANTIC_PREFIX_MS = 300
JUDGE_MS = 160
JUDGE_AGAIN_MS = 100


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """What decides about turns. Times in milliseconds, `threshold` and `hysteresis` as probabilities, 0 to 1."""

    threshold: float = 0.5
    prefix_ms: int = 300
    silence_ms: int = 500
    least_speech_ms: int = 100
    eagerness: str | None = None
    """That of semantic_vad; None: silence alone ends a turn."""
    hysteresis: float = 0.15

    @classmethod
    def of(cls, turn_detection: Mapping[str, Any], least_speech_ms: int, hysteresis: float = 0.15) -> TurnSettings:
        """From the effective `turn_detection` object of a session."""
        if turn_detection["type"] == "semantic_vad":
            eagerness = turn_detection["eagerness"]
            return cls(0.5, SEMANTIC_PREFIX_MS, LONGEST_WAIT_MS[eagerness], least_speech_ms, eagerness, hysteresis)
        return cls(
            turn_detection["threshold"],
            turn_detection["prefix_padding_ms"],
            turn_detection["silence_duration_ms"],
            least_speech_ms,
            hysteresis=hysteresis,
        )

    @property
    def least_hops(self) -> int:
        """Hops of speech that open a turn."""
        return max(1, self.least_speech_ms // HOP_MS)

    @property
    def window_hops(self) -> int:
        """Hops within which they must lie."""
        return self.least_hops * 3 // 2


@dataclass(frozen=True, slots=True)
class Started:
    """Speech began at `onset_ms` (without padding)."""

    onset_ms: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """The silence window ended at `end_ms`."""

    end_ms: int


@dataclass(frozen=True, slots=True)
class Paused:
    """The talker has been silent for `silence_ms`: time to judge whether they are done."""

    silence_ms: int


class TurnDetector:
    """Feed `step` one probability per 10 ms."""

    def __init__(self, settings: TurnSettings) -> None:
        self.settings = settings
        self.speaking = False
        self._recent = 0  # a bit per hop of the window, 1: speech; the newest is the lowest
        self._window = (1 << settings.window_hops) - 1
        self._silent_hops = 0
        self._end_ms: int | None = None  # of silence, for the pause under way only

    def configure(self, settings: TurnSettings) -> None:
        """Use other settings from the next hop on; an open turn stays open."""
        self.settings = settings
        self._end_ms = None
        self._window = (1 << settings.window_hops) - 1
        self._recent &= self._window

    def reset(self) -> None:
        """Nobody speaks, nothing was heard."""
        self.speaking = False
        self._silent_hops, self._end_ms = 0, None
        self._recent = 0

    def end_after(self, silence_ms: int) -> None:
        """Let this pause end the turn once it has lasted `silence_ms`, at most as long as without this."""
        self._end_ms = silence_ms

    def step(self, probability: float, end_ms: int) -> Started | Stopped | Paused | None:
        """Judge the hop that ends at `end_ms`."""
        return self._while_speaking(probability, end_ms) if self.speaking else self._while_idle(probability, end_ms)

    def _while_idle(self, probability: float, end_ms: int) -> Started | None:
        if probability <= 0 or probability < self.settings.threshold:
            self._recent = self._recent << 1 & self._window
            return None
        self._recent = recent = (self._recent << 1 | 1) & self._window
        if recent.bit_count() < self.settings.least_hops:
            return None
        hops_since_onset = recent.bit_length()
        self.reset()
        self.speaking = True
        return Started(end_ms - hops_since_onset * HOP_MS)

    def _while_speaking(self, probability: float, end_ms: int) -> Stopped | Paused | None:
        settings = self.settings
        if probability >= max(settings.threshold - settings.hysteresis, settings.threshold / 2) and probability > 0:
            self._silent_hops, self._end_ms = 0, None
            return None
        self._silent_hops += 1
        silence_ms = self._silent_hops * HOP_MS
        if silence_ms >= settings.silence_ms or self._judged_over(silence_ms):
            self.reset()
            return Stopped(end_ms)
        if settings.eagerness is not None and silence_ms >= JUDGE_MS and (silence_ms - JUDGE_MS) % JUDGE_AGAIN_MS == 0:
            return Paused(silence_ms)
        return None

    def _judged_over(self, silence_ms: int) -> bool:
        return self._end_ms is not None and silence_ms >= self._end_ms
