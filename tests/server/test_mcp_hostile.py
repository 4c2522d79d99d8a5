"""MCP servers that do harm, or are broken: each fails by itself, within its bounds, and the session lives on."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

import pytest
import trustme

from engine.server import ServerOptions
from engine.server.mcp.hosts import entry, target
from engine.server.mcp.options import McpOptions

from .mcp_world import (
    Handler,
    Hostile,
    Request,
    Shopper,
    answer,
    call,
    head,
    honest,
    hostile,
    need_mcp,
    options,
    run,
    shopping,
    tool,
)

need_mcp()

import httpx2  # noqa: E402

from engine.server.mcp.http import Exchange, PinnedTransport, exchange, http_client  # noqa: E402
from engine.server.mcp.messages import more_values  # noqa: E402
from engine.server.mcp.remote import RemoteServer  # noqa: E402

ASK = call("ask")
BOUNDS: dict[str, Any] = {"list_s": 20.0, "call_s": 20.0, "max_receive_bytes": 100_000}


def test_values_are_counted_at_any_depth() -> None:
    assert not more_values({"a": [1, 2, {"b": None}], "c": "d"}, 6) and more_values(
        {"a": [1, 2, {"b": None}], "c": 1}, 5
    )
    assert not more_values("x" * 100, 0) and not more_values(None, 0)


def on(method: str, then: Handler) -> Handler:
    """Honest but for one method."""

    async def handle(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.method == "POST" and request.rpc.get("method") == method:
            await then(request, writer)
        else:
            honest(request, writer)

    return handle


async def listing(handler: Handler, caplog: pytest.LogCaptureFixture, **bounds: Any) -> tuple[str, Hostile]:
    """Why a server's tools could not be listed; the session lives on."""
    with caplog.at_level(logging.WARNING, "bargein.server"):
        async with hostile(handler) as peer, shopping(options(peer.url(), **BOUNDS | bounds)) as shopper:
            assert await shopper.listed(tool(peer.url())) == []
            assert (await shopper.client.update(instructions="still here"))["type"] == "session.updated"
    (record,) = [each for each in caplog.records if "could not list its tools" in each.message]
    return record.message, peer


async def calling(handler: Handler, **bounds: Any) -> tuple[dict[str, Any], Hostile]:
    """What becomes of a call; the item."""
    async with hostile(handler) as peer, shopping(options(peer.url(), **BOUNDS | bounds), ASK) as shopper:
        assert await shopper.listed(tool(peer.url())) == ["ask"]
        item = await shopper.answered()
        assert (await shopper.client.update(instructions="still here"))["type"] == "session.updated"
        return item, peer


async def never(request: Request, writer: asyncio.StreamWriter) -> None:
    """No answer."""
    await asyncio.Event().wait()


async def drips(request: Request, writer: asyncio.StreamWriter) -> None:
    """A head that never ends."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-A: ")
    while True:
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(0.05)


async def floods(request: Request, writer: asyncio.StreamWriter) -> None:
    """A body that never ends."""
    writer.write(head(200) + b'{"jsonrpc": "2.0", "id": "')
    while True:
        writer.write(b"x" * 10_000)
        await writer.drain()


async def head_floods(request: Request, writer: asyncio.StreamWriter) -> None:
    """A head that never ends, fast."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-A: " + b"x" * 10_000 + b"\r\n")
        await writer.drain()


async def comments(request: Request, writer: asyncio.StreamWriter) -> None:
    """A stream of events without one."""
    writer.write(head(200, "text/event-stream"))
    while True:
        writer.write(b": nothing\n\n" * 100)
        await writer.drain()
        await asyncio.sleep(0)


async def notifications(request: Request, writer: asyncio.StreamWriter) -> None:
    """A stream of events that are no answer."""
    told = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "hello"}}
    writer.write(head(200, "text/event-stream"))
    while True:
        writer.write(b"event: message\ndata: " + json.dumps(told).encode() + b"\n\n")
        await writer.drain()
        await asyncio.sleep(0)


