"""How well the `classifier` brain tells a kiosk's phrases apart, and other speech from all of them.

    python bench/menu.py [--voices en-us+m4:45 ...]

The menu is examples/kiosk.yaml; every voice of espeak-ng says up to four ways of each of its entries, and 20 sentences
that are none, in a little noise. The score and its middle were chosen with another menu, other sentences and the voices
en-us, en-us+m1, +m3, +f2, +f5, en-gb, +m7, +f4: these here were held out. Needs the extras recogniser, script, voice.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.server.formats import RATE, Samples
from engine.server.responders.classifier import Classifier, MenuEars, certainty
from engine.server.sound import at_rate
from engine.server.voices.espeak import _shared_library

MENU = Path(__file__).parents[1] / "examples" / "kiosk.yaml"
VOICES = ["en-us+m2:40", "en-us+m4:45", "en-us+f1:60", "en-gb+f3:60", "en-gb-x-rp:50", "en-gb-scotland:50"]
OTHERS = [
    "the weather is lovely today", "i think the painting on the second floor is beautiful", "can i bring my dog inside",
    "what time does the bus leave", "my daughter is seven years old", "the soup was too salty yesterday",
    "please open the window", "how do i get to the airport from here", "is there a restaurant nearby",
    "who painted the mona lisa", "turn left at the traffic lights", "i am looking for my brother",
    "twenty five minus eleven", "she plays the piano very well", "the train was late again",
    "hello hello one two three", "where can i park my car", "what a wonderful day", "no i do not think so",
    "give me a cup of coffee",
]  # fmt: skip


@dataclass(frozen=True)
class Said:
    """One thing that was said: which entry it asks for (None: it is no phrase), which was found, and how surely."""

    voice: str
    text: str
    asked: str | None
    found: str | None
    sure: float


def sound(text: str, voice: str, pitch: int) -> Samples:
    """A sentence of a voice, 0.3 s of silence before it and 0.5 s after it, noise of -60 dBFS over all."""
    library = _shared_library()
    spoken = library.speak(text, voice, pitch, 170).astype(np.float32) / np.float32(32768)
    whole = np.pad(at_rate(spoken, RATE, library.rate), (round(0.3 * RATE), round(0.5 * RATE)))
    return (whole + np.random.default_rng(1).normal(0, 0.001, whole.size)).astype(np.float32)


async def measured(voices: list[str]) -> tuple[list[Said], float, float]:
    """Everything that was said; seconds of sound, and seconds that its recognition kept a processor busy."""
    brain = Classifier.load(MENU)
    ears = brain.recogniser
    assert isinstance(ears, MenuEars)
    await ears.warm_up()
    heard: list[Said] = []
    sounding = 0.0
    said = [(text, entry.shown) for entry in brain.menu.entries for text in entry.phrases[:4]]
    for voice, pitch in (each.rsplit(":", 1) for each in voices):
        for text, asked in [*said, *((text, None) for text in OTHERS)]:
            samples = sound(text, voice, int(pitch))
            answer = await ears._sphinx.ask("decode_menu", samples)
            sounding += samples.size / RATE
            whole = answer["text"] in brain.menu.phrases
            entry = brain.menu.entry_for(answer["text"]) if whole else None
            sure = certainty(answer["ratio"], answer["cover"]) if whole else 0.0
            heard.append(Said(voice, text, asked, entry.shown if entry else None, sure))
    await ears.aclose()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # of the process that has ended now, its loading included
    return heard, sounding, used.ru_utime + used.ru_stime


def share(heard: list[Said], threshold: float) -> tuple[float, float, float]:
    """Of the phrases: found rightly, and taken for another. Of the rest: taken for a phrase."""
    phrases = [each for each in heard if each.asked is not None]
    rest = [each for each in heard if each.asked is None]
    taken = [each for each in phrases if each.found and each.sure >= threshold]
    right = sum(each.found == each.asked for each in taken)
    accepted = sum(bool(each.found) and each.sure >= threshold for each in rest)
    return right / len(phrases), (len(taken) - right) / len(phrases), accepted / len(rest)


def notes(voices: list[str] | None = None) -> list[str]:
    """The table by threshold, and what the recogniser costs."""
    heard, sounding, busy = asyncio.run(measured(voices or VOICES))
    phrases = sum(each.asked is not None for each in heard)
    lines = [f"{phrases} phrases and {len(heard) - phrases} other sentences of {len(voices or VOICES)} voices held out"]
    lines += ["", "| threshold | phrase found | another phrase | other speech taken |", "| --- | --- | --- | --- |"]
    for threshold in (0.3, 0.4, 0.5, 0.6, 0.7):
        right, wrong, accepted = share(heard, threshold)
        lines.append(f"| {threshold:g} | {right:.1%} | {wrong:.1%} | {accepted:.1%} |")
    return [
        *lines,
        "",
        f"{busy / sounding:.3f} s of a processor for a second of sound, the loading of the model included",
    ]


def main() -> None:
    """Print them."""
    parser = argparse.ArgumentParser(description="How well the classifier brain hears.")
    parser.add_argument("--voices", nargs="+", metavar="NAME:PITCH")
    print("\n".join(notes(parser.parse_args().voices)))


if __name__ == "__main__":
    main()
