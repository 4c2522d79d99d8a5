"""A real MCP server, asked over streamable HTTP or SSE by the `mcp` package.

One connection per session and server, made with the first request and held by a task of its own: the package's contexts
must be left by the task that entered them. A connection that is lost between two requests, or whose MCP session the
server has forgotten, is made again once; a call that may have been carried out is never repeated.

The package's `call_tool` would check a result against the server's own JSON schema, with its regular expressions, on
our loop; so the request is sent without it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec

from engine.errors import MissingExtraError
from engine.realtime.redaction import redacted, secrets_in, without
from engine.server.mcp.hosts import Address, HostRefused, Target, addresses
from engine.server.mcp.options import McpOptions
from engine.server.mcp.servers import McpFailure, execution_error, protocol_error, too_late
from engine.server.responders.base import McpCall
from engine.service import CertificateAuthority, tls

try:
    import httpcore2  # noqa: F401  (httpx2 would import it with the first connection, while sound waits)
    import httpx2
    import mcp_types as types
    from mcp import Client, ClientSession, MCPError
    from mcp.client.sse import sse_client
    from mcp.client.streamable_http import streamable_http_client
    from pydantic import ValidationError
except ImportError:
    raise MissingExtraError("reaching MCP servers (--mcp-allow)", "mcp") from None

from engine.server.mcp.http import Exchange, PinnedTransport, exchange, http_client, hush
from engine.server.mcp.messages import Measured, arguments_of, block_text, headers_of, tool_wire

T = TypeVar("T")
Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
Work = Callable[[ClientSession], Coroutine[Any, Any, T]]

MAX_PAGES = 64
"""Of one listing."""
STREAMABLE, SSE = "streamable HTTP", "SSE"


class _Line:
    """One connection. `session` is there from `ready` on; after `lost` it is of no use."""

    def __init__(self) -> None:
        self.ready: asyncio.Future[ClientSession] = asyncio.get_running_loop().create_future()
        self.lost = asyncio.Event()
        self.stop = asyncio.Event()
        self.transport: PinnedTransport | None = None

    def drop(self) -> None:
        """Nobody is to use it any more."""
        self.lost.set()
        self.stop.set()


class RemoteServer:
    """See `McpServer`. `declared` is the session's tool, with its secrets; `spawn` starts a task of the session, and
    `room` bounds the session's connections.
    """

    def __init__(
        self,
        target: Target,
        declared: Mapping[str, Any],
        options: McpOptions,
        spawn: Spawn,
        room: asyncio.Semaphore,
    ) -> None:
        self._target = target
        self._options = options
        self._spawn = spawn
        self._room = room
        self._holding: asyncio.Task[None] | None = None
        self._headers = headers_of(declared)
        self._secrets = tuple(secrets_in(declared))
        self._token = tuple(secrets_in({"authorization": declared.get("authorization") or ""}))
        self._line: _Line | None = None
        self._addresses: tuple[Address, ...] = ()
        self._closed = False
        self._connecting = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<RemoteServer {self._target.shown}>"

    async def list(self) -> Sequence[Mapping[str, Any]]:
        """See `McpServer`."""
        return await self._ask(self._listed, self._options.list_s)

    async def call(self, call: McpCall) -> str:
        """See `McpServer`."""
        arguments = arguments_of(call)

        async def work(session: ClientSession) -> str:
            params = types.CallToolRequestParams(name=call.name, arguments=arguments)
            return self._output(await session.send_request(types.CallToolRequest(params=params), types.CallToolResult))

        return await self._ask(work, self._options.call_s)

    def at_once(self, call: McpCall) -> str | None:
        """See `McpServer`: others are always waited for."""
        del call
        return None

    def close(self) -> None:
        """See `McpServer`."""
        self._closed = True
        if self._line is not None:
            self._line.drop()
        if self._holding is not None and self._line is not None and not self._line.ready.done():
            self._holding.cancel()

    # ---- what is asked

    async def _listed(self, session: ClientSession) -> Sequence[dict[str, Any]]:
        tools: list[dict[str, Any]] = []
        size, cursor = 0, None
        for _ in range(MAX_PAGES):
            page = await session.list_tools(params=types.PaginatedRequestParams(cursor=cursor))
            for tool in page.tools:
                text = msgspec.json.encode(tool_wire(tool)).decode()
                size += len(text)
                if len(tools) >= self._options.max_tools or size > self._options.max_tools_bytes:
                    most = f"{self._options.max_tools} tools of {self._options.max_tools_bytes} bytes together"
                    raise protocol_error(f"The MCP server has more than {most}, which is the limit.")
                tools.append(msgspec.json.decode(without(text, self._token)))
            cursor = page.next_cursor
            if not cursor:
                return tools
        raise protocol_error(f"The MCP server lists its tools on more than {MAX_PAGES} pages.")

    def _output(self, result: types.CallToolResult) -> str:
        text = "\n".join(block_text(block) for block in result.content)
        if not text and result.structured_content is not None:
            text = msgspec.json.encode(result.structured_content).decode()
        if len(text.encode(errors="replace")) > self._options.max_output_bytes:
            raise execution_error(f"The result has more than {self._options.max_output_bytes} bytes.")
        if result.is_error:
            raise execution_error(text or "The tool failed.")
        return without(text, self._token)

    async def _ask(self, work: Work[T], seconds: float) -> T:
        """Do something over the connection, anew when nothing can have been done. Raises McpFailure."""
        hush()
        for again in (False, True):
            asked = Exchange(asyncio.get_running_loop().time() + seconds)
            try:
                return await self._done(work, asked)
            except McpFailure as failure:
                if again or not asked.session_lost or self._closed:
                    raise McpFailure(failure.kind, redacted(str(failure), self._secrets), failure.code) from None
        raise AssertionError("the second time ends it")

    async def _done(self, work: Work[T], asked: Exchange) -> T:
        exchange.set(asked)
        try:
            async with asyncio.timeout_at(asked.deadline):
                line = await self._connected()
                assert line.transport is not None
                line.transport.refill()
                result = await self._first(work(line.ready.result()), line, asked)
        except TimeoutError:
            raise asked.failure or too_late() from None
        except MCPError as error:
            raise asked.failure or protocol_error(str(error), error.code) from None
        except ValidationError:
            raise asked.failure or protocol_error("The MCP server's answer is not what MCP says.") from None
        finally:
            if asked.session_lost and self._line is not None:
                self._line.drop()
        return result

    async def _first(self, work: Coroutine[Any, Any, T], line: _Line, asked: Exchange) -> T:
        """The work's result, unless HTTP or the connection fails before."""
        task = asyncio.create_task(work)
        ends = [asyncio.create_task(asked.failed.wait()), asyncio.create_task(line.lost.wait())]
        try:
            await asyncio.wait([task, *ends], return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise asked.failure or protocol_error(
                    "The connection to the MCP server was lost; the call may have run."
                )
            return task.result()
        finally:
            for each in (task, *ends):
                each.cancel()
            await asyncio.gather(task, *ends, return_exceptions=True)

    # ---- the connection

    async def _connected(self) -> _Line:
        async with self._connecting:
            if self._line is None or self._line.lost.is_set():
                if self._closed:
                    raise protocol_error("This MCP server does not belong to the session any more.")
                await self._judge_addresses()
                self._line = _Line()
                self._holding = self._spawn(self._hold(self._line))
            line = self._line
        await asyncio.wait([line.ready])
        if (error := line.ready.exception()) is not None:
            raise error
        return line

    async def _judge_addresses(self) -> None:
        """Once: the connection of later is to the same addresses."""
        options = self._options
        if self._addresses:
            return
        try:
            self._addresses = await addresses(self._target, options.hosts(), options.resolve)
        except HostRefused as refusal:
            raise protocol_error(f"The MCP server is not reached: {refusal}.") from None
        except OSError:
            raise protocol_error("The MCP server's name has no address.") from None

    async def _hold(self, line: _Line) -> None:
        """Open the connection, and keep it until it is not needed or ends. A task of its own."""
        hush()
        asked = Exchange(asyncio.get_running_loop().time() + self._options.list_s)
        exchange.set(asked)
        failure = protocol_error("The MCP server closed the connection.")
        try:
            async with self._room:
                await self._either(line, asked)
        except McpFailure as told:
            failure = told
        except Exception as error:  # also groups: what a stranger's server may do has no end
            failure = asked.failure or _told(error)
        finally:
            line.lost.set()
            if not line.ready.done():
                line.ready.set_exception(failure)
                line.ready.exception()  # who asked may be gone

    async def _either(self, line: _Line, asked: Exchange) -> None:
        """Streamable HTTP, or SSE where the server says that it does not know that; for .../sse the other way round."""
        by_name = self._target.url.partition("?")[0].rstrip("/").endswith("/sse")
        first, second = (SSE, STREAMABLE) if by_name else (STREAMABLE, SSE)
        try:
            await self._over(first, line, asked.deadline)
        except Exception:
            failure = asked.failure
            unknown = failure is not None and failure.kind == "http_error" and failure.code in _NOT_THIS_WAY
            if line.ready.done() or not unknown:
                raise
            asked.failure = None
            await self._over(second, line, asked.deadline)

    async def _over(self, way: str, line: _Line, deadline: float) -> None:
        line.transport = PinnedTransport(
            self._target,
            self._addresses,
            inner=httpx2.AsyncHTTPTransport(verify=context(self._options.ca), trust_env=False),
            allowance=self._options.max_receive_bytes,
            streams=way == SSE,
            on_end=line.drop,
        )
        http = http_client(line.transport, self._headers)
        async with asyncio.timeout_at(deadline) as limit, self._client(way, http) as client:
            limit.reschedule(None)
            line.ready.set_result(client.session)
            await line.stop.wait()
            line.lost.set()

    def _client(self, way: str, http: httpx2.AsyncClient) -> Client:
        info = types.Implementation(name="bargein", version="0")
        if way == STREAMABLE:
            stream = _streamable(self._target.url, http, self._options.max_receive_bytes)
            return Client(stream, mode="auto", client_info=info, cache=None)
        return Client(_sse(self._target.url, http), mode="legacy", client_info=info, cache=None)


_NOT_THIS_WAY = (400, 404, 405)
"""Statuses of a server that speaks the other transport."""


@asynccontextmanager
async def _streamable(url: str, http: httpx2.AsyncClient, most: int) -> AsyncIterator[Any]:
    async with http, streamable_http_client(url, http_client=http, max_sse_event_size=most) as (read, write):
        yield Measured(read), write


@asynccontextmanager
async def _sse(url: str, http: httpx2.AsyncClient) -> AsyncIterator[Any]:
    def made(headers: Any = None, timeout: Any = None, auth: Any = None) -> httpx2.AsyncClient:
        del headers, timeout, auth  # its defaults; ours are in the client, which it closes
        return http

    async with sse_client(url, httpx_client_factory=made) as (read, write):
        yield Measured(read), write


_contexts: dict[str, ssl.SSLContext] = {}


def context(ca: CertificateAuthority | None) -> ssl.SSLContext:
    """Certificates to trust, read once: it takes longer than a sound frame."""
    if isinstance(ca, ssl.SSLContext):
        return ca
    key = "" if ca is None else str(ca)
    if key not in _contexts:
        _contexts[key] = tls(ca) or ssl.create_default_context()
    return _contexts[key]


def _told(error: BaseException) -> McpFailure:
    """Something that came out of the package."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, MCPError):
        return protocol_error(str(error), error.code)
    if isinstance(error, TimeoutError):
        return too_late()
    return protocol_error(f"The MCP server does not speak MCP as it should ({type(error).__name__}).")


__all__ = ["RemoteServer", "context"]
