"""The HTTP under an MCP client: to the addresses that were judged and to no other, within bounds of time and bytes.

`PinnedTransport` stands below the `mcp` package's client. The connection goes to a pinned address while Host, SNI and
the certificate's name stay the URL's. Whatever the package or the MCP server wants, a request to another origin is
refused, and so are redirects there, packed bodies, and more bytes than the allowance. A request that cannot be made
becomes an answer with the status 502, so that it fails alone, and `Exchange` knows the reason.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

import httpx2
import msgspec

from engine.server.mcp.hosts import Address, Target
from engine.server.mcp.servers import McpFailure, http_error, protocol_error, too_late

LEAST_S = 2.0
"""Even when the time of a call is over, its cancellation has so long."""
GOODBYE_S = 1.0
"""The end of a session is told to the MCP server for so long."""
MAX_REDIRECTS = 3
SESSION_HEADER = "mcp-session-id"
_NO_SESSION = -32000  # how servers that answer 400 for a forgotten session call it
_LOGS = (
    "httpx2",
    "httpcore2.connection",
    "httpcore2.http11",
    "mcp.client.streamable_http",
    "mcp.client.sse",
    "mcp.client.client",
    "mcp.shared.jsonrpc_dispatcher",
    "client",
)


@dataclass(slots=True)
class Exchange:
    """What is asked of an MCP server at a time: until when, and what HTTP said."""

    deadline: float
    """Loop time."""
    failure: McpFailure | None = None
    session_lost: bool = False
    """The server has forgotten the MCP session, so nothing was done."""
    failed: asyncio.Event = field(default_factory=asyncio.Event)

    def fail(self, failure: McpFailure) -> None:
        """The last failure counts: a handshake tries one way after the other."""
        self.failure = failure
        self.failed.set()


exchange: ContextVar[Exchange | None] = ContextVar("bargein_mcp_exchange", default=None)
"""That of the task: the package hands it on to the tasks that carry a message."""


class _Refused(httpx2.StreamError):
    """A body broke off at a bound. The package takes it as a broken body, of this request alone."""


class PinnedTransport(httpx2.AsyncBaseTransport):
    """HTTP to one origin at fixed addresses. `refill` grants `allowance` bytes anew; each exchange begins with it."""

    def __init__(
        self,
        target: Target,
        addresses: Sequence[Address],
        *,
        inner: httpx2.AsyncBaseTransport,
        allowance: int,
        streams: bool,
        on_end: Callable[[], None],
    ) -> None:
        self._target = target
        self._addresses = [str(address) for address in addresses]
        self._inner = inner
        self._allowance = allowance
        self._left = allowance
        self._streams = streams  # the SSE transport: one GET has all answers, and its end is the connection's
        self._on_end = on_end

    def refill(self) -> None:
        """As many bytes may come again as at the beginning."""
        self._left = self._allowance

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See the class. Raises nothing but CancelledError."""
        now = asyncio.get_running_loop().time()
        asked = exchange.get() or Exchange(now + LEAST_S)
        deadline = now + GOODBYE_S if request.method == "DELETE" else max(asked.deadline, now + LEAST_S)
        if request.method == "GET" and not self._streams and "last-event-id" not in request.headers:
            return httpx2.Response(405, request=request)  # what a server says of its own accord is of no use here
        try:
            async with asyncio.timeout_at(deadline):
                return await self._judged(request, await self._sent(request), asked, deadline)
        except McpFailure as failure:
            asked.fail(failure)
        except TimeoutError:
            asked.fail(too_late())
        except (httpx2.HTTPError, httpx2.StreamError, OSError) as error:
            away = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
            what = "cannot be reached" if away else "broke off"
            asked.fail(protocol_error(f"The MCP server {what} ({type(error).__name__})."))
        return httpx2.Response(502, request=request)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._inner.aclose()

    async def _sent(self, request: httpx2.Request) -> httpx2.Response:
        url, target = request.url, self._target
        origin = (url.scheme, url.host.strip("[]"), url.port or (443 if url.scheme == "https" else 80))
        if origin != (target.scheme, target.host, target.port):
            raise protocol_error("A request to another origin than the MCP server's was refused.")
        for number, address in enumerate(self._addresses):
            pinned = httpx2.Request(
                request.method,
                url.copy_with(host=address),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": target.host},
            )
            try:
                return await self._inner.handle_async_request(pinned)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if number == len(self._addresses) - 1:
                    raise
        raise AssertionError("there is an address")  # hosts.addresses gives no empty list

    async def _judged(
        self, request: httpx2.Request, response: httpx2.Response, asked: Exchange, deadline: float
    ) -> httpx2.Response:
        try:
            self._take(sum(len(name) + len(value) for name, value in response.headers.raw))
            if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
                raise protocol_error("The MCP server sent a packed body, which was not asked for.")
            if response.has_redirect_location and not self._stays(request, response):
                raise http_error(response.status_code, "The MCP server redirects to another origin.")
            if response.status_code >= 400:
                return await self._refusal(request, response, asked)
        except BaseException:
            await response.aclose()
            raise
        forever = self._streams and request.method == "GET"
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        body = _Bounded(response.stream, self._take, None if forever else deadline, self._on_end if forever else None)
        return httpx2.Response(
            response.status_code, headers=response.headers, stream=body, extensions=response.extensions
        )

    def _stays(self, request: httpx2.Request, response: httpx2.Response) -> bool:
        try:
            place = request.url.join(response.headers["location"])
        except (httpx2.InvalidURL, ValueError):
            return False
        return (place.scheme, place.host, place.port) == (request.url.scheme, request.url.host, request.url.port)

    async def _refusal(self, request: httpx2.Request, response: httpx2.Response, asked: Exchange) -> httpx2.Response:
        """An HTTP error. One with a JSON-RPC error in it is the package's to tell."""
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        body = bytearray()
        async for piece in response.stream:
            self._take(len(piece))
            body += piece
        await response.aclose()
        code = _rpc_error(bytes(body))
        status = response.status_code
        forgotten = status == 404 or (status == 400 and code == _NO_SESSION)
        asked.session_lost = forgotten and (SESSION_HEADER in request.headers or self._streams)
        if code is None or asked.session_lost or self._streams:
            asked.fail(http_error(status, f"The MCP server answered with the HTTP status {status}."))
        return httpx2.Response(status, headers=_kept(response), content=bytes(body), request=request)

    def _take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise protocol_error(f"The MCP server sent more than {self._allowance} bytes, which is the limit.")


