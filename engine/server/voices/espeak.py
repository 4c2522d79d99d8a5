"""espeak-ng through ctypes, from the library and data that the `espeakng-loader` wheel carries (extra `voice`).

espeak-ng keeps one synthesizer in process-wide state, so all sessions share it: one worker thread does the work (the
thread count stays flat however many sessions speak), and a lock guards it against callers from other threads.
Sentences are cached.

Interface used (speak_lib.h): espeak_Initialize, espeak_SetSynthCallback, espeak_SetVoiceByName, espeak_SetParameter,
espeak_Synth.
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
from typing import Any

import numpy as np

from engine.errors import ConfigError, MissingExtraError
from engine.server.formats import RATE, Samples
from engine.server.voices.cache import SpeechCache
from engine.server.voices.worker import WORKER

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples go to the callback, espeak_Synth returns when the text is spoken
_DONT_EXIT = 0x8000  # report missing data instead of ending the process
_UTF8 = 1
_PARAMETER_RATE, _PARAMETER_PITCH = 1, 3
_WORDS_PER_MINUTE = 175

# API voice -> (espeak voice, pitch 0-99). Distinct to the ear; none of them claims to sound like its namesake.
_VOICES: dict[str, tuple[str, int]] = {
    "alloy": ("en-us", 50),
    "ash": ("en-us+m3", 40),
    "ballad": ("en+m7", 45),
    "cedar": ("en-us+m5", 30),
    "coral": ("en-us+f2", 60),
    "echo": ("en-us+m1", 45),
    "marin": ("en-us+f3", 50),
    "sage": ("en+f4", 55),
    "shimmer": ("en-us+f5", 70),
    "verse": ("en-gb-x-rp", 50),
}

_DEFAULT = "alloy"

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class _Library:
    """The one synthesizer of this process. Every call holds the lock."""

    def __init__(self) -> None:
        try:
            import espeakng_loader
        except ImportError:
            raise MissingExtraError("the espeak-ng voice", "voice") from None
        try:
            self._lib: Any = ctypes.CDLL(espeakng_loader.get_library_path())
        except OSError as error:
            raise ConfigError(f"the espeak-ng library cannot be loaded here: {error}") from None
        self._lock = threading.Lock()
        self._parts: list[bytes] = []
        self._callback = _Callback(self._receive)  # kept: the library holds only its address
        self._lib.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
        self._lib.espeak_Synth.argtypes = [
            ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint,
            ctypes.c_void_p, ctypes.c_void_p,
        ]  # fmt: skip
        data = str(espeakng_loader.get_data_path()).encode()
        self.rate = int(self._lib.espeak_Initialize(_SYNCHRONOUS, 0, data, _DONT_EXIT))
        if self.rate <= 0:
            raise ConfigError(f"espeak-ng found no voice data in {data.decode()}: reinstall espeakng-loader")

    def has(self, voice: str) -> bool:
        """Whether espeak-ng has a voice of this name."""
        with self._lock:
            return bool(self._lib.espeak_SetVoiceByName(voice.encode()) == 0)

    def speak(self, text: str, voice: str, pitch: int, words_per_minute: int) -> np.ndarray[Any, np.dtype[np.int16]]:
        """The samples of one text at `self.rate`. Blocks for about 1 % of the length of the speech."""
        encoded = text.replace("\0", " ").encode() + b"\0"
        with self._lock:
            self._parts.clear()
            self._lib.espeak_SetSynthCallback(self._callback)  # somebody else in this process may speak, too
            if self._lib.espeak_SetVoiceByName(voice.encode()) != 0:
                self._lib.espeak_SetVoiceByName(b"en")
            self._lib.espeak_SetParameter(_PARAMETER_RATE, words_per_minute, 0)
            self._lib.espeak_SetParameter(_PARAMETER_PITCH, pitch, 0)
            status = self._lib.espeak_Synth(encoded, len(encoded), 0, 1, 0, _UTF8, None, None)
            if status != 0:
                raise ConfigError(f"espeak-ng could not speak (status {status})")
            return np.frombuffer(b"".join(self._parts), np.int16)

    def _receive(self, wave: Any, count: int, _events: Any) -> int:
        if wave and count > 0:
            self._parts.append(ctypes.string_at(wave, 2 * count))
        return 0


_library: _Library | None = None
_library_guard = threading.Lock()


def _shared_library() -> _Library:
    global _library  # noqa: PLW0603 - espeak-ng itself is process-wide
    with _library_guard:
        if _library is None:
            _library = _Library()
        return _library


class EspeakVoice:
    """Text to speech by espeak-ng.

    Raises MissingExtraError without the extra `voice`, ConfigError when it cannot be loaded.
    """

    def __init__(self, cache_bytes: int = 16 * 2**20) -> None:
        self._library = _shared_library()
        self._cache = SpeechCache(cache_bytes)

    @property
    def name(self) -> str:
        """Always "espeak-ng"."""
        return "espeak-ng"

    async def synthesize(self, text: str, voice: str = "alloy", speed: float = 1.0) -> Samples:
        """See `Voice.synthesize`.

        Works in the espeak thread; a cancelled caller leaves at once, the sentence is thrown away.
        """
        voice = voice if voice in _VOICES else _DEFAULT
        key = (text, voice, round(speed, 3))
        samples = self._cache.get(key)
        if samples is None:
            samples = await asyncio.get_running_loop().run_in_executor(WORKER, self.speak, text, voice, speed)
            self._cache.put(key, samples)
        return samples

    def speak(self, text: str, voice: str = "alloy", speed: float = 1.0) -> Samples:
        """As `synthesize`, but blocking, from any thread."""
        name, pitch = _VOICES.get(voice, _VOICES[_DEFAULT])
        words_per_minute = min(max(round(_WORDS_PER_MINUTE * speed), 80), 450)
        spoken = self._library.speak(text, name, pitch, words_per_minute).astype(np.float32) / np.float32(32768)
        if not spoken.size or self._library.rate == RATE:
            return spoken
        import soxr  # whole buffers are soxr's place: no stream, no delay

        return np.ascontiguousarray(soxr.resample(spoken, self._library.rate, RATE), dtype=np.float32)
