"""What a conversation tells of itself while it runs: the session in force, what was said, what it cost."""

from __future__ import annotations

from engine.realtime import Entry, Meter, Protocol
from engine.realtime import events as ev


class Telling:
    """The part of `Conversation` that shows. Each is a snapshot of now, without waiting for the server."""

    @property
    def _protocol(self) -> Protocol:
        raise NotImplementedError

    @property
    def session(self) -> dict[str, object]:
        """The configuration in force, as the server reported it."""
        return dict(self._protocol.effective)

    @property
    def history(self) -> list[Entry]:
        """The conversation in its order, each item with the words that have come for it so far."""
        return self._protocol.history()

    @property
    def usage(self) -> Meter:
        """Tokens by kind: `total` of the session, `turns` of its newest responses; money where `prices` were given."""
        return self._protocol.usage

    @property
    def rate_limits(self) -> dict[str, ev.RateLimit]:
        """The server's newest figures by name (requests, tokens)."""
        return dict(self._protocol.rate_limits)

    @property
    def outcomes(self) -> list[ev.Outcome]:
        """The newest responses that were not completed, and requests that the server would not begin, with reasons."""
        return list(self._protocol.outcomes)

    @property
    def anomalies(self) -> list[str]:
        """The newest things the server did against the protocol."""
        return [f"{anomaly.type}: {anomaly.why}" for anomaly in self._protocol.anomalies]
