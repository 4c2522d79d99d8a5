"""Text to speech by a program that is started for each sentence: espeak-ng, piper, or any that writes sound.

The command is a list of words; in each of them {model}, {voice}, {speed} (1 is normal), {words_per_minute} and
{length_scale} (1/speed) are filled in. The text comes on its standard input, as one line; it writes a WAV file, or
(`output: pcm`) int16 samples, to its standard output. It is killed when nobody waits for it any more.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from engine.errors import ConfigError
from engine.server.formats import RATE, Samples
from engine.server.process import check_program, run
from engine.server.sound import from_pcm, from_wav
from engine.server.voices.cache import SpeechCache

MAX_SOUND_BYTES = 32 * 2**20
"""A program that writes more is killed: one sentence is never so long."""
COMMANDS: dict[str, tuple[str, ...]] = {
    "espeak-ng": ("espeak-ng", "--stdin", "--stdout", "-v", "{voice}", "-s", "{words_per_minute}"),
    "piper": ("piper", "--model", "{model}", "--length_scale", "{length_scale}", "--output_raw"),
}
"""The commands of known programs, as their present versions take them; `program` replaces the first word."""
DEFAULT_VOICE = {"espeak-ng": "en-us"}
WORDS_PER_MINUTE = 175
_FILLED = re.compile(r"\{(model|voice|speed|words_per_minute|length_scale)\}")


@dataclass(frozen=True, slots=True)
class ProgramVoiceSettings:
    """`kind` is "espeak-ng", "piper" or "command", which needs `command`. `model` is a path (piper: an .onnx file with
    its .onnx.json beside it, which tells the rate). `voices` gives the program's name for a voice of the session, for
    piper another model; others get `voice`. `output` is "wav" or "pcm", the latter at `rate` Hz. `timeout_s` bounds
    one sentence.
    """

    kind: str
    command: Sequence[str] = ()
    program: str = ""
    model: str = ""
    voice: str = ""
    voices: Mapping[str, str] = field(default_factory=dict)
    output: str = "wav"
    rate: int = RATE
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        if self.kind not in (*COMMANDS, "command"):
            raise ConfigError(f"kind is {self.kind!r}: use {', '.join(COMMANDS)} or command")
        if (self.kind == "command") != bool(self.command):
            raise ConfigError("command must be given, as a list of words, for the kind 'command' and no other")
        if self.kind == "piper" and not self.model:
            raise ConfigError("model must be given: piper needs the path of an .onnx file")
        if self.output not in ("wav", "pcm"):
            raise ConfigError(f"output is {self.output!r}: use wav or pcm")
        if not 8000 <= self.rate <= 48000:
            raise ConfigError(f"rate is {self.rate}: use 8000 to 48000")


class ProgramVoice:
    """See the module. Sentences are kept for the next time."""

    def __init__(self, settings: ProgramVoiceSettings, cache_bytes: int = 16 * 2**20) -> None:
        self._settings = settings
        first, *rest = settings.command or COMMANDS[settings.kind]
        self._command = [settings.program or first, *rest]
        self._cache = SpeechCache(cache_bytes)
        self._rates: dict[str, int] = {}  # of piper's models

    @property
    def name(self) -> str:
        """Which program."""
        return Path(self._command[0]).name

    async def warm_up(self) -> None:
        """Whether program and models are there."""
        check_program(self._command[0], "program" if self._settings.program else "command")
        if self._settings.kind == "piper":
            for model in {self._settings.model, *self._settings.voices.values()}:
                self._rates[model] = await asyncio.to_thread(_rate_of, model)

    async def synthesize(self, text: str, voice: str = "alloy", speed: float = 1.0) -> Samples:
        """See `Voice.synthesize`."""
        line = " ".join(text.split())
        if not any(sign.isalnum() for sign in line):
            return from_pcm(b"", RATE)
        key = (line, voice, round(speed, 3))
        found = self._cache.get(key)
        if found is None:
            found = await self._spoken(line, voice, speed)
            self._cache.put(key, found)
        return found

    async def _spoken(self, line: str, voice: str, speed: float) -> Samples:
        settings = self._settings
        chosen = settings.voices.get(voice) or settings.voice or DEFAULT_VOICE.get(settings.kind, "")
        model = settings.voices.get(voice, settings.model) if settings.kind == "piper" else settings.model
        words = {
            "model": model,
            "voice": chosen,
            "speed": f"{speed:g}",
            "words_per_minute": str(round(WORDS_PER_MINUTE * speed)),
            "length_scale": f"{1 / speed:.3f}",
        }
        command = [_FILLED.sub(lambda found: words[found[1]], word) for word in self._command]
        sound = await run(command, f"{line}\n".encode(), timeout_s=settings.timeout_s, limit=MAX_SOUND_BYTES)
        if settings.kind == "piper":
            if model not in self._rates:
                self._rates[model] = await asyncio.to_thread(_rate_of, model)
            return await asyncio.to_thread(from_pcm, sound, self._rates[model])
        if settings.output == "pcm":
            return await asyncio.to_thread(from_pcm, sound, settings.rate)
        return await asyncio.to_thread(from_wav, sound, f"what {self.name} wrote")


def _rate_of(model: str) -> int:
    """The sample rate of a piper model, from the settings beside it. Raises ConfigError."""
    for path in (Path(model), Path(f"{model}.json")):
        if not path.is_file():
            raise ConfigError(f"model is {model!r}: there is no file {path}")
    try:
        rate = msgspec.json.decode(Path(f"{model}.json").read_bytes())["audio"]["sample_rate"]
    except (msgspec.DecodeError, OSError, KeyError, TypeError):
        raise ConfigError(f"model is {model!r}: {model}.json names no audio.sample_rate") from None
    if not isinstance(rate, int) or not 8000 <= rate <= 48000:
        raise ConfigError(f"model is {model!r}: {model}.json has the sample rate {rate!r:.20}")
    return rate


__all__ = ["COMMANDS", "ProgramVoice", "ProgramVoiceSettings"]
