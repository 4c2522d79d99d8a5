"""pocketsphinx in a process of its own: one model for all sessions, one turn after the other. Extra `recogniser`.

`Sphinx` is the door to that process. `SphinxRecogniser` writes down free speech with the small English language model
of the package: quick, local, and often wrong - for dictation take whisper.cpp or vosk. `responders.classifier` uses the
same door with a grammar, which is what pocketsphinx is good at.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ConfigError, EngineError, MissingExtraError
from engine.server.formats import RATE, Samples
from engine.server.recognisers.base import Heard
from engine.server.sound import to_pcm

MAX_WAITING = 32
"""Turns that wait for the one process; one more is refused."""
MAX_SECONDS = 60.0
"""A longer turn is not recognised: it would hold up the others for too long."""
LEAST_SECONDS = 0.1
"""A shorter one has no words."""
LOAD_S = 120.0
"""Longest time for loading a model or a grammar."""
_SPHINX_RATE = 16_000
_SCRIPT = Path(__file__).with_name("sphinx_worker.py")


class SphinxFailed(EngineError):
    """The recogniser's process failed. The words may be shown to a client."""


@dataclass(frozen=True, slots=True)
class SphinxSettings:
    """Paths of an acoustic model, its dictionary and its language model; empty ones mean the package's own, which are
    US English. `timeout_s` bounds one turn's work; the process is ended and started again beyond it.
    """

    model: str = ""
    dictionary: str = ""
    language_model: str = ""
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        for name in ("model", "dictionary", "language_model"):
            path = getattr(self, name)
            if path and not Path(path).exists():
                raise ConfigError(f"{name} is {path!r}: there is no such file or folder")


class Sphinx:
    """The process, started when it is needed and again when it has died. `prepare` is asked first thing each time.

    Any loop may use it; requests wait in line for its one thread.
    """

    def __init__(self, settings: SphinxSettings, prepare: Callable[[Sphinx], None] = lambda _: None) -> None:
        if importlib.util.find_spec("pocketsphinx") is None:
            raise MissingExtraError("speech recognition by pocketsphinx", "recogniser")
        self._settings = settings
        self._prepare = prepare
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bargein-sphinx")  # waiting: at most MAX_WAITING
        self._waiting = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._guard = threading.Lock()  # over _process, for aclose from the loop

    async def begin(self) -> None:
        """Load everything, so that the first turn is quick. Raises ConfigError or SphinxFailed."""
        await self._queued(self._started)

    async def ask(self, do: str, samples: Samples) -> dict[str, Any]:
        """Decode one turn: `decode_menu` or `decode`. Raises SphinxFailed."""
        if samples.size > MAX_SECONDS * RATE:
            raise SphinxFailed(f"a turn of {samples.size / RATE:.0f} s is too long: at most {MAX_SECONDS:g} s")
        if samples.size < LEAST_SECONDS * RATE:
            return {"text": "", "ratio": 0.0, "cover": 0.0}
        answer: dict[str, Any] = await self._queued(lambda: self._decoded(do, samples))
        return answer

    async def aclose(self) -> None:
        """End the process. The next request starts it again."""
        self.end()

    def end(self) -> None:
        """As `aclose`, from any thread; what is being decoded fails."""
        with self._guard:
            process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()

    # ---- in the thread

    def request(self, do: str, sound: bytes = b"", **fields: Any) -> dict[str, Any]:
        """One question and its answer; `prepare` may ask them. Raises SphinxFailed."""
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        limit_s = self._settings.timeout_s if do.startswith("decode") else LOAD_S
        try:
            process.stdin.write(json.dumps({"do": do, "bytes": len(sound), **fields}).encode() + b"\n" + sound)
            process.stdin.flush()
            ready, _, _ = select.select([process.stdout], [], [], limit_s)
            line = process.stdout.readline() if ready else None  # it writes whole lines
        except (OSError, ValueError):
            line = b""
        if line is None:
            self.end()
            raise SphinxFailed(f"pocketsphinx took longer than {limit_s:g} s")
        if not line:
            self.end()
            raise SphinxFailed("the pocketsphinx process ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            self.end()  # nobody knows in which state it is
            raise SphinxFailed(f"pocketsphinx failed: {answer['error']}")
        return answer

    def _decoded(self, do: str, samples: Samples) -> dict[str, Any]:
        self._started()
        return self.request(do, to_pcm(samples, _SPHINX_RATE))

    def _started(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self.end()
        # -P: the script's own folder is no place to import from. Nothing of its log is for anybody.
        command = [sys.executable, "-P", str(_SCRIPT)]
        process = subprocess.Popen(command, stdin=-1, stdout=-1, stderr=subprocess.DEVNULL, start_new_session=True)
        with self._guard:
            self._process = process
        settings = self._settings
        try:
            self.request(
                "load", model=settings.model, dictionary=settings.dictionary, language_model=settings.language_model
            )
            self._prepare(self)
        except BaseException:
            self.end()
            raise

    async def _queued(self, work: Callable[[], Any]) -> Any:
        if self._waiting >= MAX_WAITING:
            raise SphinxFailed(f"{MAX_WAITING} turns wait to be recognised: this one is left out")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._waiting -= 1

    def __del__(self) -> None:
        if hasattr(self, "_guard"):
            self.end()
            self._thread.shutdown(wait=False)


class SphinxRecogniser:
    """Free speech, US English. See the module."""

    def __init__(self, settings: SphinxSettings | None = None) -> None:
        self._sphinx = Sphinx(settings or SphinxSettings(), _take_language)

    @property
    def name(self) -> str:
        """Always "pocketsphinx"."""
        return "pocketsphinx"

    async def warm_up(self) -> None:
        """Load the model."""
        await self._sphinx.begin()

    async def aclose(self) -> None:
        """End the process."""
        await self._sphinx.aclose()

    async def transcribe(
        self,
        samples: Samples,
        *,
        language: str | None = None,  # noqa: ARG002 - one language
        prompt: str = "",  # noqa: ARG002
    ) -> Heard:
        """See `Recogniser.transcribe`; the hints are left aside."""
        answer: Mapping[str, Any] = await self._sphinx.ask("decode", samples)
        return Heard(str(answer["text"]))


def _take_language(sphinx: Sphinx) -> None:
    sphinx.request("language")


__all__ = ["MAX_SECONDS", "MAX_WAITING", "Sphinx", "SphinxFailed", "SphinxRecogniser", "SphinxSettings"]
