"""What a conversation needs of a microphone and a loudspeaker, whatever they are."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from engine.audio import AudioFormat, BargeIn, Duplex, Gate, Hearing, Stage


@dataclass(frozen=True, slots=True)
class SoundSettings:
    """What the conversation decides about the sound; the endpoint adds rates, channels and blocks."""

    send_format: AudioFormat = AudioFormat.PCM
    receive_format: AudioFormat = AudioFormat.PCM
    barge_in: BargeIn = field(default_factory=BargeIn)
    gate: Gate = field(default_factory=Gate)
    queue_s: float = 120.0
    capture_stages: Sequence[Stage] = ()
    playback_stages: Sequence[Stage] = ()
    muted: bool = False
    hearing: Hearing | None = None
    """None: what suits the endpoint, which is echo "auto" for a device and nothing for a file."""

    def dress(self, duplex: Duplex) -> Duplex:
        """Put the stages into a new duplex, and close its microphone if asked, before its sound runs."""
        duplex.set_mute(self.muted)
        duplex.set_stages("capture", self.capture_stages)
        duplex.set_stages("playback", self.playback_stages)
        return duplex


class Sound(Protocol):
    """A running endpoint. Its audio threads run C only; these methods belong to the loop thread."""

    duplex: Duplex

    async def wait(self, timeout: float) -> None:
        """Return when there is something to read in `duplex`, at the latest after `timeout` seconds."""

    @property
    def ended(self) -> bool:
        """Whether the microphone has nothing more to say (the end of a file); never for a device."""

    @property
    def seconds(self) -> float:
        """Captured time."""


class Endpoint(Protocol):
    """A microphone and a loudspeaker that can be opened."""

    def open(self, settings: SoundSettings) -> AbstractAsyncContextManager[Sound]:
        """Start the sound; leaving the block stops it and gives everything back. Raises `EngineError` when it
        cannot.
        """
