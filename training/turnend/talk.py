"""espeak-ng with what the set needs besides sound: where each word begins, and the range of its melody."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import espeakng_loader
import numpy as np
import soxr
from numpy.typing import NDArray

RATE = 24_000
_SYNCHRONOUS, _DONT_EXIT, _UTF8, _SSML, _WORD = 2, 0x8000, 1, 0x10, 1
_SPEED, _PITCH, _RANGE = 1, 3, 4

Samples = NDArray[np.float32]


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True)
class Spoken:
    """Sound at 24 kHz, and the sample at which each word begins."""

    samples: Samples
    words: list[int]


class Talker:
    """The one synthesizer of this process."""

    def __init__(self) -> None:
        self._lib: Any = ctypes.CDLL(espeakng_loader.get_library_path())
        self._callback = _Callback(self._receive)
        self._parts: list[bytes] = []
        self._words: list[int] = []
        data = str(espeakng_loader.get_data_path()).encode()
        self._lib.espeak_Synth.argtypes = [
            ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint,
            ctypes.c_void_p, ctypes.c_void_p,
        ]  # fmt: skip
        self._rate = int(self._lib.espeak_Initialize(_SYNCHRONOUS, 0, data, _DONT_EXIT))
        assert self._rate > 0, "espeak-ng found no voice data: reinstall espeakng-loader"

    def say(self, text: str, voice: str, *, pitch: int = 50, melody: int = 50, words_per_minute: int = 170) -> Spoken:
        """`pitch` and `melody` (the range of the pitch) 0 to 99, as espeak-ng counts them."""
        self._parts.clear()
        self._words.clear()
        self._lib.espeak_SetSynthCallback(self._callback)  # the server's voice in this process has its own
        assert self._lib.espeak_SetVoiceByName(voice.encode()) == 0, voice
        for parameter, value in ((_SPEED, words_per_minute), (_PITCH, pitch), (_RANGE, melody)):
            self._lib.espeak_SetParameter(parameter, value, 0)
        encoded = text.encode() + b"\0"
        assert self._lib.espeak_Synth(encoded, len(encoded), 0, 1, 0, _UTF8, None, None) == 0, text
        self._lib.espeak_SetParameter(_RANGE, 50, 0)
        sound = np.frombuffer(b"".join(self._parts), np.int16).astype(np.float32) / np.float32(32768)
        resampled = np.asarray(soxr.resample(sound, self._rate, RATE), np.float32)
        return Spoken(resampled, [round(word * RATE / self._rate) for word in self._words])

    def _receive(self, wave: Any, count: int, events: Any) -> int:
        number = 0
        while events and events[number].type != 0:
            if events[number].type == _WORD:
                self._words.append(events[number].sample)
            number += 1
        if wave and count > 0:
            self._parts.append(ctypes.string_at(wave, 2 * count))
        return 0
