"""Reading the JSON body of a request, and refusing one that is none."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.errors import ProtocolError
from engine.realtime import wire
from engine.server.config import MAX_CONFIG_BYTES
from engine.server.web.messages import Answer, Request, refusal

MAX_JSON_BYTES = MAX_CONFIG_BYTES + 2**16
_JSON = ("application/json", "application/json;charset=utf-8")


class BadBody(ProtocolError):
    """The body cannot be read; `status` is what it is answered with."""

    def __init__(self, status: int, message: str, code: str) -> None:
        super().__init__(message, code=code)
        self.status = status


def json_object(request: Request) -> dict[str, Any]:
    """The JSON object in the body; {} when there is no body. Raises BadBody.

    Only application/json will do: a page of another origin can send other types without asking first.
    """
    if not request.body and not request.all("content-type"):
        return {}
    given = request.only("content-type") or ""
    if given.replace(" ", "").lower() not in _JSON:
        raise BadBody(415, "The body's type must be application/json.", "unsupported_content_type")
    if request.all("content-encoding"):
        raise BadBody(415, "A body with a Content-Encoding is not read: send it plain.", "unsupported_content_encoding")
    if len(request.body) > MAX_JSON_BYTES:
        raise BadBody(413, f"The body has more than {MAX_JSON_BYTES} bytes.", "body_too_large")
    if not request.body:
        return {}
    try:
        value = msgspec.json.decode(request.body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise BadBody(400, "The body is not a JSON object.", "invalid_json")
    if wire.too_deep(value):
        raise BadBody(400, f"The body is nested deeper than {wire.MAX_DEPTH} levels.", "invalid_json")
    return value


def refused(problem: ProtocolError) -> Answer:
    """The answer to a mistake in a body: the words and the shape that the same mistake has in an `error` event."""
    status = problem.status if isinstance(problem, BadBody) else 400
    return refusal(status, str(problem), code=problem.code, param=problem.param)


__all__ = ["BadBody", "json_object", "refused"]