async def one_line(request: Request, writer: asyncio.StreamWriter) -> None:
    """An event that never ends."""
    writer.write(head(200, "text/event-stream") + b"data: ")
    while True:
        writer.write(b"x" * 10_000)
        await writer.drain()


async def silent(request: Request, writer: asyncio.StreamWriter) -> None:
    """A stream of events that says nothing."""
    writer.write(head(200, "text/event-stream"))
    await writer.drain()
    await asyncio.Event().wait()


async def bomb(request: Request, writer: asyncio.StreamWriter) -> None:
    """A packed body, though none was asked for."""
    assert request.headers["accept-encoding"] == "identity"
    answer(writer, b"\x1f\x8b" + b"x" * 100, content_encoding="gzip")


async def garbage(request: Request, writer: asyncio.StreamWriter) -> None:
    """No JSON."""
    answer(writer, b"{]")


async def web_page(request: Request, writer: asyncio.StreamWriter) -> None:
    """Of another kind."""
    writer.write(head(200, "text/html", 4) + b"<hr>")


async def other_json(request: Request, writer: asyncio.StreamWriter) -> None:
    """JSON, and no JSON-RPC."""
    answer(writer, {"tools": []})


async def deep(request: Request, writer: asyncio.StreamWriter) -> None:
    """JSON of great depth."""
    depth = 20_000
    result = b'{"tools": [], "x": ' + b"[" * depth + b"]" * depth + b"}"
    answer(writer, b'{"jsonrpc": "2.0", "id": ' + str(request.rpc["id"]).encode() + b', "result": ' + result + b"}")


async def wrong_shape(request: Request, writer: asyncio.StreamWriter) -> None:
    """A result that is none."""
    answer(writer, {"jsonrpc": "2.0", "id": request.rpc["id"], "result": {"tools": 7, "content": 8}})


async def crowded(request: Request, writer: asyncio.StreamWriter) -> None:
    """A result of very many values, none of them right."""
    result = {"tools": [1] * 30_000, "content": [1] * 30_000}
    answer(writer, {"jsonrpc": "2.0", "id": request.rpc["id"], "result": result})


async def crowded_stream(request: Request, writer: asyncio.StreamWriter) -> None:
    """The same as an event, after a notification that is left out."""
    told = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": [[]] * 30_000}}
    answers = {"jsonrpc": "2.0", "id": request.rpc["id"], "result": {"x": [{"y": [0] * 29} for _ in range(1000)]}}
    events = [f"event: message\ndata: {json.dumps(each)}\n\n".encode() for each in (told, answers)]
    writer.write(head(200, "text/event-stream") + b"".join(events))
    await writer.drain()
    raise ConnectionError


async def other_id(request: Request, writer: asyncio.StreamWriter) -> None:
    """An answer to what was not asked."""
    answer(writer, {"jsonrpc": "2.0", "id": 999_999, "result": {"tools": []}})


async def accepted(request: Request, writer: asyncio.StreamWriter) -> None:
    """Accepted, and nothing more."""
    answer(writer, b"", 202)


async def hangs_up(request: Request, writer: asyncio.StreamWriter) -> None:
    """Ends the connection."""
    raise ConnectionError


async def halves(request: Request, writer: asyncio.StreamWriter) -> None:
    """Ends it in the middle."""
    writer.write(head(200, length=1000) + b'{"jsonrpc"')
    await writer.drain()
    raise ConnectionError


async def rpc_error(request: Request, writer: asyncio.StreamWriter) -> None:
    """A proper refusal."""
    error = {"code": -32050, "message": "not today"}
    answer(writer, {"jsonrpc": "2.0", "id": request.rpc["id"], "error": error})


