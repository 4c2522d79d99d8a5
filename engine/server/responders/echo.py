"""`echo`: your own words back."""

from __future__ import annotations

from collections.abc import AsyncIterator

from engine.server.formats import RATE
from engine.server.responders.base import Audio, Part, Say, Turn

_SLICE = RATE  # samples per part: one second, so that a cancelled echo of a long speech stops encoding soon


class Echo:
    """Replays what the user said; what they wrote is said back; with neither it says that it heard nothing."""

    @property
    def name(self) -> str:
        """Always "echo"."""
        return "echo"

    async def respond(self, turn: Turn) -> AsyncIterator[Part]:
        """See `Responder.respond`."""
        samples = turn.audio()
        if turn.modality == "text" and not turn.text and samples.size:
            yield Say(f"[{samples.size / RATE:.1f} s of audio]")
        elif samples.size:
            for start in range(0, samples.size, _SLICE):
                yield Audio(samples[start : start + _SLICE], turn.text if start == 0 else "")
        else:
            yield Say(turn.text or "I heard nothing.")
