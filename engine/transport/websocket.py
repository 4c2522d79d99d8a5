"""The client's WebSocket: compression off (audio does not shrink), message size and queues bounded.

The library is imported when a connection is opened: it is a sixth of the time that `import engine` would take.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket as _socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from socket import IPPROTO_TCP, SOL_SOCKET
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from engine.errors import ConfigError, ConnectionLost, HandshakeRefused, TransportError
from engine.realtime.redaction import redacted
from engine.service import CertificateAuthority, is_loopback, tls, without_secrets

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection
    from websockets.asyncio.server import ServerConnection
    from websockets.exceptions import ConnectionClosed, InvalidStatus

MAX_MESSAGE_BYTES = 16 * 1024 * 1024  # 250 s of base64 PCM in one event; a larger message closes with 1009
MAX_QUEUED_MESSAGES = 32  # received and not yet read; then the socket is not read further (back-pressure)
TOO_LARGE = 1009  # close code
CLOSE_S = 3.0  # longest that leaving a connection takes
WRITE_LIMIT_BYTES = 64 * 1024  # written and not yet taken by the kernel, 1 s of base64 PCM; then send() waits
UNSENT_BYTES = 64 * 1024  # taken by the kernel and not yet on the wire; then it takes no more
SILENT_S = 30  # a network that acknowledges nothing for so long is lost (1006), whatever the loop does meanwhile


class WebSocketConnection:
    """`Connection` over an open WebSocket of either side. A close reason never shows one of the `known` secrets."""

    def __init__(
        self,
        socket: ClientConnection | ServerConnection,
        max_size: int = MAX_MESSAGE_BYTES,
        known: Sequence[str] = (),
    ) -> None:
        from websockets.exceptions import ConnectionClosed

        self._socket = socket
        self._max_size = max_size
        self._known = tuple(known)
        self._closed = ConnectionClosed

    async def send(self, data: bytes | str) -> None:
        """See `Connection.send`. Events are text frames; bytes from the encoder are UTF-8 and need no second copy."""
        try:
            await self._socket.send(data, text=True)
        except self._closed as error:
            raise self._lost(error) from None

    async def receive(self) -> bytes | str:
        """See `Connection.receive`."""
        try:
            return await self._socket.recv(decode=False)
        except self._closed as error:
            raise self._lost(error) from None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """See `Connection.close`. A peer that reads no more is cut off after three seconds."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._socket.close(code, reason)
        except TimeoutError:
            self.abort()

    def abort(self) -> None:
        """Cut the line without a close frame: the other side sees 1006."""
        self._socket.transport.abort()

    def _lost(self, error: ConnectionClosed) -> ConnectionLost:
        received, sent = error.rcvd, error.sent
        if received is not None:
            return ConnectionLost(received.code, redacted(received.reason, self._known))
        if sent is not None:
            too_large = f"a message was larger than {self._max_size} bytes"
            return ConnectionLost(sent.code, too_large if sent.code == TOO_LARGE else sent.reason)
        return ConnectionLost(1006, "the connection broke without a close frame")


