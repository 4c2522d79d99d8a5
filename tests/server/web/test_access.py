"""Who may come in: rules by themselves, and played against both fronts by pages, proxies and strangers."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from engine.errors import ConfigError
from engine.server import Access, Server, ServerOptions
from engine.server.responders import Echo
from engine.server.voices import ToneVoice
from engine.server.web.access import check_bind, split_host
from engine.server.web.client_secrets import Issuer
from engine.server.web.credentials import Credentials, Identity
from engine.server.web.keys import KeyRing, Keys, digest_of
from engine.server.web.messages import Answer, Request, json_answer
from engine.server.web.registry import MemoryRegistry
from engine.server.web.routes import SECRETS, Route
from engine.server.web.site import Site
from tests.server.test_websocket import expect
from tests.server.web.http import BOTH, FAST, ask, raw, shake, until, with_server

KITCHEN, GARAGE = "sk-kitchen-1234567890", "sk-garage-1234567890"
PAGE = "https://app.example.com"


def keyed() -> Credentials:
    names = {digest_of(KITCHEN): "kitchen", digest_of(GARAGE): "garage"}
    return Credentials(KeyRing(Keys(names)), MemoryRegistry())


# ---- hosts and origins


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("Example.COM:80", ("example.com", 80)),
        ("example.com", ("example.com", None)),
        ("[::1]:9", ("::1", 9)),
        ("[0:0::1]", ("::1", None)),
        ("a:b:c", None),
        ("exa mple.com", None),
        ("example.com:65536", None),
        ("example.com:-1", None),
        ("example.com:\u0661", None),
        ("-x.com", None),
        ("", None),
        ("x" * 254, None),
    ],
)
def test_a_host_header(host: str, found: Any) -> None:
    assert split_host(host) == found


@pytest.mark.parametrize(
    ("allowed", "host", "welcome"),
    [
        ("voice.example.com", "voice.example.com", True),
        ("voice.example.com", "VOICE.example.com:8443", True),
        ("voice.example.com:8443", "voice.example.com:8443", True),
        ("voice.example.com:8443", "voice.example.com", False),
        ("voice.example.com", "example.com", False),
        ("voice.example.com", "xvoice.example.com", False),
        ("voice.example.com", "voice.example.com.evil.example", False),
        ("voice.example.com", "voice.example.com.", False),
        ("10.1.2.3", "10.1.2.3:80", True),
        ("[2001:db8::1]", "[2001:DB8:0::1]:80", True),
    ],
)
def test_an_allowed_host(allowed: str, host: str, welcome: bool) -> None:
    assert Access(hosts=(allowed,)).answers_host([host]) is welcome
    assert Access(hosts=(allowed,)).answers_host([host, host]) is False


@pytest.mark.parametrize(
    ("origins", "origin", "welcome"),
    [
        ((PAGE,), PAGE, True),
        ((PAGE,), "HTTPS://App.Example.com", True),
        ((PAGE,), "http://app.example.com", False),
        ((PAGE,), "https://app.example.com:8443", False),
        ((PAGE,), "https://app.example.com.evil.example", False),
        ((PAGE,), "null", False),
        (("*",), "https://anything.example", True),
        (("*",), "null", True),
        ((), "http://localhost:8000", True),
    ],
)
def test_an_allowed_origin(origins: tuple[str, ...], origin: str, welcome: bool) -> None:
    assert Access(origins=origins).answers_origin([origin], "localhost:8000") is welcome
    assert Access(origins=origins).answers_origin([origin, origin], "localhost:8000") is False


def test_a_page_without_tls_is_not_the_own_page_of_a_server_with_it() -> None:
    access, host = Access(hosts=("voice.example.com",)), "voice.example.com"
    assert access.answers_origin([f"https://{host}"], host, secure=True)
    assert not access.answers_origin([f"http://{host}"], host, secure=True)
    assert access.answers_origin([f"https://{host}"], host)  # TLS is a proxy's
    assert Access(origins=(f"http://{host}",)).answers_origin([f"http://{host}"], host, secure=True)


@pytest.mark.parametrize("host", ["http://x", "*", "0.0.0.0", "[::]", "::", "a b", "x/y", ""])
def test_what_is_no_host(host: str) -> None:
    with pytest.raises(ConfigError, match="allowed host"):
        Access(hosts=(host,))


@pytest.mark.parametrize("origin", ["null", "app.example.com", "https://", "https://a/b", "ftp://a", "", "https://*.a"])
def test_what_is_no_origin(origin: str) -> None:
    with pytest.raises(ConfigError, match="allowed origin"):
        Access(origins=(origin,))


def test_lists_are_bounded() -> None:
    names = tuple(f"h{n}" for n in range(65))
    Access(hosts=names[:64])
    with pytest.raises(ConfigError, match="64 at most"):
        Access(hosts=names)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "voice.example.com"])
def test_beyond_this_machine_there_are_keys_and_a_name(host: str) -> None:
    named = Access(hosts=("voice.example.com",))
    with pytest.raises(ConfigError, match="no keys"):
        check_bind(host, keys=False, access=named)
    with pytest.raises(ConfigError, match="--allowed-host"):
        check_bind(host, keys=True, access=Access())
    check_bind(host, keys=True, access=named)


@pytest.mark.parametrize(
    ("address", "hosts", "url"),
    [
        ("127.0.0.1", ("voice.example.com",), "ws://127.0.0.1:80/v1/realtime"),
        ("::1", (), "ws://[::1]:80/v1/realtime"),
        ("0.0.0.0", ("voice.example.com", "other"), "ws://voice.example.com:80/v1/realtime"),
        ("::", ("voice.example.com:8000",), "ws://voice.example.com:80/v1/realtime"),
        ("0.0.0.0", ("[2001:db8::1]",), "ws://[2001:db8::1]:80/v1/realtime"),
    ],
)
def test_all_of_a_machine_is_called_by_its_allowed_name(address: str, hosts: tuple[str, ...], url: str) -> None:
    site = Site(responder=Echo(), voice=ToneVoice(), options=FAST, access=Access(hosts=hosts), credentials=keyed())
    server = Server(site, front="bare")
    server._name(address, 80)
    assert server.url == url


# ---- pages


@BOTH
def test_a_page_of_another_site_gets_nothing(front: str) -> None:
    """DNS rebinding: its own name points here, so its requests are of its origin. And plain cross-site requests."""

    async def test(server: Server) -> None:
        for path in ("/healthz", "/v1/realtime"):
            rebound = await ask(server, "GET", path, "Origin: http://evil.example", host="evil.example")
            assert rebound.status == 403
            told = await ask(server, "GET", path, "Origin: http://evil.example")
            assert (told.status, told.error["code"]) == (403, "invalid_origin")
            assert "access-control-allow-origin" not in told.headers
        assert (await shake(server, "Origin: http://evil.example", host="evil.example")).status == 403
        assert (await shake(server, "Origin: http://evil.example")).status == 403
        form = ("Origin: http://evil.example", "Content-Type: text/plain")
        assert (await ask(server, "POST", "/v1/realtime/client_secrets", *form, body=b"{}")).status == 403
        silent = await ask(server, "POST", "/v1/realtime/client_secrets", "Content-Type: text/plain", body=b"{}")
        assert silent.status in (404, 415)

    with_server(test, front=front)


@BOTH
def test_preflight_and_what_an_allowed_page_may_read(front: str) -> None:
    async def test(server: Server) -> None:
        server.site.routes.add(MAKES)
        asks = ("Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization,content-type")
        told = await ask(server, "OPTIONS", "/v1/made", f"Origin: {PAGE}", *asks)
        assert (told.status, told.body) == (204, b"")
        assert told.headers["access-control-allow-origin"] == PAGE
        assert told.headers["access-control-allow-methods"] == "OPTIONS, POST"
        assert told.headers["access-control-allow-headers"] == "authorization,content-type"
        assert "Location" in told.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in told.headers
        assert told.headers["vary"] == "Origin"
        for origin, method, path, status in (
            ("https://evil.example", "POST", "/v1/made", 403),
            (PAGE, "DELETE", "/v1/made", 405),
            (PAGE, "POST", "/v1/none", 404),
        ):
            asked = ("Access-Control-Request-Method: " + method,)
            told = await ask(server, "OPTIONS", path, f"Origin: {origin}", *asked)
            assert told.status == status
            assert ("access-control-allow-origin" in told.headers) == (origin == PAGE)
        strange = "Access-Control-Request-Headers: a\x01b"
        told = await ask(server, "OPTIONS", "/v1/made", f"Origin: {PAGE}", asks[0], strange.replace("\x01", "("))
        assert told.headers["access-control-allow-headers"] == "Authorization, Content-Type"
        told = await ask(server, "GET", "/healthz", f"Origin: {PAGE}")
        assert (told.status, told.headers["access-control-allow-origin"]) == (200, PAGE)
        assert (await shake(server, f"Origin: {PAGE}")).status == 101
        if front == "asgi":
            told = await ask(
                server, "POST", "/v1/made", f"Origin: {PAGE}", "Content-Type: application/json", body=b"{}"
            )
            assert (told.status, told.headers["location"]) == (201, "/v1/made/1")
            assert "Location" in told.headers["access-control-expose-headers"]
            lines = (f"Origin: {PAGE}", "Content-Type: application/json", "Transfer-Encoding: chunked")
            told = await raw(
                server,
                "\r\n".join(("POST /v1/made HTTP/1.1", "Host: localhost", *lines, "", "800000", "")).encode()
                + bytes(2**23)
                + b"\r\n0\r\n\r\n",
            )
            assert (told.status, told.headers["access-control-allow-origin"]) == (413, PAGE)

    with_server(test, front=front, access=Access(origins=(PAGE,)))


def made(_request: Request, who: Identity) -> Answer:
    return json_answer(201, {"owner": who.owner}, (("location", "/v1/made/1"),))


MAKES = Route("POST", "/v1/made", made, types=("application/json",))
READS = Route("GET", "/v1/read", made)
OPENS = Route("GET", "/v1/opens", made, who=SECRETS)


# ---- proxies


@BOTH
@pytest.mark.parametrize("line", ["X-Forwarded-For: 10.0.0.1", "Forwarded: for=10.0.0.1", "x-FORWARDED-proto: https"])
def test_what_a_proxy_passes_on_needs_keys(front: str, line: str) -> None:
    async def without(server: Server) -> None:
        told = await ask(server, "GET", "/healthz", line)
        assert (told.status, told.error["code"]) == (403, "forwarded")
        assert (await shake(server, line)).status == 403

    async def keys(server: Server) -> None:
        assert (await ask(server, "GET", "/healthz", line)).status == 200
        assert (await shake(server, line, f"Authorization: Bearer {KITCHEN}")).status == 101

    with_server(without, front=front)
    with_server(keys, front=front, credentials=keyed())


# ---- keys


@BOTH
def test_keys_open_and_others_are_told_before_the_upgrade(front: str) -> None:
    async def test(server: Server) -> None:
        server.site.routes.add(READS)
        good = (f"Authorization: Bearer {KITCHEN}", f"api-key: {GARAGE}")
        for line in good:
            assert (await shake(server, line)).status == 101
        told = await ask(server, "GET", "/v1/read", good[0])
        assert (told.status, json.loads(told.body)) == (201, {"owner": "kitchen"})
        for lines in ((), ("Authorization: Bearer sk-wrong",), ("Authorization: Bearer ek_wrong",), good):
            for told in (await shake(server, *lines), await ask(server, "GET", "/v1/read", *lines)):
                assert told.status == 401
                assert told.headers["www-authenticate"] == "Bearer"
                assert told.error["type"] == "invalid_request_error"
        assert (await ask(server, "GET", "/healthz")).status == 200  # for whoever spreads load
        assert (await ask(server, "GET", "/v1/realtime")).status == 426

    with_server(test, front=front, credentials=keyed())


@BOTH
def test_a_client_secret_opens_sockets_and_nothing_else(front: str) -> None:
    credentials = keyed()
    issuer = Issuer(FAST, credentials.registry)

    async def test(server: Server) -> None:
        secret, _ = issuer.issue(Identity("key", "kitchen"), {"type": "realtime"}, 600, server.site.now())
        server.site.routes.add(READS)
        server.site.routes.add(OPENS)
        line = f"Authorization: Bearer {secret}"
        assert (await shake(server, line)).status == 101
        assert (await ask(server, "GET", "/v1/opens", line)).status == 201
        told = await ask(server, "GET", "/v1/read", line)
        assert (told.status, told.error["code"]) == (403, "insufficient_permissions")

    with_server(test, front=front, credentials=credentials)


@BOTH
def test_a_browsers_key_is_a_subprotocol_that_is_never_answered(front: str) -> None:
    async def test(server: Server) -> None:
        key = f"openai-insecure-api-key.{KITCHEN}"
        for offered, status, chosen in (
            (f"realtime, {key}", 101, "realtime"),
            (f"{key}, realtime, openai-beta.realtime-v1", 101, "realtime"),
            (f"realtime,{key}", 101, "realtime"),
            (key, 101, None),
            ("realtime", 401, None),
            ("realtime, openai-insecure-api-key.", 401, None),
            ("realtime, openai-insecure-api-key.sk-wrong", 401, None),
            (f"realtime, openai-insecure-api-key.{GARAGE}x", 401, None),
            (f"realtime, {key}, openai-insecure-api-key.{GARAGE}", 401, None),
            (f"realtime, openai-INSECURE-api-key.{KITCHEN}", 401, None),
            (f"realtime, {key}, @", 400, None),
        ):
            told = await shake(server, f"Sec-WebSocket-Protocol: {offered}")
            assert told.status == status, offered
            assert told.headers.get("sec-websocket-protocol") == chosen
            assert KITCHEN not in str(told)
        two = await shake(server, "Sec-WebSocket-Protocol: realtime", f"Sec-WebSocket-Protocol: {key}")
        assert two.status == 101
        await until(lambda: not server.sessions)

    with_server(test, front=front, credentials=keyed())


# ---- limits


@BOTH
def test_limits_of_a_key_and_of_the_server(front: str) -> None:
    async def test(server: Server) -> None:
        async with AsyncExitStack() as stack:

            async def opened(key: str) -> Any:
                client = await stack.enter_async_context(
                    connect(server.url, additional_headers={"Authorization": f"Bearer {key}"})
                )
                await expect(client, "session.created")
                return client

            async def status(key: str) -> int:
                with pytest.raises(InvalidStatus) as refused:
                    await opened(key)
                assert refused.value.response.headers["Retry-After"] == "1"
                return refused.value.response.status_code

            first = await opened(KITCHEN)
            await opened(KITCHEN)
            assert await status(KITCHEN) == 429
            await opened(GARAGE)
            assert await status(GARAGE) == 503
            assert await status(KITCHEN) == 503
            await first.close()
            await until(lambda: server.sessions == 2)
            await opened(KITCHEN)
        await until(lambda: not server.sessions)
        assert not server.site._of_owner

    access = Access(sessions_per_key=2)
    with_server(test, ServerOptions(max_sessions=3), front=front, credentials=keyed(), access=access)
