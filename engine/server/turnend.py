"""Is the talker done? What semantic_vad asks in a pause, and how long it waits for each answer.

A model gives the probability that the turn is over from the sound of it: the one inside (`Prosody`), or another
(`OnnxTurnEnd`). Words, where they are known, move it: a sentence that ends in "and the" is not over, whatever the
voice does. The more probable the end, the shorter the wait; at no eagerness longer than the protocol's caps.
"""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import numpy as np

from engine.server import prosody
from engine.server.formats import Samples
from engine.server.turnend_weights import HIDDEN_BIAS, HIDDEN_WEIGHTS, MEAN, OUT_BIAS, OUT_WEIGHTS, SCALE
from engine.server.turns import JUDGE_MS, LONGEST_WAIT_MS


@runtime_checkable
class TurnEnd(Protocol):
    """Judges the sound of a turn. One object serves every session, so it keeps nothing about one in itself.

    It may also have `async def warm_up()` and `async def aclose()`, as a brain may.
    """

    window_ms: int
    """How much of the turn it wants to hear, the newest, the pause included."""
    threaded: bool
    """Whether it takes so long (more than a few milliseconds) that it must run in a thread, beside the loop."""

    def probability(self, samples: Samples) -> float:
        """That the turn is over, 0 to 1. `samples`: mono float32 at 24 kHz, ending in a pause of some 160 ms."""


class Prosody:
    """The model inside: melody, loudness, timbre and length of the last syllables (`prosody`), one small hidden layer.

    Fitted by training/turnend on synthetic and on read talk. Looks twice, with frames 5 ms apart, since where a frame
    happens to begin moves the answer; about 4 ms of processor time, once per pause.
    """

    window_ms = prosody.WINDOW_MS + 400
    threaded = False

    def probability(self, samples: Samples) -> float:
        """See `TurnEnd.probability`."""
        return sigmoid((_score(samples) + _score(samples[: max(samples.size - _HALF_HOP, 0)])) / 2)


_HALF_HOP = 120


def _score(samples: Samples) -> float:
    inputs = (prosody.features(samples) - MEAN) / SCALE
    hidden = np.tanh(np.clip(inputs, -4, 4) @ HIDDEN_WEIGHTS + HIDDEN_BIAS)
    return float(hidden @ OUT_WEIGHTS) + OUT_BIAS


def sigmoid(x: float) -> float:
    """1 / (1 + e^-x)."""
    return 1 / (1 + math.exp(-min(max(x, -30.0), 30.0)))


def logit(probability: float) -> float:
    """The inverse of `sigmoid`, within -7 and 7."""
    probability = min(max(probability, 1e-3), 1 - 1e-3)
    return math.log(probability / (1 - probability))


TEXT_WEIGHT = 3.0
"""What complete or incomplete words add to the logit."""

# Eagerness -> the wait in ms when the end is certain, and the logits at which the wait is that and is the longest.
# From training/turnend: at medium nine of ten finished turns are over within 600 ms.
_RULES = {"low": (400, 2.5, 0.5), "medium": (240, -0.05, -0.2), "auto": (240, -0.05, -0.2), "high": (200, -0.5, -2.0)}


def wait_ms(probability: float, eagerness: str, text_completeness: float = 0.0) -> int:
    """How long a pause must last, in ms, so that the turn is over. In between the wait grows by equal factors.

    `text_completeness`: -1 (the words cannot be all) to 1 (they end a sentence), 0 when there are none to judge.
    """
    shortest, sure, unsure = _RULES[eagerness]
    longest = LONGEST_WAIT_MS[eagerness]
    score = logit(probability) + TEXT_WEIGHT * text_completeness
    share = min(max((sure - score) / (sure - unsure), 0.0), 1.0)
    wait: int = max(round(shortest * float(longest / shortest) ** share), JUDGE_MS)
    return wait
