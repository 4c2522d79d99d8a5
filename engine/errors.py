"""What can go wrong, and whose fault it is.

EngineError
├── ConfigError            our caller asked for something impossible; names field, value and remedy
│   └── MissingExtraError  a part of an optional extra is not installed; names the pip command
├── MediaError             a sound file or buffer cannot be used
├── DeviceError            a sound device is absent, busy, refuses or does not answer; names the remedy
├── ProtocolError          somebody broke the Realtime protocol
│   ├── LocalProtocolError     we did: nothing was sent
│   └── RemoteProtocolError    the peer did
└── TransportError         the network did
    └── ConnectionLost         an open connection ended; carries the close code
"""

from __future__ import annotations


class EngineError(Exception):
    """Base of every error bargein raises on purpose."""


class ConfigError(EngineError):
    """A setting is out of range, contradictory or unknown."""


class MissingExtraError(ConfigError):
    """An optional part is needed and not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra {extra!r}: pip install 'bargein[{extra}]'")
        self.extra = extra


class MediaError(EngineError):
    """A sound file or sample buffer is empty, broken or of a kind that is not supported."""


class DeviceError(EngineError):
    """A sound device cannot be used: absent, busy, unplugged, or the part that opens it is not installed."""


class ProtocolError(EngineError):
    """The Realtime protocol was broken. `code`, `param` and `event_id` follow the wire's `error` event, None when
    unknown.
    """

    def __init__(
        self, message: str, *, code: str | None = None, param: str | None = None, event_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.param = param
        self.event_id = event_id


class LocalProtocolError(ProtocolError):
    """This side asked for something the protocol does not allow now. Nothing was sent."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something that is not a valid event."""


class TransportError(EngineError):
    """The server cannot be reached, refuses, or speaks another protocol."""


class ConnectionLost(TransportError):
    """An open connection ended. `code` is the WebSocket close code (1006 when there was none)."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"connection closed with code {code}" + (f": {reason}" if reason else ""))
        self.code = code
        self.reason = reason
