"""The three wire forms of the Realtime API and their arithmetic."""

from __future__ import annotations

import enum
from functools import cached_property

from engine.errors import ConfigError
from engine.native import lib


class AudioFormat(enum.Enum):
    """A wire form. `value` is the `type` member of the API's format objects."""

    PCM = "audio/pcm"
    """16-bit little-endian mono at 24 000 Hz."""
    PCMU = "audio/pcmu"
    """G.711 mu-law at 8 000 Hz."""
    PCMA = "audio/pcma"
    """G.711 A-law at 8 000 Hz."""

    @cached_property
    def rate(self) -> int:
        """Samples per second."""
        return 24000 if self is AudioFormat.PCM else 8000

    @cached_property
    def sample_bytes(self) -> int:
        """Bytes per sample."""
        return 2 if self is AudioFormat.PCM else 1

    @cached_property
    def bytes_per_ms(self) -> int:
        """Bytes per millisecond: 48 or 8."""
        return self.rate // 1000 * self.sample_bytes

    @cached_property
    def code(self) -> int:
        """The C core's number (enum rt_format)."""
        return int({AudioFormat.PCM: lib.RT_PCM16, AudioFormat.PCMU: lib.RT_ULAW, AudioFormat.PCMA: lib.RT_ALAW}[self])

    @cached_property
    def silence(self) -> bytes:
        """One sample of digital silence."""
        return {AudioFormat.PCM: b"\0\0", AudioFormat.PCMU: b"\xff", AudioFormat.PCMA: b"\xd5"}[self]

    def samples_to_ms(self, samples: int) -> int:
        """Whole milliseconds in so many samples, rounded down."""
        return samples * 1000 // self.rate

    @classmethod
    def named(cls, name: str) -> AudioFormat:
        """The format of a name: "pcm", "pcmu", "pcma" or the API's "audio/..." types. Raises `ConfigError`."""
        wanted = name if name.startswith("audio/") else f"audio/{name}"
        for member in cls:
            if member.value == wanted:
                return member
        raise ConfigError(f"audio format is {name!r}: use pcm (24 kHz), pcmu or pcma (G.711, 8 kHz)")
