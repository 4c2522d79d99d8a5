"""When a turn begins and ends: probabilities of speech in, one per 10 ms; starts and stops out. No audio, no clock.

A turn opens when `least_speech_ms` of speech have been heard within one and a half times that length: with the
default of 100 ms, ten of the last fifteen hops. A burst of 90 ms never opens one, a dip inside a word does not spoil
one. The start is the first of those hops, less prefix_padding_ms. It closes after silence_duration_ms without a
single hop of speech.

While a turn is open the threshold is lower (by 0.15, but not under half), so that a trailing syllable does not end it.

semantic_vad is accepted and, until prosody is judged, is a silence window by eagerness: low 1500 ms, medium and auto
800 ms, high 500 ms, all within the documented caps of 8, 4 and 2 s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HOP_MS = 10
SEMANTIC_SILENCE_MS = {"low": 1500, "medium": 800, "auto": 800, "high": 500}
SEMANTIC_PREFIX_MS = 300


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """What decides about turns. Times in milliseconds."""

    threshold: float = 0.5
    prefix_ms: int = 300
    silence_ms: int = 500
    least_speech_ms: int = 100

    @classmethod
    def of(cls, turn_detection: Mapping[str, Any], least_speech_ms: int) -> TurnSettings:
        """From the effective `turn_detection` object of a session."""
        if turn_detection["type"] == "semantic_vad":
            silence_ms = SEMANTIC_SILENCE_MS[turn_detection["eagerness"]]
            return cls(0.5, SEMANTIC_PREFIX_MS, silence_ms, least_speech_ms)
        return cls(
            turn_detection["threshold"],
            turn_detection["prefix_padding_ms"],
            turn_detection["silence_duration_ms"],
            least_speech_ms,
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


class TurnDetector:
    """Feed `step` one probability per 10 ms."""

    def __init__(self, settings: TurnSettings) -> None:
        self.settings = settings
        self.speaking = False
        self._recent = 0  # a bit per hop of the window, 1: speech; the newest is the lowest
        self._window = (1 << settings.window_hops) - 1
        self._silent_hops = 0

    def configure(self, settings: TurnSettings) -> None:
        """Use other settings from the next hop on; an open turn stays open."""
        self.settings = settings
        self._window = (1 << settings.window_hops) - 1
        self._recent &= self._window

    def reset(self) -> None:
        """Nobody speaks, nothing was heard."""
        self.speaking = False
        self._silent_hops = 0
        self._recent = 0

    def step(self, probability: float, end_ms: int) -> Started | Stopped | None:
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

    def _while_speaking(self, probability: float, end_ms: int) -> Stopped | None:
        threshold = self.settings.threshold
        if probability >= max(threshold - 0.15, threshold / 2) and probability > 0:
            self._silent_hops = 0
            return None
        self._silent_hops += 1
        if self._silent_hops * HOP_MS < self.settings.silence_ms:
            return None
        self.reset()
        return Stopped(end_ms)
