"""HTTP beside the WebSocket: the same table through both fronts, and what only one of them can do."""

from __future__ import annotations

import json

import pytest

from engine.errors import ConfigError, MissingExtraError
from engine.server import Server, websocket
from engine.server.web.messages import Answer, Request, json_answer
from engine.server.web.routes import OPEN, Route, Routes
from engine.server.websocket import FRONTS, chosen_front
from tests.server.web.http import BOTH, HANDSHAKE, ask, raw, with_server


@BOTH
def test_health(front: str) -> None:
    async def test(server: Server) -> None:
        told = await ask(server, "GET", "/healthz")
        assert (told.status, json.loads(told.body)) == (200, {"status": "ok", "sessions": 0})
        assert told.headers["content-type"] == "application/json"
        head = await ask(server, "HEAD", "/healthz")
        assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(told.body)))
        assert "date" in told.headers
        assert told.headers["server"] == "bargein"

    with_server(test, front=front)


@BOTH
@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("POST", "/v1/nothing", 404, "not_found"),
        ("GET", "/healthz/", 404, "not_found"),
        ("GET", "/%68ealthz", 200, None),
        ("GET", "/healthz?x=1", 200, None),
        ("GET", "/%ff%00", 404, "not_found"),
        ("GET", "/v1/realtime", 426, "upgrade_required"),
        ("HEAD", "/v1/realtime", 426, None),
        ("POST", "/v1/realtime", 404, "not_found"),
        ("POST", "/healthz", 405, "method_not_allowed"),
        ("DELETE", "/healthz", 405, "method_not_allowed"),
        ("OPTIONS", "/healthz", 405, "method_not_allowed"),
    ],
)
def test_what_is_not_there(front: str, method: str, path: str, status: int, code: str | None) -> None:
    async def test(server: Server) -> None:
        told = await ask(server, method, path)
        assert told.status == status
        if code is not None:
            assert told.error["code"] == code
            assert told.error["type"] == "invalid_request_error"
        if status == 405:
            assert told.headers["allow"] == "GET, HEAD, OPTIONS"
        if status == 426:
            assert told.headers["upgrade"] == "websocket"

    with_server(test, front=front)


def parrot(request: Request, _who: object) -> Answer:
    return json_answer(200, {"body": request.body.decode(), "query": request.query})


POST = Route("POST", "/v1/parrot", parrot, types=("application/json",), who=OPEN, limit=1000)
JSON = "Content-Type: application/json"


@pytest.mark.parametrize(
    ("lines", "body", "status"),
    [
        ([JSON], b'{"a": 1}', 200),
        (["Content-Type: Application/JSON; charset=utf-8"], b"{}", 200),
        ([JSON], b"x" * 1000, 200),
        ([], b"", 200),
        ([JSON], b"x" * 1001, 413),
        ([JSON], b"x" * 3_000_000, 413),
        ([], b"{}", 415),
        (["Content-Type: text/plain"], b"{}", 415),
        (["Content-Type: application/json; boundary=x"], b"{}", 415),
        (["Content-Type: application/jsonp"], b"{}", 415),
        ([JSON, JSON], b"{}", 415),
        (["Content-Type: application/x-www-form-urlencoded"], b"{}", 415),
        ([JSON, "Content-Encoding: gzip"], b"{}", 415),
    ],
)
def test_bodies(lines: list[str], body: bytes, status: int) -> None:
    async def test(server: Server) -> None:
        server.site.routes.add(POST)
        told = await ask(server, "POST", "/v1/parrot?q=1", *lines, body=body)
        assert told.status == status
        if status == 200:
            assert json.loads(told.body) == {"body": body.decode(), "query": "q=1"}
        else:
            assert told.error["type"] == "invalid_request_error"

    with_server(test, front="asgi")


def test_a_chunked_body_is_bounded_as_it_comes() -> None:
    async def test(server: Server) -> None:
        server.site.routes.add(POST)
        head = f"POST /v1/parrot HTTP/1.1\r\nHost: localhost\r\n{JSON}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        small = await raw(server, head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + b"2\r\n{}\r\n0\r\n\r\n")
        assert (small.status, json.loads(small.body)["body"]) == (200, "{}")
        large = await raw(server, head + (b"400\r\n" + b"x" * 1024 + b"\r\n") * 100 + b"0\r\n\r\n")
        assert large.status == 413

    with_server(test, front="asgi")


def test_what_the_bare_front_cannot_do_it_says() -> None:
    async def test(server: Server) -> None:
        server.site.routes.add(POST)
        told = await ask(server, "POST", "/v1/parrot", JSON, body=b"{}")
        assert told.status == 501
        assert "pip install 'bargein[server]'" in told.error["message"]

    with_server(test, front="bare")


def test_a_table_of_routes() -> None:
    def said(word: str) -> Route:
        method, path = word.split(" ")
        return Route(method, path, lambda _request, _who: Answer(200, word.encode()))

    table = Routes(map(said, ("GET /a", "GET /a/*", "GET /a/b/*", "GET /a/b/c", "POST /a/b/c", "PUT /a")))
    found = {
        path: answer.run(Request("GET", path), None).body.decode()  # type: ignore[arg-type]
        for path in ("/a", "/a/x", "/a/b", "/a/b/", "/a/b/d/e", "/a/b/c", "/a/")
        if isinstance(answer := table.find(Request("GET", path)), Route)
    }
    assert found == {
        "/a": "GET /a",
        "/a/x": "GET /a/*",
        "/a/b": "GET /a/*",
        "/a/b/": "GET /a/b/*",
        "/a/b/d/e": "GET /a/b/*",
        "/a/b/c": "GET /a/b/c",
        "/a/": "GET /a/*",
    }
    assert table.methods("/a") == ["GET", "HEAD", "OPTIONS", "PUT"]
    assert table.methods("/b") == []


def test_the_front_is_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [chosen_front(front) for front in FRONTS] == ["asgi", "asgi", "bare"]
    monkeypatch.setattr(websocket, "find_spec", lambda name: None if name == "httptools" else name)
    assert (chosen_front("auto"), chosen_front("bare")) == ("bare", "bare")
    with pytest.raises(MissingExtraError, match=r"pip install 'bargein\[server\]'"):
        chosen_front("asgi")
    with pytest.raises(ConfigError, match="use auto, asgi, bare"):
        chosen_front("best")


@BOTH
def test_a_websocket_needs_http_1_1(front: str) -> None:
    async def test(server: Server) -> None:
        told = "\r\n".join(("GET /v1/realtime HTTP/1.0", "Host: localhost", *HANDSHAKE, "", ""))
        assert (await raw(server, told.encode())).status == 505

    with_server(test, front=front)
