"""The set: turns that are over and turns that are not, each with silence after it.

A scene is made from a seed: a sentence, a talker (voice, pitch, melody, speed), a level, and noise. Four kinds:
`whole` - a sentence as it is; `cut` - the sound stops before a word; `comma` - the first words, spoken as
the part before a comma; `filler` - one of these and a held "uhm". The last three are not over. Three
parts share no sentence and no voice: `train` is learnt from, `dev` is what the features and the size of the model were
chosen by, and `test` is looked at by bench/turnend.py only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.turnend.sentences import FILLERS, LINKS, SENTENCES, TEST_SENTENCES
from training.turnend.talk import RATE, Samples, Talker

KINDS = ("whole", "cut", "comma", "filler")
_VARIANTS = [
    "m1",
    "m2",
    "m4",
    "m5",
    "m7",
    "f1",
    "f2",
    "f3",
    "f4",
    "Alex",
    "Alicia",
    "Andrea",
    "Andy",
    "Denis",
    "Diogo",
    "Gene",
    "Hugo",
    "Jacky",
    "Lee",
    "Marco",
    "Mario",
    "Michael",
    "Mike",
    "adam",
    "anika",
    "announcer",
    "antonio",
    "aunty",
    "benjamin",
    "boris",
    "ed",
    "edward",
    "grandma",
    "grandpa",
    "gustave",
    "ian",
    "iven",
    "john",
    "klatt",
    "klatt2",
    "klatt4",
    "linda",
    "marcelo",
    "max",
    "miguel",
    "norbert",
    "pablo",
    "paul",
    "pedro",
    "quincy",
    "rob",
    "robert",
    "sandro",
    "shelby",
    "steph",
    "steph2",
    "travis",
    "victor",
    "zac",
]
_ACCENTS = ("en-us", "en", "en-gb-x-rp", "en-029", "en-us", "en-gb-x-gbcwmd", "en-us-nyc")
TRAIN_VOICES = ("en-us", "en", *(f"{_ACCENTS[number % 7]}+{variant}" for number, variant in enumerate(_VARIANTS)))
TEST_VOICES = (
    "en-us+Henrique", "en+caleb", "en-us+Nguyen", "en+mike2", "en-gb-x-gbcwmd", "en+Reed", "en-us+kaukovalta",
    "en-us-nyc",
)  # fmt: skip
DEV_VOICES = (
    "en-us+m3", "en-us+f5", "en+m6", "en+belinda", "en-gb-scotland", "en-us+m8", "en-gb-x-gbclan+f2", "en-us+michel",
    "en+Annie", "en-us+david",
)  # fmt: skip
PARTS = {"train": TRAIN_VOICES, "dev": DEV_VOICES, "test": TEST_VOICES}
LEAD_S, TAIL_S = 0.6, 4.5


_VOCABULARY = sorted(
    {word.strip(".,?").lower() for number, text in enumerate(SENTENCES) if number % 3 != 2 for word in text.split()}
)


@dataclass(frozen=True)
class Scene:
    """A turn between two silences, at 24 kHz."""

    samples: Samples
    kind: str
    end_s: float
    """Where the last sound of the talker ends."""
    text: str

    @property
    def whole(self) -> bool:
        """Whether the talker is done."""
        return self.kind == "whole"


def sentences(part: str) -> tuple[str, ...]:
    """Those of a part: of the first list every third is for dev."""
    if part == "test":
        return TEST_SENTENCES
    return tuple(text for number, text in enumerate(SENTENCES) if (number % 3 == 2) == (part == "dev"))


def _text(rng: np.random.Generator, kind: str, part: str) -> str:
    """A sentence. In training more often words in any order: 79 sentences have 79 last words, which would be learnt."""
    texts = [text for text in sentences(part) if kind == "whole" or len(text.split()) > 5]
    if part != "train" or rng.random() < 0.35:
        return str(rng.choice(texts))
    words = [str(word) for word in rng.choice(_VOCABULARY, rng.integers(1 if kind == "whole" else 6, 12))]
    words[-1] = str(rng.choice([word for word in _VOCABULARY if len(word) > 3]))
    if rng.random() < 0.25 and len(words) > 5:
        words[rng.integers(1, len(words) - 2)] += ","
    return " ".join(words) + ("?" if rng.random() < 0.3 else ".")


def scene(talker: Talker, kind: str, seed: int, *, part: str, tail_s: float = TAIL_S) -> Scene:
    """`tail_s` of silence follow."""
    rng = np.random.default_rng([seed, KINDS.index(kind), list(PARTS).index(part)])
    voice = str(rng.choice(PARTS[part]))
    manner = {
        "pitch": int(rng.integers(25, 75)),
        "melody": int(rng.integers(35, 75)),
        "words_per_minute": int(rng.integers(130, 215)),
    }
    text = _text(rng, kind, part)
    if kind == "whole":
        sound = trimmed(talker.say(text, voice, **manner).samples)
    else:
        how = ("comma" if rng.random() < 0.3 else "cut") if kind == "filler" else kind
        sound, text = _unfinished(talker, how, text, voice, manner, rng)
        if kind == "filler":
            sound, text = _with_filler(talker, sound, text, voice, manner, rng)
    return _placed(sound, kind, text, rng, tail_s)


def _unfinished(
    talker: Talker, how: str, text: str, voice: str, manner: dict[str, int], rng: np.random.Generator
) -> tuple[Samples, str]:
    words = text.rstrip(".?").split()
    keep = int(rng.integers(3, len(words) - 1))
    said = " ".join(words[:keep])
    if how == "comma":
        return trimmed(talker.say(f"{said.rstrip(',')},", voice, **manner).samples), said
    spoken = talker.say(text, voice, **manner)
    end = spoken.words[keep] if len(spoken.words) > keep else spoken.samples.size * keep // len(words)
    sound = spoken.samples[:end].copy()
    # A throat does not stop like a switch: the sound goes down in 15 to 90 ms.
    fade = min(int(rng.uniform(0.015, 0.09) * RATE), sound.size)
    sound[sound.size - fade :] *= np.cos(np.linspace(0, np.pi / 2, fade, dtype=np.float32))
    return trimmed(sound), said


def _with_filler(
    talker: Talker, sound: Samples, text: str, voice: str, manner: dict[str, int], rng: np.random.Generator
) -> tuple[Samples, str]:
    filler = str(rng.choice(FILLERS))
    held = {**manner, "melody": int(rng.integers(0, 12)), "words_per_minute": int(rng.integers(80, 120))}
    spoken = trimmed(talker.say(filler, voice, **held).samples)
    parts = [sound]
    if rng.random() < 0.3:
        link = str(rng.choice(LINKS))
        parts += [_pause(rng), trimmed(talker.say(f"{link},", voice, **{**manner, "melody": 15}).samples)]
        text = f"{text} {link}"
    parts += [_pause(rng), spoken * np.float32(rng.uniform(0.4, 1.0))]
    return np.concatenate(parts), f"{text} {filler}"


def _pause(rng: np.random.Generator) -> Samples:
    return np.zeros(int(rng.uniform(0.0, 0.14) * RATE), np.float32)


def trimmed(sound: Samples, below_db: float = -40.0) -> Samples:
    """Without what lies before and after the sound, 40 dB under its loudest 10 ms."""
    hop = RATE // 100
    frames = sound[: sound.size // hop * hop].reshape(-1, hop)
    level = np.sqrt(np.mean(frames**2, axis=1))
    loud = np.flatnonzero(level > level.max() * 10 ** (below_db / 20))
    return sound[loud[0] * hop : (loud[-1] + 1) * hop]


def _placed(sound: Samples, kind: str, text: str, rng: np.random.Generator, tail_s: float) -> Scene:
    lead, tail = int(LEAD_S * RATE), int(tail_s * RATE)
    whole = np.concatenate([np.zeros(lead, np.float32), sound, np.zeros(tail, np.float32)])
    power = float(np.mean(sound**2))
    whole *= np.float32(10 ** (rng.uniform(-40, -14) / 20) / np.sqrt(power))
    level = np.sqrt(np.mean(whole[lead : lead + sound.size] ** 2))
    whole = whole + _noise(whole.size, rng) * np.float32(level * 10 ** (-rng.uniform(15, 45) / 20))
    return Scene(np.clip(whole, -1, 1).astype(np.float32), kind, (lead + sound.size) / RATE, text)


def _noise(size: int, rng: np.random.Generator) -> Samples:
    """Noise of power 1 with a slope of 0 to -6 dB per octave: a fan, a street, a line."""
    whole = 1 << (size - 1).bit_length()
    spectrum = np.fft.rfft(rng.standard_normal(whole, np.float32))
    spectrum *= np.maximum(np.fft.rfftfreq(whole, 1 / RATE), 60.0) ** (-rng.uniform(0, 1))
    noise = np.fft.irfft(spectrum)[:size]
    return np.asarray(noise / np.sqrt(np.mean(noise**2)), np.float32)
