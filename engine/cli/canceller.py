"""How well the echo canceller learns a loudspeaker and a microphone: plays speech through them until it has, or not."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from engine.audio import BargeIn, Hearing, Policy
from engine.endpoints import Device, SoundSettings
from engine.endpoints.wav import parse_wav

LEAST_S, MOST_S = 5.0, 15.0
RATE = 24000
SPEECH = "caller.wav"


@dataclass(frozen=True, slots=True)
class Learnt:
    """What came of it: whether it knows the room, after so many seconds of speech; as `engine.audio.HearingStats`."""

    converged: bool
    seconds: float
    erle_db: float
    delay_ms: float | None

    @property
    def told(self) -> str:
        """For people."""
        if not self.converged:
            return f"does not learn the room in {self.seconds:.0f} s of speech"
        delay = "" if self.delay_ms is None else f", which comes {self.delay_ms:.0f} ms after what is played"
        return f"its filter takes {self.erle_db:.0f} dB off the echo{delay}"


async def learn(device: Device) -> Learnt:
    """Play and listen. Raises `DeviceError` when the device cannot be opened, or dies."""
    said = parse_wav((files("engine") / "data" / SPEECH).read_bytes(), SPEECH).samples.tobytes()
    settings = SoundSettings(barge_in=BargeIn(policy=Policy.NEVER), hearing=Hearing(echo="aec"))
    async with device.open(settings) as sound:
        duplex, queue = sound.duplex, sound.duplex.queue
        queue.push("speech", 0, said * 3, queue.open())
        queue.complete("speech", 0)
        while True:
            await sound.wait(0.1)
            duplex.read_records()
            duplex.read_events()
            stats, seconds = duplex.hearing_stats(), duplex.playback_stats().playout.played / RATE
            if (stats.converged and seconds >= LEAST_S) or seconds >= MOST_S:
                return Learnt(stats.converged, seconds, stats.erle_db, stats.delay_ms)


__all__ = ["Learnt", "learn"]