@asynccontextmanager
async def connect(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    max_size: int = MAX_MESSAGE_BYTES,
    open_timeout: float = 10.0,
    ca: CertificateAuthority | None = None,
    proxy: str | None = None,
) -> AsyncIterator[WebSocketConnection]:
    """Open `url` (ws or wss) and yield the connection; leaving the block closes it.

    `max_size` bounds one message in bytes, `open_timeout` the handshake in seconds. `ca` is a PEM file or an
    SSLContext to trust instead of the system's authorities. `proxy` is a URL, http:// or socks5://; without it the
    environment's (HTTPS_PROXY, ALL_PROXY, NO_PROXY) is used, and none for this machine. Raises `ConfigError` for a URL
    that is no WebSocket URL, `TransportError` when the server is absent, refuses or speaks something else. Header
    values never appear in an error or a log.

    Pings are answered by the library's protocol object when their bytes arrive, in the loop's own callback: no task
    of a conversation has to run, and a slow reader of `receive` delays none that precede MAX_QUEUED_MESSAGES unread
    messages. Only a loop that is blocked delays them; what may take long belongs into a thread. A network that is gone
    is noticed by the kernel, after SILENT_S, and the connection ends with 1006.
    """
    from websockets.asyncio import client
    from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidProxy, InvalidStatus

    class Connect(client.connect):
        """Follows no redirect: older versions of the library would take the key along to wherever it leads."""

        def process_redirect(self, exc: Exception) -> Exception | str:
            return exc

    shown = _checked(url)
    known = [value.rpartition(" ")[2] for value in (headers or {}).values()]
    secure: dict[str, Any] = {}
    if (context := tls(ca)) is not None:
        if urlsplit(url).scheme == "ws":
            raise ConfigError(f"ca is given, but {shown} is not encrypted: use wss://")
        secure["ssl"] = context
    try:
        socket = await Connect(
            url,
            additional_headers=dict(headers or {}),
            compression=None,
            max_size=max_size,
            max_queue=MAX_QUEUED_MESSAGES,
            write_limit=WRITE_LIMIT_BYTES,
            open_timeout=open_timeout,
            ping_timeout=None,
            proxy=proxy or (None if is_loopback(urlsplit(url).hostname) else True),
            close_timeout=2.0,
            user_agent_header="bargein",
            logger=_Silent(logging.getLogger("bargein.websocket"), {}),
            **secure,
        )
    except InvalidStatus as error:
        raise HandshakeRefused(_refused(shown, error, headers or {}), error.response.status_code) from None
    except InvalidProxy:  # its text may hold the proxy's password
        raise TransportError(
            f"the proxy for {shown}, given or named by this environment, is no valid proxy URL"
        ) from None
    except ImportError as error:
        raise TransportError(
            f"the proxy for {shown}, given or named by this environment, cannot be used: {error}"
        ) from None
    except (InvalidHandshake, InvalidMessage, EOFError) as error:
        raise TransportError(f"{shown} does not answer as a WebSocket server ({type(error).__name__})") from None
    except TimeoutError:
        raise TransportError(f"{shown} did not answer within {open_timeout:g} s") from None
    except OSError as error:
        raise TransportError(f"cannot reach {shown}: {_unreachable(error)}") from None
    _tune(socket.transport.get_extra_info("socket"))
    connection = WebSocketConnection(socket, max_size, known)
    try:
        yield connection
    finally:
        await connection.close()


class _Silent(logging.LoggerAdapter[logging.Logger]):
    """Takes the library's warnings and drops what is below them: at DEBUG it writes every header, the key's too, and
    the beginning of every message.
    """

    def isEnabledFor(self, level: int) -> bool:
        return level >= logging.WARNING and super().isEnabledFor(level)


def _tune(socket: Any) -> None:
    """Bound what waits in the kernel, and how long it tries in vain; where the system has these options."""
    wanted = (
        (SOL_SOCKET, "SO_KEEPALIVE", 1),
        (IPPROTO_TCP, "TCP_KEEPIDLE", SILENT_S // 2),
        (IPPROTO_TCP, "TCP_KEEPINTVL", SILENT_S // 6),
        (IPPROTO_TCP, "TCP_KEEPCNT", 3),
        (IPPROTO_TCP, "TCP_USER_TIMEOUT", SILENT_S * 1000),
        (IPPROTO_TCP, "TCP_NOTSENT_LOWAT", UNSENT_BYTES),
    )
    for level, name, value in wanted:
        option = getattr(_socket, name, None)
        if option is not None and socket is not None:
            with suppress(OSError):  # a system may know the name and not the option
                socket.setsockopt(level, option, value)


def _unreachable(error: OSError) -> str:
    if error.errno == errno.ECONNREFUSED:
        return "connection refused; is the server running?"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}); name its authority with ca"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or type(error).__name__}); if the server speaks none, use ws://"
    return str(error.strerror or error) or type(error).__name__


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        shown = without_secrets(url)
    except ValueError:
        raise ConfigError("url cannot be parsed: give ws://HOST:PORT/PATH or wss://HOST/PATH") from None
    if parts.scheme not in {"ws", "wss"} or not parts.hostname:
        raise ConfigError(f"url is {shown!r}: give ws://HOST:PORT/PATH or wss://HOST/PATH")
    return shown


def _refused(shown: str, error: InvalidStatus, headers: Mapping[str, str]) -> str:
    status = error.response.status_code
    short_lived = any(value.startswith("Bearer ek_") for value in headers.values())
    hint = {
        401: "the client secret has expired or is wrong; create one right before connecting"
        if short_lived
        else "the key is missing or wrong",
        403: "the key may not use this, or the Host or Origin is not allowed",
        404: "there is no Realtime endpoint at this path",
        **dict.fromkeys((301, 302, 303, 307, 308), "it redirects elsewhere; name that URL yourself"),
        429: "too many requests; try again later",
        503: "the server is full; try again later",
    }.get(status, "the server refused")
    return f"{shown} answered {status}: {hint}"