BROKEN: list[tuple[Handler, str, dict[str, Any]]] = [
    (never, "did not answer in time", {"list_s": 0.6, "call_s": 0.6}),
    (drips, "did not answer in time", {"list_s": 0.6, "call_s": 0.6}),
    (silent, "did not answer in time", {"list_s": 0.6, "call_s": 0.6}),
    (floods, "more than 100000 bytes", {}),
    (head_floods, "broke off", {}),
    (comments, "more than 100000 bytes", {}),
    (notifications, "more than 100000 bytes", {}),
    (one_line, "bytes", {}),
    (bomb, "packed body", {}),
    (garbage, "", {}),
    (web_page, "content type", {}),
    (other_json, "", {}),
    (deep, "", {}),
    (wrong_shape, "not what MCP says", {}),
    (crowded, "more than 20000 values", {"max_receive_bytes": 2**20}),
    (crowded_stream, "more than 20000 values", {"max_receive_bytes": 2**20}),
    (other_id, "did not answer in time", {"list_s": 0.6, "call_s": 0.6}),
    (accepted, "202", {}),
    (hangs_up, "broke off", {}),
    (halves, "broke off", {}),
    (rpc_error, "not today", {}),
]


@pytest.mark.parametrize(("then", "words", "bounds"), BROKEN, ids=[each[0].__name__ for each in BROKEN])
def test_broken_listings(then: Handler, words: str, bounds: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        told, _ = await listing(on("tools/list", then), caplog, **bounds)
        assert words in told, told

    run(main)


@pytest.mark.parametrize(("then", "words", "bounds"), BROKEN, ids=[each[0].__name__ for each in BROKEN])
def test_broken_calls(then: Handler, words: str, bounds: dict[str, Any]) -> None:
    async def main() -> None:
        item, peer = await calling(on("tools/call", then), **{**bounds, "list_s": 20.0})
        assert item["error"]["type"] == "protocol_error" and isinstance(item["error"]["code"], int)
        assert words in item["error"]["message"], item
        assert len(peer.asked("tools/call")) == 1, "a call that may have run is not repeated"

    run(main)


@pytest.mark.parametrize("then", [never, floods, garbage, hangs_up, web_page, accepted], ids=lambda each: each.__name__)
def test_broken_handshakes(then: Handler, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        await listing(on("initialize", then), caplog, list_s=1.0)

    run(main)


@pytest.mark.parametrize("status", [401, 403, 404, 405, 429, 500, 503])
def test_http_errors(status: int, caplog: pytest.LogCaptureFixture) -> None:
    async def refuses(request: Request, writer: asyncio.StreamWriter) -> None:
        answer(writer, b"<h1>no</h1>", status)

    async def main() -> None:
        item, peer = await calling(on("tools/call", refuses))
        assert item["error"]["type"] == "http_error" and item["error"]["code"] == status
        assert len(peer.asked("tools/call")) == (
            2 if status == 404 else 1
        )  # a server that forgot the session has not done anything
        told, _ = await listing(refuses, caplog)
        assert str(status) in told

    run(main)


def test_a_redirect_to_another_origin_is_not_followed(caplog: pytest.LogCaptureFixture) -> None:
    """Not for a listing, a call, nor a handshake; the other side, though it is allowed, hears nothing."""

    async def main() -> None:
        async def welcome(request: Request, writer: asyncio.StreamWriter) -> None:
            honest(request, writer)

        async with hostile(welcome) as other:
            for status in (301, 302, 303, 307, 308):

                async def away(request: Request, writer: asyncio.StreamWriter, status: int = status) -> None:
                    answer(writer, b"", status, location=other.url() + "?secret=1")

                caplog.clear()
                told, _ = await listing(away, caplog)
                assert "another origin" in told and "secret" not in told
                async with hostile(on("tools/call", away)) as peer:
                    both = options(peer.url(), f"127.0.0.1:{other.port}", **BOUNDS)
                    async with shopping(both, ASK) as shopper:
                        await shopper.listed(tool(peer.url()))
                        item = await shopper.answered()
                assert item["error"] == {
                    "type": "http_error",
                    "code": status,
                    "message": "The MCP server redirects to another origin.",
                }
            assert other.requests == []

    run(main)


def test_a_redirect_within_the_origin_is_followed_some_times() -> None:
    async def main() -> None:
        most = 0

        async def moved(request: Request, writer: asyncio.StreamWriter) -> None:
            hops = int(request.path.removeprefix("/mcp") or 0)
            if hops < most:
                answer(writer, b"", 307, location=f"/mcp{hops + 1}")
            else:
                honest(request, writer)

        for hops, names in ((2, ["ask"]), (20, [])):
            most = hops
            async with hostile(moved) as peer, shopping(options(peer.url(), **BOUNDS)) as shopper:
                assert await shopper.listed(tool(peer.url())) == names

    run(main)


@pytest.mark.parametrize(
    ("tools", "words"),
    [
        ([{"name": f"t{n}", "inputSchema": {"type": "object"}} for n in range(21)], "more than 20 tools"),
        ([{"name": "t", "description": "x" * 5000, "inputSchema": {"type": "object"}}], "2000 bytes"),
        ([{"name": "t", "inputSchema": {"type": "object", "x": "x" * 5000}}], "2000 bytes"),
    ],
)
def test_too_many_tools(tools: list[Any], words: str, caplog: pytest.LogCaptureFixture) -> None:
    async def lists(request: Request, writer: asyncio.StreamWriter) -> None:
        honest(request, writer, tools=tools)

    async def main() -> None:
        told, _ = await listing(lists, caplog, max_tools=20, max_tools_bytes=2000)
        assert words in told

    run(main)


def test_pages(caplog: pytest.LogCaptureFixture) -> None:
    """A few are read; a server that has always one more is not followed for ever."""

    async def main() -> None:
        async def pages(request: Request, writer: asyncio.StreamWriter) -> None:
            asked = request.rpc if request.method == "POST" else {}
            page = int((asked.get("params") or {}).get("cursor") or 0)
            one = [{"name": f"t{page}", "inputSchema": {"type": "object"}}] if page < 3 else []
            more = {"nextCursor": str(page + 1)} if page < most else {}
            honest(request, writer, tools=one, **more)

        most = 4
        async with hostile(pages) as peer, shopping(options(peer.url(), **BOUNDS)) as shopper:
            assert await shopper.listed(tool(peer.url())) == ["t0", "t1", "t2"]
        most = 10**9
        told, peer = await listing(pages, caplog)
        assert "pages" in told and len(peer.requests) < 100

    run(main)


# ---- addresses


class Names:
    """A resolver whose answers change."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


def test_a_name_is_resolved_once() -> None:
    """Also for the connection that is made again; Host is the name's, the address the first answer's."""

    async def main() -> None:
        lost = {"s1": False}

        async def forgets(request: Request, writer: asyncio.StreamWriter) -> None:
            if request.method == "POST" and request.rpc.get("method") == "tools/call" and not lost["s1"]:
                lost["s1"] = True
                answer(writer, b"", 404)
            else:
                honest(request, writer)

        names = Names(["127.0.0.1"], ["10.0.0.1"])
        async with hostile(forgets) as peer:
            url = f"http://mcp.test:{peer.port}/mcp"
            settings = options(url, f"127.0.0.1:{peer.port}", resolve=names, **BOUNDS)
            async with shopping(settings, ASK) as shopper:
                assert await shopper.listed(tool(url)) == ["ask"]
                assert (await shopper.answered())["output"] == "said"
            assert len(peer.asked("initialize")) == len(peer.asked("tools/call")) == 2
            assert {each.headers["host"] for each in peer.requests} == {f"mcp.test:{peer.port}"}
            assert names.asked == [("mcp.test", peer.port)]

    run(main)


@pytest.mark.parametrize("answers", [["10.0.0.1"], ["169.254.169.254"], ["127.0.0.1"], ["::ffff:127.0.0.1"], []])
def test_a_name_that_leads_inside_is_not_connected_to(answers: list[str], caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async def welcome(request: Request, writer: asyncio.StreamWriter) -> None:
            honest(request, writer)

        async with hostile(welcome) as peer:
            url = f"http://mcp.test:{peer.port}/mcp"
            with caplog.at_level(logging.WARNING, "bargein.server"):
                listed = f"127.0.0.9:{peer.port}"
                async with shopping(options(url, listed, resolve=Names(answers), **BOUNDS)) as shopper:
                    assert await shopper.listed(tool(url)) == []
            assert peer.requests == [] and "address" in caplog.text

    run(main)


def test_the_next_address_is_tried_when_one_is_away() -> None:
    async def main() -> None:
        async def welcome(request: Request, writer: asyncio.StreamWriter) -> None:
            honest(request, writer)

        async with hostile(welcome) as peer:
            url = f"http://mcp.test:{peer.port}/mcp"
            names = Names(["127.0.0.99", "127.0.0.1"])
            settings = options(url, f"127.0.0.99:{peer.port}", f"127.0.0.1:{peer.port}", resolve=names, **BOUNDS)
            async with shopping(settings) as shopper:
                assert await shopper.listed(tool(url)) == ["ask"]

    run(main)


@pytest.mark.parametrize(
    ("name", "trusted", "names"), [("mcp.test", True, ["ask"]), ("other.test", True, []), ("mcp.test", False, [])]
)
def test_the_certificate_is_that_of_the_name(name: str, trusted: bool, names: list[str]) -> None:
    """SNI is the name's, though the connection goes to an address."""

    async def main() -> None:
        seen: list[str | None] = []
        authority = trustme.CA()
        serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(serving)
        serving.sni_callback = lambda socket, sni, context: seen.append(sni)
        trusting = ssl.create_default_context()
        if trusted:
            authority.configure_trust(trusting)

        async def welcome(request: Request, writer: asyncio.StreamWriter) -> None:
            honest(request, writer)

        async with hostile(welcome, serving) as peer:
            port = peer.port
            url = f"https://mcp.test:{port}/mcp"
            allow = [f"mcp.test:{port}", f"127.0.0.1:{port}"]
            chosen = McpOptions(allow=allow, ca=trusting, resolve=Names(["127.0.0.1"]))
            async with shopping(ServerOptions(mcp=chosen)) as shopper:
                assert await shopper.listed(tool(url)) == names
        assert seen[0] == "mcp.test"
        assert bool(peer.requests) == bool(names)

    run(main)


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async def welcome(request: Request, writer: asyncio.StreamWriter) -> None:
            honest(request, writer)

        async with hostile(welcome) as peer, hostile(welcome) as proxy:
            for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url(""))
            async with shopping(options(peer.url(), **BOUNDS)) as shopper:
                assert await shopper.listed(tool(peer.url())) == ["ask"]
            assert not proxy.requests

    run(main)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/", "https://127.0.0.1:8/", "http://localhost:8/", "http://127.0.0.1:8@evil.example/"]
)
def test_the_transport_goes_to_its_origin_alone(url: str) -> None:
    """Whatever the package above asks for."""
    asked: list[str] = []

    class Network(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            asked.append(str(request.url))
            return httpx2.Response(200, content=b"{}")

    async def main() -> None:
        where = target("http://127.0.0.1:8/mcp", [entry("127.0.0.1:8")])
        transport = PinnedTransport(
            where, [ip_address("127.0.0.1")], inner=Network(), allowance=1000, streams=False, on_end=lambda: None
        )
        now = Exchange(asyncio.get_running_loop().time() + 10)
        exchange.set(now)
        async with http_client(transport, {}) as http:
            assert (await http.post(where.url)).status_code == 200
            assert (await http.post(url)).status_code == 502
            assert now.failure is not None and "another origin" in str(now.failure)
        assert asked == ["http://127.0.0.1:8/mcp"]

    run(main)


def test_ipv6() -> None:
    async def main() -> None:
        async def welcome(request: Request, writer: asyncio.StreamWriter) -> None:
            honest(request, writer)

        async with hostile(welcome, host="::1") as peer:
            url = f"http://[::1]:{peer.port}/mcp"
            async with shopping(options(url, **BOUNDS)) as shopper:
                assert await shopper.listed(tool(url)) == ["ask"]
            assert peer.requests[0].headers["host"] == f"[::1]:{peer.port}"

    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"this machine has no IPv6 loopback: {error}")
    run(main)


