"""Make the caller of the demo with espeak-ng: engine/data/caller.wav, and its labels beside it in caller.json.

    python examples/make_caller.py [OUT.wav]        (needs: pip install 'bargein[voice]')

The caller asks, hears the long answer begin, interrupts it in the middle and then listens. The same espeak-ng gives the
same file again, byte for byte.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.endpoints.wav import WavWriter
from engine.errors import EngineError
from engine.server.voices import RATE, EspeakVoice

VOICE = "sage"  # an English woman: well apart from the server's own voice, alloy
SPEED = 1.0
LEVEL_DBFS = -22.0  # of the speech, RMS: somebody at arm's length from a microphone
NOISE_DBFS = -65.0  # a quiet room: never digital silence
HUSH_DBFS = -50.0  # what is softer than this at the ends of a sentence is not labelled as speech


@dataclass(frozen=True)
class Utterance:
    """Something said after `pause_s` of listening."""

    pause_s: float
    text: str


SCENE = (
    Utterance(0.6, "Good morning. Can you tell me how the tides work?"),
    Utterance(3.6, "Sorry, stop. When is the next high tide?"),  # in the middle of the answer
)
LISTEN_S = 5.0  # room for the whole second answer, under 700 kB in all


def main(arguments: list[str]) -> int:
    """Write both files; returns the exit code."""
    out = Path(arguments[0]) if arguments else Path(__file__).resolve().parents[1] / "engine" / "data" / "caller.wav"
    try:
        samples, segments = scene(EspeakVoice())
        with WavWriter(out, RATE) as file:
            file.write(samples)
    except EngineError as error:
        print(f"make_caller: {error}", file=sys.stderr)
        return 1
    labels = {"rate": RATE, "duration_s": round(len(samples) / RATE, 3), "speech": segments}
    out.with_suffix(".json").write_text(json.dumps(labels, indent=2) + "\n")
    print(f"{out}: {labels['duration_s']} s, {out.stat().st_size / 1000:.0f} kB, {len(segments)} utterances")
    return 0


def scene(voice: EspeakVoice) -> tuple[NDArray[np.int16], list[dict[str, Any]]]:
    """The whole recording, int16 at 24 kHz, and its labels: start_s, end_s (first and last audible sample) and text."""
    parts: list[NDArray[np.float32]] = []
    segments: list[dict[str, Any]] = []
    now = 0
    for utterance in SCENE:
        pause = np.zeros(round(utterance.pause_s * RATE), np.float32)
        speech = spoken(voice, utterance.text)
        start = now + len(pause)
        now = start + len(speech)
        segments.append({"start_s": round(start / RATE, 3), "end_s": round(now / RATE, 3), "text": utterance.text})
        parts += [pause, speech]
    parts.append(np.zeros(round(LISTEN_S * RATE), np.float32))
    sound = np.concatenate(parts)
    room = np.random.default_rng(1).standard_normal(len(sound)) * 10 ** (NOISE_DBFS / 20)
    return np.clip(np.rint((sound + room) * 32768), -32768, 32767).astype(np.int16), segments


def spoken(voice: EspeakVoice, text: str) -> NDArray[np.float32]:
    """One utterance at the scene's level, without the silence that espeak-ng puts at its ends."""
    speech = voice.speak(text, VOICE, SPEED)
    speech = speech * np.float32(10 ** (LEVEL_DBFS / 20) / np.sqrt(np.mean(speech**2)))
    hop = RATE // 100
    hops = speech[: len(speech) // hop * hop].reshape(-1, hop)
    audible = np.flatnonzero(np.sqrt(np.mean(hops**2, axis=1)) > 10 ** (HUSH_DBFS / 20))
    return speech[audible[0] * hop : (audible[-1] + 1) * hop]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
