"""Both fronts serve the page. No browser here."""

from __future__ import annotations

from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from engine.server import Credentials
from engine.server.responders import Echo
from engine.server.web.assets import asset
from engine.server.web.keys import KeyRing, Keys, digest_of
from tests.playground.served import Served


def get(page: str, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body."""
    connection = HTTPConnection(urlsplit(page).netloc, timeout=60)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


@pytest.mark.parametrize("front", ["bare", "asgi"])
def test_a_front_serves_the_page_and_its_parts(front: str) -> None:
    with Served(Echo(), front=front) as server:
        for path in ("/", "/playground/main.js", "/playground/base.css"):
            part = asset(path)
            assert part is not None
            status, headers, body = get(server.page, path)
            assert (status, body, headers["content-type"]) == (200, part.body, part.type)
            assert headers["content-security-policy"].startswith("default-src 'none'")
            status, again, body = get(server.page, path, if_none_match=headers["etag"])
            assert (status, body, again["etag"]) == (304, b"", headers["etag"])
            status, head, body = get(server.page, path, "HEAD")
            assert (status, body, head["etag"]) == (200, b"", headers["etag"])
        assert get(server.page, "/playground/nothing.js")[0] == 404
        assert get(server.page, "/playground/../assets.py")[0] == 404
        assert get(server.page, "/playground/%2e%2e/assets.py")[0] == 404
        assert get(server.page, "/", "POST")[0] in (405, 501)


@pytest.mark.parametrize("front", ["bare", "asgi"])
def test_the_page_of_a_server_with_keys_needs_none_itself(front: str) -> None:
    ring = KeyRing(Keys({digest_of("sk-the-key-of-the-test-0123456789"): "test"}))
    with Served(Echo(), front=front, credentials=Credentials(ring)) as server:
        assert get(server.page, "/")[0] == 200
        assert get(server.page, "/v1/models")[0] == 401


def test_a_strange_host_gets_no_page() -> None:
    with Served(Echo()) as server:
        assert get(server.page, "/", Host="voice.example.com")[0] == 403