# ---- SSE


def sse(endpoint: str, then: str = "") -> Handler:
    """The older transport: a GET that names where to post, and then says what it has to."""

    async def handle(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.method == "POST":
            answer(writer, b"", 405 if request.path == "/sse" else 202)
            return
        writer.write(head(200, "text/event-stream") + f"event: endpoint\ndata: {endpoint}\n\n".encode())
        await writer.drain()
        if not then:
            raise ConnectionError
        while True:
            writer.write(then.encode())
            await writer.drain()
            await asyncio.sleep(0)

    return handle


def test_sse_endpoints_elsewhere_are_not_posted_to(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async def welcome(request: Request, writer: asyncio.StreamWriter) -> None:
            honest(request, writer)

        async with hostile(welcome) as other:
            for endpoint in (other.url(), f"//127.0.0.1:{other.port}/mcp", "http://169.254.169.254/latest"):
                async with hostile(sse(endpoint, ": wait\n\n")) as peer:
                    settings = options(peer.url(), f"127.0.0.1:{other.port}", **BOUNDS | {"list_s": 1.0})
                    async with shopping(settings) as shopper:
                        assert await shopper.listed(tool(peer.url("/sse"))) == []
                    assert all(each.method == "GET" or each.path == "/sse" for each in peer.requests)
            assert other.requests == []

    run(main)


@pytest.mark.parametrize("then", ["", ": nothing\n\n", "data: rubbish\n\n", "event: endpoint\ndata: /again\n\n"])
def test_sse_that_never_answers(then: str) -> None:
    async def main() -> None:
        async with hostile(sse("/post", then)) as peer:
            settings = options(peer.url(), **BOUNDS | {"list_s": 1.0})
            async with shopping(settings) as shopper:
                assert await shopper.listed(tool(peer.url("/sse"))) == []

    run(main)


def test_sse_that_floods_an_idle_session_is_left() -> None:
    """Between two requests there is one allowance; the next call connects anew."""

    async def main() -> None:
        connections = 0
        streams: dict[str, asyncio.StreamWriter] = {}

        async def floods_later(request: Request, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            if request.method == "GET":
                connections += 1
                streams["now"] = writer
                writer.write(head(200, "text/event-stream") + b"event: endpoint\ndata: /post\n\n")
                await writer.drain()
                await asyncio.Event().wait()
            elif request.path != "/post":
                answer(writer, b"", 405)
            else:
                answer(writer, b"", 202)
                spoken = Spoken()
                honest(request, spoken)  # type: ignore[arg-type]
                if "id" in request.rpc:
                    streams["now"].write(b"event: message\ndata: " + spoken.body + b"\n\n")
                if request.rpc["method"] == "tools/list" and connections == 1:
                    while not streams["now"].is_closing():
                        streams["now"].write(b": nothing\n" * 1000)
                        await streams["now"].drain()
                        await asyncio.sleep(0)

        async with hostile(floods_later) as peer:
            async with shopping(options(peer.url(), **BOUNDS), ASK) as shopper:
                assert await shopper.listed(tool(peer.url("/sse"))) == ["ask"]
                await peer.until(lambda: peer.open <= 1)
                assert (await shopper.answered())["output"] == "said"
            assert connections == 2

    run(main)


class Spoken:
    """Takes what would be an HTTP answer."""

    body = b""

    def write(self, data: bytes) -> None:
        """The last part is the body."""
        self.body = data.partition(b"\r\n\r\n")[2]


# ---- the end


def test_a_connection_that_is_lost_is_made_again_for_the_next_call() -> None:
    async def main() -> None:
        first = {"call": True}

        async def breaks(request: Request, writer: asyncio.StreamWriter) -> None:
            if first.pop("call", False):
                raise ConnectionError
            honest(request, writer)

        async with hostile(on("tools/call", breaks)) as peer:
            settings = options(peer.url(), **BOUNDS)
            async with shopping(settings, ASK, ASK) as shopper:
                await shopper.listed(tool(peer.url()))
                assert "broke off" in (await shopper.answered())["error"]["message"]
                await shopper.client.next("response.done")
                assert (await shopper.answered())["output"] == "said"

    run(main)


def test_tools_that_change_all_the_time_hold_no_crowd_of_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each update ends what the one before began; what is still being closed is counted."""
    held, most = 0, 0
    over = RemoteServer._over

    async def counted(self: RemoteServer, *how: Any) -> None:
        nonlocal held, most
        held += 1
        most = max(most, held)
        try:
            await over(self, *how)
        finally:
            held -= 1

    async def lingers(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.rpc.get("method") == "tools/list" and "last" not in request.path:
            await asyncio.Event().wait()
        honest(request, writer)

    async def main() -> None:
        async with hostile(lingers) as peer:
            settings = options(peer.url(), max_servers=1, **BOUNDS)
            async with shopping(settings) as shopper:
                for number in range(60):
                    await shopper.client.update(tools=[tool(peer.url(f"/mcp?{number}"))])
                    if number % 20 == 0:
                        asked = number // 20
                        await peer.until(lambda asked=asked: len(peer.asked("tools/list")) > asked)  # type: ignore[misc]
                assert await shopper.listed(tool(peer.url("/mcp?last"))) == ["ask"]
                assert len(shopper.client.of("mcp_list_tools.failed")) == 60
            await peer.until(lambda: peer.open == 0)

    monkeypatch.setattr(RemoteServer, "_over", counted)
    run(main)
    assert 1 <= most <= 2


def test_a_session_that_ends_leaves_no_connection_and_says_goodbye() -> None:
    async def main() -> None:
        async def welcome(request: Request, writer: asyncio.StreamWriter) -> None:
            honest(request, writer)

        async with hostile(welcome) as peer:
            async with shopping(options(peer.url(), **BOUNDS), ASK) as shopper:
                await shopper.listed(tool(peer.url()))
                await shopper.answered()
            await peer.until(lambda: len(peer.asked("DELETE")) == 1)
            await peer.until(lambda: peer.open == 0)

    run(main)


def test_a_server_that_does_not_let_go_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a goodbye that is not answered, nor a call, a listing or a handshake in progress holds a session."""

    async def main() -> None:
        async def clings(request: Request, writer: asyncio.StreamWriter) -> None:
            if request.method != "DELETE" and not (request.method == "POST" and request.rpc.get("method") == stuck):
                honest(request, writer)
            else:
                await asyncio.Event().wait()

        for stuck in ("DELETE", "tools/call", "tools/list", "initialize"):
            async with hostile(clings) as peer, shopping(options(peer.url()), ASK) as shopper:
                await begin(shopper, peer, stuck)

    run(main)


async def begin(shopper: Shopper, peer: Hostile, stuck: str) -> None:
    """As far as it goes."""
    if stuck in ("DELETE", "tools/call"):
        await shopper.listed(tool(peer.url()))
        await shopper.client.send("response.create")
        await shopper.client.next("response.done")
    else:
        await shopper.client.update(tools=[tool(peer.url())])
    if stuck != "DELETE":
        await peer.until(lambda: bool(peer.asked(stuck)))