class _Bounded(httpx2.AsyncByteStream):
    """A body that counts and has an end in time. No generator: those that nobody closes outlive their task."""

    def __init__(
        self,
        inner: httpx2.AsyncByteStream,
        take: Callable[[int], None],
        deadline: float | None,
        on_end: Callable[[], None] | None,
    ) -> None:
        self._inner = inner
        self._take = take
        self._deadline = deadline
        self._on_end = on_end
        self._pieces: AsyncIterator[bytes] | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._pieces = aiter(self._inner)
        return self

    async def __anext__(self) -> bytes:
        assert self._pieces is not None
        try:
            async with asyncio.timeout_at(self._deadline):
                piece = await anext(self._pieces)
            self._take(len(piece))
            return piece
        except StopAsyncIteration:
            self._ended()
            raise
        except (McpFailure, TimeoutError, httpx2.HTTPError) as error:
            broken = too_late() if isinstance(error, TimeoutError) else protocol_error("The MCP server broke off.")
            failure = error if isinstance(error, McpFailure) else broken
            asked = exchange.get()
            if asked is not None and self._on_end is None:
                asked.fail(failure)
            self._ended()
            raise _Refused(str(failure)) from None

    async def aclose(self) -> None:
        await self._inner.aclose()
        self._ended()

    def _ended(self) -> None:
        if self._on_end is not None:
            self._on_end()


def _rpc_error(body: bytes) -> int | None:
    """The code of the JSON-RPC error that a body is; None when it is something else."""
    try:
        return int(msgspec.json.decode(body)["error"]["code"])
    except (msgspec.DecodeError, TypeError, KeyError, ValueError, RecursionError):
        return None


def _kept(response: httpx2.Response) -> dict[str, str]:
    kind = response.headers.get("content-type")
    return {} if kind is None else {"content-type": kind}


def http_client(transport: PinnedTransport, headers: dict[str, str]) -> httpx2.AsyncClient:
    """A client over it: no proxy or netrc of the environment, no packed bodies, few redirects."""
    return httpx2.AsyncClient(
        transport=transport,
        headers={"user-agent": "bargein", **headers, "accept-encoding": "identity"},
        timeout=httpx2.Timeout(10.0, read=None),  # reading is bounded by the exchange
        follow_redirects=False,
        max_redirects=MAX_REDIRECTS,
        trust_env=False,
    )


_hushed: ContextVar[bool] = ContextVar("bargein_mcp_hushed", default=False)


def hush() -> None:
    """From here on, in this task and those it starts, the libraries log nothing: they would show URLs and bodies."""
    _hushed.set(True)
    for name in _LOGS:
        logging.getLogger(name).addFilter(_not_ours)  # the same one is added once only


def _not_ours(_record: logging.LogRecord) -> bool:
    return not _hushed.get()


__all__ = ["Exchange", "PinnedTransport", "exchange", "http_client", "hush"]
