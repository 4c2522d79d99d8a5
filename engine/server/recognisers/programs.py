"""Speech to text by a program that is started for each turn: whisper.cpp, vosk, or any that reads a WAV file.

The command is a list of words; in each of them {wav} (the path of a WAV file with the turn), {model}, {language} and
{prompt} are filled in. A command without {wav} gets the WAV on its standard input. It writes the words to its standard
output, as text or (`output: json`) as JSON with a text. It is killed when nobody waits for it any more.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from engine.errors import ConfigError
from engine.server.formats import Samples
from engine.server.process import ProgramFailed, check_program, run
from engine.server.recognisers.base import Heard
from engine.server.sound import to_wav

MAX_WORDS_BYTES = 2**18
"""A program that writes more is killed: nobody says so much in one turn."""
COMMANDS: dict[str, tuple[str, ...]] = {
    # Only words on its standard output: no times, no progress. A file, since not every version reads its input.
    "whisper.cpp": ("whisper-cli", "-m", "{model}", "-l", "{language}", "-nt", "-np", "-f", "{wav}"),
    # It converts with ffmpeg, which has to be installed.
    "vosk": ("vosk-transcriber", "--model", "{model}", "--log-level", "WARNING", "--input", "{wav}"),
}
"""The commands of known programs, as their present versions take them; `program` replaces the first word."""
_FILLED = re.compile(r"\{(wav|model|language|prompt)\}")
_NOISE = re.compile(r"\[[A-Z_ ]+\]|\([a-z ]+\)")  # whisper's words for what is none: [BLANK_AUDIO], (wind blowing)


@dataclass(frozen=True, slots=True)
class ProgramRecogniserSettings:
    """`kind` is "whisper.cpp", "vosk" or "command", which needs `command`. `model` is a path; `language` is taken when
    the session names none; `rate` is the WAV's, in Hz; `output` is "text" or "json"; `timeout_s` bounds one turn.
    """

    kind: str
    command: Sequence[str] = ()
    program: str = ""
    model: str = ""
    language: str = "en"
    rate: int = 16_000
    output: str = "text"
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        if self.kind not in (*COMMANDS, "command"):
            raise ConfigError(f"kind is {self.kind!r}: use {', '.join(COMMANDS)} or command")
        if (self.kind == "command") != bool(self.command):
            raise ConfigError("command must be given, as a list of words, for the kind 'command' and no other")
        if self.kind in COMMANDS and not self.model:
            raise ConfigError(f"model must be given: {self.kind} needs the path of one")
        if self.output not in ("text", "json"):
            raise ConfigError(f"output is {self.output!r}: use text or json")
        if not 8000 <= self.rate <= 48000:
            raise ConfigError(f"rate is {self.rate}: use 8000 to 48000")


class ProgramRecogniser:
    """See the module."""

    def __init__(self, settings: ProgramRecogniserSettings) -> None:
        self._settings = settings
        first, *rest = settings.command or COMMANDS[settings.kind]
        self._command = [settings.program or first, *rest]

    @property
    def name(self) -> str:
        """Which program."""
        return Path(self._command[0]).name

    async def warm_up(self) -> None:
        """Whether program and model are there."""
        check_program(self._command[0], "program" if self._settings.program else "command")
        model = self._settings.model
        if model and not await asyncio.to_thread(Path(model).exists):
            raise ConfigError(f"model is {model!r}: there is no such file or folder")

    async def transcribe(self, samples: Samples, *, language: str | None = None, prompt: str = "") -> Heard:
        """See `Recogniser.transcribe`."""
        wav = await asyncio.to_thread(to_wav, samples, self._settings.rate)
        with tempfile.TemporaryDirectory(prefix="bargein-") as folder:
            path = Path(folder) / "turn.wav"
            words = {"model": self._settings.model, "language": language or self._settings.language, "prompt": prompt}
            command = [_FILLED.sub(lambda found: {**words, "wav": str(path)}[found[1]], word) for word in self._command]
            by_file = any("{wav}" in word for word in self._command)
            if by_file:
                await asyncio.to_thread(path.write_bytes, wav)
            output = await run(
                command, b"" if by_file else wav, timeout_s=self._settings.timeout_s, limit=MAX_WORDS_BYTES
            )
        return Heard(self._words(output))

    def _words(self, output: bytes) -> str:
        text = output.decode(errors="replace")
        if self._settings.output == "json":
            try:
                found = msgspec.json.decode(output)
            except (msgspec.DecodeError, RecursionError):
                found = None
            if not isinstance(found, dict) or not isinstance(found.get("text"), str):
                raise ProgramFailed(f"{self.name} wrote no JSON with a text")
            text = found["text"]
        if self._settings.kind == "vosk" and "Missing FFMPEG" in text:  # it says so where the words should be
            raise ProgramFailed(f"{self.name} needs ffmpeg, which is not installed")
        if self._settings.kind == "whisper.cpp":
            text = _NOISE.sub(" ", text)
        return " ".join(text.split())


__all__ = ["COMMANDS", "ProgramRecogniser", "ProgramRecogniserSettings"]
