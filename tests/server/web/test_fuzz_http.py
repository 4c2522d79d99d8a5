"""Bytes that are nearly HTTP, or nearly WebSocket: nothing but clean answers, and a server that goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.server.web import head
from engine.server.web.messages import Answer, Request
from tests.server.web.live import Live, living

HANDSHAKE = (
    b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
EXAMPLES = int(os.environ.get("BARGEIN_FUZZ_EXAMPLES", "100"))
CLEAN = {0, 200, 204, 400, 401, 403, 404, 405, 408, 413, 415, 426, 431, 501}
"""Status 0: it hung up without a word, as on bytes that end before they say anything. 101 may come, 500 may not."""


@pytest.fixture(scope="module", params=["asgi", "bare"])
def live(request: pytest.FixtureRequest) -> Iterator[Live]:
    with living(request.param) as server:
        yield server


def some_of(words: str, *more: bytes) -> st.SearchStrategy[bytes]:
    """One of the words, which stand between spaces, or of some more."""
    return st.sampled_from([*words.encode("latin-1").split(b" "), *more])


METHODS = some_of("GET POST HEAD OPTIONS PUT get CONNECT PRI  G\0T")
PATHS = (
    "/ /healthz /v1/realtime /v1/realtime/client_secrets /v1/models * // /%00%ff http://localhost/healthz localhost:80"
)
TARGETS = st.one_of(
    some_of(PATHS, b"", b"/healthz?" + b"a=1&" * 200, b"/" + b"a/" * 300),
    st.binary(max_size=40),
)
NAMES = some_of(
    "Host Origin Content-Length Transfer-Encoding Content-Type Upgrade Connection Expect Authorization api-key "
    "Sec-WebSocket-Key Sec-WebSocket-Version Sec-WebSocket-Protocol X-Forwarded-For OpenAI-Beta X\0 \xff "
    "Access-Control-Request-Method",
    b" Host",
    b"Host ",
)
VALUES = st.one_of(
    some_of(
        "localhost evil.example http://localhost null 0 5 -1 +5 1e9 99999999999999999999 chunked identity,chunked "
        "websocket h2c Upgrade close keep-alive application/json 100-continue 13 dGhlIHNhbXBsZSBub25jZQ== realtime , "
        "POST a\0b a\rb",
        b"Bearer ek_x",
        b"realtime, openai-insecure-api-key.x",
        b"x" * 9000,
        b"\xff" * 20,
    ),
    st.binary(max_size=30),
)
BODIES = st.one_of(st.binary(max_size=60), some_of("{}", b"", b"5\r\nhello\r\n0\r\n\r\n", HANDSHAKE))
ENDS = st.sampled_from([b"\r\n"] * 8 + [b"\n", b"\r", b"\r\n "])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Mostly like a request."""
    end = draw(ENDS)
    version = draw(st.sampled_from([b"HTTP/1.1"] * 5 + [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.1 ", b""]))
    lines = [draw(METHODS) + b" " + draw(TARGETS) + b" " + version]
    if draw(st.booleans()):
        lines.append(b"Host: localhost")
    lines += [name + b": " + value for name, value in draw(st.lists(st.tuples(NAMES, VALUES), max_size=6))]
    return end.join([*lines, b"", b""]) + draw(BODIES)


def answers(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Every answer of a connection: status and body."""
    while data.startswith(b"HTTP/1.1 "):
        top, _, rest = data.partition(b"\r\n\r\n")
        status = int(top.split(b" ")[1])
        length = [line.split(b":")[1] for line in top.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        size = int(length[0]) if length else 0
        yield status, rest[:size]
        if status == 101:
            return
        data = rest[size:]
    assert not data, data[:200]


@settings(max_examples=EXAMPLES)
@given(st.lists(requests(), min_size=1, max_size=3), st.integers(1, 200))
def test_requests_that_are_nearly_right(live: Live, asked: list[bytes], cut: int) -> None:
    data = b"".join(asked)
    for status, body in answers(live.send(data[:cut], data[cut:])):
        assert status in CLEAN | {101}
        if status >= 400 and body:
            assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}
    live.well()


@settings(max_examples=EXAMPLES)
@given(st.binary(max_size=300))
def test_bytes_that_are_nothing(live: Live, data: bytes) -> None:
    assert live.ask(data).status in CLEAN
    live.well()


@settings(max_examples=3 * EXAMPLES)
@given(requests())
def test_a_head_is_a_request_or_an_answer(data: bytes) -> None:
    top = data.partition(head.END)[0] + head.END
    found = head.parse(top)
    if isinstance(found, Answer):
        assert found.status in (400, 431)
        assert head.serialize(found).startswith(b"HTTP/1.1 4")
    else:
        assert isinstance(found, Request)
        assert found.method.isupper()
        assert all(name == name.lower() and "\r" not in value and "\n" not in value for name, value in found.headers)


SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        b"Transfer-Encoding: xchunked",
        b"Content-Length: 0x5",
        b"Content-Length: +5",
        b"Content-Length : 5",
        b"X: a\r\n b: c",
        b"\x00: a",
    ],
)
def test_what_two_programs_read_differently_is_no_request(live: Live, lines: bytes) -> None:
    data = b"POST /v1/none HTTP/1.1\r\nHost: localhost\r\n" + lines + b"\r\n\r\n0\r\n\r\n" + SMUGGLED
    statuses = [status for status, _ in answers(live.send(data))]
    assert 200 not in statuses, statuses
    live.well()


@pytest.mark.parametrize("first", [SMUGGLED, SMUGGLED * 3])
def test_a_handshake_does_not_pass_the_requests_before_it(live: Live, first: bytes) -> None:
    found = [status for status, _ in answers(live.send(first + HANDSHAKE, close=False))]
    assert found[0] == 200
    assert 101 not in found
    live.well()


@settings(max_examples=EXAMPLES)
@given(
    st.lists(
        st.one_of(
            st.binary(min_size=1, max_size=200),
            st.builds(
                lambda first, size, rest: bytes((first, 0x80 | size)) + bytes(4) + rest,
                st.integers(0, 255),
                st.integers(0, 127),
                st.binary(max_size=200),
            ),
        ),
        max_size=5,
    )
)
def test_frames_that_are_nearly_right(live: Live, frames: list[bytes]) -> None:
    answer = live.send(HANDSHAKE, *frames)
    assert answer.startswith(b"HTTP/1.1 101 ")
    live.well()


def test_all_sessions_have_ended(live: Live) -> None:
    live.idle()
    assert not live.server.sockets.open
