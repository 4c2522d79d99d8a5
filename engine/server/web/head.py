"""The head of an HTTP/1.1 request, from its bytes; strict, since what two programs read differently is an attack."""

from __future__ import annotations

import re
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import unquote

from engine.server.web.messages import Answer, Request, refusal

MOST_BYTES = 16 * 2**10
"""Bytes of a head, its request line included; more is answered 431."""
MOST_HEADERS = 100
LINE_BYTES = 8000
"""The longest line of it."""
END = b"\r\n\r\n"

_LINE = re.compile(rb"([A-Z]{1,16}) ([!-~]+) HTTP/1\.[01]")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")


def parse(head: bytes, *, peer: str = "", secure: bool = False) -> Request | Answer:
    """The request whose head this is, `END` included, or the answer for bytes that are none."""
    first, *lines = head.removesuffix(END).split(b"\r\n")
    if len(lines) > MOST_HEADERS or any(len(line) > LINE_BYTES for line in (first, *lines)):
        return too_large()
    asked = _LINE.fullmatch(first)
    if asked is None:
        return refusal(400, "This is no HTTP/1.1 request.", code="bad_request")
    headers = []
    for line in lines:
        if (found := _HEADER.fullmatch(line)) is None:
            return refusal(400, "A header of this request is none.", code="bad_request")
        headers.append((found[1].decode("ascii").lower(), found[2].decode("latin-1").rstrip(" \t")))
    target, _, query = asked[2].decode("ascii").partition("?")
    path = unquote(target) if target.startswith("/") else target
    return Request(asked[1].decode("ascii"), path, query, tuple(headers), peer=peer, secure=secure)


def too_large() -> Answer:
    """431."""
    return refusal(431, f"The head is longer than {MOST_BYTES} bytes, or has too many headers.", code="head_too_large")


def too_slow() -> Answer:
    """408."""
    return refusal(408, "The request took too long.", code="timeout")


def serialize(answer: Answer, *, head_only: bool = False) -> bytes:
    """An answer as bytes of HTTP/1.1, after which the connection is closed."""
    lines = [f"HTTP/1.1 {answer.status} {reason(answer.status)}"]
    lines += [f"{name}: {value}" for name, value in headers_of(answer)]
    lines += ["connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1") + (b"" if head_only else answer.body)


def headers_of(answer: Answer) -> list[tuple[str, str]]:
    """All headers of an answer but `connection`."""
    headers = [("date", formatdate(usegmt=True)), ("server", "bargein")]
    if answer.status not in (204, 304):  # which have no body, and no length of one
        headers += [("content-type", answer.type), ("content-length", str(len(answer.body)))]
    return headers + list(answer.headers)


def reason(status: int) -> str:
    """The words of a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


__all__ = ["END", "MOST_BYTES", "MOST_HEADERS", "headers_of", "parse", "reason", "serialize", "too_large", "too_slow"]
