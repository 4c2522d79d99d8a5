"""Requests for the doors' pure functions, and how their answers are read."""

from __future__ import annotations

import json
from typing import Any

from engine.server.web.messages import Answer, Request

NOW = 1_800_000_000.25
"""Unix seconds at which everything happens that does not say otherwise."""


def post(path: str, body: Any = None, *, type: str | None = "application/json", **headers: str) -> Request:
    """A POST with JSON; bytes are sent as they are."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"host": "127.0.0.1:8765", **({} if body is None or type is None else {"content-type": type}), **headers}
    return Request("POST", path, "", tuple((name.replace("_", "-"), value) for name, value in given.items()), data)


def get(path: str, **headers: str) -> Request:
    """A GET."""
    return Request("GET", path, "", tuple((name.replace("_", "-"), value) for name, value in headers.items()))


def told(answer: Answer) -> Any:
    """The JSON of an answer that is one."""
    assert answer.type == "application/json"
    return json.loads(answer.body)


def problem(answer: Answer) -> tuple[int, str | None, str | None]:
    """Status, code and param of an error in the reference's shape."""
    error = told(answer)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == ("server_error" if answer.status >= 500 else "invalid_request_error")
    assert error["message"].endswith("."), error["message"]
    return answer.status, error["code"], error["param"]
