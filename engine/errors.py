"""What can go wrong, and whose fault it is.

EngineError
├── ConfigError            our caller asked for something impossible; names field, value and remedy
│   └── MissingExtraError  a part of an optional extra is not installed; names the pip command
├── MediaError             a sound file or buffer cannot be used
├── DeviceError            a sound device is absent, busy, refuses or does not answer; names the remedy
├── ToolError              raised by a tool: its words are for the model
├── ProtocolError          somebody broke the Realtime protocol
│   ├── LocalProtocolError     we did: nothing was sent
│   └── RemoteProtocolError    the peer did
│       └── WebhookError           a webhook is not signed as it should be, too old, too long or no event
└── TransportError         the network did
    ├── HandshakeRefused       a server answered a WebSocket handshake with an HTTP error; carries the status
    ├── ConnectionLost         an open connection ended; carries the close code and what follows from it
    ├── OutcomeUnknown         the answer to a REST call was lost: it may have been done
    └── ApiError               a REST call was answered with an error; carries status, code and request id
        ├── AccessError            401, 403: the key is missing, wrong, or may not do this
        ├── NotFoundError          404: no such call, or it is over
        ├── RateLimitError         429: too many requests, or no quota
        └── ServerFaultError       500 to 599
"""

from __future__ import annotations

import enum


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


class ToolError(EngineError):
    """Raise it in a tool to tell the model why it has no result: the words go to the model as they are. Of any other
    exception the model is told only that the tool failed.
    """


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


class WebhookError(RemoteProtocolError):
    """A webhook that must not be acted on. `status` is the HTTP status to answer it with."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class TransportError(EngineError):
    """The server cannot be reached, refuses, or speaks another protocol."""


_MAY_PASS = frozenset({408, 425, 429})


class HandshakeRefused(TransportError):
    """A WebSocket could not be opened: the server answered with the HTTP `status`."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status

    @property
    def may_pass(self) -> bool:
        """Whether the same may go well later."""
        return self.status in _MAY_PASS or self.status >= 500


class Closing(enum.Enum):
    """What the end of a connection means for the one who wants to go on."""

    NORMAL = "normal"  # it was meant to end
    RETRY = "retry"  # the network or the server failed for now: connect again, waiting longer each time
    EXPIRED = "expired"  # the session reached its maximum duration: connect again at once, and replay
    FATAL = "fatal"  # the same again would end the same: something has to be changed first


_RETRY_CODES = frozenset({1001, 1005, 1006, 1011, 1012, 1013, 1014, 1015})
_EXPIRY_WORDS = ("maximum duration", "session_expired", "session expired")


class ConnectionLost(TransportError):
    """An open connection ended. `code` is the WebSocket close code (1006 when there was none)."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"connection closed with code {code}" + (f": {reason}" if reason else ""))
        self.code = code
        self.reason = reason

    @property
    def closing(self) -> Closing:
        """What follows from code and reason. Expiry is told by its words: the service closes with 1001 then, which
        otherwise means that the server goes away.
        """
        if any(words in self.reason.lower() for words in _EXPIRY_WORDS):
            return Closing.EXPIRED
        if self.code == 1000:
            return Closing.NORMAL
        return Closing.RETRY if self.code in _RETRY_CODES else Closing.FATAL


class OutcomeUnknown(TransportError):
    """A request was sent and its answer was lost: what it asked for may have been done."""


class ApiError(TransportError):
    """A REST call was answered with an error. `status` is the HTTP status; `code`, `type` and `param` are the error
    object's, None when unknown; `request_id` is what the service's support asks for; `retry_after_s` how long the
    server wants to be left alone, None when it did not say.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | None = None,
        type: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message + (f" (request {request_id})" if request_id else ""))
        self.status = status
        self.code = code
        self.type = type
        self.param = param
        self.request_id = request_id
        self.retry_after_s = retry_after_s


class AccessError(ApiError):
    """401 or 403: the key is missing, wrong or expired, or may not do this."""


class NotFoundError(ApiError):
    """404: there is no such call, or it is over; or no such endpoint at this base URL."""


class RateLimitError(ApiError):
    """429: too many requests, or (code `insufficient_quota`) nothing left to pay with."""


class ServerFaultError(ApiError):
    """500 to 599: the server failed."""
