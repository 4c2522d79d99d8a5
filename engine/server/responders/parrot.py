"""`parrot`: what was understood of your words, said with the server's voice. It shows what the ears are worth."""

from __future__ import annotations

from collections.abc import AsyncIterator

from engine.server.responders.base import Part, Say, Turn

NOTHING_SAID = "I heard nothing."
NOTHING_UNDERSTOOD = "I understood nothing."


class Parrot:
    """Repeats the words that the recogniser (or the writer) gave. Says so when there are none, and why."""

    @property
    def name(self) -> str:
        """Always "parrot"."""
        return "parrot"

    async def respond(self, turn: Turn) -> AsyncIterator[Part]:
        """See `Responder.respond`."""
        turn = await turn.understood()
        if turn.text:
            yield Say(turn.text)
        elif turn.heard is None:
            yield Say(NOTHING_SAID)
        else:
            yield Say(f"{NOTHING_UNDERSTOOD} {turn.heard.failure}".strip())


__all__ = ["NOTHING_SAID", "NOTHING_UNDERSTOOD", "Parrot"]
